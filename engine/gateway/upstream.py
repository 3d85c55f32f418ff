"""HTTP to one upstream, behind a seam of three calls: send, close, stats.

Rules    the request's origin must be one of the upstream's own (R1, R2); redirects are never followed; no environment
         variable and no cookie is read or kept; secrets become text only in `_request`, and only after those checks.
Clocks   connect; first byte (from the call's begin); the gap between two pieces; total over all, retry included (R9).
Retry    one, for a kept-alive connection that the peer had closed before any byte of the answer (F7). Nothing else.
Limits   the answer's body is capped after decoding; the number of calls by a `Gate`.

The transport is called without httpx's client around it: the client would add cookies, environment and redirects,
which rule R2 forbids, and 200 µs.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Final
from urllib.parse import unquote, urlencode

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from engine.config import GatewayConfig, TimeoutsConfig, UpstreamConfig
from engine.errors import ErrorInfo, RequestError, TranslationError, UpstreamError
from engine.gateway.bounded_body import body_reader
from engine.gateway.faults import (
    BAD_RESPONSE,
    CONNECT_TIMEOUT,
    CUT,
    FIRST_BYTE_TIMEOUT,
    IDLE_TIMEOUT,
    LIBRARY_ERRORS,
    READ_TIMEOUT,
    REDIRECT,
    TOO_LARGE,
    TOTAL_TIMEOUT,
    fault_of,
    is_disconnect,
)
from engine.gateway.gate import Gate
from engine.gateway.header_rules import header_problem
from engine.translate.wire import UpstreamReply, UpstreamRequest
from engine.types import JsonObject, Secret

KEEP_ALIVE_S: Final = 15
"""Below the idle limit of the servers we know of (the shortest seen closes at 60 s)."""

_DEFAULT_HEADERS: Final[tuple[tuple[str, str], ...]] = (
    ("accept", "*/*"),
    ("accept-encoding", "identity"),
    ("user-agent", "endpoint-engine"),
)


@dataclass(slots=True)
class _Attempt:
    """What became of one try: on which connection, and how far it came."""

    reused: bool = False
    answered: bool = False


_attempt: ContextVar[_Attempt] = ContextVar("attempt")


@dataclass(slots=True)
class _Counts:
    sent: int = 0
    stale_retries: int = 0
    failures: Counter[str] = field(default_factory=Counter)


class HttpUpstream:
    """The sender of one upstream. Make it inside the event loop that will use it; close it after its last request."""

    def __init__(self, upstream: UpstreamConfig, config: GatewayConfig) -> None:
        self.name = upstream.name
        self._timeouts = config.timeouts
        self._body_limit = config.limits.upstream_body_bytes
        self._origins = frozenset(_origin(httpx.URL(url)) for url in (upstream.url, *upstream.hosts.values()))
        self._gate = Gate(config.concurrency)
        self._counts = _Counts()
        self._transport = _transport(upstream.ca_file, config.outbound_proxy)

    async def send(self, request: UpstreamRequest) -> UpstreamReply:
        """Make the call and read the whole answer.

        Raises UpstreamError (faults F1-F14, F21, F24, F25), TranslationError when the request may not be sent,
        RequestError when the client's data would bend the path. Cancelling closes the connection.
        """
        prepared = _request(request, self._origins, self._timeouts.connect_s)
        try:
            async with self._gate:
                self._counts.sent += 1
                return await self._within_total(prepared)
        except UpstreamError as failure:
            self._counts.failures[failure.code] += 1
            raise

    async def open(self, request: UpstreamRequest) -> LiveReply:
        """Make the call and return as soon as its head is there; the body is the caller's to read and to close.

        Raises as `send` does. The total clock goes on running while the body is read.
        """
        prepared = _request(request, self._origins, self._timeouts.connect_s)
        deadline = asyncio.get_running_loop().time() + self._timeouts.total_s
        await self._gate.__aenter__()
        try:
            self._counts.sent += 1
            response = await self._head(prepared)
        except UpstreamError as failure:
            self._counts.failures[failure.code] += 1
            await self._gate.__aexit__(None, None, None)
            raise
        except BaseException:
            await self._gate.__aexit__(None, None, None)
            raise
        return LiveReply(response, self._gate, self._timeouts, deadline, self._body_limit)

    async def _head(self, request: httpx.Request) -> httpx.Response:
        """The head of the answer, a dead kept-alive connection tried again."""
        while True:
            attempt = _Attempt()
            _attempt.set(attempt)
            try:
                async with asyncio.timeout(self._timeouts.first_byte_s):
                    response = await self._transport.handle_async_request(request)
            except TimeoutError:
                raise FIRST_BYTE_TIMEOUT.error(f"{self._timeouts}") from None
            except LIBRARY_ERRORS as failure:
                if attempt.reused and is_disconnect(failure):
                    self._counts.stale_retries += 1
                    continue
                raise fault_of(failure).error(type(failure.__cause__ or failure).__name__) from None
            if 300 <= response.status_code < 400:
                await response.aclose()
                raise REDIRECT.error(f"status {response.status_code}")
            return response

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    def stats(self) -> JsonObject:
        """Counters for health and metrics: calls in flight and waiting, sent, stale retries, failures by code."""
        return {
            "in_flight": self._gate.in_flight,
            "waiting": self._gate.waiting,
            "sent": self._counts.sent,
            "stale_retries": self._counts.stale_retries,
            "failures": dict(self._counts.failures),
        }

    async def _within_total(self, request: httpx.Request) -> UpstreamReply:
        try:
            async with asyncio.timeout(self._timeouts.total_s) as clock:
                return await self._with_stale_retry(request)
        except TimeoutError:
            if clock.expired():
                raise TOTAL_TIMEOUT.error(f"after {self._timeouts.total_s} s") from None
            raise

    async def _with_stale_retry(self, request: httpx.Request) -> UpstreamReply:
        while True:
            attempt = _Attempt()
            _attempt.set(attempt)
            try:
                return await self._once(request, attempt)
            except LIBRARY_ERRORS as failure:
                if attempt.reused and not attempt.answered and is_disconnect(failure):
                    # Each turn uses up one dead connection of the pool; a fresh one ends the loop either way.
                    self._counts.stale_retries += 1
                    continue
                raise fault_of(failure).error(type(failure.__cause__ or failure).__name__) from None

    async def _once(self, request: httpx.Request, attempt: _Attempt) -> UpstreamReply:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeouts.first_byte_s) as clock:
                response = await self._transport.handle_async_request(request)
                attempt.answered = True
                try:
                    if 300 <= response.status_code < 400:
                        raise REDIRECT.error(f"status {response.status_code}")
                    body = body_reader(response.headers.get("content-encoding", ""), self._body_limit)
                    clock.reschedule(loop.time() + self._timeouts.idle_s)
                    async for piece in _wire(response):
                        body.feed(piece)
                        clock.reschedule(loop.time() + self._timeouts.idle_s)
                    return UpstreamReply(response.status_code, _plain_headers(response), body.finish())
                finally:
                    await response.aclose()
        except TimeoutError:
            if clock.expired():
                late = READ_TIMEOUT if attempt.answered else FIRST_BYTE_TIMEOUT
                raise late.error(f"{self._timeouts}") from None
            raise CONNECT_TIMEOUT.error(f"after {self._timeouts.connect_s} s") from None


class LiveReply:
    """An answer whose body is still coming. `close` it, whatever happened. `watch` sees each piece, for printing."""

    def __init__(
        self, response: httpx.Response, gate: Gate, timeouts: TimeoutsConfig, deadline: float, limit: int
    ) -> None:
        self.status = response.status_code
        self.headers = _plain_headers(response)
        self._response = response
        self._gate: Gate | None = gate
        self._timeouts = timeouts
        self._deadline = deadline
        self._limit = limit
        self._whole: UpstreamReply | None = None
        self.watch: Callable[[bytes], None] | None = None

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes. Raises UpstreamError: silence, reset, the total clock, an encoding, the size."""
        if self._whole is not None:
            yield self._whole.body
            return
        encoding = self.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            raise BAD_RESPONSE.error(f"content-encoding {encoding[:40]!r} of a stream")
        clock = asyncio.get_running_loop().time
        left = self._limit
        source = aiter(_wire(self._response))
        while True:
            until = min(clock() + self._timeouts.idle_s, self._deadline)
            try:
                async with asyncio.timeout_at(until):
                    piece = await anext(source)
            except StopAsyncIteration:
                return
            except TimeoutError:
                late = TOTAL_TIMEOUT if clock() >= self._deadline else IDLE_TIMEOUT
                raise late.error(f"{self._timeouts}") from None
            except LIBRARY_ERRORS as failure:
                raise CUT.error(type(failure.__cause__ or failure).__name__) from None
            left -= len(piece)
            if left < 0:
                raise TOO_LARGE.error("stream over the limit")
            if self.watch is not None:
                self.watch(piece)
            yield piece

    async def read(self) -> UpstreamReply:
        """The whole body, where the answer turned out not to be a stream."""
        if self._whole is not None:
            return self._whole
        body = body_reader(self.headers.get("content-encoding", ""), self._limit)
        clock = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout_at(min(clock() + self._timeouts.idle_s, self._deadline)) as timer:
                async for piece in _wire(self._response):
                    body.feed(piece)
                    timer.reschedule(min(clock() + self._timeouts.idle_s, self._deadline))
        except TimeoutError:
            raise READ_TIMEOUT.error(f"{self._timeouts}") from None
        except LIBRARY_ERRORS as failure:
            raise fault_of(failure).error(type(failure.__cause__ or failure).__name__) from None
        self._whole = UpstreamReply(self.status, self.headers, body.finish())
        return self._whole

    async def close(self) -> None:
        """Give the connection back, or close it where the body was not read to its end; once."""
        gate, self._gate = self._gate, None
        if gate is not None:
            await gate.__aexit__(None, None, None)
            await self._response.aclose()


def _wire(response: httpx.Response) -> httpx.AsyncByteStream:
    """The answer's bytes as they came, not decoded."""
    stream = response.stream
    assert isinstance(stream, httpx.AsyncByteStream)
    return stream


def _plain_headers(response: httpx.Response) -> Mapping[str, str]:
    return dict(response.headers.items())


def _request(request: UpstreamRequest, origins: frozenset[str], connect_s: float) -> httpx.Request:
    """Check everything, then reveal the secrets. What fails here was never near the network."""
    url = _checked_url(request, origins)
    headers = [*_DEFAULT_HEADERS]
    for name, value in request.headers:
        text = _reveal(value)
        problem = header_problem(name, text)
        if problem is not None:
            raise _unsendable(problem)
        headers = [pair for pair in headers if pair[0] != name.lower()]
        headers.append((name.lower(), text))
    query = [(name, _reveal(value)) for name, value in request.query]
    target = f"{url}?{urlencode(query)}" if query else str(url)
    encoded = [(name.encode("ascii"), text.encode("latin-1")) for name, text in headers]
    clocks = {"timeout": {"connect": connect_s, "read": None, "pool": None}}  # the library's, for look-up, TCP and TLS
    return httpx.Request(request.method, target, headers=encoded, content=request.body, extensions=clocks)


def _reveal(value: str | Secret) -> str:
    return value.reveal() if isinstance(value, Secret) else value


def _checked_url(request: UpstreamRequest, origins: frozenset[str]) -> httpx.URL:
    try:
        url = httpx.URL(request.url)
        origin, declared = _origin(url), _origin(httpx.URL(request.origin))
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise _unsendable("the URL is not valid") from None
    if origin != declared or origin not in origins or url.userinfo or url.fragment:
        raise _unsendable("the URL leaves the origin that the config binds this upstream to")
    path = request.url.split("?", 1)[0].split("://", 1)[-1]
    if any(unquote(segment) in (".", "..") for segment in path.split("/")[1:]):
        message = "The model name cannot be part of a path."
        info = ErrorInfo("invalid_request", message, code="invalid_value", param="model")
        raise RequestError(info, detail="a '.' or '..' segment in the upstream path")
    return url


def _origin(url: httpx.URL) -> str:
    """Scheme, host and port, in one spelling (httpx drops a scheme's default port)."""
    return f"{url.scheme}://{url.host}:{url.port or ''}"


def _unsendable(detail: str) -> TranslationError:
    info = ErrorInfo(
        "internal",
        "The mapping of this upstream made a request that may not be sent.",
        code="mapping_request_error",
        retryable=False,
    )
    return TranslationError(info, detail=detail)


def _transport(ca_file: str | None, proxy: str | None) -> AiohttpTransport:
    context = ssl.create_default_context(cafile=ca_file) if ca_file else httpx.create_ssl_context(trust_env=False)
    tracing = aiohttp.TraceConfig()
    tracing.on_connection_reuseconn.append(_note_reuse)

    def session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=0, ssl=context, keepalive_timeout=KEEP_ALIVE_S)
        return aiohttp.ClientSession(
            connector=connector,
            trace_configs=[tracing],
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            skip_auto_headers=["Content-Type"],
        )

    outbound = httpx.Proxy(proxy) if proxy else None
    return AiohttpTransport(client=session, verify=context, trust_env=False, proxy=outbound)


async def _note_reuse(
    session: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceConnectionReuseconnParams
) -> None:
    """The library tells nobody whether a connection was fresh, but for this hook; it runs in the caller's context."""
    _attempt.get().reused = True
