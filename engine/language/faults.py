"""What can be wrong with the text of a file before it is a tree: encoding, characters, YAML grammar.

libyaml's own messages say what the parser waited for; an author wants to know what to change.
`explain_syntax` is the table from the one to the other. No message quotes the file (rule T17).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

import yaml

from engine.language.nodes import SourceText
from engine.language.problems import Problems

MAX_FILE_BYTES: Final = 1 << 20
MAX_SAME_FAULT: Final = 5
"""After so many faults of one kind in a file the author knows."""

# YAML's printable set, less what is invisible and changes how text is read: direction controls, byte-order marks
# inside the text, and the three line breaks that YAML 1.1 counts and 1.2 does not.
_FORBIDDEN: Final = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
    "|[\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]"
)
# Most files hold only these; to know it costs a hundredth of a search with the expression above.
_PLAIN: Final = b"\t\n\r" + bytes(range(0x20, 0x7F))
_CONFLICT_SIGNS: Final = ("<<<<<<<", ">>>>>>>", "|||||||")
_CONFLICT: Final = re.compile(r"^(?:<{7}|>{7}|\|{7})(?: .*)?$", re.MULTILINE)
_TAB_INDENT: Final = re.compile(r"^ *\t[ \t]*(?=[^\s#])", re.MULTILINE)


def decode(data: bytes, file: str, problems: Problems) -> SourceText | None:
    """The text of a file, without its byte-order mark; None with an E001 if it is too large or not UTF-8."""
    if len(data) > MAX_FILE_BYTES:
        source = SourceText(file, "")
        problems.add("E001", f"the file is larger than {MAX_FILE_BYTES} bytes", source.mark(0))
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        source = SourceText(file, data[: error.start].decode())
        utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        message = "the file is UTF-16, not UTF-8" if utf16 else "the file is not UTF-8"
        problems.add("E001", message, source.mark(error.start and len(source.text)), help=["save it as UTF-8"])
        return None
    if text.startswith("\ufeff"):
        text = text[1:]
        mark = SourceText(file, "").mark(0)
        problems.add("E013", "the file starts with a byte-order mark", mark, help=["save it as UTF-8 without BOM"])
    return SourceText(file, text)


def check_characters(source: SourceText, problems: Problems) -> str | None:
    """Report E013; return the text with each forbidden character as a blank, or None if reading on makes no sense."""
    text = source.text
    conflict = _CONFLICT.search(text) if any(sign in text for sign in _CONFLICT_SIGNS) else None
    if conflict:
        length = conflict.end() - conflict.start()
        problems.add(
            "E013",
            "merge-conflict marker",
            source.mark(conflict.start()),
            length=length,
            help=["choose one side and remove the three marker lines"],
        )
        return None
    if not text.encode().translate(None, _PLAIN) or not _FORBIDDEN.search(text):
        return text
    for count, found in enumerate(_FORBIDDEN.finditer(text)):
        if count == MAX_SAME_FAULT:
            break
        code = ord(found.group())
        name = f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
        problems.add(
            "E013",
            f"character U+{code:04X} is not allowed in a mapping",
            source.mark(found.start()),
            help=[f'remove it, or write it as {name} inside "double quotes"'],
        )
    return _FORBIDDEN.sub(" ", text)


def check_tabs(source: SourceText, text_spans: list[tuple[int, int]], problems: Problems) -> None:
    """Report E013 for tabs in the indentation, but not inside scalars of several lines, where they are content."""
    count = 0
    for found in _TAB_INDENT.finditer(source.text):
        if count < MAX_SAME_FAULT and not any(start <= found.start() < end for start, end in text_spans):
            _add_tab(source, source.text.index("\t", found.start()), problems)
            count += 1


def _add_tab(source: SourceText, index: int, problems: Problems) -> None:
    problems.add("E013", "tab in the indentation", source.mark(index), help=["indent with spaces"])


class _Place(NamedTuple):
    """Where the parser stopped: `at` is the index of the problem, `context` of what it was reading (or None)."""

    source: SourceText
    at: int
    context: int | None

    def line(self, back: int = 0) -> str:
        number = self.source.mark(self.at).line - 1 - back
        if number < 0:
            return ""
        start = self.source.line_starts[number]
        return self.source.text[start : self.source.line_end(start)]


class _Answer(NamedTuple):
    message: str
    help: tuple[str, ...] = ()
    at_context: bool = False
    code: str = "E002"


_NO_SPACE: Final = re.compile(r"""\s*(?:- +)*["']?[\w.$-]+["']?:[^\s/:]""")


def _colon_in_text(place: _Place) -> _Answer:
    before = place.line()[: place.source.mark(place.at).column - 1]
    if re.search(r":\s", before):
        quote = ("quote the whole value: a colon and a blank inside plain text start a new key",)
        return _Answer("a value cannot hold another key on the same line", quote)
    for back in (0, 1):
        if _NO_SPACE.match(place.line(back)):
            return _Answer("a key and its value run together", ("put a blank after the colon of the line above",))
    return _Answer(
        "a key is not possible here",
        ("the line above has a value already: give this key the same indentation as its neighbours",),
    )


def _always(
    message: str, *help_lines: str, at_context: bool = False, code: str = "E002"
) -> Callable[[_Place], _Answer]:
    answer = _Answer(message, help_lines, at_context, code)
    return lambda _place: answer


_INDENTATION: Final = "check the indentation: neighbours must start in the same column"
_FLOW: Final = "close it, and quote items that contain any of [ ] { } , : #"

_EXPLANATIONS: Final[tuple[tuple[str, Callable[[_Place], _Answer]], ...]] = (
    ("mapping values are not allowed", _colon_in_text),
    ("cannot start any token", _always("plain text cannot start with this character", "quote the value")),
    ("nesting depth", _always("nested too deep", code="E001")),
    ("unknown escape character", _always("unknown escape in double quotes", "use 'single quotes', or write \\\\")),
    (
        "invalid Unicode|expected hexdecimal|hexadecimal",
        _always("bad character escape in double quotes", "write the character itself, or \\UXXXXXXXX"),
    ),
    (
        "quoted scalar|unexpected end of stream",
        _always("a quote is never closed", "close it at the end of the value", at_context=True),
    ),
    ("expected ',' or ']'", _always("a list in [ ] is broken", _FLOW, at_context=True)),
    ("expected ',' or '}'", _always("a map in { } is broken", _FLOW, at_context=True)),
    (
        "could not find expected ':'",
        _always(
            "this line is neither a key nor part of a value",
            "write `key: value`; text over several lines needs `|` after the key",
            at_context=True,
        ),
    ),
    ("block sequence entries are not allowed", _always("a list item is not possible here", _INDENTATION)),
    ("expected '-' indicator", _always("a list ends in something that is no item", _INDENTATION)),
    ("expected key|block end", _always("a map ends in something that is no key", _INDENTATION)),
    ("alphabetic or numeric", _always("an anchor or alias has no name", "quote text that starts with & or *")),
    ("incompatible YAML|directive", _always("a YAML directive is wrong", "mappings need no line that starts with %")),
    ("block scalar", _always("a block of text is broken", "after | or > only - or + and a digit may stand")),
)


def explain_syntax(error: yaml.YAMLError, source: SourceText, problems: Problems) -> None:
    """Add what the YAML parser found as E002 (E013 for a tab), at its exact place, with advice."""
    index = _index(getattr(error, "problem_mark", None), source)
    context = _index(getattr(error, "context_mark", None), source)
    said = f"{getattr(error, 'context', None) or ''} {getattr(error, 'problem', None) or 'unreadable'}"
    place = _Place(source, len(source.text) if index is None else index, context)
    for index_of_line in (place.at, context):
        tab = None if index_of_line is None else _tab_of_line(source, index_of_line)
        if tab is not None:
            _add_tab(source, tab, problems)
            return
    answer = _Answer(f"YAML: {said.strip()}")
    for pattern, explain in _EXPLANATIONS:
        if re.search(pattern, said):
            answer = explain(place)
            break
    at = place.at if context is None or not answer.at_context else context
    problems.add(answer.code, answer.message, source.mark(min(at, len(source.text))), help=answer.help)


def _tab_of_line(source: SourceText, index: int) -> int | None:
    """The index of a tab in the indentation of the line that holds `index`: the likely cause of any syntax error."""
    start = source.line_starts[source.mark(index).line - 1]
    found = _TAB_INDENT.match(source.text, start)
    return None if found is None else source.text.index("\t", start)


def _index(mark: object, source: SourceText) -> int | None:
    line, column = getattr(mark, "line", None), getattr(mark, "column", None)
    if not isinstance(line, int) or not isinstance(column, int):
        return None
    starts = source.line_starts
    return starts[line] + column if line < len(starts) else len(source.text)
