"""Reading a client's body: bounded in size and time (rules R8, R9; faults F47, F49; threats T7, T8)."""

from __future__ import annotations

import asyncio

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


async def until_gone(receive: Receive) -> None:
    """Return when the client closes the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
