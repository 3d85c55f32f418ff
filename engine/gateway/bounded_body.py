"""The body of an upstream's answer, decoded under a cap.

We ask for `identity`, but an upstream may encode all the same. The HTTP library would decode whatever the header says,
without limit (305 KB on the wire became 64 MiB); here zlib is asked for no more than the cap leaves (faults F24, F25).
"""

from __future__ import annotations

import zlib
from typing import Final, Protocol

from engine.gateway.faults import BAD_RESPONSE, TOO_LARGE

_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS
_DECODED: Final = frozenset({"gzip", "x-gzip", "deflate"})


class BodyReader(Protocol):
    """Takes the wire's bytes, gives the body at the end; raises UpstreamError when it grows beyond the cap."""

    def feed(self, data: bytes) -> None:
        """Take one piece."""
        ...

    def finish(self) -> bytes:
        """The whole body, after the last piece."""
        ...


def body_reader(encoding: str, limit: int) -> BodyReader:
    """The reader for a `content-encoding`. Raises UpstreamError (upstream_bad_response) for one we did not ask for."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return _Plain(limit)
    if name in _DECODED:
        return _Inflated(limit)
    raise BAD_RESPONSE.error(f"content-encoding {name[:40]!r}, though identity was asked for")


class _Plain:
    def __init__(self, limit: int) -> None:
        self._left = limit
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            raise TOO_LARGE.error("body over the limit")
        self._pieces.append(data)

    def finish(self) -> bytes:
        return b"".join(self._pieces)


class _Inflated:
    def __init__(self, limit: int) -> None:
        self._plain = _Plain(limit)
        self._limit = limit
        self._produced = 0
        self._zlib = zlib.decompressobj(_GZIP_OR_ZLIB)

    def feed(self, data: bytes) -> None:
        while data:
            try:
                piece = self._zlib.decompress(data, self._limit - self._produced + 1)
            except zlib.error as problem:
                raise BAD_RESPONSE.error("broken compressed body") from problem
            self._produced += len(piece)
            self._plain.feed(piece)
            if self._zlib.unused_data:
                raise BAD_RESPONSE.error("data after the end of the compressed body")
            data = self._zlib.unconsumed_tail

    def finish(self) -> bytes:
        if not self._zlib.eof:
            raise BAD_RESPONSE.error("compressed body cut short")
        return self._plain.finish()
