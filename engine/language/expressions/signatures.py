"""How a library function is declared: one decorator holds its signature, its words and its examples.

    @function("lower", [Parameter("text", STRING)], STRING, "The text in lower case.", examples=[...])
    def _lower(text: str) -> str: ...

The compiler checks calls against it, the generated code checks run-time types against it, the tests run its examples,
and `docs/reference/functions.md` is printed from it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from engine.language.expressions.runtime import FunctionError, conceal, kind_of, reveal
from engine.language.static_types import STRING, Type, describe
from engine.types import Json, JsonObject

ResultType = Type | Callable[[Sequence[Type]], Type]
PythonClass = type
Implementation = Callable[..., Json]

_CLASSES: Final[dict[str, tuple[type, ...]]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "number": (int, float),
    "string": (str,),
    "array": (list,),
    "object": (dict,),
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument: its name for the reference and the type it must have.

    `is_expression` marks an `&expression` argument; `type` is then what the expression must yield.
    `items_alike` says that a list's items must all be numbers or all be strings.
    """

    name: str
    type: Type
    is_expression: bool = False
    items_alike: bool = False

    @property
    def classes(self) -> frozenset[PythonClass]:
        """The Python classes that the run-time check lets pass."""
        return frozenset(each for kind in self.type.kinds for each in _CLASSES[kind])

    @property
    def checks_items(self) -> bool:
        """Whether a list's items have to be looked at."""
        return self.type.items is not None and len(self.type.items.kinds) < 6

    def accepts(self, value: Json) -> bool:
        """Whether a value has the type, items included."""
        if type(value) not in self.classes:
            return False
        return not self.checks_items or not isinstance(value, list) or self.item_test()(value)

    def item_test(self) -> Callable[[Json], bool]:
        """A quick test, made once at load, of whether a value's items have the type (true of what is no list)."""
        kinds = self.type.items.kinds if self.type.items is not None else frozenset(_CLASSES)
        allowed = [frozenset(_CLASSES[kind]) for kind in kinds]
        groups = allowed if self.items_alike else [frozenset().union(*allowed)]

        def fits(value: Json) -> bool:
            classes = set(map(type, value)) if type(value) is list else set()
            return any(classes <= group for group in groups)

        return fits


@dataclass(frozen=True, slots=True)
class Example:
    """An example that runs as a test: an expression, the scope it reads, and what it gives."""

    expression: str
    scope: JsonObject
    result: Json


@dataclass(frozen=True, slots=True)
class Function:
    """One entry of the library.

    The last parameter repeats if `variadic`; the last `optional` parameters may be left out. `takes_null` ends the rule
    "null in, null out". `from_context` names values of `ctx` that are handed in before the arguments. `inline` gives,
    from the names of the arguments, source that does what the implementation does: for what stands in every rule.
    """

    name: str
    subject: str
    parameters: tuple[Parameter, ...]
    result: ResultType
    doc: str
    implementation: Implementation
    examples: tuple[Example, ...]
    optional: int = 0
    variadic: bool = False
    takes_null: bool = False
    auth_only: bool = False
    from_context: tuple[str, ...] = ()
    inline: Callable[[Sequence[str]], str] | None = None

    @property
    def arity(self) -> tuple[int, int | None]:
        """The least and the greatest number of arguments; None if there is no greatest."""
        return len(self.parameters) - self.optional, None if self.variadic else len(self.parameters)

    @property
    def call(self) -> str:
        """The call as the reference shows it: `clamp(value, min?, max?)`."""
        required = len(self.parameters) - self.optional
        names = [("&" if each.is_expression else "") + each.name for each in self.parameters]
        names = [name if place < required else name + "?" for place, name in enumerate(names)]
        return f"{self.name}({', '.join(names)}{', …' if self.variadic else ''})"

    def parameter(self, place: int) -> Parameter:
        """The parameter that the argument at this place belongs to."""
        return self.parameters[min(place, len(self.parameters) - 1)]

    def result_type(self, arguments: Sequence[Type]) -> Type:
        """The static type of a call; null where an argument may be null and null goes through."""
        result = self.result(arguments) if callable(self.result) else self.result
        values = [each for place, each in enumerate(arguments) if not self.parameter(place).is_expression]
        if not self.takes_null and any(each.may_be_null for each in values):
            return result.optional()
        return result

    def refuse(self, *arguments: Json) -> Json:
        """Say which argument has the wrong type. Always raises FunctionError."""
        for place, value in enumerate(arguments):
            wanted = self.parameter(place)
            if not wanted.is_expression and not wanted.accepts(value):
                raise FunctionError(f"{wanted.name} must be {expected(wanted)}, this is {found(value)}")
        raise FunctionError("the arguments are of types that cannot be used together")

    def call_with_secrets(self, *arguments: Json) -> Json:
        """Call it where arguments may be secrets: what comes of a secret is one again."""
        opened = [reveal(each) for each in arguments]
        values = [value for value, _ in opened]
        own = values[len(self.from_context) :]
        if not self.takes_null and any(value is None for value in own):
            return None
        if not all(self.parameter(place).is_expression or self.parameter(place).accepts(each)
                   for place, each in enumerate(own)):  # fmt: skip
            return self.refuse(*own)
        result = self.implementation(*values)
        return conceal(result) if any(is_secret for _, is_secret in opened) else result


def expected(parameter: Parameter) -> str:
    """What an argument must be, in words."""
    words = describe(parameter.type)
    if parameter.checks_items and parameter.type.items is not None and parameter.type.items.kinds:
        of = sorted(kind + "s" for kind in parameter.type.items.kinds)
        words = words.replace("a list", f"a list of {' or of '.join(of) if parameter.items_alike else ' or '.join(of)}")
    return words


def found(value: Json) -> str:
    """What an argument is, in words, without its value."""
    if isinstance(value, list):
        kinds = sorted({kind_of(each) for each in value})
        return f"a list of {', '.join(kinds)}" if kinds else "an empty list"
    return kind_of(value)


_REGISTRY: Final[dict[str, Function]] = {}


def function(
    name: str,
    parameters: Sequence[Parameter],
    result: ResultType,
    doc: str,
    *,
    examples: Sequence[tuple[str, JsonObject, Json]],
    **flags: Json,
) -> Callable[[Implementation], Implementation]:
    """Register a library function. `flags` are the optional fields of `Function`."""

    def register(implementation: Implementation) -> Implementation:
        if name in _REGISTRY:
            raise ValueError(f"function {name} is registered twice")
        subject = implementation.__module__.rsplit(".", 1)[-1]
        runs = tuple(Example(*each) for each in examples)
        _REGISTRY[name] = Function(name, subject, tuple(parameters), result, doc, implementation, runs, **flags)
        return implementation

    return register


def registry() -> dict[str, Function]:
    """Every registered function by name (a copy)."""
    return dict(_REGISTRY)


def text_parameter(name: str = "text") -> Parameter:
    """The commonest parameter: one string."""
    return Parameter(name, STRING)
