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

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from engine.translate.tools.attempt import MAX_ARGUMENT_CHARS, MAX_HELD_CHARS, Attempt
from engine.translate.tools.heads import match_tokens
from engine.translate.tools.json_payload import read_args, read_json
from engine.translate.tools.jsontext import JsonText, discard
from engine.translate.tools.ledger import Ledger
from engine.translate.tools.literals_payload import read_braced, read_python
from engine.translate.tools.params_payload import read_params
from engine.translate.tools.pieces import Piece, Span, TextPiece
from engine.translate.tools.plan import CallRule, Region, Section, Tokens, ToolformatPlan
from engine.translate.tools.schema import Parameters
from engine.translate.tools.source import NotACall, Source, Wait
from engine.translate.tools.tables import FENCE, Opening, tables_of
from engine.types import Json, JsonObject

__all__ = ["ToolReader", "offered_tools"]

SPACES: Final = " \t\r\n"
_MAX_HELD_SPACE: Final = 4096
_MAX_EXTRA_CLOSERS: Final = 16
_FENCE_CHARS: Final = 40
_FENCE: Final = re.compile(r"```[\w+-]*[ \t]*\r?\n")
_FENCE_BEGINS: Final = re.compile(r"```[\w+-]*[ \t]*\r?")
_PAYLOADS: Final[Mapping[str, Callable[[Attempt, int], Wait[int]]]] = {
    "json": read_json,
    "args": read_args,
    "params": read_params,
    "python": read_python,
    "braced": read_braced,
}


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
        self._offered = offered_tools(tools)
        self._source = Source()
        self._ledger = Ledger(self._source, self._tables, parallel=parallel)
        self._at = 0
        self._is_seeking = False
        self._is_after_call = False
        self._section: ToolformatPlan | None = None
        self._fence_is_open = False
        self._owed: set[str] = set()
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
        if self._is_seeking and not text[-1].isspace() and self._gate(text) is None and not ledger.holds_text:
            return self._feed_plain(text)
        source.feed(text)
        next(self._parser, None)
        return ledger.take(is_over=False)

    def _feed_plain(self, text: str) -> list[Piece]:
        """Text in which nothing can begin, behind white space at most: no parser needs to look at it."""
        source, ledger = self._source, self._ledger
        if self._is_after_call or not ledger.keeps_text:
            source.feed(text)
            next(self._parser, None)
            return ledger.take(is_over=False)
        whole = source.text[ledger.done - source.base :] + text
        ledger.plain(whole)
        source.text = ""
        source.end = source.base = source.floor = self._at = ledger.done
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
            if not (yield from self._try(self._at)):
                self._source.pin = -1
                self._at += 1
        if self._is_after_call:
            self._ledger.account("markup", self._source.end)
        self._ledger.text_until(self._source.end)

    def _seek(self) -> Wait[bool]:
        """Let text flow up to the next place where something may begin; False at the end."""
        source = self._source
        while True:
            found = self._gate(source.text, self._at - source.base)
            if found is not None:
                self._at = source.base + found.start()
                self._flow(self._at)
                return True
            self._at = source.end
            self._flow(source.end)
            self._is_seeking = True
            there_is_more = yield from source.more(self._ledger.done)
            self._is_seeking = False
            if not there_is_more:
                return False

    def _flow(self, upto: int) -> None:
        """Give out text, but for white space at its end: a call may follow."""
        start = self._ledger.done
        text = self._source.cut(start, upto)
        kept = text.rstrip(SPACES)
        if kept:
            self._text(start + len(kept))
        elif not self._is_after_call and len(text) > _MAX_HELD_SPACE:
            self._ledger.text_until(upto - _MAX_HELD_SPACE)

    def _text(self, upto: int) -> None:
        """Give out text. White space behind a call is markup, but stays where text came before the call as well."""
        if self._is_after_call:
            self._is_after_call = False
            text = self._before(upto)
            if not self._ledger.has_text:
                self._ledger.account("markup", self._ledger.done + len(text) - len(text.lstrip(SPACES)))
        self._ledger.text_until(upto)

    # -- openings

    def _try(self, at: int) -> Wait[bool]:
        for opening in self._tables.openings.get(self._source.char(at), ()):
            self._source.pin = self._ledger.done
            if (yield from self._OPENINGS[opening.kind](self, opening, at)):
                self._source.pin = -1
                return True
        return False

    def _try_fence(self, opening: Opening, at: int) -> Wait[bool]:
        """A Markdown fence around just a call goes with it."""
        if not self._is_at_line(at):
            return False
        place = yield from self._behind_fence(at)
        if place < 0:
            return False
        place = yield from self._source.space(place)
        was_open, self._fence_is_open = self._fence_is_open, True
        if (yield from self._try_section(opening, place)):
            return True
        for rule in opening.plan.read.calls:
            if rule.heads and (yield from self._try_rule(opening.plan, rule, place)):
                return True
        self._fence_is_open = was_open
        return False

    def _behind_fence(self, at: int) -> Wait[int]:
        """Where the line after an opening fence begins, or -1."""
        while True:
            window = self._source.cut(at, min(at + _FENCE_CHARS, self._source.end))
            found = _FENCE.match(window)
            if found is not None:
                return at + found.end()
            is_open = window == FENCE[: len(window)] or _FENCE_BEGINS.fullmatch(window) is not None
            if not is_open or len(window) == _FENCE_CHARS or not (yield from self._source.more(at)):
                return -1

    def _try_section(self, opening: Opening, at: int) -> Wait[bool]:
        plan, section = opening.plan, opening.plan.read.section
        if section is None or (found := (yield from self._source.literal(at, section.open))) is None:
            return False
        place = yield from self._source.space(at + len(found))
        before = self._section
        self._section = plan
        for rule in plan.read.calls:
            if (yield from self._try_rule(plan, rule, place)):
                self._owed.update(section.close)
                return True
        self._section = before
        self._ledger.note("near_miss", plan.id, f"at {at}: no call follows {found}")
        return False

    def _try_head(self, opening: Opening, at: int) -> Wait[bool]:
        plan, rule = opening.plan, opening.rule
        assert rule is not None
        section: Section | None = plan.read.section
        if section is not None and not section.optional and self._section is not plan:
            return False
        return (yield from self._try_rule(plan, rule, at))

    def _try_rule(self, plan: ToolformatPlan, rule: CallRule, at: int) -> Wait[bool]:
        """Try every head of a rule at a place."""
        if not self._is_anchored(rule.anchor, at):
            return False
        for head in rule.heads:
            if (yield from self._try_call(plan, rule, head, at)):
                return True
        return False

    def _try_bare(self, opening: Opening, at: int) -> Wait[bool]:
        """A payload without markers; if it is none, nothing inside the value it stands in is one either."""
        plan, rule = opening.plan, opening.rule
        assert rule is not None
        if not self._is_anchored(rule.anchor, at):
            return False
        if (yield from self._try_call(plan, rule, (), at)):
            return True
        self._source.pin = -1
        self._text(at)
        yield from self._pass_value(at)
        return True

    def _pass_value(self, at: int) -> Wait[None]:
        """Let one JSON value flow as text, as far as it is JSON."""
        parser = JsonText(self._source).value(at, discard)
        while True:
            try:
                next(parser)
            except StopIteration as stop:
                end = stop.value
                break
            except NotACall as failure:
                end = failure.at
                break
            self._ledger.text_until(self._source.floor)
            yield
        self._at = min(max(end, at + 1), self._source.end)
        self._ledger.text_until(self._at)

    def _is_anchored(self, anchor: str, at: int) -> bool:
        if anchor == "line":
            return self._is_at_line(at)
        return anchor != "start" or (self._ledger.is_blank and not self._before(at).strip())

    def _is_at_line(self, at: int) -> bool:
        _, newline, last = self._before(at).rpartition("\n")
        return (bool(newline) or self._ledger.is_line_start) and not last.strip()

    def _before(self, at: int) -> str:
        return self._source.cut(self._ledger.done, at)

    # -- calls

    def _try_call(self, plan: ToolformatPlan, rule: CallRule, head: Tokens, at: int) -> Wait[bool]:
        """Try one way of writing calls; True when at least one was read (or begun)."""
        found = yield from match_tokens(self._source, at, head)
        if found is None:
            return False
        attempt = Attempt(self._ledger, plan, rule, self._offered, self._ledger.calls)
        place, attempt.captured = found
        try:
            end = yield from _held(attempt, _PAYLOADS[rule.payload.kind](attempt, place))
            yield from self._check_whole(attempt, end)
            attempt.commit()
        except NotACall as failure:
            if not attempt.is_committed:
                self._ledger.note("near_miss", attempt.label, f"at {at}: {failure.reason}")
                return False
            end = yield from self._recover(attempt, failure)
        self._is_after_call = True
        self._ledger.account("call", end, attempt.label)
        end = yield from self._closes(attempt, end)
        yield from self._after(plan, end)
        return True

    def _check_whole(self, attempt: Attempt, end: int) -> Wait[None]:
        """What has no markers must stand by itself: nothing but white space up to the end of its line."""
        if end - attempt.start > MAX_HELD_CHARS and not attempt.is_committed:
            raise NotACall("it is too long", end)
        if not attempt.rule.bare or attempt.rule.close:
            return
        after = yield from self._source.space(end)
        if not self._source.char(after) or "\n" in self._source.cut(end, after):
            return
        if (yield from self._source.literal(after, attempt.plan.read.drop)) is None:
            raise NotACall("text follows it on the same line", end)

    def _recover(self, attempt: Attempt, failure: NotACall) -> Wait[int]:
        """A committed call is damaged: it keeps what it has; what is left of it, up to its end marker, is dropped."""
        source, ledger = self._source, self._ledger
        at = max(failure.at, ledger.done)
        is_end = source.is_over and at >= source.end
        cut = is_end and source.is_cut
        ledger.note("damaged", attempt.label, "the answer was cut inside the call" if cut else failure.reason)
        was_open = attempt.is_open
        if was_open:
            attempt.end(at)
        source.pin = ledger.done
        place = at if is_end else (yield from self._end_marker(attempt, at))
        if was_open or not source.cut(ledger.done, place).strip(",]}" + SPACES):
            ledger.account("dropped" if was_open else "markup", place, attempt.label)
        else:
            ledger.text_until(place)
        return place

    def _end_marker(self, attempt: Attempt, at: int) -> Wait[int]:
        """The place of the next end marker, or `at` if there is none near."""
        scan = at
        while attempt.rule.ends:
            place, found = self._source.nearest(at, attempt.rule.ends, scan)
            if found:
                return place
            scan = place
            if place - at > MAX_ARGUMENT_CHARS or not (yield from self._source.more(at)):
                break
        return at

    def _closes(self, attempt: Attempt, at: int) -> Wait[int]:
        """Step over the end markers, as far as they are there; one that is missing is swallowed if it comes later."""
        source, ledger = self._source, self._ledger
        for spellings in attempt.rule.close:
            source.pin = ledger.done
            place = yield from source.space(at)
            place = yield from self._extra(attempt, place, spellings)
            found = yield from source.literal(place, spellings)
            if found is None:
                self._owed.update(spellings)
                continue
            self._owed.difference_update(spellings)
            at = place + len(found)
            ledger.account("markup", at, attempt.label)
        return at

    def _extra(self, attempt: Attempt, at: int, spellings: tuple[str, ...]) -> Wait[int]:
        """Step over closing brackets too many, if the end marker follows them."""
        source = self._source
        if "extra_closers" not in attempt.repairs or source.char(at) not in ("}", "]"):
            return at
        place = at
        while source.char(place) in ("}", "]") and source.char(place) and place - at < _MAX_EXTRA_CLOSERS:
            place = yield from source.space(place + 1)
        if (yield from source.literal(place, spellings)) is None:
            return at
        attempt.repaired("extra_closers")
        self._ledger.account("dropped", place, attempt.label)
        return place

    def _after(self, plan: ToolformatPlan, at: int) -> Wait[None]:
        """Right after a call: end markers are swallowed, also stray ones, and the end of its fence."""
        source, ledger = self._source, self._ledger
        section = plan.read.section
        while True:
            source.pin = ledger.done
            place = yield from source.space(at)
            found = yield from source.literal(place, self._ends_after(plan))
            if found is None:
                break
            if found == FENCE:
                self._fence_is_open = False
            elif section is not None and found in section.close:
                self._section = None
                self._owed.difference_update(section.close)
            self._owed.discard(found)
            at = place + len(found)
            ledger.account("markup", at, plan.id)
        self._at = at

    def _ends_after(self, plan: ToolformatPlan) -> tuple[str, ...]:
        return (*plan.read.orphans, FENCE) if self._fence_is_open else plan.read.orphans

    # -- what is not a call

    def _try_owed(self, opening: Opening, at: int) -> Wait[bool]:
        """An end marker that a call still lacks, or that closes a section: swallowed once."""
        owed = tuple(each for each in opening.plan.read.orphans if each in self._owed)
        found = (yield from self._source.literal(at, owed)) if owed else None
        if found is None:
            return False
        self._owed.discard(found)
        section = opening.plan.read.section
        if section is not None and found in section.close:
            self._owed.difference_update(section.close)
            self._section = None
        self._at = at + len(found)
        self._ledger.account("markup", self._at, opening.plan.id)
        return True

    def _try_drop(self, opening: Opening, at: int) -> Wait[bool]:
        """A stray token goes out of the text."""
        found = yield from self._source.literal(at, opening.plan.read.drop)
        if found is None:
            return False
        if not self._is_after_call:
            self._ledger.text_until(at)
        self._at = at + len(found)
        self._ledger.account("dropped", self._at, opening.plan.id)
        return True

    def _try_region(self, opening: Opening, at: int) -> Wait[bool]:
        """A stretch that is never searched: it flows as text or reasoning up to its end."""
        plan, region = opening.plan, opening.region
        assert region is not None
        if not self._is_anchored(region.anchor, at):
            return False
        found = yield from self._source.literal(at, region.open)
        if found is None:
            return False
        self._source.pin = -1
        label = f"{plan.id}.{region.name}"
        if region.kind == "verbatim":
            self._text(at + len(found))
        else:
            self._ledger.account("markup", at + len(found), label)
        yield from self._region_body(region, label, at + len(found))
        self._at = self._ledger.done
        return True

    def _region_body(self, region: Region, label: str, at: int) -> Wait[None]:
        source, ledger = self._source, self._ledger
        while True:
            place, found = source.nearest(at, region.close, at)
            if region.kind == "reasoning":
                ledger.reasoning_until(place, label)
            elif place > ledger.done:
                self._text(place)
            if found or not (yield from source.more(place)):
                break
            at = place
        if found and not region.keeps_close:
            if region.kind == "verbatim":
                ledger.text_until(place + len(found))
            else:
                ledger.account("markup", place + len(found), label)

    _OPENINGS: Final[Mapping[str, Callable[[ToolReader, Opening, int], Wait[bool]]]] = {
        "fence": _try_fence,
        "section": _try_section,
        "head": _try_head,
        "bare": _try_bare,
        "region": _try_region,
        "drop": _try_drop,
        "owed": _try_owed,
    }


def _held(attempt: Attempt, parser: Wait[int]) -> Wait[int]:
    """Run a payload's parser, unless too much text waits for its decision."""
    source = attempt.source
    while True:
        try:
            next(parser)
        except StopIteration as stop:
            end: int = stop.value
            return end
        if not attempt.is_committed and source.end - attempt.start > MAX_HELD_CHARS:
            parser.close()
            raise NotACall("too much text waits for its end", source.end)
        yield
