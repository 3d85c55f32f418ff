"""Read calls at a place: head, payload, end markers, and what is left of a call that is damaged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from engine.translate.tools.attempt import MAX_ARGUMENT_CHARS, MAX_HELD_CHARS, Attempt
from engine.translate.tools.heads import match_tokens
from engine.translate.tools.json_payload import read_args, read_json
from engine.translate.tools.literals_payload import read_braced, read_python
from engine.translate.tools.params_payload import read_params
from engine.translate.tools.plan import CallRule, Tokens, ToolformatPlan
from engine.translate.tools.source import NotACall, Wait
from engine.translate.tools.state import SPACES, State
from engine.translate.tools.tables import FENCE

_MAX_EXTRA_CLOSERS: Final = 16
_PAYLOADS: Final[Mapping[str, Callable[[Attempt, int], Wait[int]]]] = {
    "json": read_json,
    "args": read_args,
    "params": read_params,
    "python": read_python,
    "braced": read_braced,
}


def try_call(state: State, plan: ToolformatPlan, rule: CallRule, head: Tokens, at: int) -> Wait[bool]:
    """Try one way of writing calls; True when at least one was read (or begun)."""
    found = yield from match_tokens(state.source, at, head)
    if found is None:
        return False
    attempt = Attempt(state.ledger, plan, rule, state.offered, state.ledger.calls)
    place, attempt.captured = found
    try:
        end = yield from _held(attempt, _PAYLOADS[rule.payload.kind](attempt, place))
        yield from _check_whole(state, attempt, end)
        attempt.commit()
    except NotACall as failure:
        if not attempt.is_committed:
            state.ledger.note("near_miss", attempt.label, f"at {at}: {failure.reason}")
            return False
        end = yield from _recover(state, attempt, failure)
    state.is_after_call = True
    state.ledger.account("call", end, attempt.label)
    end = yield from _closes(state, attempt, end)
    yield from _after(state, attempt, end)
    return True


def _check_whole(state: State, attempt: Attempt, end: int) -> Wait[None]:
    """What has no markers must stand by itself: nothing but white space up to the end of its line."""
    if end - attempt.start > MAX_HELD_CHARS and not attempt.is_committed:
        raise NotACall("it is too long", end)
    if not attempt.rule.bare or attempt.rule.close:
        return
    after = yield from state.source.space(end)
    if not state.source.char(after) or "\n" in state.source.cut(end, after):
        return
    if (yield from state.source.literal(after, attempt.plan.read.drop)) is None:
        raise NotACall("text follows it on the same line", end)


def _recover(state: State, attempt: Attempt, failure: NotACall) -> Wait[int]:
    """A committed call is damaged: it keeps what it has; what is left of it, up to its end marker, is dropped."""
    source, ledger = state.source, state.ledger
    at = max(failure.at, ledger.done)
    is_end = source.is_over and at >= source.end
    cut = is_end and source.is_cut
    ledger.note("damaged", attempt.label, "the answer was cut inside the call" if cut else failure.reason)
    was_open = attempt.is_open
    if was_open:
        attempt.end(at)
    source.pin = ledger.done
    place = at if is_end else (yield from _end_marker(state, attempt, at))
    if was_open or not source.cut(ledger.done, place).strip(",]}" + SPACES):
        ledger.account("dropped" if was_open else "markup", place, attempt.label)
    else:
        ledger.text_until(place)
    return place


def _end_marker(state: State, attempt: Attempt, at: int) -> Wait[int]:
    """The place of the next end marker, or `at` if there is none near."""
    scan = at
    while attempt.rule.ends:
        place, found = state.source.nearest(at, attempt.rule.ends, scan)
        if place - at > MAX_ARGUMENT_CHARS:
            break
        if found:
            return place
        scan = place
        if not (yield from state.source.more(at)):
            break
    return at


def _closes(state: State, attempt: Attempt, at: int) -> Wait[int]:
    """Step over the end markers, as far as they are there; one that is missing is swallowed if it comes later."""
    source, ledger = state.source, state.ledger
    for spellings in attempt.rule.close:
        source.pin = ledger.done
        place = yield from source.space(at)
        place = yield from _extra(state, attempt, place, spellings)
        found = yield from source.literal(place, spellings)
        if found is None:
            state.owed.update(spellings)
            continue
        state.owed.difference_update(spellings)
        at = place + len(found)
        ledger.account("markup", at, attempt.label)
    return at


def _extra(state: State, attempt: Attempt, at: int, spellings: tuple[str, ...]) -> Wait[int]:
    """Step over closing brackets too many, if the end marker follows them."""
    source = state.source
    if "extra_closers" not in attempt.repairs or source.char(at) not in ("}", "]"):
        return at
    place = at
    while source.char(place) in ("}", "]") and source.char(place) and place - at < _MAX_EXTRA_CLOSERS:
        place = yield from source.space(place + 1)
    if (yield from source.literal(place, spellings)) is None:
        return at
    attempt.repaired("extra_closers")
    state.ledger.account("dropped", place, attempt.label)
    return place


def _after(state: State, attempt: Attempt, at: int) -> Wait[None]:
    """Right after a call: end markers are swallowed, also stray ones, the end of its fence, and a comma before more."""
    source, ledger, plan = state.source, state.ledger, attempt.plan
    section = plan.read.section
    while True:
        source.pin = ledger.done
        place = yield from source.space(at)
        found = yield from source.literal(place, _ends_after(state, plan))
        if found is None:
            found = yield from _comma(state, attempt, place)
        if not found:
            break
        if found == FENCE:
            state.fence_is_open = False
        elif section is not None and found in section.close:
            state.section = None
            state.owed.difference_update(section.close)
        state.owed.discard(found)
        at = place + len(found)
        ledger.account("markup", at, plan.id)
    state.at = at


def _comma(state: State, attempt: Attempt, at: int) -> Wait[str]:
    """A comma or semicolon between calls, "" if none stands here."""
    char = state.source.char(at)
    if char not in (",", ";"):
        return ""
    after = yield from state.source.space(at + 1)
    found = yield from state.source.literal(after, attempt.rule.ends)
    return char if found is not None else ""


def _ends_after(state: State, plan: ToolformatPlan) -> tuple[str, ...]:
    return (*plan.read.orphans, FENCE) if state.fence_is_open else plan.read.orphans


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
