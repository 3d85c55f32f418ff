"""One streamed answer on its way to a client: held back, committed, delivered, and ended well or with its failure.

Until the answer is committed a failure keeps its true status (R13, F35): `hold` waits for the first bytes of the
source, at most so long. From then on `Voice` speaks: the dialect's first frame if nothing came yet, signs of life in
the silence, an error event where the source fails. Whoever has a `Delivery` must `close` it, whatever happened: that
cancels what is under way, and with it the upstream call (R10).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Protocol

from engine.errors import ErrorInfo, RequestError, TranslationError, UpstreamError
from engine.gateway.call import Record
from engine.translate.lifecycle import Lifecycle
from engine.translate.passing import Passage
from engine.translate.streaming import ClientStream, Translation

REPORTED: Final = (RequestError, UpstreamError, TranslationError)
"""The failures that a client is told of, each with its `info`."""


class Voice(Protocol):
    """What is said to the client beside the answer itself."""

    def open(self) -> bytes:
        """The first bytes of an answer of which nothing is known yet."""
        ...

    def heartbeat(self) -> bytes:
        """A sign of life; nothing once the answer is over."""
        ...

    def fail(self, info: ErrorInfo) -> bytes:
        """The last bytes of an answer that failed; nothing once it is over."""
        ...


class StreamVoice:
    """Speaks in the frames of the client's dialect. `text` is what a heartbeat holds; null is a comment.

    Between an upstream's own frames, which pass through, it says as little as the dialect allows.
    """

    def __init__(self, life: Lifecycle, client: ClientStream, text: str | None, passage: Passage | None = None) -> None:
        self._passage = passage
        self._life = life
        self._client = client
        self._text = text
        self._translation = Translation(life, client)

    def open(self) -> bytes:
        """See `Voice.open`."""
        return b"" if self._passes else self._translation.open()

    def heartbeat(self) -> bytes:
        """See `Voice.heartbeat`."""
        return b"" if self._life.closed else self._client.heartbeat(None if self._passes else self._text)

    @property
    def _passes(self) -> bool:
        return self._passage is not None and self._passage.taken

    def fail(self, info: ErrorInfo) -> bytes:
        """See `Voice.fail`."""
        return self._translation.fail(info)


class Delivery:
    """Bytes from `source` to the client. `failures` counts what failed, by code; `named` puts errors in its words."""

    def __init__(
        self,
        source: AsyncGenerator[bytes, None],
        voice: Voice,
        record: Record,
        failures: Counter[str],
        named: Callable[[ErrorInfo], ErrorInfo] = lambda info: info,
    ) -> None:
        self.voice = voice
        self._source = source
        self._record = record
        self._failures = failures
        self._named = named
        self._first: asyncio.Task[bytes] | None = None

    async def hold(self, within_s: float, more_s: Callable[[], float] = lambda: 0) -> None:
        """Return with the first bytes, at the latest `within_s` later, and after that `more_s`, asked then.

        Raises what failed before.
        """
        self._first = asyncio.create_task(_first_of(self._source))
        try:
            done, _ = await asyncio.wait((self._first,), timeout=within_s)
            if not done and more_s() > 0:
                done, _ = await asyncio.wait((self._first,), timeout=more_s())
            if done:
                self._first.result()
        except BaseException as failure:
            if isinstance(failure, REPORTED):
                self._failures[failure.info.code or failure.info.type] += 1
            await self.close()
            raise

    async def run(self) -> AsyncGenerator[bytes, None]:
        """The bytes, each item whole frames. A failure that a client may be told of is its last item."""
        try:
            if self._first is not None:
                if not self._first.done():
                    yield self.voice.open()
                yield await self._first
            async with aclosing(self._source) as source:
                async for data in source:
                    yield data
        except REPORTED as failure:
            yield self.failed(failure)

    def failed(self, failure: RequestError | UpstreamError | TranslationError) -> bytes:
        """Note a failure and give the bytes that tell of it."""
        self._record.code = failure.info.code or failure.info.type
        self._record.detail = failure.detail
        self._failures[self._record.code] += 1
        return self.voice.fail(self._named(failure.info))

    async def close(self) -> None:
        """End what is under way; once is enough, more do no harm."""
        first, self._first = self._first, None
        if first is not None:
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
        await self._source.aclose()


async def _first_of(source: AsyncGenerator[bytes, None]) -> bytes:
    """The first bytes of an answer; nothing where it is over."""
    async for data in source:
        if data:
            return data
    return b""


@dataclass(slots=True)
class StreamReply:
    """A streamed answer: its head, its bytes, and how long the silence between them may last."""

    status: int
    headers: dict[str, str]
    delivery: Delivery
    every_s: float
