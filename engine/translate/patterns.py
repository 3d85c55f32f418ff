"""Model patterns: case-insensitive fnmatch on the whole id, `*` crosses `/`, first match wins (DECISIONS 2.12)."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from typing import Final

from engine.types import Json

_CACHE_SIZE: Final = 1024


def matcher(pattern: str) -> re.Pattern[str]:
    """Compile one pattern. `*` any text, `?` one character, `[ab]` one of a set."""
    return re.compile(fnmatch.translate(pattern.casefold()))


class PatternTable:
    """A value that depends on a model's id: rows of `(pattern, value)`, the last of them usually `*`."""

    __slots__ = ("_cache", "_rows", "rows")

    def __init__(self, rows: Iterable[tuple[str, Json]]) -> None:
        self.rows = tuple(rows)
        self._rows = tuple((matcher(pattern), value) for pattern, value in self.rows)
        self._cache: dict[str, Json] = {}

    def find(self, text: str) -> Json:
        """The value of the first row whose pattern matches; None when none does."""
        try:
            return self._cache[text]
        except KeyError:
            folded = text.casefold()
            value = next((value for pattern, value in self._rows if pattern.match(folded)), None)
            # Ids come from clients: the cache must not grow with them.
            if len(self._cache) < _CACHE_SIZE and len(text) <= 200:
                self._cache[text] = value
            return value
