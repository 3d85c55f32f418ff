"""Payloads whose values are literals of another notation: Python calls, and braces with bare keys.

Both become JSON text on the way. Nothing is evaluated (rule R5): a value that is not a literal makes it no call.
"""

from __future__ import annotations

import json
import re
from typing import Final

from engine.translate.tools.attempt import Attempt
from engine.translate.tools.jsontext import MAX_DEPTH, MAX_WORD_CHARS, NUMBER, quoted
from engine.translate.tools.plan import BracedPayload, PythonPayload
from engine.translate.tools.source import NotACall, Wait

_NAME: Final = re.compile(r"[A-Za-z_][\w.\-]*")
_WORD: Final = re.compile(r"[-+.\w]*")
_WORDS: Final = {
    "True": "true", "False": "false", "None": "null", "true": "true", "false": "false", "null": "null"
}  # fmt: skip
_DECIMAL: Final = re.compile(r"-?(?:[1-9][0-9_]*|0)(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|-?\.[0-9]+")
_QUOTES: Final = ('"""', "'''", '"', "'")
_ESCAPES: Final = {
    "n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "a": "\a", "v": "\v", "0": "\0", "\\": "\\", "'": "'",
    '"': '"', "\n": "", "/": "/",
}  # fmt: skip
_HEX_LENGTHS: Final = {"x": 2, "u": 4, "U": 8}
_CLOSER: Final = {"[": "]", "(": ")", "{": "}"}


class _Literals:
    """Reads values; what it makes is JSON text. `delim` quotes strings in the braced notation, "" in Python's."""

    def __init__(self, attempt: Attempt, delim: str = "") -> None:
        self.attempt = attempt
        self.source = attempt.source
        self.delim = delim
        self.depth = 0

    def fail(self, reason: str, at: int) -> NotACall:
        return NotACall(reason, at)

    def word(self, at: int) -> Wait[tuple[int, str]]:
        """The name or number at a place, "" if there is none."""
        while True:
            found = _WORD.match(self.source.text, at - self.source.base)
            end = self.source.base + found.end() if found else at
            if end - at > MAX_WORD_CHARS:
                raise self.fail("a word is too long", at)
            if end < self.source.end or not (yield from self.source.more(at)):
                return end, self.source.cut(at, end)

    def expect(self, at: int, wanted: str) -> Wait[int]:
        """Step over white space and one character."""
        at = yield from self.source.space(at)
        if self.source.char(at) != wanted:
            raise self.fail(f"expected {wanted}", at)
        return at + 1

    def value(self, at: int) -> Wait[tuple[int, str]]:
        """Read one value: where it ends, and its JSON text."""
        at = yield from self.source.space(at)
        char = self.source.char(at)
        if char in _CLOSER and char:
            if self.depth >= MAX_DEPTH:
                raise self.fail("nested too deep", at)
            self.depth += 1
            made = yield from (self._object(at) if char == "{" else self._items(at, _CLOSER[char]))
            self.depth -= 1
            return made
        text = yield from self._quoted(at)
        return text if text is not None else (yield from self._scalar(at))

    def _quoted(self, at: int) -> Wait[tuple[int, str] | None]:
        """A string, if one begins here. Braced values may be quoted as in JSON as well."""
        quote = yield from self.source.literal(at, (self.delim, '"') if self.delim else _QUOTES)
        if quote is None:
            return None
        return (yield from (self._delimited(at) if quote == self.delim else self._string(at, quote)))

    def _scalar(self, at: int) -> Wait[tuple[int, str]]:
        end, word = yield from self.word(at)
        if word in _WORDS:
            return end, _WORDS[word]
        if NUMBER.fullmatch(word):
            return end, word
        if not self.delim and _DECIMAL.fullmatch(word):
            plain = word.replace("_", "")
            plain = plain.replace("-.", "-0.") if plain.startswith("-.") else plain
            plain = "0" + plain if plain.startswith(".") else plain
            plain = re.sub(r"\.(?=$|[eE])", ".0", plain)
            return end, plain
        raise self.fail(f"{word[:20]!r} is no literal", at)

    def _items(self, at: int, closer: str) -> Wait[tuple[int, str]]:
        parts: list[str] = []
        at = yield from self.source.space(at + 1)
        while self.source.char(at) != closer:
            at, made = yield from self.value(at)
            parts.append(made)
            at = yield from self.comma(at, closer)
        return at + 1, f"[{','.join(parts)}]"

    def comma(self, at: int, closer: str) -> Wait[int]:
        at = yield from self.source.space(at)
        if self.source.char(at) == ",":
            return (yield from self.source.space(at + 1))
        if self.source.char(at) != closer:
            raise self.fail(f"expected , or {closer}", at)
        return at

    def _object(self, at: int) -> Wait[tuple[int, str]]:
        parts: list[str] = []
        at = yield from self.source.space(at + 1)
        while self.source.char(at) != "}":
            at, key = yield from self._key(at)
            at = yield from self.expect(at, ":")
            at, made = yield from self.value(at)
            parts.append(f"{key}:{made}")
            at = yield from self.comma(at, "}")
        return at + 1, f"{{{','.join(parts)}}}"

    def _key(self, at: int) -> Wait[tuple[int, str]]:
        if not self.delim:
            end, text = yield from self.value(at)
            return end, text if text.startswith('"') else quoted(text)
        made = yield from self._quoted(at)
        if made is not None:
            return made
        end, word = yield from self.word(at)
        if not word:
            raise self.fail("expected a key", at)
        return end, quoted(word)

    def _delimited(self, at: int) -> Wait[tuple[int, str]]:
        """A string between delimiters, without escapes."""
        start = scan = at + len(self.delim)
        while True:
            place, found = self.source.nearest(start, (self.delim,), scan)
            if found:
                return place + len(found), quoted(self.source.cut(start, place))
            scan = place
            if not (yield from self.source.more(at)):
                raise self.fail("the text ends inside a string", self.source.end)

    def _string(self, at: int, quote: str) -> Wait[tuple[int, str]]:
        start = at = at + len(quote)
        parts: list[str] = []
        while True:
            place, found = self.source.nearest(start, (quote, "\\"), at)
            parts.append(self._plain(self.source.cut(at, place), quote, at))
            at = place
            if found == quote:
                return at + len(quote), quoted("".join(parts))
            if found:
                at, made = yield from self._escape(at)
                parts.append(made)
            elif not (yield from self.source.more(at)):
                raise self.fail("the text ends inside a string", at)

    def _plain(self, text: str, quote: str, at: int) -> str:
        if len(quote) == 1 and "\n" in text:
            if "raw_newlines" not in self.attempt.repairs:
                raise self.fail("a raw newline inside a string", at)
            self.attempt.repaired("raw_newlines")
        return text

    def _escape(self, at: int) -> Wait[tuple[int, str]]:
        while self.source.end < at + 10 and (yield from self.source.more(at)):
            pass
        char = self.source.char(at + 1)
        if char in _ESCAPES and char:
            return at + 2, _ESCAPES[char]
        length = _HEX_LENGTHS.get(char, 0)
        digits = self.source.cut(at + 2, at + 2 + length)
        if length and re.fullmatch(f"[0-9a-fA-F]{{{length}}}", digits) and int(digits, 16) < 0x110000:
            return at + 2 + length, chr(int(digits, 16))
        return at + 1, "\\"


class _PythonCalls:
    """Calls with keyword arguments, in a list or one after the other."""

    def __init__(self, attempt: Attempt, wrappers: tuple[str, ...]) -> None:
        self.attempt = attempt
        self.source = attempt.source
        self.read = _Literals(attempt)
        self.wrappers = wrappers

    def calls(self, at: int) -> Wait[int]:
        """Read the payload; returns where it ends."""
        at = yield from self.source.space(at)
        if self.source.char(at) == "[":
            return (yield from self._list(at))
        end = at
        while True:
            word_end, word = yield from self.read.word(at)
            is_call = _NAME.fullmatch(word) is not None and self.source.char(word_end) == "("
            if not is_call:
                break
            end = yield from self._call(at)
            at = yield from self.source.space(end)
        if not self.attempt.calls:
            raise NotACall("no call in Python notation follows", at)
        return end

    def _list(self, at: int) -> Wait[int]:
        at = yield from self.source.space(at + 1)
        while self.source.char(at) != "]":
            at = yield from self._call(at)
            at = yield from self.read.comma(at, "]")
        if not self.attempt.calls:
            raise NotACall("an empty list", at)
        return at + 1

    def _call(self, at: int) -> Wait[int]:
        start = at
        at, name = yield from self.read.word(at)
        at = yield from self.read.expect(at, "(")
        if name in self.wrappers and self.attempt.parameters(name) is None:
            at = yield from self._call((yield from self.source.space(at)))
            return (yield from self.read.expect(at, ")"))
        if not _NAME.fullmatch(name):
            raise NotACall("no name of a tool", start)
        self.attempt.begin(start, name, None)
        self.attempt.write("{")
        at = yield from self._arguments((yield from self.source.space(at)))
        self.attempt.write("}")
        self.attempt.end(at)
        return at

    def _arguments(self, at: int) -> Wait[int]:
        lead = ""
        while self.source.char(at) != ")":
            end, key = yield from self.read.word(at)
            if not key.isidentifier():
                raise NotACall("an argument without a name", at)
            at = yield from self.read.expect(end, "=")
            at, made = yield from self.read.value(at)
            self.attempt.write(f"{lead}{quoted(key)}:{made}")
            lead = ","
            at = yield from self.read.comma(at, ")")
        return at + 1


def read_python(attempt: Attempt, at: int) -> Wait[int]:
    """Read calls in Python notation: `[f(a=1), g()]`, or one a line."""
    payload = attempt.rule.payload
    assert isinstance(payload, PythonPayload)
    return (yield from _PythonCalls(attempt, payload.wrappers).calls(at))


def read_braced(attempt: Attempt, at: int) -> Wait[int]:
    """Read `{key:value}` with bare keys; the name was in the head."""
    payload = attempt.rule.payload
    assert isinstance(payload, BracedPayload)
    at = yield from attempt.source.space(at)
    if attempt.source.char(at) != "{":
        raise NotACall("no arguments follow the name", at)
    attempt.begin(at, attempt.captured.get("name", ""), attempt.captured.get("id"))
    end, made = yield from _Literals(attempt, payload.delim).value(at)
    json.loads(made)
    attempt.write(made)
    attempt.end(end)
    return end
