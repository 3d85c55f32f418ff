"""The HTTP/1.1 connection: uvicorn's, with the deadline and the bound that it lacks.

uvicorn waits for ever for a request's head and collects headers without limit (facts/reliability.md a.3). Here a head
must be complete within `headers_s` of its first byte, or of the connection for the first one, and within
`headers_bytes`; else the connection is closed (threat T6). A connection between two requests is uvicorn's keep-alive's.

Three things more that uvicorn or its parser get wrong: a wish for another protocol takes the request's body away; a
client that leaves is not noticed while a second request waits; what is no HTTP is answered in plain text.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, Final

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from engine.config import GatewayConfig
from engine.errors import ErrorInfo
from engine.translate.client import write_error
from engine.translate.plan import Codec

_TLS: Final = b"\x16\x03"
"""How a TLS handshake begins."""
_CODEC: Final = Codec(orjson.loads, orjson.dumps)
_PIPELINED: Final = 8
"""Requests that may wait behind the one that is answered before the connection is read no further."""
SLACK_BYTES: Final = 65536
"""A head that is a little too large gets a proper answer from the door; one that has no end is cut off here."""


class BoundedProtocol(HttpToolsProtocol):
    """One client connection. `headers_s` and `limit_bytes` are set in the subclass that `make_protocol` makes."""

    headers_s: ClassVar[float] = 10
    limit_bytes: ClassVar[int] = 32768 + SLACK_BYTES

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._in_head = True
        self._speaks_tls = False
        self._deadline: asyncio.TimerHandle | None = None
        self._running: RequestResponseCycle | None = None
        self._plain_head: bytes | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """A client connected: its first head is awaited."""
        super().connection_made(transport)
        self._arm()

    def data_received(self, data: bytes) -> None:
        """Bytes came; while they belong to a head they are counted and, unless an answer is under way, timed."""
        if self._in_head:
            if self._head_bytes == 0 and not data.strip(b"\r\n"):
                return  # an empty line before a request is no request (RFC 9112 section 2.2)
            if not self._answers:
                self._arm()
            self._speaks_tls = self._head_bytes == 0 and data.startswith(_TLS)
            self._head_bytes += len(data)
        self._unset_keepalive_if_required()
        self._feed(data)
        if self._in_head and self._head_bytes > self.limit_bytes:  # still no end of it in sight
            self.transport.abort()

    def _feed(self, data: bytes) -> None:
        """Parse. A wish for another protocol is passed over (RFC 9110 section 7.8), which the parser cannot do.

        It takes the body of such a request for the other protocol; so the head is parsed again without the wish.
        """
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if self._plain_head is None:  # CONNECT
                    self.send_400_response("")
                    return
                data, self._plain_head = self._plain_head + data[upgrade.args[0] :], None
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
            except httptools.HttpParserError:
                self.send_400_response("")
                return
            else:
                return

    def on_headers_complete(self) -> None:
        """The head is whole."""
        method = self.parser.get_method()
        if self.parser.should_upgrade() and method != b"CONNECT":
            kept = [b"%b: %b\r\n" % field for field in self.headers if field[0] != b"upgrade"]
            line = b"%b %b HTTP/%b\r\n" % (method, self.url, self.parser.get_http_version().encode())
            self._plain_head = line + b"".join(kept) + b"\r\n"
            return
        self._in_head = False
        self._disarm()
        super().on_headers_complete()
        if len(self.pipeline) < _PIPELINED:  # uvicorn reads on only when the answer is over, and sees no client leave
            self.flow.resume_reading()

    def on_message_complete(self) -> None:
        """The request is whole; what comes next is another head."""
        if self._plain_head is None:
            self._in_head, self._head_bytes = True, 0
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is over; a head that began while it was under way has its time from now on."""
        super().on_response_complete()
        if self._in_head and self._head_bytes and not self._answers:
            self._arm()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    @property
    def _answers(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def send_400_response(self, msg: str) -> None:
        """uvicorn's answer to what is no HTTP, in the shape of every error here that no dialect owns."""
        said = "This server speaks http://, and the client https://." if self._speaks_tls else "This is not valid HTTP."
        info = ErrorInfo("invalid_request", said, code="invalid_http", retryable=False)
        reply = write_error(None, info, None, {}, _CODEC)
        fields = {**reply.headers, "content-length": len(reply.body), "connection": "close"}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.transport.write(f"HTTP/1.1 {reply.status} Bad Request\r\n{head}\r\n".encode() + reply.body)
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone. uvicorn tells it to the last request that came, not to the one that is answered."""
        self._disarm()
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def _arm(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.headers_s, self._too_slow)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


def make_protocol(config: GatewayConfig) -> type[asyncio.Protocol]:
    """The protocol class for a config; uvicorn makes one of it for each connection."""
    bounds = {
        "headers_s": config.timeouts.headers_s,
        "limit_bytes": config.limits.headers_bytes + SLACK_BYTES,
    }
    return type("ConfiguredProtocol", (BoundedProtocol,), bounds)
