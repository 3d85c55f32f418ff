"""Endpoints of several calls: create, poll until it is done, fetch (LANGUAGE 3.6, `steps`).

An endpoint of one call is the case of no step before the last. What a step answered is `step.NAME` in the trees of the
calls behind it and in `response`: `{res, http}`, or a list of `{item, res, http}` for a step with `each`.
"""

from __future__ import annotations

from dataclasses import replace
from math import isfinite
from typing import Final

from engine.errors import EngineError, ErrorInfo, UpstreamError
from engine.translate.calls import build_call, run
from engine.translate.exchange import reply_scope
from engine.translate.plan import Codec, StepPlan
from engine.translate.received import received
from engine.translate.wire import Exchange, Target, UpstreamReply, UpstreamRequest, ask, pause
from engine.types import Json, JsonObject, Scope

SHORTEST_INTERVAL_S: Final = 0.05
USUAL_INTERVAL_S: Final = 1.0
LONGEST_WAIT_S: Final = 600.0
"""The bounds of what a mapping may make of an answer: no storm of calls, and no wait for ever."""

_SHORTEST_REST_S: Final = 0.001


def first_calls(target: Target, scope: Scope, codec: Codec) -> Exchange[UpstreamRequest]:
    """Make every call but the last, note the answers in `scope`, and return the last call's request."""
    plan = target.plan
    undo: UpstreamRequest | None = None
    scope["step"] = {}
    for step in plan.steps[:-1]:
        if step.when is not None and not run(step.when, scope, target, "request"):
            continue
        yield from _waited(target, step, scope, undo)
        made = yield from _step(target, step, scope, codec, undo)
        scope["step"] = {**scope["step"], step.name: made}
        undo = _undo(target, step, scope, codec) or undo
    last = plan.steps[-1] if plan.steps else StepPlan("", plan.call)
    yield from _waited(target, last, scope, undo)
    call = plan.stream_call if plan.stream_call is not None and scope["ctx"]["stream"] else plan.call
    return replace(build_call(target, call, scope, codec), undo=undo, step=last.name)


def last_call(target: Target, request: UpstreamRequest, scope: Scope, codec: Codec) -> Exchange[UpstreamReply]:
    """Make the last call, again and again where it polls, and return its answer."""
    step = target.plan.steps[-1] if target.plan.steps else None
    if step is None or step.until is None:
        return (yield from ask(request))
    reply, _ = yield from _polled(target, step, request, scope, codec)
    return reply


def _waited(target: Target, step: StepPlan, scope: Scope, undo: UpstreamRequest | None) -> Exchange[None]:
    """Wait before the first call of a step, where it says so."""
    if step.wait_s is None:
        return
    seconds = _seconds(run(step.wait_s, scope, target, "request"))
    if seconds is not None and seconds > 0:
        yield from pause(min(seconds, LONGEST_WAIT_S), undo)


def _seconds(value: Json) -> float | None:
    """Seconds that a tree gave; None where it gave none."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    return float(value) if is_number else None


def _step(
    target: Target, step: StepPlan, scope: Scope, codec: Codec, undo: UpstreamRequest | None
) -> Exchange[JsonObject | list[JsonObject]]:
    if step.each is None:
        return (yield from _answered(target, step, scope, codec, undo))
    items = run(step.each, scope, target, "request")
    made = []
    for item in items if isinstance(items, list) else []:
        answer = yield from _answered(target, step, {**scope, step.item: item}, codec, undo)
        made.append({"item": item, **answer})
    return made


def _answered(
    target: Target, step: StepPlan, scope: Scope, codec: Codec, undo: UpstreamRequest | None
) -> Exchange[JsonObject]:
    request = replace(build_call(target, step.call, scope, codec), undo=undo, step=step.name)
    _, seen = yield from _polled(target, step, request, scope, codec)
    return {"res": seen["res"], "http": seen["http"]}


def _polled(
    target: Target, step: StepPlan, request: UpstreamRequest, scope: Scope, codec: Codec
) -> Exchange[tuple[UpstreamReply, Scope]]:
    """One call, repeated until its condition holds. Raises UpstreamError for a failure, and when time is up."""
    ends, left = None, step.for_s
    while True:
        reply = yield from ask(request)
        seen, _ = received(target, scope, reply, codec)
        if step.again is None or not run(step.again, seen, target, "reply"):
            seen = reply_scope(target, scope, reply, codec)
            if step.until is None or run(step.until, seen, target, "reply"):
                return reply, seen
        seconds = min(_interval(target, step, seen), left)
        now = yield from pause(seconds, request.undo)
        ends = now - seconds + step.for_s if ends is None else ends
        left = ends - now
        if left < _SHORTEST_REST_S:
            raise UpstreamError(
                ErrorInfo(
                    "timeout", f"The upstream was not done after {step.for_s:g} s.", code="upstream_poll_timeout"
                ),
                detail=f"steps.{step.name}.for_s",
            )


def _interval(target: Target, step: StepPlan, seen: Scope) -> float:
    """The seconds until the next call: what the mapping says of this answer, within bounds."""
    given = _seconds(run(step.every_s, seen, target, "reply")) if step.every_s is not None else None
    return USUAL_INTERVAL_S if given is None else max(SHORTEST_INTERVAL_S, min(given, LONGEST_WAIT_S))


def _undo(target: Target, step: StepPlan, scope: Scope, codec: Codec) -> UpstreamRequest | None:
    """The call that stops what this step began, where its answer holds what the call needs."""
    if step.on_cancel is None:
        return None
    try:
        return build_call(target, step.on_cancel, scope, codec)
    except EngineError:
        return None
