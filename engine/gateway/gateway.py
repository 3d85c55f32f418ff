"""The gateway: a client's call in, the client's reply out, over whichever upstream the config chooses.

Life of a call   read (JSON, dialect) -> choose (alias, route, upstream) -> exchange -> write (dialect, headers).
                 Every failure that has an `ErrorInfo` becomes a reply in the dialect's own shape; anything else is a
                 bug and goes up to the server's edge.
State            none of a call's; the model lists and the connections live as long as the gateway (R17, R18).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, Protocol

from engine.config import GatewayConfig, UpstreamConfig
from engine.errors import EngineError, ErrorInfo, RequestError, TranslationError, UpstreamError
from engine.gateway.call import Caller, ClientCall, Progress, Record, new_context
from engine.gateway.chats import ChatRun
from engine.gateway.delivery import StreamReply
from engine.gateway.log import Printer
from engine.gateway.models import ModelLists
from engine.gateway.patience import patient
from engine.gateway.routing import Choice, Router, model_not_found
from engine.gateway.runner import run_exchange
from engine.gateway.scrubbing import Scrubber
from engine.gateway.senders import SenderFactory, Senders
from engine.gateway.streaming import Streams
from engine.gateway.strict_json import parse_client_json
from engine.gateway.targets import configured_secrets, make_target, uses_caller_key
from engine.gateway.upstream import HttpUpstream
from engine.translate.client import (
    may_pass,
    origins_of,
    own_answer,
    read_client,
    read_model_id,
    write_error,
    write_reply,
)
from engine.translate.exchange import models_exchange
from engine.translate.passing import Passage
from engine.translate.plan import Codec, DialectPlan, EndpointPlan
from engine.translate.wire import ClientReply, Context
from engine.types import Json, JsonObject

GENERATION_CHARS: Final = 12
REPORTED: Final = (RequestError, UpstreamError, TranslationError)
"""The failures that a client is told of, each with its `info`."""


class Plans(Protocol):
    """What the gateway needs of a catalog."""

    @property
    def endpoints(self) -> Mapping[str, EndpointPlan]:
        """Compiled endpoints by id."""
        ...

    @property
    def dialects(self) -> Mapping[str, DialectPlan]:
        """Compiled dialects by id."""
        ...

    @property
    def digest(self) -> str:
        """The hash of everything that was loaded."""
        ...


Reply = ClientReply | StreamReply
Serve = Callable[[ClientCall, Progress], Awaitable[Reply]]


class Gateway:
    """One config and one catalog, ready to serve. `config` must have been bound to the catalog's endpoints.

    Make it inside the event loop that will use it; `close` when the last request is done.
    """

    def __init__(
        self,
        config: GatewayConfig,
        catalog: Plans,
        codec: Codec,
        make_sender: SenderFactory = HttpUpstream,
        scrubber: Scrubber | None = None,
    ) -> None:
        self.config = config
        self.catalog = catalog
        self.codec = codec
        self.scrubber = scrubber or Scrubber(configured_secrets(config.upstreams))
        self._takes_keys = any(map(uses_caller_key, config.upstreams.values()))
        self.printer = Printer(config.log.print, self.scrubber)
        self.router = Router(config)
        self.models = ModelLists(config, self.router, self._fetch_models)
        self.senders = Senders(config, self.printer, self.scrubber, make_sender)
        self.streams = Streams(config.streaming, codec, time.monotonic)
        self._options = {
            dialect.id: {**_defaults(dialect), **config.dialects.get(dialect.id, {})}
            for dialect in catalog.dialects.values()
        }
        self._serve: Mapping[str, Serve] = {
            "chat": self._serve_chat,
            "models": self._serve_models,
            "model": self._serve_model,
            "answer": self._serve_answer,
        }

    def hide_key(self, caller: Caller) -> None:
        """Keep a caller's key out of logs, where an upstream gets it and may quote it (threat T25)."""
        if self._takes_keys and caller.credential is not None:
            self.scrubber.learn(caller.credential.reveal())

    async def answer(self, call: ClientCall, record: Record) -> Reply:
        """Serve one call and fill in its record. Never raises for a failure that has an `ErrorInfo`."""
        progress = Progress(record)
        record.generation = self.catalog.digest[:GENERATION_CHARS]
        reply: Reply
        try:
            reply = await self._serve[call.operation.kind](call, progress)
        except REPORTED as failure:
            record.code = failure.info.code or failure.info.type
            record.detail = failure.detail
            reply = self.error_reply(call.dialect, progress.named(failure.info), call.request_id, progress.request)
        record.status = reply.status
        record.losses = progress.losses.header()
        return self._with_headers(reply, call.dialect, record)

    def error_reply(
        self, dialect: DialectPlan | None, info: ErrorInfo, request_id: str, request: JsonObject | None = None
    ) -> ClientReply:
        """An error in the dialect's shape; the plain shape when there is no dialect or it cannot say it."""
        ctx = new_context(request_id).for_client()
        try:
            return write_error(dialect, info, request, ctx, self.codec)
        except EngineError:
            return write_error(None, info, request, ctx, self.codec)

    async def close(self) -> None:
        """Close the connections of all upstreams."""
        await self.senders.close()

    def stats(self) -> JsonObject:
        """Counters per upstream, and of streamed answers."""
        return {"upstreams": self.senders.stats(), "streams": self.streams.counts.as_json()}

    async def _serve_chat(self, call: ClientCall, progress: Progress) -> Reply:
        body = self._parse(call)
        own = self._own_answer(call, body) if call.operation.answers else None
        if own is not None:
            return own
        request = self._read(call, body, progress)
        self._check_counts(request)
        progress.record.model = request["model"][:200]
        choice = self._choose(call, request["model"], request)
        upstream = self.config.upstreams[choice.upstream]
        progress.record.upstream, progress.record.endpoint = upstream.name, upstream.endpoint
        run = ChatRun(self, call, progress, request, choice)
        if upstream.heartbeat.json and not request.get("stream"):
            fail = partial(self._error_body, call, progress)
            return await patient(
                self._finished_chat(run, call, progress, request), fail, progress.record, upstream.heartbeat
            )
        return await self._finished_chat(run, call, progress, request)

    def _error_body(self, call: ClientCall, progress: Progress, info: ErrorInfo) -> bytes:
        return self.error_reply(call.dialect, progress.named(info), call.request_id, progress.request).body

    async def _finished_chat(self, run: ChatRun, call: ClientCall, progress: Progress, request: JsonObject) -> Reply:
        out: JsonObject | StreamReply
        try:
            out = await run.answer()
        except UpstreamError as failure:
            raise await run.explained(failure) from failure
        if isinstance(out, StreamReply):
            return out
        progress.record.usage, progress.record.cost = out.get("usage"), out.get("cost")
        passed = progress.passage.reply if progress.passage is not None else None
        progress.record.passed = passed is not None
        return self.write(call, {"req": request, "in": progress.body, "out": out}, run.context, passed)

    async def _serve_models(self, call: ClientCall, progress: Progress) -> ClientReply:
        models = await self.models.union(call.caller, self._wanted(call))
        return self.write(call, {"models": models}, new_context(call.request_id))

    async def _serve_model(self, call: ClientCall, progress: Progress) -> ClientReply:
        body: Json = self._parse(call) if call.body else {}
        asked = read_model_id(call.dialect, call.operation, body, call.http, self.dialect_options(call))
        models = {model["id"]: model for model in await self.models.union(call.caller, self._wanted(call))}
        progress.record.model = asked[:200]
        if asked not in models:
            raise model_not_found(asked, models)
        return self.write(call, {"model": models[asked]}, new_context(call.request_id))

    async def _serve_answer(self, call: ClientCall, progress: Progress) -> ClientReply:
        request = None
        if call.operation.request is not None:
            request = self._read(call, self._parse(call), progress)
        return self.write(call, {"req": request, "in": progress.body}, new_context(call.request_id))

    def _parse(self, call: ClientCall) -> Json:
        return parse_client_json(call.body, depth=self.config.limits.json_depth)

    def _own_answer(self, call: ClientCall, body: Json) -> ClientReply | None:
        ctx = new_context(call.request_id).for_client()
        scope = {"in": body, "http": call.http.as_json(), "ctx": ctx, "opt": self.dialect_options(call)}
        return own_answer(call.dialect, call.operation, scope, self.codec)

    def _read(self, call: ClientCall, body: Json, progress: Progress) -> JsonObject:
        options = self._options[call.dialect.id]
        progress.body = body
        progress.request = read_client(call.dialect, call.operation, body, call.http, options, progress.losses)
        progress.origins = origins_of(call.operation, body, call.http, options, progress.request)
        if call.operation.wire is not None and may_pass(call.operation, body, call.http, options):
            stream = call.operation.stream
            framing = stream.framing if stream is not None else None
            progress.passage = Passage(call.body, body, framing, tuple(progress.losses.items))
        return progress.request

    def _check_counts(self, request: JsonObject) -> None:
        tools = request.get("tools") or ()
        if len(tools) > self.config.limits.tools:
            message = f"Too many tools: {len(tools)}, at most {self.config.limits.tools} are allowed."
            raise RequestError(ErrorInfo("invalid_request", message, code="array_above_max_length", param="tools"))

    def _choose(self, call: ClientCall, asked: str, request: JsonObject) -> Choice:
        wanted = self._wanted(call)
        scope = {
            "req": request,
            "client": {"name": call.caller.name},
            "http": {"headers": dict(call.http.headers)},
        }
        return self.router.choose(asked, scope, wanted[0] if wanted else None)

    def _wanted(self, call: ClientCall) -> list[str] | None:
        """The upstream that the caller names, when it may; None when it names none."""
        if call.wanted_upstream is None:
            return None
        if not call.caller.choose:
            message = "This key may not choose the upstream (its config entry lacks `choose: true`)."
            raise RequestError(ErrorInfo("permission", message, code="upstream_choice_denied", retryable=False))
        return [self.router.choose("", {}, call.wanted_upstream).upstream]

    def dialect_options(self, call: ClientCall) -> JsonObject:
        """The options of the call's dialect."""
        return self._options[call.dialect.id]

    async def _fetch_models(self, upstream: UpstreamConfig, caller: Caller) -> list[JsonObject]:
        plan = self.catalog.endpoints[upstream.endpoint]
        target = make_target(upstream, plan, caller, None)
        context = new_context("req_models")
        exchange = models_exchange(target, context, self.codec)
        send = self.senders.whole(upstream.name, context.request_id, Record(context.request_id))
        return await run_exchange(exchange, send)

    def write(self, call: ClientCall, scope: JsonObject, context: Context, passed: bytes | None = None) -> ClientReply:
        """Write a canonical answer in the shape of the call's dialect; `passed` is one that is in it already."""
        full = {**scope, "ctx": context.for_client(time.monotonic()), "opt": self.dialect_options(call)}
        return write_reply(call.dialect, call.operation, full, self.codec, passed)

    def _with_headers(self, reply: Reply, dialect: DialectPlan, record: Record) -> Reply:
        told = {
            "x-engine-upstream": record.upstream,
            "x-engine-endpoint": record.endpoint,
            "x-engine-generation": record.generation,
            "x-engine-losses": record.losses,
        }
        shown = {name: value for name, value in told.items() if value} if self.config.expose_headers else {}
        own = reply.headers if self.config.expose_headers else _without_ours(reply.headers)
        headers = {**own, **id_headers(dialect, record.request_id), **shown}
        if isinstance(reply, StreamReply):
            reply.headers = headers
            return reply
        return ClientReply(reply.status, headers, reply.body)


def id_headers(dialect: DialectPlan | None, request_id: str) -> dict[str, str]:
    """The id of a request, under the name that every client knows and under the dialect's own."""
    own = dialect.request_id if dialect is not None else None
    return {"x-request-id": request_id} if own is None else {"x-request-id": request_id, own: request_id}


def _without_ours(headers: Mapping[str, str]) -> dict[str, str]:
    """What a dialect tells in headers of our own name is hidden with the rest."""
    return {name: value for name, value in headers.items() if not name.startswith("x-engine-")}


def _defaults(dialect: DialectPlan) -> JsonObject:
    return {name: option.default for name, option in dialect.options.items()}
