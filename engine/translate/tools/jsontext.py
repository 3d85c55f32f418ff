"""Copy JSON from the source, repairing on the way what the policy allows.

A transducer: what is valid is copied as it was written (numbers keep every digit), and each repair is local, so that
the result can flow out while the text is still coming. A repair changes notation only; it makes no key and no value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Final

from engine.translate.tools.source import NotACall, Source, Wait

Write = Callable[[str], object]
Take = Callable[[str, int], Wait[int]]

MAX_DEPTH: Final = 64
MAX_WORD_CHARS: Final = 4096
MAX_KEY_CHARS: Final = 4096

NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_WORD: Final = re.compile(r"[-+.\w$]*")
_BARE_KEY: Final = re.compile(r"[A-Za-z_$][\w$-]*")
_RUNS: Final = {'"': re.compile(r'[^"\\\x00-\x1f]*'), "'": re.compile(r"""[^'"\\\x00-\x1f]*""")}
_CLOSER: Final = {"{": "}", "[": "]"}
_ESCAPES: Final = frozenset('"\\/bfnrt')
_HEX: Final = re.compile(r"[0-9a-fA-F]{4}")
_WORDS: Final = {"true": "true", "false": "false", "null": "null"}
_PYTHON_WORDS: Final = {"True": "true", "False": "false", "None": "null"}
_COMMENT_ENDS: Final = {"//": "\n", "/*": "*/", "#": "\n"}


def quoted(text: str) -> str:
    """A string as JSON text."""
    return json.dumps(text, ensure_ascii=False)


def discard(_text: str) -> None:
    """Write nothing."""


class JsonText:
    """Reads values of one source. `ends` are the literals before which missing brackets may be added.

    State    `stack` holds the open brackets.
    """

    def __init__(
        self,
        source: Source,
        repairs: frozenset[str] = frozenset(),
        ends: tuple[str, ...] = (),
        repaired: Callable[[str], object] = discard,
    ) -> None:
        self.source = source
        self.repairs = repairs
        self.ends = ends
        self.repaired = repaired
        self.stack: list[str] = []

    def fail(self, reason: str, at: int) -> NotACall:
        """The exception for a text that is no JSON from `at` on."""
        return NotACall(reason, at)

    def allow(self, repair: str, at: int, reason: str) -> None:
        """Note a repair, or raise NotACall when the format does not declare it."""
        if repair not in self.repairs:
            raise self.fail(reason, at)
        self.repaired(repair)

    # -- between tokens

    def peek(self, at: int, write: Write = discard) -> Wait[tuple[int, str]]:
        """The next place that is neither white space nor an allowed comment, and its character ("" at the end)."""
        source = self.source
        while True:
            found = _SPACE.match(source.text, at - source.base)
            end = source.base + found.end() if found else at
            if end > at:
                write(source.cut(at, end))
                at = end
            if at < source.end:
                char = source.char(at)
                after = (yield from self._comment(at)) if char in "/#" and "comments" in self.repairs else at
                if after == at:
                    return at, char
                at = after
            elif not (yield from source.more(at)):
                return at, ""

    def _comment(self, at: int) -> Wait[int]:
        opener = yield from self.source.literal(at, ("//", "/*", "#"))
        if opener is None:
            return at
        self.repaired("comments")
        at += len(opener)
        while True:
            place, found = self.source.nearest(at, (_COMMENT_ENDS[opener],), at)
            if found or not (yield from self.source.more(place)):
                return place + len(found)
            at = place

    def _missing(self, at: int, char: str) -> Wait[bool]:
        """Whether brackets are missing here: the text is over, or an end marker stands here."""
        if "missing_closers" not in self.repairs or (self.source.is_cut and not char):
            return False
        return not char or (bool(self.ends) and (yield from self.source.literal(at, self.ends)) is not None)

    # -- values

    def value(self, at: int, write: Write) -> Wait[int]:
        """Copy the value that begins at `at` (no white space before it); returns where it ends."""
        depth = len(self.stack)
        at = yield from self._item(at, write)
        is_fresh = len(self.stack) > depth
        while len(self.stack) > depth:
            size = len(self.stack)
            at = yield from self._inside(at, write, is_fresh, depth)
            is_fresh = len(self.stack) > size
        return at

    def _inside(self, at: int, write: Write, is_fresh: bool, depth: int) -> Wait[int]:
        """One step inside a container: close it, or read the next element up to its value's end (or its bracket)."""
        kind = self.stack[-1]
        at, char = yield from self.peek(at, write)
        if char == _CLOSER[kind]:
            return self._close(at, write)
        if is_fresh and char:
            return (yield from self._element(at, kind, write))
        if char == ",":
            return (yield from self._next(at, kind, write))
        if (yield from self._missing(at, char)):
            self.repaired("missing_closers")
            while len(self.stack) > depth:
                write(_CLOSER[self.stack.pop()])
            return at
        raise self.fail(f"expected , or {_CLOSER[kind]} but found {self._shown(at)}", at)

    def _close(self, at: int, write: Write) -> int:
        write(_CLOSER[self.stack.pop()])
        return at + 1

    def _next(self, comma: int, kind: str, write: Write) -> Wait[int]:
        held = [","]
        at, char = yield from self.peek(comma + 1, held.append)
        if char == _CLOSER[kind]:
            self.allow("trailing_comma", comma, "a comma before a closing bracket")
            return self._close(at, write)
        write("".join(held))
        return (yield from self._element(at, kind, write))

    def _element(self, at: int, kind: str, write: Write) -> Wait[int]:
        if kind == "{":
            at = yield from self.key(at, write)
            at, char = yield from self.peek(at, write)
            if char != ":":
                raise self.fail(f"expected : but found {self._shown(at)}", at)
            write(":")
            at, char = yield from self.peek(at + 1, write)
        return (yield from self._item(at, write))

    def _item(self, at: int, write: Write) -> Wait[int]:
        """A scalar as a whole, or the opening bracket of a container."""
        char = self.source.char(at)
        if char in _CLOSER and char:
            if len(self.stack) >= MAX_DEPTH:
                raise self.fail("nested too deep", at)
            self.stack.append(char)
            write(char)
            return at + 1
        if char == '"':
            return (yield from self.string(at, write))
        if char == "'":
            self.allow("single_quotes", at, "a string in single quotes")
            return (yield from self.string(at, write))
        return (yield from self._word(at, write))

    def _word(self, at: int, write: Write) -> Wait[int]:
        end, word = yield from self._run(at)
        if NUMBER.fullmatch(word) or word in _WORDS:
            write(word)
        elif word in _PYTHON_WORDS:
            self.allow("python_literals", at, f"{word} is no JSON")
            write(_PYTHON_WORDS[word])
        else:
            raise self.fail(
                f"{word[:20]!r} is no value" if word else f"{self._shown(at)} begins no value",
                end if end >= self.source.end else at,
            )
        return end

    def _run(self, at: int) -> Wait[tuple[int, str]]:
        source = self.source
        while True:
            found = _WORD.match(source.text, at - source.base)
            end = source.base + found.end() if found else at
            if end - at > MAX_WORD_CHARS:
                raise self.fail("a word is too long", at)
            if end < source.end or not (yield from source.more(at)):
                return end, source.cut(at, end)

    def _shown(self, at: int) -> str:
        return repr(self.source.char(at)) if at < self.source.end else "the end"

    # -- strings and keys

    def key(self, at: int, write: Write) -> Wait[int]:
        """Copy a key; bare and single-quoted ones where that is repaired."""
        char = self.source.char(at)
        if char == '"':
            return (yield from self.string(at, write))
        if char == "'":
            self.allow("single_quotes", at, "a key in single quotes")
            return (yield from self.string(at, write))
        end, word = yield from self._run(at)
        if not _BARE_KEY.fullmatch(word):
            raise self.fail(f"expected a key but found {self._shown(at)}", at)
        self.allow("bare_keys", at, "a key without quotes")
        write(quoted(word))
        return end

    def text(self, at: int, read: Callable[[int, Write], Wait[int]]) -> Wait[tuple[int, str]]:
        """Read a string or key with `read`, and decode it."""
        parts: list[str] = []
        end = yield from read(at, parts.append)
        return end, str(json.loads("".join(parts)))

    def string(self, at: int, write: Write) -> Wait[int]:
        """Copy a string from its opening quote (double or single) as a JSON string."""
        source = self.source
        quote = source.char(at)
        run = _RUNS[quote]
        write('"')
        at += 1
        while True:
            found = run.match(source.text, at - source.base)
            end = source.base + found.end() if found else at
            if end > at:
                write(source.cut(at, end))
                at = end
            if at >= source.end:
                if not (yield from source.more(at)):
                    raise self.fail("the text ends inside a string", at)
                continue
            char = source.char(at)
            if char == quote:
                write('"')
                return at + 1
            at = (yield from self._escape(at, write)) if char == "\\" else self._odd(at, char, write)

    def _odd(self, at: int, char: str, write: Write) -> int:
        """A character that a JSON string writes as an escape: a control character, or `"` in single quotes."""
        if char != '"':
            self.allow("raw_newlines", at, "a raw control character inside a string")
        write(quoted(char)[1:-1])
        return at + 1

    def _escape(self, at: int, write: Write) -> Wait[int]:
        source = self.source
        while source.end < at + 2 or (source.char(at + 1) == "u" and source.end < at + 6):
            if not (yield from source.more(at)):
                break
        char = source.char(at + 1)
        if char in _ESCAPES and char:
            write("\\" + char)
            return at + 2
        if char == "u" and _HEX.fullmatch(source.cut(at + 2, at + 6)):
            write(source.cut(at, at + 6))
            return at + 6
        if not char:
            raise self.fail("the text ends inside a string", at)
        self.allow("bad_escapes", at, f"\\{char} is no escape")
        if char == "'":
            write("'")
            return at + 2
        write("\\\\")
        return at + 1

    # -- objects and lists that are walked, not copied

    def members(self, at: int, take: Take) -> Wait[int]:
        """Walk the object that opens at `at`: `take(key, place)` reads each value and returns where it ends."""
        self.stack.append("{")
        depth = len(self.stack)
        at, char = yield from self.peek(at + 1)
        while char != "}":
            if (yield from self._gives_out(at, char, "{")):
                return at
            at, name = yield from self.text(at, self.key)
            at, char = yield from self.peek(at)
            if char != ":":
                raise self.fail(f"expected : but found {self._shown(at)}", at)
            at, char = yield from self.peek(at + 1)
            at = yield from take(name, at)
            at, char = yield from self._between(at, "{")
        del self.stack[depth - 1 :]
        return at + 1

    def elements(self, at: int, take: Callable[[int], Wait[int]]) -> Wait[int]:
        """Walk the list that opens at `at`: `take(place)` reads each item and returns where it ends."""
        self.stack.append("[")
        depth = len(self.stack)
        at, char = yield from self.peek(at + 1)
        while char != "]":
            if (yield from self._gives_out(at, char, "[")):
                return at
            at = yield from take(at)
            at, char = yield from self._between(at, "[")
        del self.stack[depth - 1 :]
        return at + 1

    def _between(self, at: int, kind: str) -> Wait[tuple[int, str]]:
        """Step over the comma behind a value; a comma before the bracket needs its repair."""
        at, char = yield from self.peek(at)
        if char == ",":
            comma = at
            at, char = yield from self.peek(at + 1)
            if char == _CLOSER[kind]:
                self.allow("trailing_comma", comma, "a comma before a closing bracket")
        elif char != _CLOSER[kind] and not (yield from self._missing(at, char)):
            raise self.fail(f"expected , or {_CLOSER[kind]} but found {self._shown(at)}", at)
        return at, char

    def _gives_out(self, at: int, char: str, kind: str) -> Wait[bool]:
        """Whether the container ends here without its bracket."""
        if not (yield from self._missing(at, char)):
            if not char:
                raise self.fail("the text ends inside the call", at)
            return False
        self.repaired("missing_closers")
        self.stack.pop()
        return True
