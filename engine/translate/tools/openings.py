"""What may begin at a place: a fence, a section, a call, a region, a stray token or an end marker that is owed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from engine.translate.tools.calls import try_call
from engine.translate.tools.jsontext import JsonText, discard
from engine.translate.tools.plan import CallRule, Region, Section, ToolformatPlan
from engine.translate.tools.source import NotACall, Wait
from engine.translate.tools.state import SPACES, State
from engine.translate.tools.tables import FENCE, Opening

_FENCE_CHARS: Final = 40
_FENCE: Final = re.compile(r"```[\w+-]*[ \t]*\r?\n")
_FENCE_BEGINS: Final = re.compile(r"```[\w+-]*[ \t]*\r?")


def _try_fence(state: State, opening: Opening, at: int) -> Wait[bool]:
    """A Markdown fence around just a call goes with it."""
    if not state.is_at_line(at):
        return False
    place = yield from _behind_fence(state, at)
    if place < 0:
        return False
    place = yield from state.source.space(place)
    was_open, state.fence_is_open = state.fence_is_open, True
    if (yield from _try_section(state, opening, place)):
        return True
    for rule in opening.plan.read.calls:
        if (yield from try_rule(state, opening.plan, rule, place)):
            return True
    state.fence_is_open = was_open
    return False


def _behind_fence(state: State, at: int) -> Wait[int]:
    """Where the line after an opening fence begins, or -1."""
    while True:
        window = state.source.cut(at, min(at + _FENCE_CHARS, state.source.end))
        found = _FENCE.match(window)
        if found is not None:
            return at + found.end()
        is_open = window == FENCE[: len(window)] or _FENCE_BEGINS.fullmatch(window) is not None
        if not is_open or len(window) == _FENCE_CHARS or not (yield from state.source.more(at)):
            return -1


def _try_section(state: State, opening: Opening, at: int) -> Wait[bool]:
    plan, section = opening.plan, opening.plan.read.section
    if section is None or (found := (yield from state.source.literal(at, section.open))) is None:
        return False
    place = yield from state.source.space(at + len(found))
    before = state.section
    state.section = plan
    for rule in plan.read.calls:
        if (yield from try_rule(state, plan, rule, place)):
            state.owed.update(section.close)
            return True
    state.section = before
    state.ledger.note("near_miss", plan.id, f"at {at}: no call follows {found}")
    return False


def _try_head(state: State, opening: Opening, at: int) -> Wait[bool]:
    plan, rule = opening.plan, opening.rule
    assert rule is not None
    section: Section | None = plan.read.section
    if section is not None and not section.optional and state.section is not plan:
        return False
    return (yield from try_rule(state, plan, rule, at))


def try_rule(state: State, plan: ToolformatPlan, rule: CallRule, at: int) -> Wait[bool]:
    """Try every head of a rule at a place."""
    if not state.is_anchored(rule.anchor, at):
        return False
    is_bare = bool(rule.bare) and state.source.char(at) in rule.bare
    for head in (*rule.heads, ()) if is_bare else rule.heads:
        if (yield from try_call(state, plan, rule, head, at)):
            return True
    return False


def _try_bare(state: State, opening: Opening, at: int) -> Wait[bool]:
    """A payload without markers; if it is none, nothing inside the value it stands in is one either."""
    plan, rule = opening.plan, opening.rule
    assert rule is not None
    if not state.is_anchored(rule.anchor, at):
        return False
    if (yield from try_rule(state, plan, rule, at)):
        return True
    state.source.pin = -1
    state.text(at)
    yield from _pass_value(state, at)
    return True


def _pass_value(state: State, at: int) -> Wait[None]:
    """Let one JSON value flow as text, as far as it is JSON."""
    parser = JsonText(state.source).value(at, discard)
    while True:
        try:
            next(parser)
        except StopIteration as stop:
            end = stop.value
            break
        except NotACall as failure:
            end = failure.at
            break
        state.ledger.text_until(state.source.floor)
        yield
    state.at = min(max(end, at + 1), state.source.end)
    state.ledger.text_until(state.at)


def _try_owed(state: State, opening: Opening, at: int) -> Wait[bool]:
    """An end marker that a call still lacks, or that closes a section: swallowed once."""
    owed = tuple(each for each in opening.plan.read.orphans if each in state.owed)
    found = (yield from state.source.literal(at, owed)) if owed else None
    if found is None:
        return False
    state.owed.discard(found)
    section = opening.plan.read.section
    if section is not None and found in section.close:
        state.owed.difference_update(section.close)
        state.section = None
    state.at = at + len(found)
    state.ledger.account("markup", state.at, opening.plan.id)
    return True


def _try_drop(state: State, opening: Opening, at: int) -> Wait[bool]:
    """A stray token goes out of the text."""
    found = yield from state.source.literal(at, opening.plan.read.drop)
    if found is None:
        return False
    if not state.is_after_call:
        state.ledger.text_until(at)
    state.at = at + len(found)
    state.ledger.account("dropped", state.at, opening.plan.id)
    return True


def _try_region(state: State, opening: Opening, at: int) -> Wait[bool]:
    """A stretch that is never searched: it flows as text or reasoning up to its end."""
    plan, region = opening.plan, opening.region
    assert region is not None
    if not state.is_anchored(region.anchor, at):
        return False
    found = yield from state.source.literal(at, region.open)
    if found is None:
        return False
    state.source.pin = -1
    label = f"{plan.id}.{region.name}"
    if region.kind == "verbatim":
        state.text(at + len(found))
    else:
        state.ledger.account("markup", at + len(found), label)
        state.is_after_call = state.is_after_call and region.kind != "content"
    yield from _region_body(state, region, label, at + len(found))
    state.at = state.ledger.done
    return True


def _region_body(state: State, region: Region, label: str, at: int) -> Wait[None]:
    source, ledger = state.source, state.ledger
    is_reasoning = region.kind == "reasoning"
    has_begun = False
    while True:
        place, found = source.nearest(at, region.close, at)
        if is_reasoning:
            has_begun = _reasoning(state, place, label, has_begun)
        elif place > ledger.done:
            state.text(place)
        if found or source.is_over:
            break
        yield from source.more(ledger.done)  # at the end of the text what was held as half a marker is none
        at = place
    if region.kind == "verbatim":
        ledger.text_until(place + len(found) if not region.keeps_close else place)
        return
    ledger.account("markup", place + len(found) if not region.keeps_close else place, label)
    # White space behind reasoning belongs to it, as behind a call.
    state.is_after_call = state.is_after_call or is_reasoning


def _reasoning(state: State, upto: int, label: str, has_begun: bool) -> bool:
    """Reasoning up to a place, without the white space at both its ends; whether any came by now."""
    ledger = state.ledger
    text = state.source.cut(ledger.done, upto)
    if not has_begun:
        ledger.account("markup", ledger.done + len(text) - len(text.lstrip(SPACES)), label)
        text = text.lstrip(SPACES)
    ledger.reasoning_until(ledger.done + len(text.rstrip(SPACES)), label)
    return has_begun or bool(text)


OPENINGS: Final[Mapping[str, Callable[[State, Opening, int], Wait[bool]]]] = {
    "fence": _try_fence,
    "section": _try_section,
    "head": _try_head,
    "bare": _try_bare,
    "region": _try_region,
    "drop": _try_drop,
    "owed": _try_owed,
}
"""The parser of each kind of opening: True when it took something, and then `state.at` is behind it."""
