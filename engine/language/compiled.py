"""What a checked node of a value tree is, and how containers of such nodes write themselves.

`Env` is what a node finds around it, `Compiled` what it becomes: a piece that can write itself into a function
(`writing.py`), with what is known of its value. The compiler of trees and every operator make these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from engine.language.problems import Mark
from engine.language.static_types import ANY, Type, literal_type
from engine.language.static_types import (
    NULL as NULL_TYPE,
)
from engine.language.trace import TracedDict, TracedList
from engine.language.usage import Usage
from engine.language.writing import NULL, Value, Writer
from engine.types import Json

Emit = Callable[[Writer], Value]
Test = Callable[[Writer], str]


@dataclass(frozen=True, slots=True)
class Env:
    """The surroundings of a node: the names in scope, the slot, and what is allowed there.

    `side` is `request` or `reply`: whose fault a `$require` is. `aliases` says which canonical path a loop name stands
    for, so that `m.name` counts as a read of `req.messages[].name`. With `trace`, what is built remembers its origins.
    `fragment`: the names are a fragment's own, so a root name may be used again (DECISIONS 2.14).
    """

    names: Mapping[str, Type]
    where: str
    side: str
    usage: Usage
    templates: bool = True
    auth: bool = False
    trace: bool = False
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unknown_key: str = "E191"
    fragment: bool = False

    def resolved(self, path: tuple[str, ...]) -> tuple[str, ...]:
        """A path with the canonical path that its first name stands for, if it does."""
        return self.aliases.get(path[0], (path[0],)) + path[1:]

    def inner(self, names: Mapping[str, Type], aliases: Mapping[str, tuple[str, ...]] | None = None) -> Env:
        """This environment with more names, and a usage of its own."""
        kept = {name: path for name, path in self.aliases.items() if name not in names} if names else self.aliases
        return Env(
            {**self.names, **names} if names else self.names, self.where, self.side, Usage(), self.templates, self.auth,
            self.trace, {**kept, **aliases} if aliases else kept, self.unknown_key, self.fragment,
        )  # fmt: skip


class Compiled(NamedTuple):
    """A checked node: how it writes itself, its static type, whether it can be absent or `NULL`, and its place.

    `path` is the canonical path that a leaf copies, if it is nothing but a path.
    """

    emit: Emit
    type: Type
    maybe_absent: bool
    mark: Mark
    constant: bool = False
    maybe_null: bool = False
    path: tuple[str, ...] | None = None
    auth: bool = False

    def refine(self, **changes: object) -> Compiled:
        """A copy with some fields replaced."""
        return self._replace(**changes)  # type: ignore[arg-type]  # the fields are the caller's own knowledge


def constant(value: Json, mark: Mark) -> Compiled:
    """A node whose value is known at load."""

    def emit(writer: Writer) -> Value:
        return Value(writer.constant(NULL if value is None else value), null=value is None)

    return Compiled(emit, literal_type(value), False, mark, constant=True, maybe_null=value is None)


def _emit_nothing(writer: Writer) -> Value:
    return Value(writer.assign("None"), absent=True)


def absent(mark: Mark) -> Compiled:
    """A node that is never there."""
    return Compiled(_emit_nothing, NULL_TYPE, True, mark)


def broken(mark: Mark) -> Compiled:
    """What a node with an error compiles to: of any type, so that one mistake is reported once."""
    return Compiled(_emit_nothing, ANY, True, mark)


def is_broken(compiled: Compiled) -> bool:
    """Whether a node is what `broken` gives."""
    return compiled.emit is _emit_nothing and compiled.type is ANY


# -- containers


def new_list(env: Env) -> str:
    """Source of an empty list; what `with_types` wraps may write it."""
    return "new_list()" if env.trace else "[]"


def new_dict(env: Env) -> str:
    """Source of an empty object; what `with_types` wraps may write it."""
    return "new_dict()" if env.trace else "{}"


def with_types(emit: Emit, env: Env) -> Emit:
    """Make the container types known to what `emit` writes: plain ones, or those that keep origins."""
    types = {"new_dict": TracedDict, "new_list": TracedList} if env.trace else {"new_dict": dict, "new_list": list}

    def emit_with_types(writer: Writer) -> Value:
        writer.names.update(types)
        return emit(writer)

    return emit_with_types


def append(writer: Writer, made: str, value: Value, mark: Mark, *, trace: bool) -> None:
    """Write: append a value to a list unless it is absent."""
    text = writer.object_value(value)
    line = f"{made}.put({text}, {writer.constant(mark)})" if trace else f"{made}.append({text})"
    if value.absent:
        with writer.block(f"if {value.name} is not None"):
            writer.write(line)
    else:
        writer.write(line)


def plain_object(members: list[tuple[str, Compiled]]) -> Emit:
    """What writes an object; absent members are left out."""

    def emit(writer: Writer) -> Value:
        made = writer.assign("{}")
        for key, member in members:
            value = member.emit(writer)
            line = f"{made}[{writer.text(key)}] = {writer.object_value(value)}"
            if value.absent:
                with writer.block(f"if {value.name} is not None"):
                    writer.write(line)
            else:
                writer.write(line)
        return Value(made)

    return emit


def traced_object(members: list[tuple[str, Compiled]]) -> Emit:
    """The same, keeping where each member comes from."""

    def emit(writer: Writer) -> Value:
        made = writer.assign("new_dict()")
        for key, member in members:
            value = member.emit(writer)
            name, mark = writer.text(key), writer.constant(member.mark)
            with writer.block(f"if {value.name} is None"):
                writer.write(f"{made}.absent[{name}] = {mark}")
            with writer.block("else"):
                writer.write(f"{made}.put({name}, {writer.object_value(value)}, {mark})")
        return Value(made)

    return emit


def into(writer: Writer, target: str, compiled: Compiled) -> None:
    """Write a node and leave its value in `target`."""
    writer.write(f"{target} = {compiled.emit(writer).name}")


def branches(results: list[Compiled]) -> dict[str, bool]:
    """What a value out of one of several branches can be: absent, `NULL`."""
    return {"absent": any(each.maybe_absent for each in results), "null": any(each.maybe_null for each in results)}
