"""Markers in untrusted text: made harmless when they are rendered, given back when they are read (DECISIONS 3).

Each marker inside a value gets a character after its first letter. A model that copies the value copies the character
too, and what is read back loses it again, else a file that holds `</parameter>` would come back changed. A marker that
already carries the character gets one more, so that nothing is ever confused. A marker with a quote is also known as it
stands inside a JSON string: a model may copy it either way.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.translate.tools.jsontext import quoted
from engine.types import Json


class Neutraliser:
    """Changes the markers of some formats inside values. `insert` is one character.

    Where one of `spared` stands nothing is done: somebody else breaks it.
    """

    __slots__ = ("_pattern", "insert", "markers")

    def __init__(self, markers: Sequence[str], insert: str, spared: Sequence[str] = ()) -> None:
        self.insert = insert
        self.markers = _both_ways(markers)
        ways = self._ways(self.markers)
        if spared and ways:
            ways = f"(?!{self._ways(_both_ways(spared))})(?:{ways})"
        self._pattern = re.compile(ways) if ways and insert else None

    def _ways(self, markers: Sequence[str]) -> str:
        insert = re.escape(self.insert)
        return "|".join(f"(?<={re.escape(each[0])})(?={insert}*{re.escape(each[1:])})" for each in markers)

    def apply(self, text: str) -> str:
        """The text with every marker in it broken."""
        return text if self._pattern is None else self._pattern.sub(self.insert, text)

    def apply_inside(self, value: Json) -> Json:
        """The value with every marker in its strings broken, keys too."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self.apply(value)
        if isinstance(value, list):
            return [self.apply_inside(each) for each in value]
        if isinstance(value, dict):
            return {self.apply(key): self.apply_inside(each) for key, each in value.items()}
        return value

    def restorer(self, *, as_json: bool = False) -> Restorer:
        """A filter that takes the character out again; `as_json` for text inside JSON strings."""
        markers = [quoted(each)[1:-1] for each in self.markers] if as_json else list(self.markers)
        return Restorer(markers, self.insert)


def _both_ways(markers: Sequence[str]) -> tuple[str, ...]:
    """The markers, as they are and inside a JSON string, the longest first."""
    every = {*markers, *(quoted(each)[1:-1] for each in markers)}
    return tuple(sorted(every, key=lambda each: (-len(each), each)))


class Restorer:
    """Takes out the inserted character, whatever the cut of the text.

    State    `held` begins with inserted characters whose marker is not complete; `last` is the character before it.
    """

    __slots__ = ("_tails", "held", "insert", "last")

    def __init__(self, markers: Sequence[str], insert: str) -> None:
        self.insert = insert
        self._tails: dict[str, list[str]] = {}
        for each in markers:
            self._tails.setdefault(each[0], []).append(each[1:])
        self.held = ""
        self.last = ""

    def feed(self, text: str) -> str:
        """The text that is certain so far."""
        if not self.held and (not self.insert or self.insert not in text):
            self.last = text[-1:] or self.last
            return text
        return self._work(self.held + text, is_over=False)

    def flush(self) -> str:
        """What was held back at the end."""
        return self._work(self.held, is_over=True) if self.held else ""

    def _work(self, text: str, *, is_over: bool) -> str:
        parts: list[str] = []
        at = 0
        self.held = ""
        while (found := text.find(self.insert, at)) >= 0:
            after = found
            while text.startswith(self.insert, after):
                after += 1
            before = text[found - 1] if found else self.last
            verdict = self._is_marker(before, text, after, is_over)
            if verdict is None:
                parts.append(text[at:found])
                self.held = text[found:]
                break
            parts.append(text[at : after - 1] if verdict else text[at:after])
            at = after
        else:
            parts.append(text[at:])
        made = "".join(parts)
        self.last = made[-1:] or self.last
        return made

    def _is_marker(self, before: str, text: str, after: int, is_over: bool) -> bool | None:
        """Whether a marker's rest stands at `after`; None if that is not certain yet."""
        rest = text[after:]
        is_open = False
        for tail in self._tails.get(before, ()):
            if text.startswith(tail, after):
                return True
            is_open = is_open or tail.startswith(rest)
        return None if is_open and not is_over else False
