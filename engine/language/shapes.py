"""Structure of mapping files: one table per kind gives the check, the editor schema and the reference.

A shape says what may stand at a place and why. `check` finds structural problems with their position (E022 to E024),
`json_schema` describes the same for an editor, `to_value` reads a checked node with its defaults filled in.
Places where a value tree of the language stands are `Tree`; the compiler of trees looks into those, not the shape.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from engine.language.diagnostics import Problems, did_you_mean
from engine.language.reader import MappingNode, Node, ScalarNode, SequenceNode, to_json
from engine.types import Json, JsonObject


class Shape(Protocol):
    """What may stand at a place of a file."""

    def describe(self) -> str:
        """Name the shape for a person: `a string`, `a list of …`."""
        ...

    def matches(self, node: Node) -> bool:
        """Say whether the node is of this kind at all (not whether everything in it is right)."""
        ...

    def check(self, node: Node, where: str, problems: Problems) -> None:
        """Add a problem for each structural mistake in `node`."""
        ...

    def schema(self) -> JsonObject:
        """The JSON Schema of the shape."""
        ...

    def value(self, node: Node) -> Json:
        """The plain value of a checked node, defaults filled in."""
        ...


def node_kind(node: Node) -> str:
    """Say in words what a node is: `a list`, `the number 7` …"""
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, SequenceNode):
        return "a list"
    if node.value is None:
        return "empty (null)"
    if isinstance(node.value, bool):
        return f"the boolean {str(node.value).lower()}"
    if isinstance(node.value, int | float):
        return f"the number {node.text}"
    return "a string"


def wrong_type(shape: Shape, node: Node, where: str, problems: Problems) -> None:
    """Report a node of the wrong kind (E023)."""
    length = node.length if isinstance(node, ScalarNode) else 1
    problems.add(
        "E023",
        f"{where} is {node_kind(node)}; it must be {shape.describe()}",
        node.mark,
        length=length,
        label=f"expected {shape.describe()}",
    )


@dataclass(frozen=True, slots=True)
class Text:
    """A string, optionally of a pattern or one of `choices`."""

    pattern: str | None = None
    pattern_help: str = ""
    choices: tuple[str, ...] = ()

    def describe(self) -> str:
        """Name the shape for a person."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        return self.pattern_help or "a string"

    def matches(self, node: Node) -> bool:
        """Say whether the node is of this kind at all."""
        return isinstance(node, ScalarNode) and isinstance(node.value, str)

    def check(self, node: Node, where: str, problems: Problems) -> None:
        """Add a problem for each structural mistake."""
        if not isinstance(node, ScalarNode) or not isinstance(node.value, str):
            wrong_type(self, node, where, problems)
        elif self.choices and node.value not in self.choices:
            problems.add(
                "E023",
                f"{where} cannot be {node.value!r}",
                node.mark,
                length=node.length,
                help=did_you_mean(node.value, self.choices),
            )
        elif self.pattern and not re.fullmatch(self.pattern, node.value):
            problems.add("E023", f"{where} must be {self.describe()}", node.mark, length=node.length)

    def schema(self) -> JsonObject:
        """The JSON Schema of the shape."""
        if self.choices:
            return {"enum": list(self.choices)}
        return {"type": "string", **({"pattern": f"^(?:{self.pattern})$"} if self.pattern else {})}

    def value(self, node: Node) -> Json:
        """The plain value of a checked node."""
        return to_json(node)


@dataclass(frozen=True, slots=True)
class Number:
    """A number (an integer with `whole`) within limits."""

    min: float | None = None
    max: float | None = None
    whole: bool = False

    def describe(self) -> str:
        """Name the shape for a person."""
        what = "a whole number" if self.whole else "a number"
        limits = [f"at least {self.min:g}"] if self.min is not None else []
        limits += [f"at most {self.max:g}"] if self.max is not None else []
        return " ".join([what, " and ".join(limits)]).strip()

    def matches(self, node: Node) -> bool:
        """Say whether the node is of this kind at all."""
        return (
            isinstance(node, ScalarNode)
            and isinstance(node.value, int if self.whole else int | float)
            and not isinstance(node.value, bool)
        )

    def check(self, node: Node, where: str, problems: Problems) -> None:
        """Add a problem for each structural mistake."""
        if not self.matches(node):
            wrong_type(self, node, where, problems)
            return
        number = float(to_json(node))
        too_small = self.min is not None and number < self.min
        if too_small or (self.max is not None and number > self.max):
            problems.add("E023", f"{where} must be {self.describe()}", node.mark)

    def schema(self) -> JsonObject:
        """The JSON Schema of the shape."""
        limits = {"minimum": self.min, "maximum": self.max}
        return {
            "type": "integer" if self.whole else "number",
            **{key: limit for key, limit in limits.items() if limit is not None},
        }

    def value(self, node: Node) -> Json:
        """The plain value of a checked node."""
        return to_json(node)


@dataclass(frozen=True, slots=True)
class Bool:
    """true or false."""

    def describe(self) -> str:
        """Name the shape for a person."""
        return "true or false"

    def matches(self, node: Node) -> bool:
        """Say whether the node is of this kind at all."""
        return isinstance(node, ScalarNode) and isinstance(node.value, bool)

    def check(self, node: Node, where: str, problems: Problems) -> None:
        """Add a problem for each structural mistake."""
        if not self.matches(node):
            wrong_type(self, node, where, problems)

    def schema(self) -> JsonObject:
        """The JSON Schema of the shape."""
        return {"type": "boolean"}

    def value(self, node: Node) -> Json:
        """The plain value of a checked node."""
        return to_json(node)


@dataclass(frozen=True, slots=True)
class Anything:
    """Any YAML value, taken as data."""

    what: str = "any value"

    def describe(self) -> str:
        """Name the shape for a person."""
        return self.what

    def matches(self, node: Node) -> bool:
        """Say whether the node is of this kind at all."""
        return True

    def check(self, node: Node, where: str, problems: Problems) -> None:
        """Nothing can be wrong with data."""

    def schema(self) -> JsonObject:
        """The JSON Schema of the shape."""
        return {}

    def value(self, node: Node) -> Json:
        """The plain value of a checked node."""
        return to_json(node)


@dataclass(frozen=True, slots=True)
class Tree:
    """A value tree of the language: literals, `=expressions` and `$operators`. Checked when it is compiled."""

    what: str = "a value tree"

    def describe(self) -> str:
        """Name the shape for a person."""
        return self.what

    def matches(self, node: Node) -> bool:
        """Say whether the node is of this kind at all."""
        return True

    def check(self, node: Node, where: str, problems: Problems) -> None:
        """The compiler of trees does this."""

    def schema(self) -> JsonObject:
        """The JSON Schema of the shape."""
        return {"$ref": "#/$defs/tree"}

    def value(self, node: Node) -> Json:
        """The plain value of a checked node."""
        return to_json(node)


@dataclass(frozen=True, slots=True)
class Condition:
    """One `=expression` that is true or false, or one of the literals true and false."""

    def describe(self) -> str:
        """Name the shape for a person."""
        return 'a condition, such as "=present(req.tools)"'

    def matches(self, node: Node) -> bool:
        """Say whether the node is of this kind at all."""
        return isinstance(node, ScalarNode) and isinstance(node.value, str | bool)

    def check(self, node: Node, where: str, problems: Problems) -> None:
        """Add a problem for each structural mistake."""
        if not self.matches(node):
            wrong_type(self, node, where, problems)

    def schema(self) -> JsonObject:
        """The JSON Schema of the shape."""
        return {"anyOf": [{"type": "string", "pattern": "^="}, {"type": "boolean"}]}

    def value(self, node: Node) -> Json:
        """The plain value of a checked node."""
        return to_json(node)


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of one shape."""

    item: Shape
    min_items: int = 0

    def describe(self) -> str:
        """Name the shape for a person."""
        return f"a list, each item {self.item.describe()}"

    def matches(self, node: Node) -> bool:
        """Say whether the node is of this kind at all."""
        return isinstance(node, SequenceNode)

    def check(self, node: Node, where: str, problems: Problems) -> None:
        """Add a problem for each structural mistake."""
        if not isinstance(node, SequenceNode):
            wrong_type(self, node, where, problems)
            return
        if len(node.items) < self.min_items:
            problems.add("E023", f"{where} needs at least {self.min_items} item(s)", node.mark)
        for index, item in enumerate(node.items):
            self.item.check(item, f"{where}[{index}]", problems)

    def schema(self) -> JsonObject:
        """The JSON Schema of the shape."""
        return {
            "type": "array",
            "items": self.item.schema(),
            **({"minItems": self.min_items} if self.min_items else {}),
        }

    def value(self, node: Node) -> Json:
        """The plain value of a checked node."""
        assert isinstance(node, SequenceNode)
        return [self.item.value(item) for item in node.items]


@dataclass(frozen=True, slots=True)
class MapOf:
    """A mapping with free keys and values of one shape."""

    item: Shape
    key_pattern: str | None = None
    key_help: str = "a name"

    def describe(self) -> str:
        """Name the shape for a person."""
        return f"a mapping of names to {self.item.describe()}"

    def matches(self, node: Node) -> bool:
        """Say whether the node is of this kind at all."""
        return isinstance(node, MappingNode)

    def check(self, node: Node, where: str, problems: Problems) -> None:
        """Add a problem for each structural mistake."""
        if not isinstance(node, MappingNode):
            wrong_type(self, node, where, problems)
            return
        for key, entry in node.entries.items():
            if self.key_pattern and not re.fullmatch(self.key_pattern, key):
                problems.add(
                    "E023",
                    f"{key!r} cannot be a key of {where}: it must be {self.key_help}",
                    entry.key.mark,
                    length=len(key),
                )
            self.item.check(entry.value, f"{where}.{key}", problems)

    def schema(self) -> JsonObject:
        """The JSON Schema of the shape."""
        names = {"propertyNames": {"pattern": f"^(?:{self.key_pattern})$"}} if self.key_pattern else {}
        return {"type": "object", "additionalProperties": self.item.schema(), **names}

    def value(self, node: Node) -> Json:
        """The plain value of a checked node."""
        assert isinstance(node, MappingNode)
        return {key: self.item.value(entry.value) for key, entry in node.entries.items()}


@dataclass(frozen=True, slots=True)
class OneOf:
    """The first of several shapes whose kind fits."""

    shapes: tuple[Shape, ...]

    def describe(self) -> str:
        """Name the shape for a person."""
        return ", or ".join(shape.describe() for shape in self.shapes)

    def matches(self, node: Node) -> bool:
        """Say whether the node is of this kind at all."""
        return any(shape.matches(node) for shape in self.shapes)

    def _fitting(self, node: Node) -> Shape | None:
        return next((shape for shape in self.shapes if shape.matches(node)), None)

    def check(self, node: Node, where: str, problems: Problems) -> None:
        """Add a problem for each structural mistake."""
        fitting = self._fitting(node)
        if fitting is None:
            wrong_type(self, node, where, problems)
        else:
            fitting.check(node, where, problems)

    def schema(self) -> JsonObject:
        """The JSON Schema of the shape."""
        return {"anyOf": [shape.schema() for shape in self.shapes]}

    def value(self, node: Node) -> Json:
        """The plain value of a checked node."""
        fitting = self._fitting(node)
        return to_json(node) if fitting is None else fitting.value(node)


@dataclass(frozen=True, slots=True)
class Field:
    """One key of an object: its shape, its sentence in the reference, and what holds when it is left out."""

    shape: Shape
    doc: str
    required: bool = False
    default: Json = None
    example: Json = None


@dataclass(frozen=True, slots=True)
class Object:
    """A mapping with a closed set of keys.

    `exactly_one` names keys of which exactly one must stand; `label` is what messages call the object.
    """

    fields: Mapping[str, Field]
    label: str = "this section"
    doc: str = ""
    exactly_one: tuple[str, ...] = ()
    open_keys: Callable[[str], bool] | None = field(default=None)

    def describe(self) -> str:
        """Name the shape for a person."""
        return (
            f"a mapping with the keys {', '.join(self.fields)}" if len(self.fields) < 9 else f"{self.label} (a mapping)"
        )

    def matches(self, node: Node) -> bool:
        """Say whether the node is of this kind at all."""
        return isinstance(node, MappingNode)

    def check(self, node: Node, where: str, problems: Problems) -> None:
        """Add a problem for each structural mistake."""
        if not isinstance(node, MappingNode):
            wrong_type(self, node, where, problems)
            return
        for key, entry in node.entries.items():
            known = self.fields.get(key)
            if known is not None:
                known.shape.check(entry.value, f"{where}.{key}" if where else key, problems)
            elif self.open_keys is None or not self.open_keys(key):
                problems.add(
                    "E022",
                    f"unknown key {key!r} in {where or self.label}",
                    entry.key.mark,
                    length=len(key),
                    help=did_you_mean(key, self.fields),
                )
        self._check_present(node, where or self.label, problems)

    def _check_present(self, node: MappingNode, where: str, problems: Problems) -> None:
        for key, known in self.fields.items():
            if known.required and key not in node.entries:
                problems.add("E024", f"{where} lacks the key {key!r}: {known.doc}", node.mark)
        if self.exactly_one:
            found = [key for key in self.exactly_one if key in node.entries]
            if len(found) != 1:
                what = " and ".join(repr(key) for key in found) or "none of them"
                problems.add(
                    "E024", f"{where} needs exactly one of {', '.join(self.exactly_one)}; it has {what}", node.mark
                )

    def schema(self) -> JsonObject:
        """The JSON Schema of the shape."""
        properties: JsonObject = {}
        for key, known in self.fields.items():
            properties[key] = {"description": known.doc, **known.shape.schema()}
            if known.default is not None:
                properties[key]["default"] = known.default
            if known.example is not None:
                properties[key]["examples"] = [known.example]
        required = [key for key, known in self.fields.items() if known.required]
        return {
            "type": "object",
            **({"description": self.doc} if self.doc else {}),
            "properties": properties,
            "additionalProperties": self.open_keys is not None,
            **({"required": required} if required else {}),
        }

    def value(self, node: Node) -> Json:
        """The plain value of a checked node."""
        assert isinstance(node, MappingNode)
        found: JsonObject = {key: known.default for key, known in self.fields.items() if known.default is not None}
        for key, entry in node.entries.items():
            known = self.fields.get(key)
            found[key] = to_json(entry.value) if known is None else known.shape.value(entry.value)
        return found


TREE_DEFINITION: JsonObject = {
    "description": 'A value: a literal, an "=expression" (JMESPath), one $operator, an object or a list.',
}


def json_schema(shape: Shape, title: str) -> JsonObject:
    """The JSON Schema (2020-12) of a kind of file, for editors and the reference."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **shape.schema(),
        "$defs": {"tree": TREE_DEFINITION},
    }
