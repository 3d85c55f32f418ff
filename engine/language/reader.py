"""From the bytes of a YAML file to nodes with positions, strictly and within bounds (pain P4, rule R22).

libyaml scans and parses; everything above its events is ours: typing of scalars, duplicate keys, anchors.
Events rather than composed nodes, since they show tags and aliases as written, and since a loop over events
needs no recursion: depth and alias expansion are counted before anything grows.

Limits   1 MiB, one document, 40 levels, 10,000 nodes through aliases, 100 problems.
Raises   nothing for any bytes; every problem goes to the collector.
"""

from __future__ import annotations

import functools
import os
import re
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import yaml
from yaml import events

from engine.language.faults import MAX_FILE_BYTES, check_characters, check_tabs, decode, explain_syntax
from engine.language.nodes import (
    Entry,
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    SourceText,
    Style,
    from_json,
    to_json,
)
from engine.language.positions import mark_at, mark_at_line
from engine.language.problems import Mark, Problems, Sources
from engine.language.scalars import NumberRangeError, reads_differently, resolve_plain

__all__ = [
    "Entry",
    "MappingNode",
    "Node",
    "ScalarNode",
    "SequenceNode",
    "from_json",
    "mark_at",
    "mark_at_line",
    "read_document",
    "read_file",
    "to_json",
]

MAX_DEPTH: Final = 40
MAX_EXPANDED_NODES: Final = 10_000
MAX_PROBLEMS: Final = 100

# The base loaders parse only; the safe ones also resolve types, by rules we do not want and at three times the cost.
_LOADER: Final[Any] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_STYLES: Final[dict[str | None, Style]] = {
    None: "plain",
    "": "plain",
    "'": "single",
    '"': "double",
    "|": "literal",
    ">": "folded",
}
_PROPERTIES: Final = re.compile(r"(?:[&!]\S*\s*)+")
_CASES: Final = re.compile(rb"^tests:[ \t]*(?:#[^\n]*)?\n(?:(?:[ \t#\r][^\n]*)?(?:\n|\Z))*", re.MULTILINE)


def read_file(path: Path, problems: Problems, sources: Sources, *, cases: bool = True) -> Node | None:
    """Read one file, and remember its text in `sources` under `str(path)`. None if nothing is usable.

    Without `cases` the section `tests` is passed over: two thirds of the shipped text, of no use to a server.
    """
    file = str(path)
    try:
        data = _read_regular(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        problems.add("E001", f"cannot read the file: {reason}", Mark(file, 1, 1))
        return None
    sources.add(file, data.decode(errors="replace").removeprefix("\ufeff"))
    if not cases:
        quiet = Problems()
        node = read_document(_without_cases(data), file, quiet)
        if node is not None and not quiet.items:
            return node
    return read_document(data, file, problems)


def _without_cases(data: bytes) -> bytes:
    """The text with blank lines where `tests:` stands as a block, so that all other lines keep their numbers."""
    return _CASES.sub(lambda found: b"\n" * found[0].count(b"\n"), data)


def _read_regular(path: Path) -> bytes:
    """The bytes of a regular file, at most one more than allowed. Raises OSError, ValueError.

    A symbolic link is followed only to a place inside its own folder, which is how Kubernetes mounts a config map.
    """
    if path.is_symlink():
        target = path.resolve(strict=True)
        if not target.is_relative_to(path.parent.resolve(strict=True)):
            raise ValueError("it is a link that leads out of its folder")
        path = target
    if not stat.S_ISREG(path.lstat().st_mode):
        raise ValueError("it is not a regular file")
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as stream:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ValueError("it is not a regular file")
        return stream.read(MAX_FILE_BYTES + 1)


def read_document(data: bytes, file: str, problems: Problems) -> Node | None:
    """Read one YAML document. None if nothing is usable; a tree may come along with errors in `problems`.

    `file` is the name for marks. Adds E001, E002, E010, W011, E012, E013, E014.
    """
    source = decode(data, file, problems)
    if source is None:
        return None
    text = check_characters(source, problems)
    if text is None:
        return None
    builder = _Builder(source, problems)
    parser = _LOADER(text)
    try:
        builder.take(iter(parser.get_event, None))
    except _RefusedError:
        return None
    except yaml.YAMLError as error:
        explain_syntax(error, source, problems)
        return None
    finally:
        parser.dispose()
    if builder.has_tabs:
        check_tabs(source, builder.text_spans, problems)
    if builder.root is None:
        problems.add("E001", "the file is empty", source.mark(0))
    return builder.root


class _RefusedError(Exception):
    """Reading stops here; the reason is in the problems."""


@functools.lru_cache(maxsize=8192)
def _typed(text: str) -> tuple[float | str | None, bool]:
    """The value of a plain scalar, and whether YAML 1.1 reads another type. Raises NumberRangeError.

    Most plain scalars are keys, and most keys occur often.
    """
    value = resolve_plain(text)
    return value, reads_differently(text, value)


class _Frame:
    """A map or list that is still open: `entries` of the one, `items` of the other.

    `key` is what a map waits to give a value to; None while it `awaits_value` drops the value.
    """

    __slots__ = ("anchor", "awaits_value", "entries", "items", "key", "node")

    def __init__(self, node: MappingNode | SequenceNode, anchor: str | None) -> None:
        self.node = node
        self.anchor = anchor
        self.entries: dict[str, Entry] = node.entries if isinstance(node, MappingNode) else {}
        self.items: list[Node] | None = node.items if isinstance(node, SequenceNode) else None
        self.key: ScalarNode | None = None
        self.awaits_value = False


class _Builder:
    """Takes events in order and grows the tree.

    It is the dearest loop of a load: an event should cost little more than the objects that stay.

    State    `text_spans` holds the scalars of several lines, in files with tabs only.
             `anchors[name]` is None while the anchored node is open: an alias to it would be a circle.
    """

    def __init__(self, source: SourceText, problems: Problems) -> None:
        self.root: Node | None = None
        self.text_spans: list[tuple[int, int]] = []
        self.has_tabs = "\t" in source.text
        self._source = source
        self._problems = problems
        self._reported = 0
        self._documents = 0
        self._expanded = 0
        self._stack: list[_Frame] = []
        self._frame: _Frame | None = None
        self._anchors: dict[str, Node | None] = {}

    def take(self, found: Iterable[Any]) -> None:
        """Grow the tree by all events. Raises _RefusedError."""
        takers: dict[type, Callable[[Any], None]] = {
            events.ScalarEvent: self._scalar,
            events.AliasEvent: self._alias,
            events.MappingStartEvent: self._open,
            events.SequenceStartEvent: self._open,
            events.MappingEndEvent: self._close,
            events.SequenceEndEvent: self._close,
            events.DocumentStartEvent: self._document,
        }
        for event in found:
            taker = takers.get(type(event))
            if taker is not None:
                taker(event)

    def _report(self, code: str, message: str, mark: Mark, length: int = 1, **more: Any) -> None:
        self._problems.add(code, message, mark, length=length, **more)
        self._reported += 1
        if self._reported >= MAX_PROBLEMS:
            raise _RefusedError

    def _refuse(self, message: str, mark: Mark, *help_lines: str, code: str = "E001") -> None:
        self._problems.add(code, message, mark, help=help_lines)
        raise _RefusedError

    def _mark(self, event: Any) -> Mark:
        return self._source.mark(event.start_mark.index)

    def _document(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            self._refuse("the file holds more than one document", self._mark(event), "write one file for each")

    def _scalar(self, event: Any) -> None:
        start, end = event.start_mark.index, event.end_mark.index
        if event.anchor is not None or event.tag is not None:
            self._check_tag(event)
            found = _PROPERTIES.match(self._source.text, start, end)
            if found:
                start = found.end()
        text, style = event.value, _STYLES[event.style]
        node = ScalarNode(None, text, text, style, self._source, start, end)
        if style == "plain":
            self._type(node)
        if self.has_tabs and self._source.line_end(start) < end:
            self.text_spans.append((start, end))
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        self._attach(node)

    def _type(self, node: ScalarNode) -> None:
        try:
            node.value, differs = _typed(node.text)
        except NumberRangeError:
            self._report("E014", "number out of range", node.mark, node.length, help=["quote it if text is meant"])
            return
        if differs:
            self._warn_other_type(node)

    def _warn_other_type(self, node: ScalarNode) -> None:
        text = node.text
        kind = "a number" if isinstance(node.value, float) else "text"
        self._report(
            "W011",
            f"read as {kind} here, as another type by YAML 1.1 tools",
            node.mark,
            node.length,
            label="quote it",
            help=[f'"{text}"' if kind == "text" else f'write {node.value:.1f}, or "{text}" if text is meant'],
        )

    def _check_tag(self, event: Any) -> None:
        if event.tag is not None:
            self._report("E012", "YAML tags are not used in mappings", self._mark(event), help=["remove the tag"])

    def _open(self, event: Any) -> None:
        if len(self._stack) >= MAX_DEPTH:
            self._refuse(f"nested deeper than {MAX_DEPTH} levels", self._mark(event))
        self._check_tag(event)
        make = MappingNode if type(event) is events.MappingStartEvent else SequenceNode
        node = make(None, flow=bool(event.flow_style), source=self._source, start=event.start_mark.index)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._frame = _Frame(node, event.anchor)
        self._stack.append(self._frame)

    def _close(self, _event: Any) -> None:
        frame = self._stack.pop()
        self._frame = self._stack[-1] if self._stack else None
        if frame.anchor is not None:
            self._anchors[frame.anchor] = frame.node
        self._attach(frame.node)

    def _alias(self, event: Any) -> None:
        mark = self._mark(event)
        name = event.anchor
        if name not in self._anchors:
            self._refuse("alias to an anchor that does not exist", mark, "quote text that starts with *", code="E002")
        anchored = self._anchors[name]
        if anchored is None:
            self._refuse("alias inside the node that it stands for", mark)
            return
        size, height = _extent(anchored, MAX_EXPANDED_NODES - self._expanded)
        self._expanded += size
        if self._expanded > MAX_EXPANDED_NODES:
            self._refuse(f"aliases expand to more than {MAX_EXPANDED_NODES} nodes", mark)
        if len(self._stack) + height > MAX_DEPTH:
            self._refuse(f"nested deeper than {MAX_DEPTH} levels through an alias", mark)
        self._attach(anchored)

    def _attach(self, node: Node) -> None:
        frame = self._frame
        if frame is None:
            self.root = node
        elif frame.items is not None:
            frame.items.append(node)
        elif not frame.awaits_value:
            frame.awaits_value = True
            frame.key = self._accept_key(frame.entries, node)
        else:
            frame.awaits_value = False
            if frame.key is not None:
                frame.entries[frame.key.text] = Entry(frame.key, node)

    def _accept_key(self, entries: dict[str, Entry], node: Node) -> ScalarNode | None:
        """The node as a key, or None if its value must be dropped."""
        if not isinstance(node, ScalarNode):
            self._report("E012", "a key must be text", node.mark, help=["write a single word or a quoted text"])
            return None
        if node.text == "<<" and node.style == "plain":
            advice = "write the keys out, or share them with `extends` or `define`"
            self._report("E012", "the merge key `<<` is not used in mappings", node.mark, 2, help=[advice])
            return None
        if not isinstance(node.value, str):
            self._report("E012", "a key must be text", node.mark, node.length, help=[f'quote it: "{node.text}"'])
        earlier = entries.get(node.text)
        if earlier is None:
            return node
        first = earlier.key.mark
        self._report(
            "E010",
            "duplicate key",
            node.mark,
            node.length,
            label="is here again",
            notes=[f"first at {first.line}:{first.column}"],
            help=["remove or rename one of them"],
        )
        return None


def _extent(node: Node, limit: int) -> tuple[int, int]:
    """How many nodes a tree has, keys too, and levels of maps and lists. Stops soon after `limit` nodes."""
    size, height, level = 0, 0, [node]
    while level and size <= limit:
        size += len(level)
        height += any(not isinstance(each, ScalarNode) for each in level)
        below: list[Node] = []
        for each in level:
            if isinstance(each, MappingNode):
                size += len(each.entries)
                below += [entry.value for entry in each.entries.values()]
            elif isinstance(each, SequenceNode):
                below += each.items
        level = below
    return size, height
