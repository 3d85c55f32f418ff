"""Where the reader is: the state that its parts share.

State    `at` is the place of the search; text before `ledger.done` is given out, between the two is white space at
         most. `is_after_call` holds from a call to the next text; `section` is the format whose section is open;
         `owed` are end markers that are still missing.
"""

from __future__ import annotations

from typing import Final

from engine.translate.tools.ledger import Ledger
from engine.translate.tools.plan import ToolformatPlan
from engine.translate.tools.schema import Parameters
from engine.translate.tools.source import Source

SPACES: Final = " \t\r\n"
"""What belongs to the markup between text and a call."""

_MAX_HELD_SPACE: Final = 4096


class State:
    """The state of one reading."""

    def __init__(self, source: Source, ledger: Ledger, offered: dict[str, Parameters]) -> None:
        self.source = source
        self.ledger = ledger
        self.offered = offered
        self.at = 0
        self.is_after_call = False
        self.section: ToolformatPlan | None = None
        self.fence_is_open = False
        self.owed: set[str] = set()

    def flow(self, upto: int) -> None:
        """Give out text, but for white space at its end: a call may follow."""
        start = self.ledger.done
        text = self.source.cut(start, upto)
        kept = text.rstrip(SPACES)
        if kept:
            self.text(start + len(kept))
        elif not self.is_after_call and len(text) > _MAX_HELD_SPACE:
            self.ledger.text_until(upto - _MAX_HELD_SPACE)

    def text(self, upto: int) -> None:
        """Give out text. White space behind a call is markup, but stays where text came before the call as well."""
        if self.is_after_call:
            self.is_after_call = False
            text = self.before(upto)
            if not self.ledger.has_text:
                self.ledger.account("markup", self.ledger.done + len(text) - len(text.lstrip(SPACES)))
        self.ledger.text_until(upto)

    def is_anchored(self, anchor: str, at: int) -> bool:
        """Whether a place is where an anchor wants it."""
        if anchor == "line":
            return self.is_at_line(at)
        return anchor != "start" or (self.ledger.is_blank and not self.before(at).strip())

    def is_at_line(self, at: int) -> bool:
        """Whether nothing but white space stands between a place and the beginning of its line."""
        _, newline, last = self.before(at).rpartition("\n")
        return (bool(newline) or self.ledger.is_line_start) and not last.strip()

    def before(self, at: int) -> str:
        """What is held before a place."""
        return self.source.cut(self.ledger.done, at)
