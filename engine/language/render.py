"""How diagnostics look: text for people, JSON and SARIF for tools, annotations for GitHub.

The text form is LANGUAGE 4b: statement, place, source line with a caret, notes, help. It shows the one source line
of the problem and no other content of the file, cut around the caret if it is long, with every character that could
disturb a terminal written as an escape. What looks like a key (E172) is blotted out wherever its line is shown: the
text goes into logs of builds.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from engine.language.codes import CODES
from engine.language.problems import Diagnostic, Mark, Sources
from engine.types import Json, JsonObject

MAX_LINE_COLUMNS = 110
"""A source line wider than this is cut around the caret."""

_COLORS = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "quiet": "\x1b[1;34m", "help": "\x1b[1;32m"}
_RESET = "\x1b[0m"


def ordered(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Diagnostics by file, line, column and code: the order of every rendering."""
    return sorted(diagnostics, key=lambda item: (item.mark, item.code, item.message))


def render_text(diagnostics: Iterable[Diagnostic], sources: Sources, *, color: bool = False) -> str:
    """The text for people, with a summary such as `2 errors, 1 warning` at its end; empty if there is nothing."""
    found = ordered(diagnostics)
    if not found:
        return ""
    keys = {item.mark: item.length for item in found if item.code == "E172"}
    blocks = ["\n".join(_block(item, _source_line(item, sources, keys), color=color)) for item in found]
    return "\n\n".join([*blocks, summary(found)]) + "\n"


def summary(diagnostics: Sequence[Diagnostic]) -> str:
    """Counts in words: `2 errors, 1 warning`."""
    errors = sum(item.severity == "error" for item in diagnostics)
    counts = [(errors, "error"), (len(diagnostics) - errors, "warning")]
    words = [f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts if count]
    return ", ".join(words) or "no problems"


def _source_line(item: Diagnostic, sources: Sources, keys: Mapping[Mark, int]) -> str | None:
    """The line of a problem, with `*` for each character of a key."""
    line = sources.line(item.mark.file, item.mark.line)
    if line is None:
        return None
    for mark, length in keys.items():
        if (mark.file, mark.line) == (item.mark.file, item.mark.line):
            start, end = mark.column - 1, mark.column - 1 + length
            line = line[:start] + "*" * len(line[start:end]) + line[end:]
    return line


def _block(item: Diagnostic, line: str | None, *, color: bool) -> list[str]:
    def paint(text: str, name: str) -> str:
        return f"{_COLORS[name]}{text}{_RESET}" if color else text

    width = max(2, len(str(item.mark.line)))
    gutter = " " * width
    head = paint(f"{item.severity}[{item.code}]", item.severity)
    rows = [f"{head}: {safe(item.message)}", f"{gutter}{paint('-->', 'quiet')} {safe(str(item.mark))}"]
    if line is not None:
        shown, offset, carets = _window(line, item.mark.column, item.length)
        label = f" {safe(item.label)}" if item.label else ""
        rows.append(f"{paint(f'{item.mark.line:>{width}} |', 'quiet')} {shown}".rstrip())
        rows.append(f"{gutter} {paint('|', 'quiet')} {' ' * offset}{paint('^' * carets + label, item.severity)}")
    elif item.label:
        rows.append(f"{gutter} {paint('=', 'quiet')} {safe(item.label)}")
    for note in item.notes:
        rows += _hanging(f"{gutter} {paint('=', 'quiet')} ", note, width + 3)
    if item.help:
        rows += _hanging(f"{gutter} {paint('=', 'quiet')} {paint('help', 'help')}: ", "\n".join(item.help), width + 9)
    return rows


def _hanging(lead: str, text: str, indent: int) -> list[str]:
    first, *rest = text.split("\n")
    return [lead + safe(first), *(" " * indent + safe(line) for line in rest)]


def safe(text: str) -> str:
    """Text that cannot disturb a terminal: tabs as four spaces, control and direction characters as escapes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_safe_character, text))


def _safe_character(character: str) -> str:
    if character == "\t":
        return "    "
    if character == " " or unicodedata.category(character)[0] not in "CZ":
        return character
    if character == "\u00a0":
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _columns(text: str) -> int:
    """Terminal columns of safe text: wide characters take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _window(line: str, column: int, length: int) -> tuple[str, int, int]:
    """The part of a line to show, the caret's offset in it, and the number of carets, all in terminal columns."""
    start = min(column - 1, len(line))
    end = max(min(start + length, len(line)), start)
    left, right = 0, len(line)
    if right > MAX_LINE_COLUMNS:
        end = min(end, start + MAX_LINE_COLUMNS // 2)
        left = max(0, min(start - MAX_LINE_COLUMNS // 3, right - MAX_LINE_COLUMNS))
        right = min(right, left + MAX_LINE_COLUMNS)
    before = ("…" if left else "") + safe(line[left:start])
    marked = safe(line[start:end])
    after = safe(line[end:right]) + ("…" if right < len(line) else "")
    return before + marked + after, _columns(before), max(1, _columns(marked))


def _as_object(item: Diagnostic) -> JsonObject:
    return {
        "code": item.code,
        "severity": item.severity,
        "title": CODES[item.code].title,
        "message": item.message,
        "file": item.mark.file,
        "line": item.mark.line,
        "column": item.mark.column,
        "length": item.length,
        "label": item.label,
        "notes": list(item.notes),
        "help": list(item.help),
    }


def _dump(value: Json) -> str:
    # Lone surrogates cannot be written as UTF-8; escapes keep the output valid whatever a file name holds.
    text = json.dumps(value, ensure_ascii=False, indent=2)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, indent=2) + "\n"
    return text + "\n"


def render_json(diagnostics: Iterable[Diagnostic]) -> str:
    """A JSON array of objects, one per diagnostic, in the order of the text form."""
    return _dump([_as_object(item) for item in ordered(diagnostics)])


def render_sarif(diagnostics: Iterable[Diagnostic]) -> str:
    """SARIF 2.1.0 with one run; columns count code points."""
    found = ordered(diagnostics)
    codes = sorted({item.code for item in found})
    rules = [
        {
            "id": code,
            "shortDescription": {"text": CODES[code].title},
            "fullDescription": {"text": CODES[code].doc},
            "defaultConfiguration": {"level": "warning" if code.startswith("W") else "error"},
        }
        for code in codes
    ]
    run = {
        "tool": {"driver": {"name": "endpoint-engine", "rules": rules}},
        "columnKind": "unicodeCodePoints",
        "results": [_sarif_result(item, codes.index(item.code)) for item in found],
    }
    return _dump({"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]})


def _sarif_result(item: Diagnostic, rule: int) -> JsonObject:
    text = "\n".join([item.message, *([item.label] if item.label else []), *item.notes, *item.help])
    region = {
        "startLine": item.mark.line,
        "startColumn": item.mark.column,
        "endColumn": item.mark.column + item.length,
    }
    uri = quote(item.mark.file.replace("\\", "/"), safe="/:@~", errors="replace")
    return {
        "ruleId": item.code,
        "ruleIndex": rule,
        "level": item.severity,
        "message": {"text": text},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": uri}, "region": region}}],
    }


def render_github(diagnostics: Iterable[Diagnostic]) -> str:
    """Workflow commands, one line each: `::error file=…,line=…,col=…,title=…::message`."""
    return "".join(_github_line(item) for item in ordered(diagnostics))


def _github_line(item: Diagnostic) -> str:
    fields = {
        "file": item.mark.file,
        "line": str(item.mark.line),
        "col": str(item.mark.column),
        "endColumn": str(item.mark.column + item.length),
        "title": f"{item.code} {CODES[item.code].title}",
    }
    properties = ",".join(f"{name}={_escaped(value, ':,')}" for name, value in fields.items())
    message = "\n".join([item.message, *([item.label] if item.label else []), *item.notes, *item.help])
    return f"::{item.severity} {properties}::{_escaped(message, '')}\n"


def _escaped(text: str, also: str) -> str:
    for character in "%\r\n" + also:
        text = text.replace(character, f"%{ord(character):02X}")
    return text
