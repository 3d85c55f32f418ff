"""Streamed answers: which way an upstream is asked, and what a client gets of what comes.

Native      the upstream's stream is translated piece by piece. The client's 200 is held back until the first event was
            judged, at the latest `commit_after_s`.
Emulated    the upstream is asked for a whole answer; the client's stream begins after `grace_s`, signs of life go out
            while the upstream works, then the answer in pieces.
Probe       the client's own request is sent as a stream and what comes is taken: an event stream is relayed, a whole
            JSON answer is replayed. What came is remembered per upstream and model for `probe_ttl_s`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

from engine.config import HEARTBEAT_STYLES, StreamingConfig, UpstreamConfig
from engine.errors import EngineError, ErrorInfo, RequestError, UpstreamError
from engine.gateway.call import Record
from engine.gateway.delivery import Delivery, StreamReply, StreamVoice
from engine.gateway.probing import Probes, judge
from engine.gateway.runner import run_exchange
from engine.gateway.upstream import LiveReply
from engine.translate.chat import Chat, LiveAnswer
from engine.translate.lifecycle import Lifecycle, replay
from engine.translate.losses import Losses
from engine.translate.passing import Passage
from engine.translate.plan import ClientStreamPlan, Codec, EndpointPlan
from engine.translate.streaming import ClientStream, Translation, words
from engine.translate.wire import UpstreamReply, UpstreamRequest
from engine.types import JsonObject

_BATCH_BYTES: Final = 16_384
_HEADERS: Final = {"cache-control": "no-cache", "x-accel-buffering": "no"}
_NOTE_CHARS: Final = 500

_STREAM_FAULTS: Final = frozenset({"upstream_bad_event", "upstream_empty", "upstream_incomplete"})
"""Failures before the first event that may lie in the streaming, so that a whole answer may still be had."""

_CUT: Final = frozenset({"upstream_reset", "upstream_idle_timeout"})
"""Ends of a connection that do no harm to an answer whose finish reason was seen (DECISIONS 2.15)."""


class LiveSender(Protocol):
    """Both ways of one upstream for one request; `last` is the last whole answer, for whoever explains a failure."""

    last: UpstreamReply | None

    async def send(self, request: UpstreamRequest) -> UpstreamReply:
        """Make one call and read the whole answer."""
        ...

    async def open(self, request: UpstreamRequest) -> LiveReply:
        """Make one call and return with its head."""
        ...

    def undo(self, request: UpstreamRequest) -> None:
        """Stop what was begun upstream for an answer that nobody gets."""
        ...


@dataclass(slots=True)
class StreamCounts:
    """Counters for health and metrics."""

    attempts: int = 0
    native: int = 0
    emulated: int = 0
    collected: int = 0
    fallbacks: int = 0
    failures: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> JsonObject:
        """The counters as data."""
        return {
            "attempts": self.attempts,
            "native": self.native,
            "emulated": self.emulated,
            "collected": self.collected,
            "fallbacks": self.fallbacks,
            "failures": dict(self.failures),
        }


@dataclass(slots=True)
class StreamJob:
    """One chat to be streamed: how to make it native, or get it whole; who sends; what the client speaks.

    `start` is what of the reply is known already: id, model, created. `only` says that the endpoint cannot answer
    whole, `tells` whether the client may see how it was served. `named` puts an error in the client's words.
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
    losses: Losses
    named: Callable[[ErrorInfo], ErrorInfo]
    choices: int = 1
    only: bool = False
    tells: bool = True
    passage: Passage | None = None


class Streams:
    """Streams the chats of one gateway."""

    def __init__(self, config: StreamingConfig, codec: Codec, clock: Callable[[], float]) -> None:
        self._config = config
        self._codec = codec
        self._clock = clock
        self._probes = Probes(config.probe_ttl_s, clock)
        self.counts = StreamCounts()

    def _mode(self, upstream: UpstreamConfig, plan: EndpointPlan, model: str) -> str:
        """How the upstream is asked: by config, else by mapping; `synthetic` where it has no stream rules."""
        own = str(plan.capabilities.streaming.find(model))
        mode = own if own == "only" else upstream.streaming or own
        return "synthetic" if plan.stream is None else mode

    def asks_for_stream(self, upstream: UpstreamConfig, plan: EndpointPlan, model: str) -> bool:
        """Whether the upstream is to be asked for a stream: by config, mapping, or what it did before."""
        mode = self._mode(upstream, plan, model)
        return mode != "synthetic" and (mode != "probe" or self._probes.streams(upstream.name, model) is not False)

    async def reply(self, job: StreamJob, plan: EndpointPlan) -> StreamReply:
        """The streamed answer of a chat. Raises what failed before the answer was committed."""
        self.counts.attempts += 1
        life, client = self._client(job)
        if self.asks_for_stream(job.upstream, plan, job.model):
            probing = self._mode(job.upstream, plan, job.model) == "probe"
            unknown = probing and self._probes.streams(job.upstream.name, job.model) is None
            source = self._native(job, life, client, unknown)
            # What may answer whole, and late, needs signs of life; once it streams, it is one that does.
            within_s = self._config.grace_s if unknown else self._config.commit_after_s
        else:
            source, within_s, unknown = self._emulated(job, life, client), self._config.grace_s, False
        beat = job.upstream.heartbeat
        voice = StreamVoice(life, client, HEARTBEAT_STYLES[beat.style], job.passage)
        delivery = Delivery(source, voice, job.record, self.counts.failures, job.named)
        await delivery.hold(within_s, partial(self._longer, job) if unknown else lambda: 0)
        return StreamReply(200, {"content-type": client.content_type, **_HEADERS}, delivery, beat.every_s)

    def _longer(self, job: StreamJob) -> float:
        """How much longer a failure may keep its status, now that the upstream is known to stream or not."""
        streams = self._probes.streams(job.upstream.name, job.model)
        return self._config.commit_after_s - self._config.grace_s if streams else 0

    def _client(self, job: StreamJob) -> tuple[Lifecycle, ClientStream]:
        if job.client is None:
            message = "Streaming is not supported by this operation."
            raise RequestError(ErrorInfo("invalid_request", message, code="unsupported_feature", param="stream"))
        life = Lifecycle(job.start, serial=job.client.serial, choices=job.choices, keeps_text=job.client.keeps_text)
        return life, ClientStream(job.client, job.client_scope, life.out, self._codec, self._clock)

    async def collect(self, job: StreamJob) -> JsonObject:
        """A whole reply out of an endpoint that only streams (trap 80)."""
        self.counts.collected += 1
        chat = job.make_chat()
        live, undo = await _opened(job, chat)
        is_over = False
        try:
            with _stopped(job, undo):
                async with aclosing(live.pieces()) as source:
                    head = await judge(live, chat, source)
                    if isinstance(head, UpstreamReply):
                        job.sender.last = head
                        return chat.whole(head)
                    life = Lifecycle(job.start, choices=job.choices)
                    answer = chat.live(life, None)
                    async for _ in self._relay(answer, source, head):
                        pass
                    is_over = True
                    return {**life.out, "losses": job.losses.as_json()}
        finally:
            await live.close(is_over=is_over)

    # -- native

    async def _native(
        self, job: StreamJob, life: Lifecycle, client: ClientStream, unknown: bool
    ) -> AsyncGenerator[bytes, None]:
        """The upstream asked for a stream, and asked again without where that failed and policy allows it."""
        try:
            async with aclosing(self._asked(job, life, client)) as frames:
                async for made in frames:
                    yield made
            return
        except UpstreamError as failure:
            if not self._falls_back(job, life, failure, unknown):
                raise
        self.counts.fallbacks += 1
        job.record.streamed = "fallback"
        async with aclosing(self._emulated(job, life, client)) as frames:
            async for made in frames:
                yield made

    def _falls_back(self, job: StreamJob, life: Lifecycle, failure: UpstreamError, unknown: bool) -> bool:
        """Whether the failure may lie in the streaming itself, and nothing of an answer has come."""
        if not self._config.fallback or job.only or not life.is_empty or life.closed:
            return False
        refused = unknown and failure.info.type == "invalid_request"
        return refused or failure.info.code in _STREAM_FAULTS

    async def _asked(self, job: StreamJob, life: Lifecycle, client: ClientStream) -> AsyncGenerator[bytes, None]:
        chat = job.make_chat()
        live, undo = await _opened(job, chat)
        is_over = False
        try:
            with _stopped(job, undo):
                async with aclosing(live.pieces()) as source:
                    head = await judge(live, chat, source)
                    if isinstance(head, UpstreamReply):
                        frames = self._replied(job, life, client, chat, head)
                    else:
                        frames = self._live(job, life, client, chat, source, head)
                    async with aclosing(frames):
                        async for made in frames:
                            yield made
                    is_over = True
        finally:
            await live.close(is_over=is_over)

    def _replied(
        self, job: StreamJob, life: Lifecycle, client: ClientStream, chat: Chat, reply: UpstreamReply
    ) -> AsyncGenerator[bytes, None]:
        """A whole answer to a streaming request is used as it is (DESIGN 7)."""
        job.sender.last = reply
        out = chat.whole(reply)
        self._probes.note(job.upstream.name, job.model, False)
        self.counts.emulated += 1
        job.record.streamed = "emulated"
        return self._replay(job, life, client, out)

    def _live(
        self,
        job: StreamJob,
        life: Lifecycle,
        client: ClientStream,
        chat: Chat,
        source: AsyncGenerator[bytes, None],
        head: bytes,
    ) -> AsyncGenerator[bytes, None]:
        self._probes.note(job.upstream.name, job.model, True)
        self.counts.native += 1
        job.record.streamed = "native"
        answer = chat.live(life, client)
        answer.translation.note = lambda: self._note(job, life, client)
        return self._settled(job, life, self._relay(answer, source, head))

    async def _settled(
        self, job: StreamJob, life: Lifecycle, frames: AsyncGenerator[bytes, None]
    ) -> AsyncGenerator[bytes, None]:
        """The frames, and the record completed however they end."""
        try:
            async with aclosing(frames):
                async for made in frames:
                    yield made
        finally:
            job.record.passed = job.passage is not None and job.passage.taken
            job.record.usage = life.usage_so_far()
            job.record.cost = life.out.get("cost")
            job.record.losses = job.losses.header()

    @staticmethod
    async def _relay(
        answer: LiveAnswer, source: AsyncGenerator[bytes, None], head: bytes
    ) -> AsyncGenerator[bytes, None]:
        """The client's bytes of an upstream's stream, event by event."""
        try:
            made = answer.feed(head)
            if made:
                yield made
            while not answer.ended:
                try:
                    data = await anext(source)
                except StopAsyncIteration:
                    break
                made = answer.feed(data)
                if made:
                    yield made
        except UpstreamError as failure:
            if failure.info.code not in _CUT or not answer.may_end:
                raise
        else:
            made = answer.flush()
            if made:
                yield made
        yield answer.close()

    # -- emulated

    async def _emulated(self, job: StreamJob, life: Lifecycle, client: ClientStream) -> AsyncGenerator[bytes, None]:
        self.counts.emulated += 1
        out = await job.whole()
        if job.record.streamed == "fallback":
            self._probes.note(job.upstream.name, job.model, False)
        else:
            job.record.streamed = "emulated"
        async with aclosing(self._replay(job, life, client, out)) as frames:
            async for made in frames:
                yield made

    async def _replay(
        self, job: StreamJob, life: Lifecycle, client: ClientStream, out: JsonObject
    ) -> AsyncGenerator[bytes, None]:
        """A whole reply in pieces: in batches, with a turn of the loop between, or one by one at a pace."""
        job.record.usage, job.record.cost = out.get("usage"), out.get("cost")
        job.record.losses = job.losses.header()
        life.terminated = True
        translation = Translation(life, client)
        pace_s, batch = self._config.pace_ms / 1000, b""
        for piece in replay(out, self._pieces):
            batch += translation.take((piece,))
            if batch and (pace_s or len(batch) >= _BATCH_BYTES):
                yield batch
                batch = b""
                await asyncio.sleep(pace_s)
        translation.note = lambda: self._note(job, life, client)
        yield batch + translation.end()

    def _pieces(self, text: str) -> list[str]:
        return list(words(text, self._config.piece_chars))

    # -- both

    @staticmethod
    def _note(job: StreamJob, life: Lifecycle, client: ClientStream) -> bytes:
        """What is known only now: into `out` for the dialect's last frame, and as comments (DECISIONS 1)."""
        life.out["losses"] = job.losses.as_json()
        if not job.tells:
            return b""
        losses = [loss for loss in job.losses.items if loss.stage == "reply"]
        cost = life.out.get("cost") or {}
        streaming = "fallback" if job.record.streamed == "fallback" else None
        late = {
            "losses": [{"field": loss.field, "action": loss.action} for loss in losses] or None,
            "streaming": streaming,
            "cost": {"amount": cost["amount"], "unit": cost.get("unit")} if cost.get("amount") else None,
        }
        life.out["late"] = {key: value for key, value in late.items() if value is not None}
        told = {
            "x-engine-losses": ", ".join(f"{loss.field}={loss.action}" for loss in losses),
            "x-engine-streaming": streaming or "",
            "x-engine-cost": f"{cost['amount']} {cost.get('unit') or ''}".strip() if cost.get("amount") else "",
        }
        return b"".join(client.comment(f"{name}: {text}"[:_NOTE_CHARS]) for name, text in told.items() if text)


async def _opened(job: StreamJob, chat: Chat) -> tuple[LiveReply, UpstreamRequest | None]:
    """The live answer of the last call, and the call that stops what the calls before it began."""
    request = await run_exchange(chat.opened(), job.sender.send, job.sender.undo)
    with _stopped(job, request.undo):
        return await job.sender.open(request), request.undo


@contextmanager
def _stopped(job: StreamJob, undo: UpstreamRequest | None) -> Iterator[None]:
    """Stop what earlier calls began, where the answer does not come to its end."""
    try:
        yield
    except (asyncio.CancelledError, GeneratorExit, EngineError):
        if undo is not None:
            job.sender.undo(undo)
        raise
