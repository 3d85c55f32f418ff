"""One HTTP/1.1 connection of the mock: parse requests, write answers, break where a behaviour says so.

Not an ASGI app, since a server that keeps the framing right cannot be told to get it wrong. Requests of a connection
are answered in their order. A caller that leaves ends what is being prepared for it: nothing here waits in a thread.

Limits   64 MiB of body, 64 KiB of headers; beyond, 413 or 431 and the connection closes.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import Final, cast

import httptools

from engine.mock.choosing import Answer, Chooser, json_answer
from engine.mock.ledger import Ledger
from engine.mock.received import Received, receive
from engine.mock.streams import HANG, RESET

MAX_BODY_BYTES: Final = 64 << 20
MAX_HEAD_BYTES: Final = 64 << 10
_NO_BODY: Final = frozenset({204, 304})
_LINGER_ZERO: Final = struct.pack("ii", 1, 0)
_BROKEN_JSON: Final = b'{"id": "mock", "choices": [{"index": 0, "mess'


class MockConnection(asyncio.Protocol):
    """The protocol of one socket. `connections` is the server's set of open ones."""

    def __init__(self, chooser: Chooser, ledger: Ledger, connections: set[MockConnection]) -> None:
        self._chooser = chooser
        self._ledger = ledger
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[Received, Answer, bool]] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport
        self._writable = asyncio.Event()
        self._writable.set()
        self.on_message_begin()

    # -- the socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio: the socket is there."""
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Asyncio: bytes came."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # No upgrade is offered: the request has been queued and is answered as any other.
            return
        except httptools.HttpParserCallbackError as failure:
            # A fault of the mock itself, not of the caller: it says so instead of blaming the request.
            self._refuse(500, f"the mock failed: {failure.__context__!r}")
        except httptools.HttpParserError:
            self._refuse(400, "this is not HTTP/1.1")

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio: the socket is gone. What is still being answered counts as cancelled."""
        self._connections.discard(self)
        self._ledger.leave(len(self._waiting))
        self._waiting.clear()
        if self._worker is not None:
            self._worker.cancel()

    def pause_writing(self) -> None:
        """Asyncio: the caller does not read as fast as a stream comes."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Asyncio: it does again."""
        self._writable.set()

    def close(self) -> None:
        """End the connection at once."""
        self._transport.abort()

    # -- the parser

    def on_message_begin(self) -> None:
        """Parser: a request begins."""
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._body = bytearray()

    def on_url(self, url: bytes) -> None:
        """Parser: a piece of the request target."""
        self._target += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Parser: one header."""
        self._headers.append((name, value))
        self._count_head(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """Parser: the head is whole. A caller that waits for leave to send its body gets it."""
        if any(name.lower() == b"expect" for name, _ in self._headers):
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Parser: a piece of the body."""
        self._body += body
        if len(self._body) > MAX_BODY_BYTES:
            self._refuse(413, "the body is larger than the mock takes")

    def on_message_complete(self) -> None:
        """Parser: the request is whole."""
        if self._transport.is_closing():
            return
        request = receive(self._parser.get_method(), self._target, self._headers, bytes(self._body))
        keep = self._parser.should_keep_alive()
        control = self._ledger.control(request)
        if control is not None and not self._waiting:
            self._write(control, request.method, keep)
            return
        answer = control or self._chooser.answer(request)
        self._ledger.begin(request, answer)
        self._waiting.append((request, answer, keep))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.get_running_loop().create_task(self._work())

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(431, "the headers are larger than the mock takes")

    def _refuse(self, status: int, message: str) -> None:
        if not self._transport.is_closing():
            self._write(json_answer(status, {"mock_error": message}), "", keep=False)

    # -- answers

    async def _work(self) -> None:
        """Answer what waits, one after the other. Cancelled when the caller leaves."""
        while self._waiting:
            request, answer, keep = self._waiting[0]
            if answer.delay_s:
                await asyncio.sleep(answer.delay_s)
            if answer.fault == "silence":
                await asyncio.Event().wait()
            ended = answer.steps is None or await self._stream(answer, request.method, keep)
            self._waiting.popleft()
            self._ledger.end()
            if answer.steps is not None:
                self._end_stream(keep, ended)
                continue
            FAULTY.get(answer.fault, MockConnection._write)(self, answer, request.method, keep)

    def _write(self, answer: Answer, method: str, keep: bool) -> None:
        body = b"" if method == "HEAD" or answer.status in _NO_BODY else answer.body
        self._transport.write(_head(answer, len(answer.body), keep) + body)
        if not keep:
            self._transport.close()

    async def _stream(self, answer: Answer, method: str, keep: bool) -> bool:
        """Send a streamed body, no faster than the caller reads; False where the connection is to be reset."""
        self._transport.write(_head(answer, None, keep))
        for step in (answer.steps or ()) if method != "HEAD" else ():
            if isinstance(step, bytes):
                await self._writable.wait()
                self._transport.write(b"%x\r\n%b\r\n" % (len(step), step) if step else b"")
            elif isinstance(step, float):
                await asyncio.sleep(step)
            elif step == HANG:
                await asyncio.Event().wait()
            elif step == RESET:
                return False
        return True

    def _end_stream(self, keep: bool, ended: bool) -> None:
        if not ended:
            self._abort()
            return
        self._transport.write(b"0\r\n\r\n")
        if not keep:
            self._transport.close()

    def _abort(self) -> None:
        # Closing a socket that does not linger sends RST instead of FIN.
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        self._transport.abort()

    def _reset(self, answer: Answer, method: str, keep: bool) -> None:
        self._abort()

    def _half_body(self, answer: Answer, method: str, keep: bool) -> None:
        self._transport.write(_head(answer, len(answer.body), keep) + answer.body[: len(answer.body) // 2])
        self._transport.close()

    def _bad_json(self, answer: Answer, method: str, keep: bool) -> None:
        body = answer.body[: len(answer.body) // 2] or _BROKEN_JSON
        headers = {"content-type": "application/json", **answer.headers}
        self._transport.write(_head(Answer(answer.status, headers), len(body), keep) + body)
        if not keep:
            self._transport.close()

    def _wrong_length(self, answer: Answer, method: str, keep: bool) -> None:
        # The rest of the body stands where the next answer would begin.
        self._transport.write(_head(answer, len(answer.body) // 2, keep) + answer.body)
        if not keep:
            self._transport.close()


FAULTY: Final[dict[str | None, Callable[[MockConnection, Answer, str, bool], None]]] = {
    "reset": MockConnection._reset,
    "half_body": MockConnection._half_body,
    "bad_json": MockConnection._bad_json,
    "wrong_length": MockConnection._wrong_length,
}
"""How each fault is written; `silence` never comes to writing."""


def _head(answer: Answer, length: int | None, keep: bool) -> bytes:
    """The head of an answer: status line, our framing (chunked without a length), the behaviour's headers."""
    known = answer.status in HTTPStatus._value2member_map_
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase if known else 'Unknown'}"]
    lines.append(f"date: {formatdate(usegmt=True)}")
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    if answer.status not in _NO_BODY:
        lines.append("transfer-encoding: chunked" if length is None else f"content-length: {length}")
    lines.append(f"connection: {'keep-alive' if keep else 'close'}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
