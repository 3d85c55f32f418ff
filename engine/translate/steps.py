"""Endpoints of several calls: create, poll until it is done, fetch (LANGUAGE 3.6, `steps`).

An endpoint of one call is the case of no step before the last. What a step answered is `step.NAME` in the trees of the
calls behind it and in `response`: `{res, http}`, or a list of `{item, res, http}` for a step with `each`.
"""

from __future__ import annotations

from dataclasses import replace

from engine.errors import EngineError, ErrorInfo, UpstreamError
from engine.translate.calls import build_call, run
from engine.translate.exchange import reply_scope
from engine.translate.plan import Codec, StepPlan
from engine.translate.wire import Exchange, Target, UpstreamReply, UpstreamRequest, ask, pause
from engine.types import JsonObject, Scope


def first_calls(target: Target, scope: Scope, codec: Codec) -> Exchange[UpstreamRequest]:
    """Make every call but the last, note the answers in `scope`, and return the last call's request."""
    plan = target.plan
    undo: UpstreamRequest | None = None
    scope["step"] = {}
    for step in plan.steps[:-1]:
        if step.when is not None and not run(step.when, scope, target, "request"):
            continue
        made = yield from _step(target, step, scope, codec, undo)
        scope["step"] = {**scope["step"], step.name: made}
        undo = _undo(target, step, scope, codec) or undo
    call = plan.stream_call if plan.stream_call is not None and scope["ctx"]["stream"] else plan.call
    return replace(build_call(target, call, scope, codec), undo=undo)


def last_call(target: Target, request: UpstreamRequest, scope: Scope, codec: Codec) -> Exchange[UpstreamReply]:
    """Make the last call, again and again where it polls, and return its answer."""
    step = target.plan.steps[-1] if target.plan.steps else None
    if step is None or step.until is None:
        return (yield from ask(request))
    reply, _ = yield from _polled(target, step, request, scope, codec)
    return reply


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
    request = replace(build_call(target, step.call, scope, codec), undo=undo)
    _, seen = yield from _polled(target, step, request, scope, codec)
    return {"res": seen["res"], "http": seen["http"]}


def _polled(
    target: Target, step: StepPlan, request: UpstreamRequest, scope: Scope, codec: Codec
) -> Exchange[tuple[UpstreamReply, Scope]]:
    """One call, repeated until its condition holds. Raises UpstreamError for a failure, and when time is up."""
    ends: float | None = None
    while True:
        reply = yield from ask(request)
        seen = reply_scope(target, scope, reply, codec)
        if step.until is None or run(step.until, seen, target, "reply"):
            return reply, seen
        now = yield from pause(step.every_s, request.undo)
        ends = now - step.every_s + step.for_s if ends is None else ends
        if now >= ends:
            yield from _undone(request.undo)
            raise UpstreamError(
                ErrorInfo(
                    "timeout", f"The upstream was not done after {step.for_s:g} s.", code="upstream_poll_timeout"
                ),
                detail=f"steps.{step.name}.for_s",
            )


def _undo(target: Target, step: StepPlan, scope: Scope, codec: Codec) -> UpstreamRequest | None:
    """The call that stops what this step began, where its answer holds what the call needs."""
    if step.on_cancel is None:
        return None
    try:
        return build_call(target, step.on_cancel, scope, codec)
    except EngineError:
        return None


def _undone(undo: UpstreamRequest | None) -> Exchange[None]:
    """Stop what was begun; that this fails, too, changes nothing for the client."""
    if undo is None:
        return
    try:
        yield from ask(undo)
    except UpstreamError:
        return
