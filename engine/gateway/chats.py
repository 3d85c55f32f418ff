"""One chat over one upstream: the target, the exchange, whole or streamed, and a better word for an unknown model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.errors import EngineError, ErrorInfo, RequestError, UpstreamError
from engine.gateway.call import ClientCall, Progress, Record, new_context
from engine.gateway.delivery import StreamReply
from engine.gateway.routing import Choice
from engine.gateway.runner import run_exchange
from engine.gateway.streaming import StreamJob
from engine.gateway.targets import make_target
from engine.gateway.upstream import LiveReply
from engine.translate.chat import Chat, chat_exchange, stream_start
from engine.translate.losses import Losses
from engine.translate.wire import Context, Pause, Target, UpstreamReply, UpstreamRequest
from engine.types import JsonObject

if TYPE_CHECKING:
    from engine.gateway.gateway import Gateway


class ChatRun:
    """A chat on its way. `answer` serves it; state lives for this one call (R17)."""

    def __init__(
        self, gateway: Gateway, call: ClientCall, progress: Progress, request: JsonObject, choice: Choice
    ) -> None:
        self.context: Context = replace(
            new_context(call.request_id),
            client_wire=call.operation.wire,
            client_keeps=call.dialect.keeps_state,
            passage=progress.passage,
        )
        self._gateway = gateway
        self._call = call
        self._progress = progress
        self._request = request
        self._choice = choice
        self._upstream = gateway.config.upstreams[choice.upstream]
        known = gateway.models.known(self._upstream, call.caller)
        self._target: Target = make_target(
            self._upstream,
            gateway.catalog.endpoints[self._upstream.endpoint],
            call.caller,
            None if known is None else tuple(model["id"] for model in known),
            choice.tools,
        )
        listed = next((model for model in known or () if model["id"] == choice.sent_name), None)
        self._model = {"id": choice.model_id, "name": choice.sent_name, "meta": (listed or {}).get("meta")}
        self._sender = RequestSender(gateway, self._upstream.name, call.request_id, progress.record)

    async def answer(self) -> JsonObject | StreamReply:
        """The canonical reply, or the streamed answer. Raises RequestError, UpstreamError, TranslationError."""
        streams = self._gateway.streams
        if self._request.get("stream"):
            if self._call.operation.stream is None:
                raise _no_stream()
            return await streams.reply(self._job(), self._target.plan)
        return await self._whole()

    @property
    def _only(self) -> bool:
        """Whether the endpoint cannot answer but in a stream."""
        plan = self._target.plan
        return plan.stream is not None and plan.capabilities.streaming.find(self._choice.model_id) == "only"

    async def _whole(self) -> JsonObject:
        if self._only:
            return await self._gateway.streams.collect(self._job())
        exchange = chat_exchange(
            self._target, self._request, self._model, self.context, self._progress.losses, self._gateway.codec
        )
        return await run_exchange(exchange, self._sender.send, self._sender.undo)

    def _native(self) -> Chat:
        context = replace(self.context, stream=True)
        return Chat(self._target, self._request, self._model, context, self._progress.losses, self._gateway.codec)

    def _job(self) -> StreamJob:
        scope = {
            "req": self._request,
            "in": self._progress.body,
            "ctx": replace(self.context, stream=True).for_client(self.context.begun),
            "opt": self._gateway.dialect_options(self._call),
        }
        return StreamJob(
            make_chat=self._native,
            whole=self._whole,
            start=stream_start(self._request, self.context),
            sender=self._sender,
            upstream=self._upstream,
            model=self._choice.model_id,
            client=self._call.operation.stream,
            client_scope=scope,
            record=self._progress.record,
            losses=self._progress.losses,
            named=self._progress.named,
            choices=self._request.get("n") or 1,
            only=self._only,
            tells=self._gateway.config.expose_headers,
            passage=self._progress.passage,
        )

    async def explained(self, failure: UpstreamError) -> UpstreamError:
        """The failure, and for an unknown model the same with the nearest name that the upstream lists.

        The upstream's answer is read once more, now with its list at hand; nothing is sent again.
        """
        reply = self._sender.last
        if failure.info.code != "model_not_found" or reply is None or self._target.known_models is not None:
            return failure
        try:
            listed = await self._gateway.models.of_upstream(self._upstream, self._call.caller)
        except EngineError:
            return failure
        target = replace(self._target, known_models=tuple(model["id"] for model in listed))
        exchange = chat_exchange(target, self._request, self._model, self.context, Losses(), self._gateway.codec)
        try:
            asked = next(exchange)
            while isinstance(asked, Pause):
                asked = exchange.send(0.0)
            exchange.send(reply)
        except UpstreamError as better:
            return better
        except (EngineError, StopIteration):
            return failure
        return failure


class RequestSender:
    """One upstream for one request: whole answers and live ones, both in the record and, if asked, printed.

    `last` is the last whole answer.
    """

    def __init__(self, gateway: Gateway, upstream: str, request_id: str, record: Record) -> None:
        self._whole = gateway.senders.whole(upstream, request_id, record)
        self._gateway = gateway
        self._upstream = upstream
        self._request_id = request_id
        self._record = record
        self.last: UpstreamReply | None = None

    async def send(self, request: UpstreamRequest) -> UpstreamReply:
        """Make one call and read the whole answer."""
        self.last = await self._whole(request)
        return self.last

    def undo(self, request: UpstreamRequest) -> None:
        """Stop what was begun upstream for an answer that nobody gets."""
        self._gateway.senders.undo(self._upstream, request, self._request_id)

    async def open(self, request: UpstreamRequest) -> LiveReply:
        """Make one call and return with its head."""
        return await self._gateway.senders.open(self._upstream, request, self._request_id, self._record)


def _no_stream() -> RequestError:
    message = "Streaming is not supported here; send 'stream': false."
    return RequestError(ErrorInfo("invalid_request", message, code="unsupported_feature", param="stream"))
