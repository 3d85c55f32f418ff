"""The calls of an endpoint with several, driven by the answers that stand in a case."""

from __future__ import annotations

from dataclasses import replace

from engine.translate.plan import Codec
from engine.translate.steps import first_calls, last_call
from engine.translate.wire import Exchange, Pause, Result, Target, UpstreamReply, UpstreamRequest
from engine.types import Scope


def conversation(
    target: Target, scope: Scope, replies: list[UpstreamReply], codec: Codec, *, streams: bool
) -> tuple[UpstreamReply | None, list[UpstreamRequest]]:
    """Make all calls of a chat and answer them in turn: the last answer, and the calls that were made.

    Where the answer `streams` the last call is not answered, and None is returned for it. Raises ValueError when the
    answers do not suffice.
    """
    calls: list[UpstreamRequest] = []
    request = _driven(first_calls(target, scope, codec), replies, calls)
    if streams:
        return None, [*calls, request]
    return _driven(last_call(target, request, scope, codec), replies, calls), calls


def _driven(exchange: Exchange[Result], replies: list[UpstreamReply], calls: list[UpstreamRequest]) -> Result:
    clock = 0.0
    try:
        asked = next(exchange)
        while True:
            if isinstance(asked, Pause):
                clock += asked.seconds
                asked = exchange.send(clock)
                continue
            calls.append(replace(asked, undo=None))
            if len(calls) > len(replies):
                raise ValueError(f"given.replies has no answer for call {len(calls)}, {asked.method} {asked.url}")
            asked = exchange.send(replies[len(calls) - 1])
    except StopIteration as end:
        result: Result = end.value
        return result
    finally:
        exchange.close()
