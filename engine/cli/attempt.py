"""One live call of `engine try`: the straight line of the gateway without a client's dialect, with everything noted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from engine.cli.deployment import Deployment
from engine.config import UpstreamConfig
from engine.errors import RequestError, TranslationError, UpstreamError
from engine.gateway.call import Caller, Record, new_context, new_request_id
from engine.gateway.chats import RequestSender
from engine.gateway.gateway import REPORTED, Gateway
from engine.gateway.probing import judge
from engine.gateway.runner import Send, run_exchange
from engine.gateway.targets import make_target
from engine.server.run import json_codec
from engine.translate.chat import Chat, chat_exchange, stream_start
from engine.translate.lifecycle import Lifecycle
from engine.translate.losses import Losses
from engine.translate.wire import UpstreamReply, UpstreamRequest
from engine.types import JsonObject

Mask = Callable[[str], str]


@dataclass(slots=True)
class Attempt:
    """One question: what was asked and sent, and what came of it. `stream` are the bytes of a live answer."""

    request: JsonObject
    model: JsonObject
    token_calls: list[tuple[UpstreamRequest, UpstreamReply | None]] = field(default_factory=list)
    sent: list[UpstreamRequest] = field(default_factory=list)
    replies: list[UpstreamReply] = field(default_factory=list)
    stream: bytearray | None = None
    live_status: int | None = None
    out: JsonObject | None = None
    failure: RequestError | UpstreamError | TranslationError | None = None
    losses: Losses = field(default_factory=Losses)
    took_ms: float = 0.0
    masked: Mask = str
    """Takes secrets out of a text."""


async def ask(
    deployment: Deployment, upstream: UpstreamConfig, caller: Caller, model: str, text: str, *, stream: bool
) -> Attempt:
    """Make the call. What a client would be told of is in the attempt; anything else is raised."""
    config = replace(deployment.config, upstreams={**deployment.config.upstreams, upstream.name: upstream})
    gateway = Gateway(config, deployment.catalog, json_codec())
    gateway.hide_key(caller)
    request: JsonObject = {"model": model, "messages": [{"role": "user", "content": text}]}
    if stream:
        request["stream"] = True
    named = {"id": model, "name": upstream.models.get(model, model), "meta": None}
    attempt = Attempt(request, named, masked=gateway.scrubber.scrub)
    begun = time.perf_counter()
    try:
        attempt.out = await _answer(gateway, upstream, caller, attempt)
    except REPORTED as failure:
        attempt.failure = failure
    finally:
        attempt.took_ms = (time.perf_counter() - begun) * 1000
        await gateway.close()
    return attempt


async def _answer(gateway: Gateway, upstream: UpstreamConfig, caller: Caller, attempt: Attempt) -> JsonObject:
    """The canonical reply, whole or out of a stream, with all that was sent and came noted."""
    plan = gateway.catalog.endpoints[upstream.endpoint]
    context = new_context(new_request_id())
    target = make_target(upstream, plan, caller, None)
    record = Record(context.request_id)
    sender = RequestSender(gateway, upstream.name, context.request_id, record)
    gateway.senders.tokens.watch = lambda request, reply: attempt.token_calls.append((request, reply))

    async def send(request: UpstreamRequest) -> UpstreamReply:
        before = record.calls - len(attempt.token_calls)
        try:
            reply = await sender.send(request)
        finally:
            if record.calls - len(attempt.token_calls) > before:  # it was sent: there was a token, where one is needed
                attempt.sent.append(request)
        attempt.replies.append(reply)
        return reply

    only = plan.stream is not None and plan.capabilities.streaming.find(str(attempt.model["id"])) == "only"
    if not attempt.request.get("stream") and not only:
        exchange = chat_exchange(target, attempt.request, attempt.model, context, attempt.losses, gateway.codec)
        return await run_exchange(exchange, send, sender.undo)
    return await _streamed(
        Chat(target, attempt.request, attempt.model, replace(context, stream=True), attempt.losses, gateway.codec),
        sender, send, attempt,
    )  # fmt: skip


async def _streamed(chat: Chat, sender: RequestSender, send: Send, attempt: Attempt) -> JsonObject:
    """The reply collected out of a stream, or as it is where the upstream answers whole."""
    request = await run_exchange(chat.opened(), send, sender.undo)
    attempt.sent.append(request)
    live = await sender.open(request)
    attempt.live_status = live.status
    try:
        source = live.pieces()
        head = await judge(live, chat, source)
        if isinstance(head, UpstreamReply):
            attempt.replies.append(head)
            return chat.settled(chat.whole(head))
        attempt.stream = bytearray(head)
        life = Lifecycle(stream_start(attempt.request, chat.context))
        answer = chat.live(life, None)
        answer.feed(head)
        async for data in source:
            attempt.stream += data
            answer.feed(data)
        answer.flush()
        answer.close()
        return chat.settled(life.out)
    finally:
        await live.close()
