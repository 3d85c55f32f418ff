"""The tree that a YAML file becomes: JSON values in which every key and value knows its place.

Nodes are made by `reader.py` and by `from_json`. A node reached through a YAML alias is the anchored node itself,
so it shows the place where it was written. Depth is at most 40, and aliases add at most 10,000 nodes.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal

from engine.language.problems import Mark
from engine.types import Json

_LINE_END: Final = re.compile(r"\r?\n|\r")

Style = Literal["plain", "single", "double", "literal", "folded"]


class SourceText:
    """The text of one file, and where its lines start; indexes count characters from 0."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text

    @cached_property
    def line_starts(self) -> list[int]:
        """The index of each line's first character; lines end at LF, CR LF or CR."""
        return [0, *(found.end() for found in _LINE_END.finditer(self.text))]

    def mark(self, index: int) -> Mark:
        """The mark of the character at `index`."""
        line = bisect_right(self.line_starts, index)
        return Mark(self.file, line, index - self.line_starts[line - 1] + 1)

    def line_end(self, index: int) -> int:
        """The index behind the last character of the line that holds `index`."""
        starts = self.line_starts
        line = bisect_right(starts, index)
        end = starts[line] if line < len(starts) else len(self.text)
        while end > index and self.text[end - 1] in "\r\n":
            end -= 1
        return end


@dataclass(slots=True, eq=False)
class ScalarNode:
    """A leaf. `value` is typed by the YAML 1.2 core rules, `text` is what YAML read, before typing.

    `length` counts the characters of the token on its first line, at least 1; quotes count.
    """

    mark: Mark
    value: float | str | None  # bool and int are floats to the type checker
    text: str
    style: Style = "plain"
    length: int = 1
    source: SourceText | None = field(default=None, repr=False)
    start: int = field(default=0, repr=False)
    end: int = field(default=0, repr=False)


@dataclass(slots=True, eq=False)
class Entry:
    """A key of a mapping with its value."""

    key: ScalarNode
    value: Node


@dataclass(slots=True, eq=False)
class MappingNode:
    """A map with text keys in the order of the file. `flow` is true for `{...}`."""

    mark: Mark
    entries: dict[str, Entry] = field(default_factory=dict)
    flow: bool = False

    def get(self, key: str) -> Node | None:
        """The value of `key`, or None if the key is not there (a YAML null is a ScalarNode)."""
        entry = self.entries.get(key)
        return None if entry is None else entry.value


@dataclass(slots=True, eq=False)
class SequenceNode:
    """A list. `flow` is true for `[...]`."""

    mark: Mark
    items: list[Node] = field(default_factory=list)
    flow: bool = False


Node = ScalarNode | MappingNode | SequenceNode


def to_json(node: Node) -> Json:
    """The plain value of a node: dict, list, str, int, float, bool or None."""
    if isinstance(node, ScalarNode):
        return node.value
    if isinstance(node, SequenceNode):
        return [to_json(item) for item in node.items]
    return {key: to_json(entry.value) for key, entry in node.entries.items()}


def from_json(value: Json, mark: Mark) -> Node:
    """A node for a plain value, every part of it at `mark`. Raises TypeError for what is not JSON."""
    if isinstance(value, dict):
        return MappingNode(mark, {key: Entry(_leaf(key, mark), from_json(item, mark)) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return SequenceNode(mark, [from_json(item, mark) for item in value])
    return _leaf(value, mark)


def _leaf(value: Json, mark: Mark) -> ScalarNode:
    if isinstance(value, str):
        return ScalarNode(mark, value, value, "double")
    if value is None or isinstance(value, bool | int | float):
        return ScalarNode(mark, value, json.dumps(value))
    raise TypeError(f"not a JSON value: {type(value).__name__}")
