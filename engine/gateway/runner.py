"""The driver of an exchange: the generator says what to ask or how long to wait, this does it (STYLE B3)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from engine.errors import EngineError, UpstreamError
from engine.translate.wire import Exchange, Pause, UpstreamReply, UpstreamRequest

Result = TypeVar("Result")
Send = Callable[[UpstreamRequest], Awaitable[UpstreamReply]]


async def run_exchange(
    exchange: Exchange[Result], send: Send, undo: Callable[[UpstreamRequest], None] | None = None
) -> Result:
    """Run an exchange to its end and return what it returns.

    A failure of `send` is thrown into the exchange, so that it may clean up or try another way; by default it passes
    through. Cancelling the task that runs this closes the exchange and the call that is under way. Then, and when the
    exchange fails, what earlier calls began upstream is handed to `undo`.
    """
    asked: UpstreamRequest | Pause | None = None
    try:
        asked = next(exchange)
        while True:
            try:
                answer = await _answer(asked, send)
            except UpstreamError as failure:
                asked = exchange.throw(failure)
            else:
                asked = exchange.send(answer)
    except StopIteration as end:
        result: Result = end.value
        return result
    except (asyncio.CancelledError, EngineError):
        if undo is not None and asked is not None and asked.undo is not None:
            undo(asked.undo)
        raise
    finally:
        exchange.close()


async def _answer(asked: UpstreamRequest | Pause, send: Send) -> UpstreamReply | float:
    if isinstance(asked, UpstreamRequest):
        return await send(asked)
    await asyncio.sleep(asked.seconds)
    return asyncio.get_running_loop().time()
