"""The calls of an endpoint with several, driven by the answers that stand in a case."""

from __future__ import annotations

from dataclasses import replace

from engine.translate.plan import Codec
from engine.translate.steps import first_calls, last_call
from engine.translate.wire import Exchange, Pause, Result, Target, UpstreamReply, UpstreamRequest
from engine.types import Scope


class TooFewRepliesError(ValueError):
    """A case does not give as many answers as there are calls."""

    def __init__(self, number: int, asked: UpstreamRequest) -> None:
        super().__init__(f"given.replies has no answer for call {number}, {asked.method} {asked.url}")


def conversation(
    target: Target,
    scope: Scope,
    replies: list[UpstreamReply],
    codec: Codec,
    calls: list[UpstreamRequest],
    *,
    streams: bool,
) -> UpstreamReply | None:
    """Make all calls of a chat and answer them in turn; the last answer is returned, what was called is in `calls`.

    Where the answer `streams` the last call is not answered, and None is returned for it. Raises
    TooFewRepliesError when the answers do not suffice.
    """
    request = _driven(first_calls(target, scope, codec), replies, calls)
    if streams:
        calls.append(replace(request, undo=None))
        return None
    return _driven(last_call(target, request, scope, codec), replies, calls)


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
                raise TooFewRepliesError(len(calls), asked)
            asked = exchange.send(replies[len(calls) - 1])
    except StopIteration as end:
        result: Result = end.value
        return result
    finally:
        exchange.close()
