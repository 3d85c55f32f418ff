"""What is wrong in a mapping, and where: marks, diagnostics, and the collector that every check writes into.

Checks never raise: they add to a `Problems` and go on, so that an author sees everything at once.
How diagnostics look on paper is in `render.py`; what the codes mean in `codes.py`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from engine.language.codes import CODES


class Mark(NamedTuple):
    """A place in a file. `line` and `column` count from 1, `column` in characters (code points)."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem. `length` is the width of the underline in characters; `label` stands behind it.

    `notes` say what was found, `help` what would be right; both may hold several lines of text.
    """

    code: str
    message: str
    mark: Mark
    length: int = 1
    label: str = ""
    notes: tuple[str, ...] = ()
    help: tuple[str, ...] = ()

    @property
    def severity(self) -> str:
        """`error` or `warning`, by the code's letter (`R`, a run-time failure, is an error)."""
        return "warning" if self.code.startswith("W") else "error"


class Problems:
    """Collects diagnostics; one is passed through all checks of a load.

    State    `items` in the order of finding. A diagnostic that repeats an earlier one exactly is not added.
    """

    def __init__(self) -> None:
        self.items: list[Diagnostic] = []
        self._seen: set[Diagnostic] = set()

    def add(
        self,
        code: str,
        message: str,
        mark: Mark,
        *,
        length: int = 1,
        label: str = "",
        notes: Iterable[str] = (),
        help: Iterable[str] = (),
    ) -> None:
        """Add one diagnostic. Raises KeyError for a code that `codes.py` does not know."""
        CODES[code]
        self.keep(Diagnostic(code, message, mark, max(length, 1), label, tuple(notes), tuple(help)))

    def keep(self, found: Diagnostic) -> None:
        """Add a diagnostic that was made elsewhere."""
        if found not in self._seen:
            self._seen.add(found)
            self.items.append(found)

    def extend(self, other: Problems) -> None:
        """Take over the diagnostics of another collector."""
        for found in other.items:
            self.keep(found)

    @property
    def errors(self) -> list[Diagnostic]:
        """The diagnostics that forbid use."""
        return [item for item in self.items if item.severity == "error"]

    @property
    def warnings(self) -> list[Diagnostic]:
        """The diagnostics that do not forbid use."""
        return [item for item in self.items if item.severity == "warning"]

    def has_errors(self) -> bool:
        """Whether anything that was found forbids use."""
        return any(item.severity == "error" for item in self.items)


class Sources:
    """The text of every file that was read, so that a diagnostic can show its line."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._lines: dict[str, list[str]] = {}

    def add(self, file: str, text: str) -> None:
        """Remember the text of `file`. It is cut into lines when one is asked for."""
        self._texts[file] = text
        self._lines.pop(file, None)

    def update(self, others: Sources) -> None:
        """Remember the files of another load, too."""
        for file, text in others._texts.items():
            self.add(file, text)

    def text(self, file: str) -> str:
        """The text of `file`, or nothing if it is not known."""
        return self._texts.get(file, "")

    def line(self, file: str, number: int) -> str | None:
        """Line `number` (from 1) of `file` without its end, or None if it is not known."""
        if file not in self._lines:
            self._lines[file] = split_lines(self._texts[file]) if file in self._texts else []
        lines = self._lines[file]
        return lines[number - 1] if 0 < number <= len(lines) else None


LINE_END: Final = re.compile(r"\r\n|\n|\r")
"""What ends a line in YAML 1.2; `str.splitlines` also cuts at characters that YAML does not count."""


def split_lines(text: str) -> list[str]:
    """Cut text at LF, CR LF and CR only."""
    return LINE_END.split(text)


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that `word` is most likely a slip of, or None.

    Case does not count, nor does `-` against `_`. The order of candidates decides between equals.
    """
    known = {_folded(name): name for name in reversed(list(candidates))}
    wanted = _folded(word[:100])
    if wanted in known:
        return known[wanted]
    # 0.6 lets one slip pass in a word of three letters; a word contained in the other is the second chance
    close = difflib.get_close_matches(wanted, reversed(list(known)), n=1, cutoff=0.6)
    if close:
        return known[close[0]]
    longer = [name for name in known if len(name) > 2 and len(wanted) > 2 and (name in wanted or wanted in name)]
    return known[min(longer, key=lambda name: abs(len(name) - len(wanted)))] if longer else None


def _folded(word: str) -> str:
    return word.casefold().replace("-", "_")


def did_you_mean(word: str, candidates: Iterable[str]) -> tuple[str, ...]:
    """Help lines for an unknown word: the nearest candidate, else the list of those known here (at most 12)."""
    names = list(candidates)
    close = nearest(word, names)
    if close is not None:
        return (f"did you mean `{close}`?",)
    if not names:
        return ()
    shown = ", ".join(sorted(names)[:12])
    return (f"known here: {shown}{', …' if len(names) > 12 else ''}",)
