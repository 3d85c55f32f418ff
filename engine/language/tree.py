"""Compile value trees: literals, `=expressions`, `$operators`, objects and lists (LANGUAGE 3.1).

All checking happens here, once, at load: which names a slot offers (`Env.names`), which operator a node is, whether a
result can fit. A checked node becomes a `Compiled`, which can write itself into a function (`writing.py`).
Operators live in `engine/language/operators`, one function each, and register themselves in `OPERATORS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from engine.language.compiled import (
    Compiled,
    Emit,
    Env,
    Test,
    append,
    broken,
    constant,
    is_broken,
    new_list,
    plain_object,
    traced_object,
    with_types,
)
from engine.language.expressions import Expression, compile_expression
from engine.language.expressions.generation import TooDeepError
from engine.language.extent import Extent, Measure
from engine.language.problems import Mark, Problems, did_you_mean
from engine.language.reader import MappingNode, Node, ScalarNode, SequenceNode, mark_at, to_json
from engine.language.static_types import ANY, ARRAY, Type, array_of, describe, object_of
from engine.language.usage import Usage
from engine.language.writing import MappingFailure, Value, Writer, assemble, assemble_condition, assemble_later
from engine.types import ABSENT, Build, Condition, Json

__all__ = ["Compiled", "Emit", "Env", "Fragment", "MappingFailure", "OperatorSpec", "TreeCompiler", "Usage"]

PLAIN_PATH: Final = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_LOOKS_LIKE_PATH: Final = re.compile(r"([a-z_]\w*)(?:\.[a-z_]\w*)+")

Operator = Callable[["TreeCompiler", MappingNode, Env, Type | None], Compiled]


@dataclass(frozen=True, slots=True)
class OperatorSpec:
    """An operator of the language: its name, arguments (those ending in `?` optional), and what it is for."""

    name: str
    arguments: tuple[str, ...]
    doc: str
    example: str
    compile: Operator

    @property
    def allowed(self) -> tuple[str, ...]:
        """All argument names."""
        return tuple(name.rstrip("?") for name in self.arguments)

    @property
    def required(self) -> tuple[str, ...]:
        """The argument names that must stand."""
        return tuple(name for name in self.arguments if not name.endswith("?"))


OPERATORS: Final[dict[str, OperatorSpec]] = {}


def operator(name: str, *arguments: str, doc: str, example: str) -> Callable[[Operator], Operator]:
    """Register a function as the compiler of the operator `name`."""

    def register(function: Operator) -> Operator:
        OPERATORS[name] = OperatorSpec(name, arguments, doc, example, function)
        return function

    return register


TemplateLoader = Callable[[str, Mark], str | None]


class TreeCompiler:
    """Compiles the trees of one file. Holds its fragments, its template folder and the problems found."""

    def __init__(
        self, problems: Problems, load_template: TemplateLoader, fragments: Mapping[str, Fragment] | None = None
    ) -> None:
        self.problems = problems
        self.load_template = load_template
        self.fragments: dict[str, Fragment] = dict(fragments or {})
        self.extent = Extent()

    def tree(self, node: Node, env: Env, expected: Type | None = None) -> Compiled:
        """Compile any node. `expected` is the type the slot takes; None takes everything."""
        if not isinstance(node, MappingNode):
            self.extent.count()
            compiled = self._list(node, env, expected) if isinstance(node, SequenceNode) else self._scalar(node, env)
            self._check_fits(compiled, expected, node)
        elif any(key.startswith("$") for key in node.entries):
            self.extent.enter()
            compiled = self._operator(node, env, expected)
            self.extent.leave()
        else:
            self.extent.count()
            compiled = self._object(node, env, expected)
        env.usage.broken = env.usage.broken or is_broken(compiled)
        return compiled

    def function(self, node: Node, env: Env, expected: Type | None = None) -> Build:
        """Compile a node to a function of its own: a scope to a value, or ABSENT.

        The function raises MappingFailure, and what `$raise` and `$require` raise.
        """
        return self.typed_function(node, env, expected)[1]

    def typed_function(self, node: Node, env: Env, expected: Type | None = None) -> tuple[Compiled, Build]:
        """The same, with what is known of the node. Only a large tree is tried for Python's limits at once."""
        with self.extent.measured() as measure:
            compiled = self.tree(node, env, expected)
        if not measure.is_large:
            return compiled, assemble_later(compiled.emit, auth=compiled.auth)
        try:
            return compiled, assemble(compiled.emit, auth=compiled.auth)
        except TooDeepError:
            self._too_deep(node, env)
            return compiled, lambda scope: ABSENT

    def _too_deep(self, node: Node, env: Env) -> None:
        self.problems.add(
            "E101",
            f"{env.where} nests too deep, or its fragments expand too far",
            node.mark,
            help=("use fewer levels of $each and $use",),
        )

    def operand(self, node: Node, env: Env) -> Compiled:
        """Compile a tree whose value an operator works on, so that it does not itself stand in the result."""
        inner = env.inner({})
        compiled = self.tree(node, inner)
        inner.usage.whole.clear()
        env.usage.merge(inner.usage)
        return compiled

    def _check_fits(self, compiled: Compiled, expected: Type | None, node: Node) -> None:
        if expected is None:
            return
        length = node.length if isinstance(node, ScalarNode) else 1
        if compiled.type.known and not compiled.type.known & expected.known:
            self.problems.add(
                "E107",
                f"this is {describe(compiled.type)}, but the place takes {describe(expected)}",
                node.mark,
                length=length,
            )
        elif compiled.constant and isinstance(node, ScalarNode) and _is_outside(node.value, expected):
            self._not_in_enum(node, str(node.value), expected)

    def _not_in_enum(self, node: ScalarNode, value: str, expected: Type) -> None:
        self.problems.add(
            "E107",
            f"{value!r} cannot stand here",
            node.mark,
            length=node.length,
            label=f"it must be {describe(expected)}",
            help=did_you_mean(value, sorted(expected.values or ())),
        )

    # -- leaves

    def _scalar(self, node: ScalarNode, env: Env) -> Compiled:
        value = node.value
        if not isinstance(value, str):
            return constant(value, node.mark)
        if value.startswith("="):
            return self._leaf(node, env)
        self._check_literal(node, value, env)
        return constant(value, node.mark)

    def _check_literal(self, node: ScalarNode, value: str, env: Env) -> None:
        if "{{" in value or "{%" in value:
            env.usage.broken = True
            offset = min(place for place in (value.find("{{"), value.find("{%")) if place >= 0)
            mark, _ = mark_at(node, offset)
            self.problems.add(
                "E120",
                "template markers in literal text",
                mark,
                length=2,
                help=("wrap the text in `$template: |`", "or in `$literal:` if the braces are meant"),
            )
        found = _LOOKS_LIKE_PATH.fullmatch(value)
        if found and found[1] in env.names:
            env.usage.broken = True
            self.problems.add(
                "W122",
                f"the literal text {value!r} is spelled like a path in scope",
                node.mark,
                length=node.length,
                help=(f"write ={value} if the value is meant", f'or {{$literal: "{value}"}} if the text is meant'),
            )

    def _leaf(self, node: ScalarNode, env: Env) -> Compiled:
        expression = self.expression(node, env)
        if expression is None:
            return broken(node.mark)
        path = plain_path(expression, env)
        if path is not None:
            env.usage.whole.add(path)
        tree, mark = expression.tree, node.mark

        def emit(writer: Writer) -> Value:
            writer.place(mark)
            return Value(writer.node(tree, "scope"), absent=True)

        return Compiled(emit, expression.result, True, mark, path=path, auth=env.auth)

    def expression(self, node: ScalarNode, env: Env) -> Expression | None:
        """Check the expression of a scalar that starts with `=`; problems get their place inside the scalar."""
        text = str(node.value)
        lead = 1
        expression, found = compile_expression(text[lead:], env.names, auth=env.auth)
        for problem in found:
            mark, room = mark_at(node, problem.offset + lead)
            message = f"{problem.message} (in {env.where})" if problem.code == "E102" else problem.message
            self.problems.add(problem.code, message, mark, length=min(problem.length, room), help=problem.help)
        if expression is None:
            env.usage.broken = True
            return None
        paths = {env.resolved(path) for path in expression.paths}
        env.usage.note(expression.roots, paths, expression.fields, expression.constants)
        return expression

    def condition(self, node: Node, env: Env) -> Condition:
        """A condition as a function of its own. Null counts as false (DECISIONS 2.14)."""
        return assemble_condition(self.test(node, env), auth=env.auth)

    def test(self, node: Node, env: Env) -> Test:
        """Check a condition: a statically boolean expression, or a literal true or false.

        What it writes leaves a value that holds when it `is True`.
        """
        if isinstance(node, ScalarNode) and isinstance(node.value, bool):
            fixed = str(node.value)
            return lambda writer: writer.assign(fixed)
        if not isinstance(node, ScalarNode) or not str(node.value).startswith("="):
            self.problems.add(
                "E104",
                "a condition is one `=expression` that is true or false",
                node.mark,
                help=("e.g. =present(req.tools)",),
            )
            return lambda writer: writer.assign("False")
        expression = self.expression(node, env)
        if expression is None:
            return lambda writer: writer.assign("False")
        if not expression.result.is_condition:
            self._not_boolean(node, expression)
        tree, mark = expression.tree, node.mark

        def emit(writer: Writer) -> str:
            writer.place(mark)
            return writer.node(tree, "scope")

        return emit

    def _not_boolean(self, node: ScalarNode, expression: Expression) -> None:
        text = expression.text.strip()
        help_lines = [f"=present({text})     if you mean `was given`"]
        if "boolean" in expression.result.known:
            help_lines.append(f"={text} == `true`     if it is true or false")
        if expression.result.known & {"array", "string", "object"} and len(expression.result.known) <= 2:
            help_lines.append(f"=length({text}) > `0`     if you mean `is not empty`")
        self.problems.add(
            "E104",
            "condition is not boolean",
            node.mark,
            length=node.length,
            label=f"this is {describe(expression.result)}",
            help=help_lines,
        )

    # -- containers

    def _list(self, node: SequenceNode, env: Env, expected: Type | None) -> Compiled:
        item_type = expected.items if expected is not None and expected.kinds & {"array"} else None
        items = [self.tree(item, env, item_type) for item in node.items]
        if not env.trace and all(item.constant for item in items):
            return constant(to_json(node), node.mark)

        def emit(writer: Writer) -> Value:
            made = writer.assign(new_list(env))
            for item in items:
                value = item.emit(writer)
                append(writer, made, value, item.mark, trace=env.trace)
            return Value(made)

        return Compiled(with_types(emit, env), ARRAY if env.trace else array_of(ANY), False, node.mark, auth=env.auth)

    def _object(self, node: MappingNode, env: Env, expected: Type | None) -> Compiled:
        fields = expected.fields if expected is not None else None
        if expected is not None and "object" not in expected.kinds:
            self.problems.add("E107", f"this is an object, but the place takes {describe(expected)}", node.mark)
            fields = None
        members: list[tuple[str, Compiled]] = []
        for key, entry in node.entries.items():
            member_type = None
            if fields is not None:
                if key not in fields:
                    self._unknown_member(key, entry.key, fields, env)
                member_type = fields.get(key)
            members.append((key, self.tree(entry.value, env, member_type)))
        static = object_of(
            {key: each.type for key, each in members if not each.maybe_absent},
            {key: each.type for key, each in members if each.maybe_absent},
        )
        if not env.trace and all(each.constant for _, each in members):
            return constant(to_json(node), node.mark)
        emit = with_types(traced_object(members) if env.trace else plain_object(members), env)
        return Compiled(emit, static, False, node.mark, auth=env.auth)

    def _unknown_member(self, key: str, node: ScalarNode, fields: Mapping[str, Type], env: Env) -> None:
        self.problems.add(
            env.unknown_key,
            f"unknown key {key!r} in {env.where}",
            node.mark,
            length=len(key),
            help=did_you_mean(key, fields),
        )

    # -- operators

    def _operator(self, node: MappingNode, env: Env, expected: Type | None) -> Compiled:
        names = [key for key in node.entries if key.startswith("$")]
        name = names[0]
        key_node = node.entries[name].key
        if len(names) > 1:
            self.problems.add(
                "E130",
                f"a node holds one operator; this one holds {' and '.join(names)}",
                node.entries[names[1]].key.mark,
                length=len(names[1]),
                help=("nest the second inside an argument of the first",),
            )
            return broken(node.mark)
        spec = OPERATORS.get(name)
        if spec is None:
            self.problems.add(
                "E131",
                f"unknown operator {name}",
                key_node.mark,
                length=len(name),
                help=(*did_you_mean(name, OPERATORS), "a real key that starts with `$` goes under `$literal`"),
            )
            return broken(node.mark)
        if not self._check_arguments(spec, node):
            return broken(node.mark)
        return spec.compile(self, node, env, expected)

    def _check_arguments(self, spec: OperatorSpec, node: MappingNode) -> bool:
        good = True
        for key, entry in node.entries.items():
            if key != spec.name and key not in spec.allowed:
                good = False
                takes = ", ".join(spec.allowed) or "no other keys"
                self.problems.add(
                    "E132",
                    f"{spec.name} has no argument {key!r}",
                    entry.key.mark,
                    length=len(key),
                    help=(*did_you_mean(key, spec.allowed), f"{spec.name} takes: {takes}"),
                )
        for key in spec.required:
            if key not in node.entries:
                good = False
                self.problems.add(
                    "E132",
                    f"{spec.name} lacks its argument {key!r}",
                    node.entries[spec.name].key.mark,
                    length=len(spec.name),
                    help=(f"for example: {spec.example}",),
                )
        return good

    def wrong_value(self, node: Node, name: str, what: str) -> Compiled:
        """Report that the value of an operator has the wrong shape (E133)."""
        self.problems.add("E133", f"{name} takes {what}", node.mark, help=(f"for example: {OPERATORS[name].example}",))
        return broken(node.mark)


@dataclass(slots=True)
class Fragment:
    """One entry of `define`, checked in the scope of its arguments alone, once for each kind of place it is used in.

    `made` holds what it became, by the place's side, what is allowed there, and the type that is wanted.
    """

    name: str
    arguments: tuple[str, ...]
    value: Node
    mark: Mark
    made: list[tuple[Env, Type | None, Compiled, Measure]] = field(default_factory=list)
    busy: bool = False
    used: bool = False


def _is_outside(value: Json, expected: Type) -> bool:
    """Whether a literal text is none of the words that a closed enum has."""
    return isinstance(value, str) and expected.values is not None and value not in expected.values


def plain_path(expression: Expression, env: Env) -> tuple[str, ...] | None:
    """The canonical path of an expression that is nothing but a path."""
    if not PLAIN_PATH.fullmatch(expression.text.strip()):
        return None
    return env.resolved(tuple(expression.text.strip().split(".")))
