"""The reader's output side: pieces in order, and spans that account for every character once.

State    `done` is the place up to which everything is accounted for; it only grows. A call is open between
         `call_begins` and `call_ends`; a call beyond the first is passed over where only one is wanted.
"""

from __future__ import annotations

from typing import Final

from engine.translate.tools.neutral import Restorer
from engine.translate.tools.pieces import (
    CallArguments,
    CallEnd,
    CallStart,
    Note,
    Piece,
    ReasoningPiece,
    Span,
    TextPiece,
)
from engine.translate.tools.plan import ToolformatPlan
from engine.translate.tools.source import Source
from engine.translate.tools.tables import Tables

_MAX_NEAR_MISSES: Final = 32


class Ledger:
    """Collects what is read."""

    def __init__(self, source: Source, tables: Tables, *, parallel: bool) -> None:
        self.source = source
        self.done = 0
        self.calls = 0
        self.has_text = False
        self.is_line_start = True
        self.is_blank = True
        self.keeps_text = True
        self.is_holding = False
        """Whether a filter waits for the rest of a marker."""
        self._parallel = parallel
        self._neutralisers = tables.neutralisers
        self._spans: list[tuple[str, int, str]] = []
        self._pieces: list[Piece] = []
        self._parts: list[str] = []
        self._parts_kind: type[TextPiece] | type[ReasoningPiece] = TextPiece
        self._text_filters: list[Restorer] = [each.restorer() for each in tables.neutralisers]
        self._call_filters: list[Restorer] = []
        self._arguments: list[str] = []
        self._fresh: list[str] = []
        self._streams = True
        self._is_passed_over = False
        self._near_misses = 0

    # -- spans

    @property
    def spans(self) -> list[Span]:
        """What every character so far was taken for."""
        found, start = [], 0
        for kind, end, rule in self._spans:
            found.append(Span(kind, start, end, rule))
            start = end
        return found

    def account(self, kind: str, upto: int, rule: str = "") -> None:
        """Everything up to a place is of this kind."""
        if upto <= self.done:
            return
        if kind == "call" and self._is_passed_over:
            kind = "dropped"
        if self._spans and self._spans[-1][0] == kind and self._spans[-1][2] == rule:
            self._spans[-1] = (kind, upto, rule)
        else:
            self._spans.append((kind, upto, rule))
        self.done = upto
        if kind != "text":
            self.is_line_start = True

    # -- text

    def text_until(self, upto: int) -> None:
        """Everything up to a place is text."""
        if upto <= self.done:
            return
        text = self.source.cut(self.done, upto)
        self.note_line(text)
        if not self.keeps_text and self.calls:
            self.account("dropped", upto)
            return
        self.account("text", upto)
        self.has_text = True
        self._add(text, TextPiece)

    def note_line(self, text: str) -> None:
        """Remember whether a line has just begun."""
        head, newline, last = text.rpartition("\n")
        self.is_line_start = (self.is_line_start or bool(newline)) and not last.strip()
        self.is_blank = self.is_blank and not last.strip() and not head.strip()

    def plain(self, text: str) -> None:
        """Text in which nothing can begin, on the fast path."""
        self.done = end = self.done + len(text)
        if self._spans and self._spans[-1][0] == "text":
            self._spans[-1] = ("text", end, "")
        else:
            self._spans.append(("text", end, ""))
        self.has_text = True
        self.is_line_start = self.is_blank = False
        for each in self._text_filters:
            each.last = text[-1]

    def reasoning_until(self, upto: int, rule: str) -> None:
        """Everything up to a place is reasoning."""
        if upto > self.done:
            self._add(self.source.cut(self.done, upto), ReasoningPiece)
            self.account("reasoning", upto, rule)
            self.is_blank = False

    def _add(self, text: str, kind: type[TextPiece] | type[ReasoningPiece]) -> None:
        if kind is not self._parts_kind:
            self._close_text()
            self._parts_kind = kind
        for each in self._text_filters:
            text = each.feed(text)
        self.is_holding = any(each.held for each in self._text_filters)
        if text:
            self._parts.append(text)

    def _close_text(self) -> None:
        """What the filters hold back belongs to the text before another piece."""
        self.is_holding = False
        for index, each in enumerate(self._text_filters):
            rest = each.flush()
            for later in self._text_filters[index + 1 :]:
                rest = later.feed(rest)
            if rest:
                self._parts.append(rest)
        self._flush_text()

    def _flush_text(self) -> None:
        if self._parts:
            self._pieces.append(self._parts_kind("".join(self._parts)))
            self._parts = []

    # -- calls

    def call_begins(self, name: str, identifier: str | None, plan: ToolformatPlan) -> None:
        """A call begins."""
        self._close_text()
        self._is_passed_over = self.calls > 0 and not self._parallel
        self.calls += 1
        self.is_blank = False
        self.keeps_text = plan.policy.around == "keep"
        self._arguments, self._fresh = [], []
        self._streams = plan.policy.stream_arguments != "none"
        self._call_filters = [each.restorer(as_json=True) for each in self._neutralisers]
        if self._is_passed_over:
            self.note("dropped", plan.id, f"a second call, of {name}, where one was wanted")
        else:
            self._pieces.append(CallStart(self.calls - 1, name, identifier))

    def call_grows(self, text: str) -> None:
        """More of its arguments."""
        for each in self._call_filters:
            text = each.feed(text)
        if text:
            self._arguments.append(text)
            self._fresh.append(text)

    def call_ends(self) -> None:
        """It has ended."""
        for index, each in enumerate(self._call_filters):
            rest = each.flush()
            for later in self._call_filters[index + 1 :]:
                rest = later.feed(rest)
            if rest:
                self._arguments.append(rest)
                self._fresh.append(rest)
        self._send_fresh()
        if not self._is_passed_over:
            self._pieces.append(CallEnd(self.calls - 1, "".join(self._arguments)))
        self._is_passed_over = False
        self._fresh = []

    def _send_fresh(self) -> None:
        if self._fresh and not self._is_passed_over:
            self._pieces.append(CallArguments(self.calls - 1, "".join(self._fresh)))
        self._fresh = []

    # -- reports

    def note(self, action: str, rule: str, detail: str) -> None:
        """Something to report; near misses only so many, since a text may be full of them."""
        if action == "near_miss":
            self._near_misses += 1
            if self._near_misses > _MAX_NEAR_MISSES:
                return
        self._close_text()
        if self._streams:
            self._send_fresh()
        self._pieces.append(Note(action, rule, detail))

    def take(self, *, is_over: bool) -> list[Piece]:
        """The pieces since the last time."""
        if is_over:
            self._close_text()
        else:
            self._flush_text()
        if self._fresh and self._streams:
            self._send_fresh()
        pieces, self._pieces = self._pieces, []
        return pieces
