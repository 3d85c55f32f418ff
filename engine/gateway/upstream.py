"""HTTP to one upstream, behind a seam of three calls: send, close, stats.

Rules    the request's origin must be one of the upstream's own (R1, R2); redirects are never followed; no environment
         variable and no cookie is read or kept; secrets become text only in `_request`, and only after those checks.
Clocks   connect; first byte (from the call's begin); the gap between two pieces; total over all, retry included (R9).
Retry    one, for a kept-alive connection that the peer had closed before any byte of the answer (F7). Nothing else.
Limits   the answer's body is capped after decoding; the number of calls by a `Gate`.

aiohttp's client is called as it is, without cookies, environment and redirects, which rule R2 forbids (decision 0012).
The address goes out as it was checked and signed: nothing quotes, sorts or decodes it on the way.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote, urlencode
from weakref import WeakSet

import aiohttp
import certifi
from multidict import CIMultiDict
from yarl import URL

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
    Fault,
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
_PIECE_BYTES: Final = 16_384
_REST_S: Final = 0.5
"""How long the HTTP end of an answer may come behind the stream's own end, for its connection to be kept."""
_UNSENT: Final = re.compile(r"[^!-~]|[\"<>\\^`{|}]")
_SAFE: Final = "%/:?@!$&'()*+,;=-._~[]"


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
        self._origins = frozenset(_origin(url) for url in (upstream.url, *upstream.hosts.values()))
        self._gate = Gate(config.concurrency)
        self._counts = _Counts()
        self._session = _session(upstream.ca_file, config.timeouts.connect_s, config.outbound_proxy)
        self._resting: set[asyncio.Task[None]] = set()

    async def send(self, request: UpstreamRequest) -> UpstreamReply:
        """Make the call and read the whole answer.

        Raises UpstreamError (faults F1-F14, F21, F24, F25), TranslationError when the request may not be sent,
        RequestError when the client's data would bend the path. Cancelling closes the connection.
        """
        prepared = _prepared(request, self._origins)
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
        prepared = _prepared(request, self._origins)
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
        return LiveReply(response, self._gate, self._timeouts, deadline, self._body_limit, self._rest)

    def _rest(self, response: aiohttp.ClientResponse) -> None:
        """Read off what is left of an answer that said its end, so that its connection serves again."""
        task = asyncio.ensure_future(_read_off(response))
        self._resting.add(task)
        task.add_done_callback(self._resting.discard)

    async def _head(self, request: _Prepared) -> aiohttp.ClientResponse:
        """The head of the answer, a dead kept-alive connection tried again."""
        while True:
            attempt = _Attempt()
            _attempt.set(attempt)
            try:
                async with asyncio.timeout(self._timeouts.first_byte_s):
                    response = await self._call(request)
            except TimeoutError:
                raise FIRST_BYTE_TIMEOUT.error(f"{self._timeouts}") from None
            except LIBRARY_ERRORS as failure:
                if attempt.reused and is_disconnect(failure):
                    self._counts.stale_retries += 1
                    continue
                raise fault_of(failure).error(type(failure.__cause__ or failure).__name__) from None
            if 300 <= response.status < 400:
                response.close()
                raise REDIRECT.error(f"status {response.status}")
            return response

    async def _call(self, request: _Prepared) -> aiohttp.ClientResponse:
        """The head of one answer."""
        return await self._session.request(
            request.method,
            request.url,
            headers=request.headers,
            data=request.body,
            allow_redirects=False,
        )

    async def close(self) -> None:
        """Close all connections."""
        for task in self._resting:
            task.cancel()
        await self._session.close()

    def stats(self) -> JsonObject:
        """Counters for health and metrics: calls in flight and waiting, sent, stale retries, failures by code."""
        return {
            "in_flight": self._gate.in_flight,
            "waiting": self._gate.waiting,
            "sent": self._counts.sent,
            "stale_retries": self._counts.stale_retries,
            "failures": dict(self._counts.failures),
        }

    async def _within_total(self, request: _Prepared) -> UpstreamReply:
        try:
            async with asyncio.timeout(self._timeouts.total_s) as clock:
                return await self._with_stale_retry(request)
        except TimeoutError:
            if clock.expired():
                raise TOTAL_TIMEOUT.error(f"after {self._timeouts.total_s} s") from None
            raise

    async def _with_stale_retry(self, request: _Prepared) -> UpstreamReply:
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

    async def _once(self, request: _Prepared, attempt: _Attempt) -> UpstreamReply:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeouts.first_byte_s) as clock:
                response = await self._call(request)
                attempt.answered = True
                try:
                    if 300 <= response.status < 400:
                        raise REDIRECT.error(f"status {response.status}")
                    body = body_reader(response.headers.get("content-encoding", ""), self._body_limit)
                    clock.reschedule(loop.time() + self._timeouts.idle_s)
                    async for piece in response.content.iter_chunked(_PIECE_BYTES):
                        body.feed(piece)
                        clock.reschedule(loop.time() + self._timeouts.idle_s)
                    return UpstreamReply(response.status, _plain_headers(response), body.finish())
                finally:
                    response.close()
        except TimeoutError:
            if clock.expired():
                late = READ_TIMEOUT if attempt.answered else FIRST_BYTE_TIMEOUT
                raise late.error(f"{self._timeouts}") from None
            raise CONNECT_TIMEOUT.error(f"after {self._timeouts.connect_s} s") from None


class LiveReply:
    """An answer whose body is still coming. `close` it, whatever happened. `watch` sees each piece, for printing.

    One timer per answer watches the silence; a piece only notes when its wait began, so a busy stream pays nothing.
    """

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        gate: Gate,
        timeouts: TimeoutsConfig,
        deadline: float,
        limit: int,
        rest: Callable[[aiohttp.ClientResponse], None],
    ) -> None:
        self.status = response.status
        self.headers = _plain_headers(response)
        self._response = response
        self._gate: Gate | None = gate
        self._timeouts = timeouts
        self._deadline = deadline
        self._limit = limit
        self._rest = rest
        self._whole: UpstreamReply | None = None
        self._loop = asyncio.get_running_loop()
        self._waits_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._late: Fault | None = None
        self.watch: Callable[[bytes], None] | None = None

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes. Raises UpstreamError: silence, reset, the total clock, an encoding, the size."""
        if self._whole is not None:
            yield self._whole.body
            return
        encoding = self.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            raise BAD_RESPONSE.error(f"content-encoding {encoding[:40]!r} of a stream")
        clock, left = self._loop.time, self._limit
        source = aiter(self._response.content.iter_chunked(_PIECE_BYTES))
        self._waits_since = clock()
        self._look()
        while True:
            try:
                piece = await anext(source)
            except StopAsyncIteration:
                return
            except LIBRARY_ERRORS as failure:
                if self._late is not None:
                    raise self._late.error(f"{self._timeouts}") from None
                raise CUT.error(type(failure.__cause__ or failure).__name__) from None
            finally:
                self._waits_since = None
            left -= len(piece)
            if left < 0:
                raise TOO_LARGE.error("stream over the limit")
            if self.watch is not None:
                self.watch(piece)
            yield piece
            self._waits_since = clock()

    def _look(self) -> None:
        """Break off an answer that is late, else look again when it may be; waiting for the client is not silence."""
        now = self._loop.time()
        silent_until = (now if self._waits_since is None else self._waits_since) + self._timeouts.idle_s
        if now < min(silent_until, self._deadline):
            self._timer = self._loop.call_at(min(silent_until, self._deadline), self._look)
            return
        self._late = TOTAL_TIMEOUT if now >= self._deadline else IDLE_TIMEOUT
        self._response.close()  # which ends the wait for the next piece

    async def read(self) -> UpstreamReply:
        """The whole body, where the answer turned out not to be a stream."""
        if self._whole is not None:
            return self._whole
        body = body_reader(self.headers.get("content-encoding", ""), self._limit)
        clock = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout_at(min(clock() + self._timeouts.idle_s, self._deadline)) as timer:
                async for piece in self._response.content.iter_chunked(_PIECE_BYTES):
                    body.feed(piece)
                    timer.reschedule(min(clock() + self._timeouts.idle_s, self._deadline))
        except TimeoutError:
            raise READ_TIMEOUT.error(f"{self._timeouts}") from None
        except LIBRARY_ERRORS as failure:
            raise fault_of(failure).error(type(failure.__cause__ or failure).__name__) from None
        self._whole = UpstreamReply(self.status, self.headers, body.finish())
        return self._whole

    async def close(self, *, is_over: bool = False) -> None:
        """Give the connection back, or close it where the body was not read to its end; once.

        `is_over`: the stream said its end, so HTTP's own end is on its way.
        """
        gate, self._gate = self._gate, None
        if self._timer is not None:
            self._timer.cancel()
        if gate is None:
            return
        await gate.__aexit__(None, None, None)
        if is_over and not self._response.content.is_eof():
            self._rest(self._response)
        else:
            self._response.close()


async def _read_off(response: aiohttp.ClientResponse) -> None:
    try:
        with suppress(TimeoutError, *LIBRARY_ERRORS):
            async with asyncio.timeout(_REST_S):
                await response.content.read(_PIECE_BYTES)
    finally:
        response.close()


def _plain_headers(response: aiohttp.ClientResponse) -> Mapping[str, str]:
    """Names in lower case; one that comes more than once, joined as HTTP says."""
    plain: dict[str, str] = {}
    for name, value in response.raw_headers:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        plain[key] = f"{plain[key]}, {text}" if key in plain else text
    return plain


class _Prepared(NamedTuple):
    """A request as it goes out: everything was checked, the secrets stand in it as text."""

    method: str
    url: URL
    headers: CIMultiDict[str]
    body: bytes | None


def _prepared(request: UpstreamRequest, origins: frozenset[str]) -> _Prepared:
    """Check everything, then reveal the secrets. What fails here was never near the network."""
    address = _checked_address(request, origins)
    headers = CIMultiDict(_DEFAULT_HEADERS)
    for name, value in request.headers:
        text = _reveal(value)
        problem = header_problem(name, text)
        if problem is not None:
            raise _unsendable(problem)
        headers[name.lower()] = text
    query = [(name, _reveal(value)) for name, value in request.query]
    target = f"{address}?{urlencode(query)}" if query else address
    return _Prepared(request.method, URL(target, encoded=True), headers, request.body)


def _reveal(value: str | Secret) -> str:
    return value.reveal() if isinstance(value, Secret) else value


def _checked_address(request: UpstreamRequest, origins: frozenset[str]) -> str:
    """The address without its query, as it goes out. It begins with an origin that the config names."""
    given, url = request.origin, request.url
    path = url[len(given) :]
    if not url.startswith(given) or path[:1] not in ("", "/", "?") or "#" in path or _origin(given) not in origins:
        raise _unsendable("the URL leaves the origin that the config binds this upstream to")
    if any(unquote(segment) in (".", "..") for segment in path.split("?", 1)[0].split("/")[1:]):
        message = "The model name cannot be part of a path."
        info = ErrorInfo("invalid_request", message, code="invalid_value", param="model")
        raise RequestError(info, detail="a '.' or '..' segment in the upstream path")
    return _origin(given) + (quote(path, safe=_SAFE) if _UNSENT.search(path) else path or "/")


@lru_cache(maxsize=256)
def _origin(url: str) -> str:
    """Scheme, host and port of a URL, in one spelling (without a scheme's default port); "" for one that is none."""
    try:
        parsed = URL(url)
        if parsed.scheme not in ("http", "https") or not parsed.raw_host or parsed.raw_user or parsed.raw_password:
            return ""
        port = "" if parsed.is_default_port() else f":{parsed.port}"
        return f"{parsed.scheme}://{parsed.host_subcomponent}{port}"
    except ValueError:
        return ""


def _unsendable(detail: str) -> TranslationError:
    info = ErrorInfo(
        "internal",
        "The mapping of this upstream made a request that may not be sent.",
        code="mapping_request_error",
        retryable=False,
    )
    return TranslationError(info, detail=detail)


class _Connector(aiohttp.TCPConnector):
    """Tells the attempt under way whether its connection was used before, which the library tells nobody.

    It reuses no connection on which something came while nothing was asked, for that would be read as the next answer
    (F72): a server that gives an idle connection up may say so (408), one that is broken may answer twice.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._used: WeakSet[asyncio.Protocol] = WeakSet()

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[aiohttp.tracing.Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  # the library's name
    ) -> aiohttp.connector.Connection:
        """See `aiohttp.BaseConnector.connect`."""
        attempt = _attempt.get()
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            assert protocol is not None
            attempt.reused = protocol in self._used
            self._used.add(protocol)
            if not attempt.reused or not protocol.should_close:
                return connection
            connection.close()


def _session(ca_file: str | None, connect_s: float, proxy: str | None) -> aiohttp.ClientSession:
    context = ssl.create_default_context(cafile=ca_file or certifi.where())
    connector = _Connector(limit=0, ssl=context, keepalive_timeout=KEEP_ALIVE_S)
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        skip_auto_headers=["Content-Type"],
        timeout=aiohttp.ClientTimeout(
            total=None, sock_connect=connect_s
        ),  # look-up, TCP and TLS; other clocks are ours
        proxy=proxy,
    )
