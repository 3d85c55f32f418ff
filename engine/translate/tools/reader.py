"""Take tool calls out of a model's text, whole or streamed: one parser for both (DESIGN 8, DECISIONS 3).

Theory of operation. Text flows until a character comes with which a marker may begin. There every opening of every
format is tried in order; each is a parser that waits for more text (`source.Wait`) and may fail, and then the text is
text: one character is given out and the search goes on right behind it. A decision is only made when no later text can
change it, so any cut of the text gives the same result. Held back is white space that may belong to a call, what may be
the beginning of a marker, and a call up to its commit point.

State    SEEK -> (an opening) -> CALL -> AFTER -> SEEK; `ledger.done` is the place up to which all is accounted for.
Limits   64 calls, 256 Ki characters of arguments each, 512 Ki characters held for a decision.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.translate.tools.ledger import Ledger
from engine.translate.tools.openings import OPENINGS
from engine.translate.tools.pieces import Piece, Span, TextPiece
from engine.translate.tools.plan import ToolformatPlan
from engine.translate.tools.schema import Parameters
from engine.translate.tools.source import Source, Wait
from engine.translate.tools.state import SPACES, State
from engine.translate.tools.tables import tables_of
from engine.types import Json, JsonObject

__all__ = ["ToolReader", "offered_tools"]


def offered_tools(tools: Sequence[JsonObject]) -> dict[str, Parameters]:
    """The parameters of each tool of a canonical request, by name."""
    found: dict[str, Parameters] = {}
    for tool in tools:
        inner: Json = tool.get("function") or tool.get("custom")
        if isinstance(inner, dict) and isinstance(inner.get("name"), str):
            found[inner["name"]] = Parameters(inner.get("parameters"))
    return found


class ToolReader:
    """Reads one answer. Only names of `tools` (canonical) count; with `parallel` false only the first call does."""

    def __init__(self, plans: Sequence[ToolformatPlan], tools: Sequence[JsonObject], *, parallel: bool = True) -> None:
        self._tables = tables_of(tuple(plans))
        self._gate = self._tables.gate.search
        self._source = Source()
        self._ledger = Ledger(self._source, self._tables, parallel=parallel)
        self._state = State(self._source, self._ledger, offered_tools(tools))
        self._is_seeking = False
        self._parser = self._run()
        next(self._parser)

    @property
    def spans(self) -> list[Span]:
        """What every character read so far was taken for: each exactly once, in order."""
        return self._ledger.spans

    def feed(self, text: str) -> list[Piece]:
        """Read more text: what is certain now."""
        if not text:
            return []
        source, ledger = self._source, self._ledger
        if self._is_seeking and self._gate(text) is None and not (ledger.is_holding or self._state.is_after_call):
            kept = text.rstrip(SPACES)
            if kept and ledger.keeps_text:
                return self._feed_plain(text, kept)
        source.feed(text)
        next(self._parser, None)
        return ledger.take(is_over=False)

    def _feed_plain(self, text: str, kept: str) -> list[Piece]:
        """Text in which nothing can begin: no parser needs to look at it. White space at its end is held."""
        source, ledger = self._source, self._ledger
        held = source.end - ledger.done
        whole = source.text[-held:] + kept if held else kept
        ledger.plain(whole)
        source.text = text[len(kept) :]
        source.base = source.floor = ledger.done
        source.end = self._state.at = ledger.done + len(source.text)
        return [TextPiece(whole)]

    def finish(self, *, cut: bool = False) -> list[Piece]:
        """The text is over: all that is left. `cut` says that the answer hit its length limit."""
        if not self._source.is_over:
            self._source.is_over, self._source.is_cut = True, cut
            next(self._parser, None)
        return self._ledger.take(is_over=True)

    # -- seeking

    def _run(self) -> Wait[None]:
        yield
        while (yield from self._seek()):
            if not (yield from self._try(self._state.at)):
                self._source.pin = -1
                self._state.at += 1
        if self._state.is_after_call:
            self._ledger.account("markup", self._source.end)
        self._ledger.text_until(self._source.end)

    def _seek(self) -> Wait[bool]:
        """Let text flow up to the next place where something may begin; False at the end."""
        source = self._source
        while True:
            found = self._gate(source.text, self._state.at - source.base)
            if found is not None:
                self._state.at = source.base + found.start()
                self._state.flow(self._state.at)
                return True
            self._state.at = source.end
            self._state.flow(source.end)
            self._is_seeking = True
            there_is_more = yield from source.more(self._ledger.done)
            self._is_seeking = False
            if not there_is_more:
                return False

    def _try(self, at: int) -> Wait[bool]:
        for opening in self._tables.openings.get(self._source.char(at), ()):
            self._source.pin = self._ledger.done
            if (yield from OPENINGS[opening.kind](self._state, opening, at)):
                self._source.pin = -1
                return True
        return False
