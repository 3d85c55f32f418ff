"""The text as far as it has come, and how parsers wait for more of it.

A parser is a generator that yields when it needs more text, so that one piece of code reads whole texts and streams of
any cut alike. Positions count characters from the beginning of the answer. What no parser needs any more is let go:
`more(low)` says that nothing before `low` will be asked for, unless `pin` holds an earlier place.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Generator
from typing import Final, TypeVar

T = TypeVar("T")
Wait = Generator[None, None, T]
"""A parser: yields for more text, returns its result."""

SPACE: Final = re.compile(r"[ \t\r\n]*")


class NotACall(Exception):
    """What stands here is no call, or is damaged from `at` on.

    `reason` is what `engine explain` shows beside the text.
    """

    def __init__(self, reason: str, at: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.at = at


@functools.lru_cache(maxsize=4096)
def _beginnings(literals: tuple[str, ...]) -> tuple[int, frozenset[str], frozenset[str]]:
    """The length of the longest true beginning of the literals, their first characters, and all true beginnings."""
    found = frozenset(each[:size] for each in literals for size in range(1, len(each)))
    return max(map(len, found), default=0), frozenset(each[0] for each in found), found


class Source:
    """State    `text` holds the characters from `base` to `end`; `is_over` says that no more will come, and `is_cut`
    that the answer hit its length limit.
    """

    __slots__ = ("_next", "base", "end", "floor", "is_cut", "is_over", "pin", "text")

    def __init__(self, text: str = "", *, is_over: bool = False) -> None:
        self.text = text
        self.base = 0
        self.end = len(text)
        self.floor = 0
        self.pin = -1
        self.is_over = is_over
        self.is_cut = False
        self._next: dict[str, tuple[int, int, int]] = {}

    def feed(self, text: str) -> None:
        """Append text, and let go of what nobody needs."""
        self.text = self.text[self.floor - self.base :] + text
        self.base = self.floor
        self.end += len(text)

    def more(self, low: int) -> Wait[bool]:
        """Wait for more text; False at its end. Nothing before `low` is needed any more."""
        if self.is_over:
            return False
        self.floor = low if self.pin < 0 else min(low, self.pin)
        size = self.end
        while self.end == size and not self.is_over:
            yield
        return self.end > size

    def char(self, at: int) -> str:
        """The character at a place, "" where there is none (yet)."""
        return self.text[at - self.base] if at < self.end else ""

    def cut(self, start: int, end: int) -> str:
        """The text between two places."""
        return self.text[start - self.base : end - self.base]

    def space(self, at: int) -> Wait[int]:
        """The first place from `at` on that is not white space."""
        low = at
        while True:
            found = SPACE.match(self.text, at - self.base)
            at = self.base + found.end() if found else at
            if at < self.end or not (yield from self.more(low)):
                return at

    def literal(self, at: int, literals: tuple[str, ...]) -> Wait[str | None]:
        """The literal that stands at a place. The longest comes first in `literals`."""
        while True:
            index = at - self.base
            rest = self.end - at
            for each in literals:
                if self.text.startswith(each, index):
                    return each
                if rest < len(each) and not self.is_over and each.startswith(self.text[index:]):
                    break
            else:
                return None
            yield from self.more(at)

    def nearest(self, at: int, literals: tuple[str, ...], start: int) -> tuple[int, str]:
        """The first of the literals from `start` on, and where; `(end - held, "")` if there is none in the text so far.

        `held` is the length of an end of the text that may yet become a literal. Nothing before `at` is looked at.
        """
        begin = max(at, start)
        best, which = -1, ""
        for each in literals:
            found = self._find(each, begin)
            if found >= 0 and (best < 0 or found < best):
                best, which = found, each
        held = 0 if self.is_over else self.held(literals, begin - self.base)
        if best >= 0 and best < self.end - held:
            return best, which
        return self.end - held, ""

    def _find(self, literal: str, start: int) -> int:
        """The first place of a literal from `start` on, or -1.

        What is known is kept: from where on the next one is where, or that there is none up to which place. Else ten
        thousand openers that are never closed would each search the rest of the text.
        """
        first, found, upto = self._next.get(literal, (start, -1, start))
        if first <= start <= found:
            return found
        is_known = first <= start and found < 0
        begin = max(start, upto - len(literal) + 1) if is_known else start
        index = self.text.find(literal, begin - self.base)
        place = self.base + index if index >= 0 else -1
        self._next[literal] = (first if is_known else start, place, self.end)
        return place

    def held(self, literals: tuple[str, ...], begin: int = 0) -> int:
        """How many characters at the end of the text may be the beginning of one of the literals."""
        text = self.text
        size = len(text)
        longest, firsts, beginnings = _beginnings(literals)
        for index in range(max(begin, size - longest), size):
            if text[index] in firsts and text[index:] in beginnings:
                return size - index
        return 0


def finished(parser: Wait[T]) -> T:
    """Run a parser over a source that is over, and return its result."""
    while True:
        try:
            next(parser)
        except StopIteration as stop:
            result: T = stop.value
            return result
