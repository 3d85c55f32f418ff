"""Sending a streamed answer: frames as they come, signs of life in the silence, an end when nobody takes them.

One frame is under way at a time: the next is asked for when the server has taken the last (back-pressure, F46). A
single timer per answer watches the silence and the client that takes nothing, so a busy stream pays nothing for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress
from typing import Final

from starlette.types import Send

from engine.errors import ErrorInfo
from engine.gateway.call import Record
from engine.gateway.delivery import StreamReply
from engine.server.body import ClientGone

STALLED_S: Final = 60
"""How long a client may leave a frame untaken before its answer is given up."""


class Pump:
    """Sends one streamed answer. `over` is told when all of it was handed over: whoever leaves then has it."""

    def __init__(
        self,
        send: Send,
        reply: StreamReply,
        record: Record,
        show: Callable[[bytes], None],
        over: Callable[[], None],
    ) -> None:
        self._send = send
        self._over = over
        self._reply = reply
        self._record = record
        self._show = show
        self._clock = asyncio.get_running_loop().time
        self._since = self._clock()
        self._busy = False

    async def run(self, headers: Mapping[str, str]) -> None:
        """Send the answer to its end. Raises ClientGone when the client takes nothing any more."""
        fields = [(name.encode("ascii"), value.encode("latin-1", "replace")) for name, value in headers.items()]
        watch: asyncio.Task[None] | None = None
        try:
            async with asyncio.timeout(None) as stalled:
                watch = asyncio.ensure_future(self._watch(stalled))
                await self._send({"type": "http.response.start", "status": self._reply.status, "headers": fields})
                async with aclosing(self._reply.delivery.run()) as frames:
                    async for data in frames:
                        if data:
                            await self._write(data)
                self._over()  # before the end, at which a server calls every client gone
                await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            if stalled.expired():
                raise ClientGone from None
            raise
        finally:
            if watch is not None:
                watch.cancel()
                await asyncio.gather(watch, return_exceptions=True)
            await self._reply.delivery.close()

    async def break_off(self, info: ErrorInfo) -> None:
        """End an answer that cannot go on, with an error in the client's dialect."""
        last = self._reply.delivery.voice.fail(info)
        self._record.reply_bytes += len(last)
        await self._send({"type": "http.response.body", "body": last, "more_body": False})

    async def _write(self, data: bytes) -> None:
        self._record.reply_bytes += len(data)
        self._busy, self._since = True, self._clock()
        try:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})
        finally:
            self._busy, self._since = False, self._clock()
        self._show(data)

    async def _watch(self, stalled: asyncio.Timeout) -> None:
        """Signs of life in the silence, and an end where the client takes no more; a frame under way is no silence."""
        every_s = self._reply.every_s
        while True:
            left_s = self._since + (STALLED_S if self._busy else every_s) - self._clock()
            if left_s > 0:
                await asyncio.sleep(min(left_s, every_s))
            elif self._busy or not await self._beat():
                stalled.reschedule(self._clock())
                return

    async def _beat(self) -> bool:
        """A sign of life; whether the client took it."""
        beat = self._reply.delivery.voice.heartbeat()
        self._since = self._clock()
        with suppress(TimeoutError):
            async with asyncio.timeout(STALLED_S):
                if beat:
                    await self._write(beat)
            return True
        return False
