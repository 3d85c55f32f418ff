"""The HTTP server as one pure ASGI door: default deny, the same checks in the same order for every route (rule R6).

Order   head (framing, host, size) -> probes -> cross-origin permission -> route -> draining -> credential -> body
        -> gateway. What fails answers in the shape of the dialect that owns the nearest route.
Gone    once the body is read, a second task waits for the client to leave; when it does, the work is cancelled and
        with it the upstream call (rule R10).
Edge    the one place that catches everything: a bug is a 500 with the request's id, its traceback goes to the log.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.config import GatewayConfig
from engine.errors import ErrorInfo, RequestError
from engine.gateway.call import ClientCall, Record, new_request_id
from engine.gateway.delivery import StreamReply
from engine.gateway.gateway import Gateway, Plans, id_headers
from engine.gateway.log import ENGINE, write_access
from engine.gateway.scrubbing import Scrubber
from engine.server.auth import authenticate
from engine.server.body import ClientGone, Departure, read_body
from engine.server.cors import cors_headers, is_preflight, preflight_headers
from engine.server.head import (
    Head,
    check_head,
    client_address,
    first_query_values,
    mapping_headers,
    read_head,
)
from engine.server.pump import Pump
from engine.server.routes import Match, Miss, RouteTable
from engine.translate.plan import Codec, DialectPlan
from engine.translate.wire import ClientReply, HttpInput

CLIENT_GONE: Final = 499
"""The status in the log of a call whose client left (nginx's number); nobody receives it."""

_BODYLESS: Final = frozenset({"GET", "HEAD"})
_JSON: Final = {"content-type": "application/json"}


@dataclass(slots=True)
class _Visit:
    """One request on its way through the door."""

    head: Head
    record: Record
    dialect: DialectPlan | None = None
    is_probe: bool = False
    pump: Pump | None = None


class Door:
    """The ASGI application. `gateway` is set while it is open; `draining` refuses new work."""

    def __init__(self, config: GatewayConfig, catalog: Plans, codec: Codec, scrubber: Scrubber | None = None) -> None:
        self._config = config
        self._catalog = catalog
        self._codec = codec
        self._scrubber = scrubber
        self._routes = RouteTable(catalog.dialects.values())
        self._gateway: Gateway | None = None
        self.draining = False

    @property
    def gateway(self) -> Gateway:
        """The gateway. Raises RuntimeError outside the lifespan."""
        if self._gateway is None:
            raise RuntimeError("the door is not open")
        return self._gateway

    @asynccontextmanager
    async def lifespan(self, app: object) -> AsyncIterator[None]:
        """Open the gateway inside the server's event loop, and close it after the last request."""
        self._gateway = Gateway(self._config, self._catalog, self._codec, scrubber=self._scrubber)
        try:
            yield
        finally:
            await self._gateway.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        begun = time.perf_counter()
        visit = _Visit(read_head(scope), Record(new_request_id()))
        reply: ClientReply | None = None
        try:
            reply = await self._served(visit, scope, receive, send)
        except RequestError as failure:
            reply = self._failed(visit, failure.info)
        except ClientGone:
            visit.record.status = CLIENT_GONE
        except asyncio.CancelledError:
            if not self.draining:
                visit.record.status = CLIENT_GONE
                raise
            # The drain deadline has passed: a true status or an error event, then the end (F51).
            await self._break_off(visit, _SHUTTING_DOWN, send)
        except Exception:  # noqa: BLE001  # the server edge: whatever is not foreseen is a 500 without a word of ours
            ENGINE.exception("internal error", extra={"fields": {"request_id": visit.record.request_id}})
            if visit.pump is None:
                reply = self._failed(visit, _INTERNAL)
            else:
                await self._break_off(visit, _INTERNAL, send)
        finally:
            self._log(visit, reply, begun)
        if reply is not None:
            self._print_reply(visit, reply)
            await _send(send, visit, self._with_cors(visit, reply))

    async def _served(self, visit: _Visit, scope: Scope, receive: Receive, send: Send) -> ClientReply | None:
        """The answer; None where it was a stream, which is sent then. Raises ClientGone."""
        async with Departure(receive) as departure:
            found = await self._serve(visit, scope, receive, departure)
            if not isinstance(found, StreamReply):
                return found
            await self._stream(visit, found, send, departure)
        return None

    async def _stream(self, visit: _Visit, reply: StreamReply, send: Send, departure: Departure) -> None:
        """Send a streamed answer; raises ClientGone when the client does not take it."""
        visit.record.status = reply.status
        headers = (
            {**reply.headers, **cors_headers(visit.head, self._config.cors, reply.headers)}
            if self._config.cors.origins
            else reply.headers
        )
        show = partial(self.gateway.printer.show, "client_reply", visit.record.request_id, f"{reply.status} (live)")
        show(headers.items(), b"")
        visit.pump = Pump(send, reply, visit.record, lambda data: show((), data), departure.end)
        await visit.pump.run(headers)

    async def _break_off(self, visit: _Visit, info: ErrorInfo, send: Send) -> None:
        """End an answer that cannot go on: by its last event if it is a stream that began, else by a whole answer."""
        if visit.pump is None:
            reply = self._failed(visit, info)
            visit.record.status, visit.record.reply_bytes = reply.status, len(reply.body)
            await _send(send, visit, reply)
            return
        visit.record.code = info.code or info.type
        await visit.pump.break_off(info)

    async def _serve(
        self, visit: _Visit, scope: Scope, receive: Receive, departure: Departure
    ) -> ClientReply | StreamReply:
        head, record = visit.head, visit.record
        record.method = head.method
        record.address = client_address(head, self._config.trusted_proxies)
        found = self._routes.find(head.method, head.raw_path, {name for name, _ in head.headers})
        visit.dialect = found.dialect  # first of all, so that every refusal has the shape that its client reads
        check_head(head, scope, self._config.limits.headers_bytes)
        probe = _PROBES.get(head.path) if head.method in _BODYLESS else None
        if probe is not None:
            visit.is_probe = True
            return probe(self)
        if is_preflight(head, self._config.cors):
            return ClientReply(204, preflight_headers(head, self._config.cors), b"")
        if isinstance(found, Miss):
            raise RequestError(_miss(head, found))
        if self.draining:
            raise RequestError(_SHUTTING_DOWN)
        return await self._answer(visit, found, scope, receive, departure)

    async def _answer(
        self, visit: _Visit, found: Match, scope: Scope, receive: Receive, departure: Departure
    ) -> ClientReply | StreamReply:
        head, record, limits = visit.head, visit.record, self._config.limits
        record.operation = f"{found.dialect.id}.{found.operation.name}"
        caller = authenticate(head, self._config.clients)
        record.client = caller.name
        self.gateway.hide_key(caller)
        body = b""
        if head.method not in _BODYLESS:
            body = await read_body(head, receive, limits.body_bytes, self._config.timeouts.receive_s)
        record.body_bytes = len(body)
        call = ClientCall(
            request_id=record.request_id,
            dialect=found.dialect,
            operation=found.operation,
            http=HttpInput(
                method=head.method,
                path=head.path,
                params=found.params,
                query=first_query_values(scope.get("query_string", b"")),
                headers=mapping_headers(head),
            ),
            body=body,
            caller=caller,
            wanted_upstream=head.first("x-engine-upstream"),
        )
        printer = self.gateway.printer
        printer.show("client_request", record.request_id, f"{head.method} {head.path}", head.headers, body)
        departure.watch()
        return await self.gateway.answer(call, record)

    def _failed(self, visit: _Visit, info: ErrorInfo) -> ClientReply:
        reply = self.gateway.error_reply(visit.dialect, info, visit.record.request_id)
        visit.record.code = info.code or info.type
        headers = {**reply.headers, **id_headers(visit.dialect, visit.record.request_id)}
        return ClientReply(reply.status, headers, reply.body)

    def _log(self, visit: _Visit, reply: ClientReply | None, begun: float) -> None:
        record = visit.record
        record.duration_ms = (time.perf_counter() - begun) * 1000
        if reply is not None:
            record.status, record.reply_bytes = reply.status, len(reply.body)
        if not visit.is_probe:
            write_access(record)

    def _print_reply(self, visit: _Visit, reply: ClientReply) -> None:
        request_id = visit.record.request_id
        self.gateway.printer.show("client_reply", request_id, f"{reply.status}", reply.headers.items(), reply.body)

    def _with_cors(self, visit: _Visit, reply: ClientReply) -> ClientReply:
        if not self._config.cors.origins:
            return reply
        headers = {**reply.headers, **cors_headers(visit.head, self._config.cors, reply.headers)}
        return ClientReply(reply.status, headers, reply.body)

    def alive(self) -> ClientReply:
        """`/healthz`: the event loop turns. Says nothing of upstreams (rule R25)."""
        return ClientReply(200, _JSON, self._codec.dumps({"status": "ok"}))

    def ready(self) -> ClientReply:
        """`/readyz`: a catalog is loaded and the server is not draining."""
        body = {"status": "draining" if self.draining else "ready", "generation": self._catalog.digest[:12]}
        return ClientReply(503 if self.draining else 200, _JSON, self._codec.dumps(body))


_PROBES: Final[Mapping[str, Callable[[Door], ClientReply]]] = {"/healthz": Door.alive, "/readyz": Door.ready}

_INTERNAL: Final = ErrorInfo("internal", "The gateway failed on this request.", code="internal_error", retryable=False)
_SHUTTING_DOWN: Final = ErrorInfo(
    "overloaded",
    "The gateway is shutting down.",
    code="shutting_down",
    retry_after_s=1,
    headers={"connection": "close"},
)


def create_app(
    config: GatewayConfig, catalog: Plans, codec: Codec, scrubber: Scrubber | None = None
) -> tuple[ASGIApp, Door]:
    """The ASGI application for a bound config and a catalog, and its door (to begin draining)."""
    door = Door(config, catalog, codec, scrubber)
    return Router(redirect_slashes=False, default=door, lifespan=door.lifespan), door


def _miss(head: Head, found: Miss) -> ErrorInfo:
    shown = repr(head.path[:80])
    if found.allowed:
        message = f"The method {head.method} is not allowed for {shown}."
        allow = {"allow": ", ".join(found.allowed)}
        return ErrorInfo("invalid_request", message, status=405, code="method_not_allowed", headers=allow)
    return ErrorInfo("not_found", f"There is nothing at {shown}.", code="unknown_url", retryable=False)


async def _send(send: Send, visit: _Visit, reply: ClientReply) -> None:
    headers = [(name.encode("ascii"), value.encode("latin-1", "replace")) for name, value in reply.headers.items()]
    if reply.status != 204:
        headers.append((b"content-length", str(len(reply.body)).encode("ascii")))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    body = b"" if visit.head.method == "HEAD" else reply.body
    await send({"type": "http.response.body", "body": body})
