"""From a compiled tree to one Python function: the source that runs for every request.

*Theory.* A tree is compiled by letting each of its nodes write statements into one `Writer`; expressions write through
the same one, so a whole request body becomes a single function without a call per leaf. While it is being built, an
absent value is Python's None and a literal null is `NULL`; only the edge of the function and the containers turn them
into ABSENT and None. Names of the scope are read once into locals; loop names and `$let` names are locals too.
Nothing of a mapping's text becomes source: it enters as constants of the namespace (see `expressions.generation`).

A failure of the data shows up as an exception in a line of the source; `places` says which node wrote that line, so
that the author is told the place in the file without any cost in the good case.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from functools import partial
from types import FunctionType
from typing import Final, NamedTuple, cast

from engine.errors import EngineError
from engine.language.expressions import FUNCTIONS, runtime
from engine.language.expressions.generation import Generator, TooDeepError
from engine.language.problems import Mark
from engine.translate.patterns import PatternTable
from engine.types import ABSENT, Build, Json, Scope

_FILENAME: Final = "<mapping>"
_MAX_LINES: Final = 20_000
_SOURCE: Final = "source"


class Null:
    """The type of `NULL`: a literal null of the mapping, which is a value (LANGUAGE 3.1)."""

    __slots__ = ()


NULL: Final = Null()


class MappingFailure(EngineError):
    """A mapping met data that it cannot handle. Says where in the file and what kind of value, never the value."""

    def __init__(self, code: str, message: str, mark: Mark) -> None:
        super().__init__(message, code=code)
        self.mark = mark

    def __str__(self) -> str:
        return f"{self.code} {self.mark}: {self.message}"


class Value(NamedTuple):
    """Where a node left its value: a local name, whether it can be absent (None) and whether it can be `NULL`."""

    name: str
    absent: bool = False
    null: bool = False


class Writer(Generator):
    """Writes the source of one tree. `roots` maps names in scope to the locals that hold their values."""

    def __init__(self, *, auth: bool) -> None:
        super().__init__(FUNCTIONS, auth=auth)
        self.roots: dict[str, str] = {}
        self.loaded: dict[str, str] = {}
        self.places: list[tuple[int, Mark]] = []
        self.names.update({"NULL": NULL, "ABSENT": ABSENT, "str": str, "fail_at": _fail_at})
        self.names["failures"] = (*runtime.FAILURES, runtime.FunctionError)

    def write(self, line: str) -> None:
        """Add one line; a tree that expands beyond all measure is refused."""
        super().write(line)
        if len(self.lines) > _MAX_LINES:
            raise TooDeepError

    def root(self, name: str) -> str:
        """The local that holds a name of the scope."""
        bound = self.roots.get(name)
        if bound is not None:
            return bound
        if name not in self.loaded:
            self.loaded[name] = self.variable()
        return self.loaded[name]

    @contextmanager
    def bound(self, names: Mapping[str, str], *, only: bool = False) -> Iterator[None]:
        """Names that locals hold inside the block; with `only`, no others are visible."""
        outer = self.roots
        self.roots = dict(names) if only else {**outer, **names}
        yield
        self.roots = outer

    def place(self, mark: Mark) -> None:
        """What is written from here on belongs to the node at `mark`."""
        self.places.append((len(self.lines), mark))

    def object_value(self, value: Value) -> str:
        """Source of a value as it stands in a container: a literal null becomes None."""
        return f"None if {value.name} is NULL else {value.name}" if value.null else value.name

    def scope_of(self, names: list[str]) -> str:
        """Source of a scope with just these names, for what runs outside this function (templates)."""
        return "{" + ", ".join(f"{self.text(name)}: {self.root(name)}" for name in names) + "}"

    def finish(self, value: Value) -> Build:
        """Compile the function. It raises MappingFailure only, and what `$raise` and `$require` raise."""
        result = self.object_value(value)
        self.write(f"return ABSENT if {value.name} is None else {result}" if value.absent else f"return {result}")
        head = ["def build(scope):"]
        head += [f" {local} = scope.get({self.text(name)})" for name, local in self.loaded.items()]
        head += [" try:"]
        tail = [" except failures as error:", "  raise located(error) from None"]
        source = "\n".join(head + self.lines + tail)
        calls = {line + len(head): name for line, name in self.calls.items()}
        starts = [line + len(head) + 1 for line, _ in self.places]
        marks = [mark for _, mark in self.places]
        return _deferred(source, {**self.names, "located": _locator(calls, starts, marks)})


def _deferred(source: str, namespace: dict[str, Json]) -> Build:
    """The function of a source, made into bytecode when it is first called or warmed.

    All checking is done by then. Bytecode is most of the cost of a load, and most functions of a catalog never run in
    one process (`warm` runs it for those that a server is about to use).
    """
    made: Build | None = None

    def ready() -> Build:
        nonlocal made
        if made is None:
            exec(compile(source, _FILENAME, "exec"), namespace)  # noqa: S102  # the source is ours, see the theory above
            made = namespace["build"]
            setattr(made, _SOURCE, source)
            warm({name: part for name, part in namespace.items() if callable(part)})
        return made

    def build(scope: Scope) -> Json:
        return (made or ready())(scope)

    build.ready = ready  # type: ignore[attr-defined]  # what `warm` looks for
    return build


def _undeferred(build: Build) -> Build:
    """The function that a deferred one stands for: per chunk of a stream every detour counts."""
    return cast("Build", build.ready())  # type: ignore[attr-defined]


def warm(plan: object) -> None:
    """Make the bytecode of every function that a plan holds, so that no request has to wait for it.

    Where it can, a function takes the place of what made it: per chunk of a stream every detour counts. A function may
    hold others in its closure: what checks a credential holds what builds it.
    """
    _warm(plan, set())


def _warm(part: object, seen: set[int]) -> None:
    if id(part) in seen:
        return
    seen.add(id(part))
    for each, put in _parts(part):
        ready = getattr(each, "ready", None)
        if ready is None:
            _warm(each, seen)
        else:
            made = ready()
            if put is not None:
                put(made)


def _parts(part: object) -> Iterable[tuple[object, Callable[[Build], None] | None]]:
    """What is to be looked at inside a part of a plan, each with what puts another in its place."""
    if isinstance(part, dict):
        return [(value, partial(part.__setitem__, key)) for key, value in part.items()]
    if isinstance(part, Mapping):
        return [(value, None) for value in part.values()]
    if isinstance(part, tuple | list):
        return [(value, None) for value in part]
    if isinstance(part, PatternTable):
        return [(value, None) for _, value in part.rows]
    if isinstance(part, FunctionType):
        return [(cell.cell_contents, partial(setattr, cell, "cell_contents")) for cell in part.__closure__ or ()]
    if is_dataclass(part) and not isinstance(part, type):
        names = [each.name for each in fields(part)]
        return [(getattr(part, name), partial(object.__setattr__, part, name)) for name in names]
    return ()


def _locator(calls: dict[int, str], starts: list[int], marks: list[Mark]) -> Callable[[BaseException], MappingFailure]:
    def located(error: BaseException) -> MappingFailure:
        found = runtime.failure(error, "", calls, _FILENAME)
        line = runtime.line_in(error.__traceback__, _FILENAME)
        mark = marks[max(0, bisect_right(starts, line) - 1)] if marks else Mark("?", 1, 1)
        return MappingFailure("R002", found.message, mark)

    return located


def _fail_at(code: str, message: str, mark: Mark, value: Json) -> None:
    raise MappingFailure(code, message.replace("{}", _named(value)), mark)


_NAMES: Final = {
    "dict": "an object",
    "str": "a string",
    "bool": "a boolean",
    "NoneType": "null (or nothing)",
    "list": "a list",
}


def _named(value: Json) -> str:
    return _NAMES.get(type(value).__name__, "a number")


def source_of(build: Build) -> str:
    """The source of a compiled function, whether it was made yet or not."""
    made = getattr(build, "ready", lambda: build)()
    return str(getattr(made, _SOURCE))


def assemble(emit: Callable[[Writer], Value], *, auth: bool = False) -> Build:
    """Compile what `emit` writes to a function. Raises TooDeepError where Python cannot nest that deep."""
    writer = Writer(auth=auth)
    return writer.finish(emit(writer))


def assemble_later(emit: Callable[[Writer], Value], *, auth: bool = False) -> Build:
    """The same, written when it is first called or warmed: for what is known to be small enough (`extent.py`)."""
    made: Build | None = None

    def ready() -> Build:
        nonlocal made
        if made is None:
            made = _undeferred(assemble(emit, auth=auth))
        return made

    def build(scope: Scope) -> Json:
        return (made or ready())(scope)

    build.ready = ready  # type: ignore[attr-defined]  # what `warm` looks for
    return build


def assemble_condition(emit: Callable[[Writer], str], *, auth: bool = False) -> Callable[[Scope], bool]:
    """The same for a condition: null and everything that is not true count as false. One expression is never large."""

    def emit_truth(writer: Writer) -> Value:
        name = emit(writer)
        return Value(writer.assign(f"{name} is True"))

    return assemble_later(emit_truth, auth=auth)
