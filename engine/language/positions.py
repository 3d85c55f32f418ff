"""Where in the file a character of a scalar stands: from an offset in the read text back to line and column.

An expression or a template reports an offset in its text; quotes, escapes, folding and indentation lie between that
and the file. The way back is computed only when a problem is shown, by reading the source slice once more.
Where that does not reproduce the text, the mark of the scalar itself is the answer; nothing here raises.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Final, NamedTuple

from engine.language.nodes import ScalarNode, SourceText
from engine.language.problems import Mark

_BREAK: Final = r"(?:\r\n|\n|\r)"
_FOLD: Final = rf"(?P<fold>[ \t]*{_BREAK}(?:[ \t]*{_BREAK})*[ \t]*)"
_TOKENS: Final = {
    "plain": re.compile(rf"{_FOLD}|(?P<one>.)", re.DOTALL),
    "single": re.compile(rf"{_FOLD}|(?P<one>''|.)", re.DOTALL),
    "double": re.compile(rf"{_FOLD}|(?P<none>\\{_BREAK}[ \t]*)|(?P<one>\\x..|\\u.{{4}}|\\U.{{8}}|\\.|.)", re.DOTALL),
}


class _Segment(NamedTuple):
    """From `offset` in the text on, characters stand one by one from `at` in the source."""

    offset: int
    at: int


def mark_at(node: ScalarNode, offset: int) -> tuple[Mark, int]:
    """The place of character `offset` of the node's text, and how many columns its line still has for an underline.

    `offset` may be the length of the text (just behind its end). Exact for plain, quoted, literal and folded scalars;
    the node's own mark and length where the text did not come from a file.
    """
    source = node.source
    if source is None:
        return node.mark, node.length
    offset = min(max(offset, 0), len(node.text))
    segments = _segments(node, source)
    position = bisect_right(segments, offset, key=lambda segment: segment.offset) - 1
    if position < 0:
        return node.mark, node.length
    segment = segments[position]
    line_end = min(source.line_end(segment.at), max(_content_end(node), segment.at))
    index = min(segment.at + offset - segment.offset, line_end)
    return source.mark(index), max(1, line_end - index)


def mark_at_line(node: ScalarNode, line: int, column: int | None = None) -> tuple[Mark, int]:
    """As `mark_at`, for a line and column (both from 1) of the node's text, as templates report them."""
    text = node.text
    start = 0
    for _ in range(line - 1):
        following = text.find("\n", start) + 1
        if not following:
            break
        start = following
    if column is None:
        rest = text[start:].split("\n", 1)[0]
        column = 1 + len(rest) - len(rest.lstrip())
    return mark_at(node, start + column - 1)


def _content_end(node: ScalarNode) -> int:
    return node.end - 1 if node.style in ("single", "double") else node.end


def _segments(node: ScalarNode, source: SourceText) -> list[_Segment]:
    if node.style == "literal":
        return _literal_segments(node, source)
    if node.style == "folded":
        return _folded_segments(node, source)
    quoted = node.style != "plain"
    return _flow_segments(node, source.text, node.start + quoted, node.end - quoted)


def _flow_segments(node: ScalarNode, text: str, start: int, end: int) -> list[_Segment]:
    segments: list[_Segment] = []
    offset = 0
    for token in _TOKENS[node.style].finditer(text, start, end):
        segments.append(_Segment(offset, token.start()))
        if token.lastgroup == "one":
            offset += 1
        elif token.lastgroup == "fold":
            # one line break folds to a blank; each further one is kept
            offset += max(1, len(re.findall(_BREAK, token.group())) - 1)
    segments.append(_Segment(offset, end))
    return segments if offset == len(node.text) else []


def _block_lines(node: ScalarNode, source: SourceText) -> list[tuple[int, str]]:
    """The lines of a block scalar behind its header: index of the first character, and text."""
    starts = source.line_starts
    first = bisect_right(starts, node.start)
    return [(start, source.text[start : source.line_end(start)]) for start in starts[first:] if start < node.end]


def _literal_segments(node: ScalarNode, source: SourceText) -> list[_Segment]:
    segments: list[_Segment] = []
    offset = 0
    # Line by line the text is the end of the source line, whatever the indentation is.
    for (start, line), kept in zip(_block_lines(node, source), node.text.split("\n"), strict=False):
        if not line.endswith(kept):
            return []
        segments.append(_Segment(offset, start + len(line) - len(kept)))
        offset += len(kept) + 1
    return segments


def _folded_segments(node: ScalarNode, source: SourceText) -> list[_Segment]:
    lines = [(start, line) for start, line in _block_lines(node, source) if line.strip()]
    if not lines:
        return []
    indent = min(len(line) - len(line.lstrip(" ")) for _, line in lines)
    segments: list[_Segment] = []
    offset = 0
    for start, line in lines:
        content = line[indent:]
        found = node.text.find(content, offset)
        if found < 0 or node.text[offset:found].strip():
            return segments
        segments.append(_Segment(found, start + indent))
        offset = found + len(content)
    return segments
