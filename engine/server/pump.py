"""Sending a streamed answer: frames as they come, signs of life in the silence, an end when the client leaves.

One frame is under way at a time: the next is asked for when the server has taken the last (back-pressure, F46). A
single timer per answer watches the silence, so a busy stream pays nothing for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Final

from starlette.types import Receive, Send

from engine.errors import ErrorInfo
from engine.gateway.call import Record
from engine.gateway.delivery import StreamReply
from engine.server.body import ClientGone, until_gone

STALLED_S: Final = 60
"""How long a client may leave a frame untaken before its answer is given up."""


class Pump:
    """Sends one streamed answer."""

    def __init__(self, send: Send, reply: StreamReply, record: Record, show: Callable[[bytes], None]) -> None:
        self._send = send
        self._reply = reply
        self._record = record
        self._show = show
        self._last = 0.0
        self._busy = False

    async def run(self, headers: Mapping[str, str], receive: Receive) -> None:
        """Send the answer to its end. Raises ClientGone when the client leaves first; the upstream call ends then."""
        fields = [(name.encode("ascii"), value.encode("latin-1", "replace")) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": self._reply.status, "headers": fields})
        frames = asyncio.ensure_future(self._frames())
        watch = asyncio.ensure_future(until_gone(receive))
        beats = asyncio.ensure_future(self._beats())
        try:
            await asyncio.wait((frames, watch), return_when=asyncio.FIRST_COMPLETED)
            if not frames.done():
                raise ClientGone
            frames.result()
        finally:
            for task in (frames, watch, beats):
                task.cancel()
            await asyncio.gather(frames, watch, beats, return_exceptions=True)
            await self._reply.delivery.close()

    async def break_off(self, info: ErrorInfo) -> None:
        """End an answer that cannot go on, with an error in the client's dialect."""
        last = self._reply.delivery.voice.fail(info)
        self._record.reply_bytes += len(last)
        await self._send({"type": "http.response.body", "body": last, "more_body": False})

    async def _frames(self) -> None:
        async with aclosing(self._reply.delivery.run()) as frames:
            async for data in frames:
                if data:
                    await self._write(data)
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _write(self, data: bytes) -> None:
        self._busy = True
        self._record.reply_bytes += len(data)
        try:
            async with asyncio.timeout(STALLED_S):
                await self._send({"type": "http.response.body", "body": data, "more_body": True})
        except TimeoutError:
            raise ClientGone from None
        finally:
            self._busy = False
            self._last = asyncio.get_running_loop().time()
        self._show(data)

    async def _beats(self) -> None:
        loop = asyncio.get_running_loop()
        self._last = loop.time()
        while True:
            await asyncio.sleep(max(0.01, self._last + self._reply.every_s - loop.time()))
            if self._busy or loop.time() - self._last < self._reply.every_s:
                # A frame that the client does not take is no silence; look again when it should be over.
                self._last = loop.time() if self._busy else self._last
                continue
            beat = self._reply.delivery.voice.heartbeat()
            self._last = loop.time()
            if beat:
                await self._write(beat)
