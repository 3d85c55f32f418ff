"""The senders of all upstreams: what is sent is finished with its credentials, recorded and, if asked, printed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from engine.config import GatewayConfig, UpstreamConfig
from engine.errors import EngineError
from engine.gateway.call import Record
from engine.gateway.log import Printer
from engine.gateway.runner import Send
from engine.gateway.scrubbing import Scrubber
from engine.gateway.tokens import Tokens
from engine.gateway.upstream import LiveReply
from engine.translate.wire import UpstreamReply, UpstreamRequest
from engine.types import JsonObject

_UNDO_S: Final = 5.0
"""How long the call may take that undoes what was begun."""


class Sender(Protocol):
    """The seam to an upstream: send, close, stats."""

    async def send(self, request: UpstreamRequest) -> UpstreamReply:
        """Make one call."""
        ...

    async def open(self, request: UpstreamRequest) -> LiveReply:
        """Make one call and return with its head."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...

    def stats(self) -> JsonObject:
        """Counters."""
        ...


SenderFactory = Callable[[UpstreamConfig, GatewayConfig], Sender]


class Senders:
    """Every upstream's sender, and the tokens that they got. Make it inside the event loop that will use it."""

    def __init__(self, config: GatewayConfig, printer: Printer, scrubber: Scrubber, make: SenderFactory) -> None:
        self._senders = {name: make(upstream, config) for name, upstream in config.upstreams.items()}
        self._printer = printer
        self.tokens = Tokens(scrubber.learn)
        self._undoing: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Close the connections of all upstreams, once what clients left behind is undone."""
        if self._undoing:
            await asyncio.wait(self._undoing, timeout=_UNDO_S)
        for sender in self._senders.values():
            await sender.close()

    def stats(self) -> JsonObject:
        """Counters per upstream."""
        return {name: sender.stats() for name, sender in self._senders.items()}

    def whole(self, upstream: str, request_id: str, record: Record) -> Send:
        """The upstream's `send`, with what it does written into the record and, if asked, printed."""
        sender = self._senders[upstream]

        async def send(request: UpstreamRequest) -> UpstreamReply:
            seal = request.seal
            if seal is None:
                return await send_final(request)
            token = await self.tokens.get(seal, send_final)
            reply = await send_final(seal.finish(token, self.tokens.now()))
            if token is None or seal.refused is None or not seal.refused(reply):
                return reply
            token = await self.tokens.get(seal, send_final, refused=token)
            return await send_final(seal.finish(token, self.tokens.now()))

        async def send_final(request: UpstreamRequest) -> UpstreamReply:
            self._print_request(request_id, request)
            record.calls += 1
            begun = time.perf_counter()
            try:
                reply = await sender.send(request)
            finally:
                record.upstream_ms += (time.perf_counter() - begun) * 1000
            record.upstream_status = reply.status
            self._printer.show("upstream_reply", request_id, f"{reply.status}", reply.headers.items(), reply.body)
            return reply

        return send

    def undo(self, upstream: str, request: UpstreamRequest, request_id: str) -> None:
        """Stop what was begun for an answer that nobody gets. In the background; that it fails is nobody's concern."""

        async def sent() -> None:
            with suppress(EngineError, TimeoutError):
                async with asyncio.timeout(_UNDO_S):
                    await self.whole(upstream, request_id, Record(request_id))(request)

        task = asyncio.ensure_future(sent())
        self._undoing.add(task)
        task.add_done_callback(self._undoing.discard)

    async def open(self, upstream: str, request: UpstreamRequest, request_id: str, record: Record) -> LiveReply:
        """Open a live answer of an upstream, with what it does written into the record."""
        seal = request.seal
        if seal is None:
            return await self._open(upstream, request, request_id, record)
        send = self.whole(upstream, request_id, record)
        token = await self.tokens.get(seal, send)
        live = await self._open(upstream, seal.finish(token, self.tokens.now()), request_id, record)
        if token is None or seal.refused is None or not await _is_refused(live, seal.refused):
            return live
        await live.close()
        token = await self.tokens.get(seal, send, refused=token)
        return await self._open(upstream, seal.finish(token, self.tokens.now()), request_id, record)

    async def _open(self, upstream: str, request: UpstreamRequest, request_id: str, record: Record) -> LiveReply:
        self._print_request(request_id, request)
        record.calls += 1
        begun = time.perf_counter()
        try:
            live = await self._senders[upstream].open(request)
        finally:
            record.upstream_ms += (time.perf_counter() - begun) * 1000
        record.upstream_status = live.status
        head = f"{live.status} (live)"
        self._printer.show("upstream_reply", request_id, head, live.headers.items(), b"")
        if self._printer.wants("upstream_reply"):
            live.watch = lambda data: self._printer.show("upstream_reply", request_id, head, (), data)
        return live

    def _print_request(self, request_id: str, request: UpstreamRequest) -> None:
        if not self._printer.wants("upstream_request"):
            return
        query = "&".join(f"{name}={value}" for name, value in request.query)
        head = f"{request.method} {request.url}{'?' if query else ''}{query}"
        self._printer.show("upstream_request", request_id, head, request.headers, request.body)


async def _is_refused(live: LiveReply, refused: Callable[[UpstreamReply], bool]) -> bool:
    """Whether a live answer says that the token is not taken; one that streams says no such thing."""
    kind = live.headers.get("content-type", "").lower()
    return (live.status >= 400 or kind.startswith("application/json")) and refused(await live.read())
