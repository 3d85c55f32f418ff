"""Streamed answers: which way an upstream is asked, when an answer is committed, and what a client gets meanwhile.

Native      the upstream's stream is translated piece by piece. The client's 200 is held back until the first event was
            judged, at the latest `commit_after_s`, so that a failure before it keeps its true status (R13, F35).
Emulated    the upstream is asked for a whole answer; the client's stream begins after `grace_s`, signs of life go out
            while the upstream works, then the answer in pieces.
Probe       the client's own request is sent as a stream and what comes is taken: an event stream is relayed, a whole
            JSON answer is replayed. What came is remembered per upstream and model for `probe_ttl_s`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from engine.config import HEARTBEAT_STYLES, StreamingConfig, UpstreamConfig
from engine.errors import ErrorInfo, RequestError, TranslationError, UpstreamError
from engine.gateway.call import Record
from engine.gateway.upstream import LiveReply
from engine.translate.chat import Chat, LiveAnswer
from engine.translate.lifecycle import Lifecycle, replay
from engine.translate.plan import ClientStreamPlan, Codec, EndpointPlan
from engine.translate.streaming import ClientStream, Translation, words
from engine.translate.wire import UpstreamReply, UpstreamRequest
from engine.types import JsonObject

REPORTED: Final = (RequestError, UpstreamError, TranslationError)
_BATCH_BYTES: Final = 16_384
_STREAM_TYPES: Final = ("text/event-stream", "application/x-ndjson", "application/jsonl", "application/stream+json")
_HEADERS: Final = {"cache-control": "no-cache", "x-accel-buffering": "no"}
_REMEMBERED: Final = 4096


@dataclass(slots=True)
class StreamReply:
    """A streamed answer: its head, its frames (each item is whole frames), and signs of life for the silence between.

    `frames` must be closed; that ends the upstream call.
    """

    status: int
    headers: dict[str, str]
    frames: AsyncGenerator[bytes, None]
    heartbeat: Callable[[], bytes]
    every_s: float


class LiveSender(Protocol):
    """Both ways of one upstream for one request: a whole answer, or one that is still coming."""

    async def send(self, request: UpstreamRequest) -> UpstreamReply:
        """Make one call and read the whole answer."""
        ...

    async def open(self, request: UpstreamRequest) -> LiveReply:
        """Make one call and return with its head."""
        ...


@dataclass(slots=True)
class StreamCounts:
    """Counters for health and metrics."""

    attempts: int = 0
    native: int = 0
    emulated: int = 0
    fallbacks: int = 0
    failures: Counter[str] = field(default_factory=Counter)


class Probes:
    """What upstreams turned out to do, per upstream and model, for a time. `clock` gives seconds, monotonic."""

    def __init__(self, ttl_s: float, clock: Callable[[], float]) -> None:
        self._ttl_s = ttl_s
        self._clock = clock
        self._known: dict[tuple[str, str], tuple[bool, float]] = {}

    def streams(self, upstream: str, model: str) -> bool | None:
        """Whether the upstream streams this model; None when it is not known any more."""
        known = self._known.get((upstream, model))
        return known[0] if known is not None and known[1] > self._clock() else None

    def note(self, upstream: str, model: str, streams: bool) -> None:
        """Remember what came. Model names are the clients': the table does not grow with them."""
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[(upstream, model)] = (streams, self._clock() + self._ttl_s)


@dataclass(slots=True)
class StreamJob:
    """One chat to be streamed: how to make it native, or get it whole; who sends; what the client speaks.

    `start` is what of the reply is known already: id, model, created.
    """

    make_chat: Callable[[], Chat]
    whole: Callable[[], Awaitable[JsonObject]]
    start: JsonObject
    sender: LiveSender
    upstream: UpstreamConfig
    model: str
    client: ClientStreamPlan | None
    client_scope: JsonObject
    record: Record
    choices: int = 1


class Streams:
    """Streams the chats of one gateway."""

    def __init__(self, config: StreamingConfig, codec: Codec, clock: Callable[[], float]) -> None:
        self._config = config
        self._codec = codec
        self._probes = Probes(config.probe_ttl_s, clock)
        self.counts = StreamCounts()

    def asks_for_stream(self, upstream: UpstreamConfig, plan: EndpointPlan, model: str) -> bool:
        """Whether the upstream is to be asked for a stream: by config, mapping, or what it did before."""
        mode = upstream.streaming or plan.capabilities.streaming.find(model)
        if plan.stream is None or mode == "synthetic":
            return False
        return mode != "probe" or self._probes.streams(upstream.name, model) is not False

    async def reply(self, job: StreamJob, plan: EndpointPlan) -> StreamReply:
        """The streamed answer of a chat. Raises what failed before the answer was committed."""
        self.counts.attempts += 1
        if self.asks_for_stream(job.upstream, plan, job.model):
            return await self._native(job)
        return await self._emulated(job, asyncio.ensure_future(job.whole()))

    async def collect(self, job: StreamJob) -> JsonObject:
        """A whole reply out of an endpoint that only streams (trap 80)."""
        chat = job.make_chat()
        live = await job.sender.open(chat.request())
        try:
            if not _is_stream(live, chat):
                return chat.whole(await live.read())
            life = Lifecycle(job.start, choices=job.choices)
            answer = chat.live(life, None)
            async for data in live.pieces():
                answer.feed(data)
                if answer.ended:
                    break
            answer.close()
            return {**life.out, "losses": chat.losses.as_json()}
        finally:
            await live.close()

    # -- native

    async def _native(self, job: StreamJob) -> StreamReply:
        chat = job.make_chat()
        try:
            live = await job.sender.open(chat.request())
        except UpstreamError as failure:
            return await self._fall_back(job, failure)
        try:
            if not _is_stream(live, chat):
                return await self._replayed(job, chat, live)
            self._probes.note(job.upstream.name, job.model, True)
            self.counts.native += 1
            return await self._relayed(job, chat, live)
        except UpstreamError as failure:
            await live.close()
            return await self._fall_back(job, failure)
        except BaseException:
            await live.close()
            raise

    async def _fall_back(self, job: StreamJob, failure: UpstreamError) -> StreamReply:
        """Try without streaming, where the failure may lie in the streaming itself and policy allows it."""
        if not self._config.fallback or failure.info.code not in _STREAM_FAULTS:
            raise failure
        self.counts.fallbacks += 1
        self._probes.note(job.upstream.name, job.model, False)
        return await self._emulated(job, asyncio.ensure_future(job.whole()))

    async def _replayed(self, job: StreamJob, chat: Chat, live: LiveReply) -> StreamReply:
        """A whole answer to a streaming request is used as it is (DESIGN 7)."""
        try:
            out = chat.whole(await live.read())
        finally:
            await live.close()
        self._probes.note(job.upstream.name, job.model, False)
        done: asyncio.Future[JsonObject] = asyncio.get_running_loop().create_future()
        done.set_result(out)
        return await self._emulated(job, done)

    async def _relayed(self, job: StreamJob, chat: Chat, live: LiveReply) -> StreamReply:
        life, client = self._client(job)
        answer = chat.live(life, client)
        source = live.pieces()
        first = await self._until_first_event(source, answer)
        frames = self._relay(job, answer, live, source, first)
        return self._head(job, client, life, frames)

    async def _until_first_event(self, source: AsyncGenerator[bytes, None], answer: LiveAnswer) -> bytes:
        """Hold the answer back until an event makes client bytes, the stream is over, or `commit_after_s` is."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._config.commit_after_s
        pending: asyncio.Future[bytes] | None = None
        while loop.time() < until:
            pending = asyncio.ensure_future(anext(source))
            done, _ = await asyncio.wait((pending,), timeout=until - loop.time())
            if not done:
                answer.pending = pending
                return answer.translation.open()
            try:
                data = pending.result()
            except StopAsyncIteration:
                return answer.close()
            made = answer.feed(data)
            if made or answer.ended:
                return made + (answer.close() if answer.ended else b"")
        return answer.translation.open()

    async def _relay(
        self, job: StreamJob, answer: LiveAnswer, live: LiveReply, source: AsyncGenerator[bytes, None], first: bytes
    ) -> AsyncGenerator[bytes, None]:
        try:
            yield first
            if answer.pending is not None:
                made = await _next(answer.pending, answer)
                if made:
                    yield made
            while not answer.finished:
                made = answer.feed(await anext(source)) if not answer.ended else answer.close()
                if made:
                    yield made
        except StopAsyncIteration:
            yield self._closed(job, answer)
        except REPORTED as failure:
            yield self._failed(job, answer.translation, failure)
        finally:
            await source.aclose()
            await live.close()
            job.record.usage = answer.translation.lifecycle.out.get("usage")
            job.record.cost = answer.translation.lifecycle.out.get("cost")

    def _closed(self, job: StreamJob, answer: LiveAnswer) -> bytes:
        try:
            return answer.close()
        except REPORTED as failure:
            return self._failed(job, answer.translation, failure)

    def _failed(
        self, job: StreamJob, translation: Translation, failure: RequestError | UpstreamError | TranslationError
    ) -> bytes:
        job.record.code = failure.info.code or failure.info.type
        job.record.detail = failure.detail
        self.counts.failures[job.record.code] += 1
        return translation.fail(failure.info)

    # -- emulated

    async def _emulated(self, job: StreamJob, work: asyncio.Future[JsonObject]) -> StreamReply:
        self.counts.emulated += 1
        try:
            await asyncio.wait((work,), timeout=self._config.grace_s)
            if work.done():
                work.result()
        except BaseException:
            work.cancel()
            raise
        life, client = self._client(job)
        return self._head(job, client, life, self._emulate(job, client, Translation(life, client), work))

    async def _emulate(
        self, job: StreamJob, client: ClientStream, translation: Translation, work: asyncio.Future[JsonObject]
    ) -> AsyncGenerator[bytes, None]:
        try:
            opening = translation.open()
            if not work.done():
                yield opening
                opening = b""
            out = await work
            job.record.usage, job.record.cost = out.get("usage"), out.get("cost")
            batch = opening
            for piece in replay(out, self._pieces):
                batch += translation.take((piece,))
                if self._config.pace_ms and batch:
                    yield batch
                    batch = b""
                    await asyncio.sleep(self._config.pace_ms / 1000)
                elif len(batch) >= _BATCH_BYTES:
                    yield batch
                    batch = b""
            yield batch + self._late_losses(out, client) + translation.end()
        except REPORTED as failure:
            yield self._failed(job, translation, failure)
        finally:
            work.cancel()

    def _pieces(self, text: str) -> list[str]:
        return list(words(text, self._config.piece_chars))

    @staticmethod
    def _late_losses(out: JsonObject, client: ClientStream) -> bytes:
        """What is known only after the answer began: a comment before the terminator (DECISIONS 1)."""
        late = [loss for loss in out.get("losses") or () if loss["stage"] == "reply"]
        if not late:
            return b""
        told = ", ".join(f"{loss['field']}={loss['action']}" for loss in late)
        return client.comment(f"x-engine-losses {told}"[:500])

    # -- both

    def _client(self, job: StreamJob) -> tuple[Lifecycle, ClientStream]:
        if job.client is None:
            message = "Streaming is not supported by this operation."
            raise RequestError(ErrorInfo("invalid_request", message, code="unsupported_feature", param="stream"))
        life = Lifecycle(job.start, serial=job.client.serial, choices=job.choices)
        return life, ClientStream(job.client, job.client_scope, life.out, self._codec)

    def _head(
        self,
        job: StreamJob,
        client: ClientStream,
        life: Lifecycle,
        frames: AsyncGenerator[bytes, None],
    ) -> StreamReply:
        beat = job.upstream.heartbeat
        text = HEARTBEAT_STYLES[beat.style]

        def heartbeat() -> bytes:
            return b"" if life.closed else client.heartbeat(text)

        headers = {"content-type": client.content_type, **_HEADERS}
        return StreamReply(200, headers, frames, heartbeat, beat.every_s)


_STREAM_FAULTS: Final = frozenset({"upstream_bad_event", "upstream_empty", "upstream_incomplete"})
"""Failures before the first event that may lie in the streaming, so that a whole answer may still be had."""


async def _next(pending: asyncio.Future[bytes], answer: LiveAnswer) -> bytes:
    return answer.feed(await pending)


def _is_stream(live: LiveReply, chat: Chat) -> bool:
    """Judge an answer by its content type: the stream that was asked for, or a whole answer (F26)."""
    plan = chat.target.plan.stream
    kind = live.headers.get("content-type", "").split(";")[0].strip().lower()
    if plan is None or not 200 <= live.status < 300:
        return False
    if kind.startswith(_STREAM_TYPES):
        return True
    # Framings that are JSON on the wire have no content type of their own.
    return plan.framing in ("json_array", "json_concat", "text") or kind not in ("application/json", "text/html")
