"""Each fault between us and an upstream (facts/reliability.md section d) gives its own code and status."""

from __future__ import annotations

import asyncio
import gzip
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from engine.config import ConcurrencyConfig, GatewayConfig, LimitsConfig, TimeoutsConfig, UpstreamConfig
from engine.errors import RequestError, TranslationError, UpstreamError
from engine.gateway.upstream import HttpUpstream
from engine.translate.wire import UpstreamReply, UpstreamRequest
from engine.types import Secret
from tests.gateway.fake_upstream import (
    Behaviour,
    FakeUpstream,
    Seen,
    Wire,
    closed_port,
    deaf_port,
    drip,
    mute_port,
    raw,
    reply,
    slowly,
    then_close,
    then_reset,
    then_silence,
)

KEY = "sk-very-secret-key-1234567890"
FAST = TimeoutsConfig(connect_s=0.4, first_byte_s=0.6, idle_s=0.3, total_s=1.2)
CONFIG = GatewayConfig(timeouts=FAST, limits=LimitsConfig(upstream_body_bytes=100_000))
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


def request_to(base: str, **changes: Any) -> UpstreamRequest:
    whole = UpstreamRequest(
        method="POST",
        url=f"{base}/chat",
        query=(),
        headers=(("content-type", "application/json"), ("authorization", Secret(f"Bearer {KEY}"))),
        body=b'{"a":1}',
        origin=base,
    )
    return replace(whole, **changes)


def send(base: str, *, config: GatewayConfig = CONFIG, **changes: Any) -> UpstreamReply:
    async def once() -> UpstreamReply:
        upstream = HttpUpstream(UpstreamConfig("u", "e", url=base), config)
        try:
            return await upstream.send(request_to(base, **changes))
        finally:
            await upstream.close()

    return asyncio.run(once())


def fault(url: str, **changes: Any) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        send(url, **changes)
    assert KEY not in str(caught.value) + caught.value.detail + repr(caught.value.info)
    return caught.value


def test_a_whole_answer() -> None:
    """Status, lower-case headers and body arrive; the request has its secret and no encoding is asked for."""
    with FakeUpstream(reply(b"{}", headers="X-One: 1\r\n")) as fake:
        answer = send(fake.url, query=(("q", "a b"), ("key", Secret("s&t"))))

    assert (answer.status, answer.headers["x-one"], answer.body) == (200, "1", b"{}")
    seen = fake.requests[0]
    assert seen.target == "/chat?q=a+b&key=s%26t"
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.headers["accept-encoding"] == "identity"
    assert "cookie" not in seen.headers


ANSWERED: list[tuple[str, Behaviour, str, int]] = [
    ("F8 silent", then_silence(), "upstream_first_byte_timeout", 504),
    ("F9 stalls in mid-body", then_silence(HEAD + b"content-length: 10\r\n\r\n{"), "upstream_read_timeout", 504),
    ("F11 drip", drip(HEAD + b"content-length: 10000\r\n\r\n", 0.1), "upstream_total_timeout", 504),
    ("F12 reset before headers", then_reset(), "upstream_reset", 502),
    ("F12 close before headers", raw(b""), "upstream_reset", 502),
    ("F14 short body", raw(HEAD + b"content-length: 10\r\n\r\n{"), "upstream_bad_response", 502),
    ("F14 bad chunk", raw(HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n"), "upstream_bad_response", 502),
    ("not HTTP", raw(b"SSH-2.0-OpenSSH\r\n\r\n"), "upstream_bad_response", 502),
    ("F21 redirect", reply(b"", "302 Found", "location: http://127.0.0.1:1/\r\n"), "upstream_redirect", 502),
    ("F24 garbage gzip", reply(b"nonsense", headers="content-encoding: gzip\r\n"), "upstream_bad_response", 502),
    ("F24 cut gzip", reply(gzip.compress(b"{}" * 99)[:-9], headers="content-encoding: gzip\r\n"),
     "upstream_bad_response", 502),
    ("F24 brotli", reply(b"x", headers="content-encoding: br\r\n"), "upstream_bad_response", 502),
    ("F25 bomb", reply(gzip.compress(b"\0" * 50_000_000), headers="content-encoding: gzip\r\n"),
     "upstream_too_large", 502),
    ("F25 large", reply(b" " * 100_001), "upstream_too_large", 502),
    ("F70 huge header", raw(HEAD + b"x-big: " + b"a" * 1_000_000 + b"\r\n\r\n"), "upstream_bad_response", 502),
    ("F70 many headers", raw(HEAD + b"x: y\r\n" * 10_000 + b"\r\n"), "upstream_bad_response", 502),
]  # fmt: skip


@pytest.mark.parametrize(
    ("behaviour", "code", "status"), [row[1:] for row in ANSWERED], ids=[row[0] for row in ANSWERED]
)
def test_fault(behaviour: Behaviour, code: str, status: int) -> None:
    """A fault after the connection was made; nothing is sent twice."""
    with FakeUpstream(behaviour) as fake:
        failure = fault(fake.url)

    assert (failure.info.code, failure.info.status) == (code, status)
    assert len(fake.requests) == 1


def test_f1_refused() -> None:
    """F1: nobody listens."""
    failure = fault(f"http://127.0.0.1:{closed_port()}")

    assert (failure.info.code, failure.info.status) == ("upstream_unreachable", 502)


def test_f2_no_such_name() -> None:
    """F2: the name does not resolve."""
    failure = fault("http://nowhere.invalid")

    assert failure.info.code in ("upstream_unreachable", "upstream_connect_timeout")


def test_f3_not_tls() -> None:
    """F3: what answers does not speak TLS; a retry cannot help."""
    with FakeUpstream(reply(b"{}")) as fake:
        failure = fault(fake.url.replace("http:", "https:"))

    assert failure.info.code in ("upstream_tls", "upstream_reset", "upstream_unreachable", "upstream_connect_timeout")


@pytest.mark.parametrize(("port", "scheme"), [(deaf_port, "http"), (mute_port, "https")], ids=["F5 connect", "F4 TLS"])
def test_connect_timeouts(port: Callable[[], Any], scheme: str) -> None:
    """F4, F5: a connect or a handshake that stalls."""
    with port() as number:
        failure = fault(f"{scheme}://127.0.0.1:{number}")

    assert (failure.info.code, failure.info.status) == ("upstream_connect_timeout", 504)


def test_f21_tells_the_client_not_to_retry() -> None:
    """A redirect is final, and its target is not followed."""
    with FakeUpstream(reply(b"", "307 Temporary Redirect", "location: /elsewhere\r\n")) as fake:
        failure = fault(fake.url)

    assert failure.info.headers == {"x-should-retry": "false"}
    assert len(fake.requests) == 1


@pytest.mark.parametrize("encode", [gzip.compress, zlib.compress], ids=["gzip", "deflate"])
def test_an_encoded_answer_is_decoded(encode: Callable[[bytes], bytes]) -> None:
    """An upstream that encodes unasked is understood."""
    name = "gzip" if encode is gzip.compress else "deflate"
    with FakeUpstream(reply(encode(b'{"a":2}'), headers=f"content-encoding: {name}\r\n")) as fake:
        assert send(fake.url).body == b'{"a":2}'


def test_f6_queue_full() -> None:
    """F6: beyond the places and the queue the answer is 503 at once, with a time to come back."""
    config = replace(CONFIG, concurrency=ConcurrencyConfig(in_flight=1, waiting=1, wait_s=0.2))

    async def three(url: str) -> list[Any]:
        upstream = HttpUpstream(UpstreamConfig("u", "e", url=url), config)
        try:
            calls = [upstream.send(request_to(url)) for _ in range(3)]
            return await asyncio.gather(*calls, return_exceptions=True)
        finally:
            await upstream.close()

    with FakeUpstream(slowly(0.5, reply(b"{}"))) as fake:
        first, second, third = asyncio.run(three(fake.url))

    assert first.status == 200
    assert [(one.info.code, one.info.status, one.info.retry_after_s) for one in (second, third)] == [
        ("gateway_busy", 503, 1)
    ] * 2
    assert len(fake.requests) == 1


def test_f7_stale_connection_is_retried_once_and_silently() -> None:
    """F7: a kept connection that the peer has closed costs one more try, which nobody notices."""

    async def two(url: str) -> tuple[list[int], dict[str, Any]]:
        upstream = HttpUpstream(UpstreamConfig("u", "e", url=url), CONFIG)
        try:
            found = [(await upstream.send(request_to(url))).status]
            found.append((await upstream.send(request_to(url))).status)
            return found, upstream.stats()
        finally:
            await upstream.close()

    with FakeUpstream(reply(b"{}"), raw(b""), reply(b"{}")) as fake:
        statuses, stats = asyncio.run(two(fake.url))

    assert statuses == [200, 200]
    assert stats["stale_retries"] == 1
    assert [seen.connection for seen in fake.requests] == [1, 1, 2]


def test_f72_what_comes_unasked_is_no_answer() -> None:
    """A server gives an idle connection up with a 408; the next request gets its own answer, on another connection."""

    async def play(wire: Wire, seen: Seen) -> bool:
        await wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirst")
        await asyncio.sleep(0.05)
        await wire.send(b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        return True

    async def twice(base: str) -> list[UpstreamReply]:
        upstream = HttpUpstream(UpstreamConfig("u", "e", url=base), CONFIG)
        try:
            first = await upstream.send(request_to(base))
            await asyncio.sleep(0.2)
            return [first, await upstream.send(request_to(base))]
        finally:
            await upstream.close()

    with FakeUpstream(play, reply(b"own")) as fake:
        replies = asyncio.run(twice(fake.url))

    assert [(reply.status, reply.body) for reply in replies] == [(200, b"first"), (200, b"own")]
    assert fake.connections == 2


def test_f12_a_fresh_connection_is_not_retried() -> None:
    """F12: a reset on a fresh connection may mean that the request ran."""
    with FakeUpstream(then_close(reply(b"{}")), then_reset()) as fake:
        assert send(fake.url).status == 200
        fault(fake.url)

    assert len(fake.requests) == 2


def test_cancelling_closes_the_upstream() -> None:
    """R10: a cancelled call closes its connection within a second and frees its place."""

    async def cancelled(url: str) -> dict[str, Any]:
        upstream = HttpUpstream(UpstreamConfig("u", "e", url=url), replace(CONFIG, timeouts=TimeoutsConfig()))
        task = asyncio.create_task(upstream.send(request_to(url)))
        await asyncio.sleep(0.2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await asyncio.to_thread(fake.requests[0].gone.wait, 1)
        stats = upstream.stats()
        await upstream.close()
        return stats

    with FakeUpstream(then_silence()) as fake:
        assert asyncio.run(cancelled(fake.url))["in_flight"] == 0


def test_cancellation_storm_loses_no_place() -> None:
    """R11: after hundreds of cancelled calls every place is free again."""
    config = replace(CONFIG, concurrency=ConcurrencyConfig(in_flight=5, waiting=100, wait_s=5))

    async def storm(url: str) -> tuple[dict[str, Any], list[int]]:
        upstream = HttpUpstream(UpstreamConfig("u", "e", url=url), config)
        for _ in range(10):
            tasks = [asyncio.create_task(upstream.send(request_to(url))) for _ in range(30)]
            await asyncio.sleep(0.01)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        stats = upstream.stats()
        answers = await asyncio.gather(*(upstream.send(request_to(url)) for _ in range(10)))
        await upstream.close()
        return stats, [answer.status for answer in answers]

    with FakeUpstream(slowly(0.02, reply(b"{}"))) as fake:
        stats, statuses = asyncio.run(storm(fake.url))

    assert (stats["in_flight"], stats["waiting"]) == (0, 0)
    assert statuses == [200] * 10


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "http://127.0.0.1:1/chat", "origin": "http://127.0.0.1:1"},
        {"url": "http://evil.example/chat"},
        {"url": "http://user@127.0.0.1:{port}/chat"},
        {"url": "http://127.0.0.1:{port}@evil.example/chat"},
        {"headers": (("x-bad", "a\r\nb: c"),)},
        {"headers": (("x bad", "a"),)},
        {"headers": (("host", "evil.example"),)},
        {"headers": (("transfer-encoding", "chunked"),)},
        {"headers": (("authorization", Secret(f"Bearer {KEY}\n")),)},
        {"headers": (("x-emoji", "\u2603"),)},
    ],
    ids=["port", "host", "user", "at sign", "CRLF", "name", "host header", "framing", "key with newline", "unicode"],
)
def test_what_may_not_be_sent_is_not(changes: dict[str, Any]) -> None:
    """R2, T22: another origin, or a header that HTTP does not allow, never reaches the network, and no key the text."""
    with FakeUpstream(reply(b"{}")) as fake:
        filled: dict[str, Any] = {
            name: value.replace("{port}", str(fake.port)) if isinstance(value, str) else value
            for name, value in changes.items()
        }
        with pytest.raises(TranslationError) as caught:
            send(fake.url, **filled)

    assert caught.value.info.code == "mapping_request_error"
    assert KEY not in str(caught.value) + caught.value.detail
    assert fake.connections == 0


@pytest.mark.parametrize("path", ["/v1/../admin", "/v1/%2e%2e/admin", "/./x", "/a/%2E"])
def test_dot_segments_are_the_clients_fault(path: str) -> None:
    """T2: a model name that would climb out of the path is a 400."""
    with FakeUpstream(reply(b"{}")) as fake, pytest.raises(RequestError) as caught:
        send(fake.url, url=fake.url + path)

    assert caught.value.info.status == 400
    assert fake.connections == 0


def test_an_escaped_slash_stays_escaped() -> None:
    """The path goes out as the mapping made it."""
    with FakeUpstream(reply(b"{}")) as fake:
        send(fake.url, url=fake.url + "/models/a%2Fb%20c")

    assert fake.requests[0].target == "/models/a%2Fb%20c"


def test_f71_proxy_variables_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """F71: a proxy of the environment would see the keys."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")
    with FakeUpstream(reply(b"{}")) as fake:
        assert send(fake.url).status == 200


def test_cookies_are_not_kept() -> None:
    """One caller's cookie never goes out with another's request."""

    async def two(url: str) -> None:
        upstream = HttpUpstream(UpstreamConfig("u", "e", url=url), CONFIG)
        for _ in range(2):
            await upstream.send(request_to(url))
        await upstream.close()

    with FakeUpstream(reply(b"{}", headers="set-cookie: a=b\r\n")) as fake:
        asyncio.run(two(fake.url))

    assert "cookie" not in fake.requests[1].headers


def test_the_total_clock_holds_against_a_drip() -> None:
    """R9: bytes that keep coming do not extend the total."""
    begun = time.monotonic()
    with FakeUpstream(drip(HEAD + b"content-length: 10000\r\n\r\n", 0.05)) as fake:
        fault(fake.url)

    assert time.monotonic() - begun < 2.5
