"""The tree that a YAML file becomes: JSON values in which every key and value knows its place.

Nodes are made by `reader.py` and by `from_json`. A node reached through a YAML alias is the anchored node itself,
so it shows the place where it was written. Depth is at most 40, and aliases add at most 10,000 nodes.

A node that was read keeps the text and an index into it; its mark is made when somebody asks. Of 56,000 shipped nodes
one in nine is asked, and making all the marks cost a quarter of the reading.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from functools import cached_property
from typing import Literal

from engine.language.problems import LINE_END, Mark
from engine.types import Json

Style = Literal["plain", "single", "double", "literal", "folded"]


class SourceText:
    """The text of one file, and where its lines start; indexes count characters from 0."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text

    @cached_property
    def line_starts(self) -> list[int]:
        """The index of each line's first character; lines end at LF, CR LF or CR."""
        return [0, *(found.end() for found in LINE_END.finditer(self.text))]

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


class _Placed:
    """What knows its place: a mark, or the text it was read from and the index of its first character there."""

    __slots__ = ("_mark", "source", "start")

    _mark: Mark | None
    source: SourceText | None
    start: int

    @property
    def mark(self) -> Mark:
        """The place of the first character."""
        if self._mark is None:
            assert self.source is not None
            self._mark = self.source.mark(self.start)
        return self._mark


class ScalarNode(_Placed):
    """A leaf. `value` is typed by the YAML 1.2 core rules, `text` is what YAML read, before typing.

    Give it a mark, or `source`, `start` and `end` (just behind its last character; quotes count).
    """

    __slots__ = ("end", "style", "text", "value")

    def __init__(
        self,
        mark: Mark | None,
        value: float | str | None,  # bool and int are floats to the type checker
        text: str,
        style: Style = "plain",
        source: SourceText | None = None,
        start: int = 0,
        end: int = 0,
    ) -> None:
        self._mark = mark
        self.value = value
        self.text = text
        self.style = style
        self.source = source
        self.start = start
        self.end = end

    @property
    def length(self) -> int:
        """How many characters the token has on its first line, at least 1; quotes count."""
        if self.source is None:
            return 1
        return max(1, min(self.end, self.source.line_end(self.start)) - self.start)


class Entry:
    """A key of a mapping with its value."""

    __slots__ = ("key", "value")

    def __init__(self, key: ScalarNode, value: Node) -> None:
        self.key = key
        self.value = value


class MappingNode(_Placed):
    """A map with text keys in the order of the file. `flow` is true for `{...}`."""

    __slots__ = ("entries", "flow")

    def __init__(
        self,
        mark: Mark | None,
        entries: dict[str, Entry] | None = None,
        *,
        flow: bool = False,
        source: SourceText | None = None,
        start: int = 0,
    ) -> None:
        self._mark = mark
        self.entries: dict[str, Entry] = {} if entries is None else entries
        self.flow = flow
        self.source = source
        self.start = start

    def get(self, key: str) -> Node | None:
        """The value of `key`, or None if the key is not there (a YAML null is a ScalarNode)."""
        entry = self.entries.get(key)
        return None if entry is None else entry.value


class SequenceNode(_Placed):
    """A list. `flow` is true for `[...]`."""

    __slots__ = ("flow", "items")

    def __init__(
        self,
        mark: Mark | None,
        items: list[Node] | None = None,
        *,
        flow: bool = False,
        source: SourceText | None = None,
        start: int = 0,
    ) -> None:
        self._mark = mark
        self.items: list[Node] = [] if items is None else items
        self.flow = flow
        self.source = source
        self.start = start


Node = ScalarNode | MappingNode | SequenceNode


def to_json(node: Node) -> Json:
    """The plain value of a node: dict, list, str, int, float, bool or None."""
    if isinstance(node, ScalarNode):
        return node.value
    if isinstance(node, SequenceNode):
        return [to_json(item) for item in node.items]
    return {
        key: below.value if isinstance(below := entry.value, ScalarNode) else to_json(below)
        for key, entry in node.entries.items()
    }


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
