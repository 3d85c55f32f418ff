"""A scripted upstream on loopback: raw sockets, so that every fault of the wire can be played.

A behaviour is a coroutine function that gets the connection and the request and writes whatever it likes. The script is
a list of behaviours, one for each request in order; the last one repeats.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Seen:
    """A request as it arrived, and whether its connection has been closed by the other side since."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int
    gone: threading.Event = field(default_factory=threading.Event)


@dataclass
class Wire:
    """The connection that a behaviour writes to."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def gone(self) -> None:
        """Wait until the other side closes."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(1024):
                pass


Behaviour = Callable[[Wire, Seen], Awaitable[bool]]
"""Returns whether the connection lives on."""


def reply(body: bytes, status: str = "200 OK", headers: str = "content-type: application/json\r\n") -> Behaviour:
    """A well-formed answer."""

    async def play(wire: Wire, seen: Seen) -> bool:
        head = f"HTTP/1.1 {status}\r\n{headers}content-length: {len(body)}\r\n\r\n".encode()
        await wire.send(head + body)
        return True

    return play


def reply_json(value: Any, status: str = "200 OK", headers: str = "content-type: application/json\r\n") -> Behaviour:
    """A JSON answer."""
    return reply(json.dumps(value).encode(), status, headers)


def raw(data: bytes) -> Behaviour:
    """These bytes, then a clean close."""

    async def play(wire: Wire, seen: Seen) -> bool:
        await wire.send(data)
        return False

    return play


def then_reset(data: bytes = b"") -> Behaviour:
    """These bytes, then RST."""

    async def play(wire: Wire, seen: Seen) -> bool:
        if data:
            await wire.send(data)
            await asyncio.sleep(0.05)
        wire.reset()
        return False

    return play


def then_silence(data: bytes = b"") -> Behaviour:
    """These bytes, then nothing until the other side closes."""

    async def play(wire: Wire, seen: Seen) -> bool:
        if data:
            await wire.send(data)
        await wire.gone()
        seen.gone.set()
        return False

    return play


def drip(head: bytes, every_s: float) -> Behaviour:
    """A head, then one byte at a time for ever."""

    async def play(wire: Wire, seen: Seen) -> bool:
        await wire.send(head)
        with contextlib.suppress(ConnectionError):
            while not wire.reader.at_eof():
                await wire.send(b" ")
                await asyncio.sleep(every_s)
        return False

    return play


def slowly(wait_s: float, behaviour: Behaviour) -> Behaviour:
    """A pause, then another behaviour."""

    async def play(wire: Wire, seen: Seen) -> bool:
        await asyncio.sleep(wait_s)
        return await behaviour(wire, seen)

    return play


def then_close(behaviour: Behaviour) -> Behaviour:
    """Another behaviour, then a close that nothing announced: the next user of the connection finds it stale."""

    async def play(wire: Wire, seen: Seen) -> bool:
        await behaviour(wire, seen)
        return False

    return play


class FakeUpstream:
    """Use as a context manager. `url`, `requests` (as they came) and `script` are what tests need."""

    def __init__(self, *script: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self.script = list(script)
        self.requests: list[Seen] = []
        self.connections = 0
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port = 0

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> FakeUpstream:
        self._thread.start()
        assert self._ready.wait(5)
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        wire = Wire(reader, writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                seen = await _read_request(reader, number)
                index = min(len(self.requests), len(self.script) - 1)
                self.requests.append(seen)
                if not await self.script[index](wire, seen):
                    break
        with contextlib.suppress(ConnectionError, RuntimeError):
            writer.close()


async def _read_request(reader: asyncio.StreamReader, connection: int) -> Seen:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Seen(method, target, headers, body, connection)


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def deaf_port() -> Iterator[int]:
    """A port that accepts no connection: its queue is full, so a connect only waits."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = []
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(listener.getsockname())
            fillers.append(filler)
        try:
            yield int(listener.getsockname()[1])
        finally:
            for filler in fillers:
                filler.close()


@contextlib.contextmanager
def mute_port() -> Iterator[int]:
    """A port that accepts connections and never says a word, so a TLS handshake stalls."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield int(listener.getsockname()[1])
