"""Signs of life before a whole JSON answer: white space, which JSON allows, for clients and proxies that lose patience.

Switched on by `heartbeat: {json: true}` of an upstream. The answer is committed with its first space, `every_s` after
the request came: whatever fails later is an error body under a status 200. An answer that is faster is untouched.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

from engine.config import HeartbeatConfig
from engine.errors import ErrorInfo
from engine.gateway.call import Record
from engine.gateway.delivery import Delivery, StreamReply
from engine.translate.wire import ClientReply

_HEADERS: Final = {"content-type": "application/json", "cache-control": "no-cache", "x-accel-buffering": "no"}


class JsonVoice:
    """Speaks before a JSON answer. `write_error` gives the body of an error in the client's dialect."""

    def __init__(self, write_error: Callable[[ErrorInfo], bytes]) -> None:
        self._write_error = write_error
        self.closed = False

    def open(self) -> bytes:
        """See `Voice.open`: the first space commits the answer."""
        return b" "

    def heartbeat(self) -> bytes:
        """See `Voice.heartbeat`."""
        return b"" if self.closed else b" "

    def fail(self, info: ErrorInfo) -> bytes:
        """See `Voice.fail`."""
        if self.closed:
            return b""
        self.closed = True
        return self._write_error(info)


async def patient(
    work: Awaitable[ClientReply | StreamReply],
    write_error: Callable[[ErrorInfo], bytes],
    record: Record,
    heartbeat: HeartbeatConfig,
) -> ClientReply | StreamReply:
    """The reply of `work` if it comes within a heartbeat, else an answer of white space and, at last, its body."""
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait((task,), timeout=heartbeat.every_s)
    except BaseException:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise
    if done:
        return task.result()
    voice = JsonVoice(write_error)
    delivery = Delivery(_body(task, voice), voice, record, Counter())
    await delivery.hold(0)
    return StreamReply(200, dict(_HEADERS), delivery, heartbeat.every_s)


async def _body(task: asyncio.Future[ClientReply | StreamReply], voice: JsonVoice) -> AsyncGenerator[bytes, None]:
    try:
        reply = await task
        if isinstance(reply, ClientReply):
            voice.closed = True
            yield reply.body
    finally:
        task.cancel()
