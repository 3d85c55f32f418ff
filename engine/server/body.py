"""Reading a client's body: bounded in size and time (rules R8, R9; faults F47, F49; threats T7, T8)."""

from __future__ import annotations

import asyncio
from types import TracebackType

from starlette.types import Receive

from engine.server.head import Head, refusal


class ClientGone(Exception):
    """The client closed the connection; there is nobody to answer."""


async def read_body(head: Head, receive: Receive, limit_bytes: int, within_s: float) -> bytes:
    """The whole body.

    Raises RequestError: 415 for an encoded body, 413 at once by Content-Length or at the first byte over the limit,
    408 after `within_s`; ClientGone when the client leaves.
    """
    encoding = (head.first("content-encoding") or "identity").strip().lower()
    if encoding != "identity":
        raise refusal("invalid_request", "Encoded request bodies are not supported.", 415, "unsupported_encoding")
    if int(head.first("content-length") or 0) > limit_bytes:
        raise _too_large(limit_bytes)
    try:
        async with asyncio.timeout(within_s):
            return await _collect(receive, limit_bytes)
    except TimeoutError:
        raise refusal("timeout", "The request body did not arrive in time.", 408, "request_timeout") from None


async def _collect(receive: Receive, limit_bytes: int) -> bytes:
    pieces: list[bytes] = []
    left = limit_bytes
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece: bytes = message.get("body", b"")
        left -= len(piece)
        if left < 0:
            raise _too_large(limit_bytes)
        pieces.append(piece)
        if not message.get("more_body", False):
            return b"".join(pieces)


def _too_large(limit_bytes: int) -> Exception:
    return refusal("too_large", f"The request body is larger than {limit_bytes} bytes.", 413, "request_too_large")


class Departure:
    """Ends its block with ClientGone when the client leaves, from `watch` to `end`.

    The work stays in the request's own task, which is cancelled, as `asyncio.timeout` does at its time; a cancellation
    from elsewhere passes.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._watcher: asyncio.Task[None] | None = None
        self._is_gone = False

    def watch(self) -> None:
        """Begin; the body must have been read."""
        self._watcher = asyncio.ensure_future(self._wait())

    def end(self) -> None:
        """Watch no more."""
        if self._watcher is not None:
            self._watcher.cancel()

    async def __aenter__(self) -> Departure:
        task = asyncio.current_task()
        assert task is not None
        self._task, self._cancelling = task, task.cancelling()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()
        if self._is_gone and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise ClientGone from failure

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._is_gone = True
        self._task.cancel()
