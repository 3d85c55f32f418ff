"""The driver of an exchange: the generator says what to ask, this asks it (STYLE B3)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import TypeVar

from engine.errors import UpstreamError
from engine.translate.wire import UpstreamReply, UpstreamRequest

Result = TypeVar("Result")
Send = Callable[[UpstreamRequest], Awaitable[UpstreamReply]]


async def run_exchange(exchange: Generator[UpstreamRequest, UpstreamReply, Result], send: Send) -> Result:
    """Run an exchange to its end and return what it returns.

    A failure of `send` is thrown into the exchange, so that it may clean up or try another way; by default it passes
    through. Cancelling the task that runs this closes the exchange and the call that is under way.
    """
    try:
        request = next(exchange)
        while True:
            try:
                reply = await send(request)
            except UpstreamError as failure:
                request = exchange.throw(failure)
            else:
                request = exchange.send(reply)
    except StopIteration as end:
        result: Result = end.value
        return result
    finally:
        exchange.close()
