"""The mock server itself: what it remembers, how calls end, how it is addressed, how it starts and stops."""

from __future__ import annotations

import asyncio
import socket
import time
from urllib.parse import urlsplit

import httpx
import pytest
import uvloop
from mock_operations import GOOD_KEY, PATHS

from engine.language.catalog import Catalog
from engine.mock.choosing import Answer
from engine.mock.ledger import KEPT_BODY_BYTES, KEPT_REQUESTS, Ledger
from engine.mock.received import Received
from engine.mock.server import MockServer, serve_mock

URL = PATHS["straico.chat.v0"]
BODY = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "ping"}]}


def test_requests_are_remembered_with_credentials_masked(client: httpx.Client) -> None:
    """A test can read what came: path, query, headers, decoded body, and which behaviour answered."""
    client.post(f"{URL}?key=hidden&mode=fast", json=BODY, headers={"x-api-key": "hidden"})

    (seen,) = client.get("/__mock__/requests").json()
    assert (seen["method"], seen["path"], seen["body"]) == ("POST", URL, BODY)
    assert seen["query"] == {"key": "***", "mode": "fast"}
    assert (seen["headers"]["authorization"], seen["headers"]["x-api-key"]) == ("Bearer ***", "***")
    assert (seen["mock"], seen["route"], seen["behaviour"]) == ("straico.chat.v0", "ask", "ping")
    assert "hidden" not in client.get("/__mock__/requests").text


def test_the_memory_can_be_cleared(client: httpx.Client) -> None:
    """DELETE forgets requests and counts; asking about the mock is itself not remembered."""
    client.post(URL, json=BODY)
    before = client.get("/__mock__/state").json()
    deleted = client.delete("/__mock__/requests").status_code

    assert before == {"open": 0, "cancelled": 0, "served": 1}
    assert deleted == 204
    assert client.get("/__mock__/requests").json() == []
    assert client.get("/__mock__/state").json() == {"open": 0, "cancelled": 0, "served": 0}
    assert client.get("/__mock__/else").status_code == 404


def test_the_memory_is_bounded() -> None:
    """The oldest requests go first, by number and by the bytes of their bodies; the newest always stays."""
    ledger, answer = Ledger(), Answer(200)
    for index in range(KEPT_REQUESTS + 10):
        ledger.begin(Received("POST", f"/{index}".encode(), body_bytes=10), answer)
    assert len(ledger.requests()) == KEPT_REQUESTS
    assert ledger.requests()[0]["path"] == "/10"

    ledger.begin(Received("POST", b"/large", body_bytes=KEPT_BODY_BYTES + 1), answer)
    assert [each["path"] for each in ledger.requests()] == ["/large"]


def test_a_caller_that_leaves_is_counted(server: MockServer) -> None:
    """Ten calls that wait are cancelled together when their caller goes."""

    async def leave() -> None:
        async with httpx.AsyncClient(headers=GOOD_KEY | {"x-mock": "slow"}, timeout=30) as client:
            calls = [asyncio.create_task(client.post(server.base_url + URL, json=BODY)) for _ in range(10)]
            for _ in range(500):
                await asyncio.sleep(0.01)
                if server.state()["open"] == 10:
                    break
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    asyncio.run(leave())

    deadline = time.monotonic() + 1
    while server.state()["open"] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.state() == {"open": 0, "cancelled": 10, "served": 0}


def test_a_hundred_slow_calls_take_the_time_of_one(server: MockServer) -> None:
    """A delay keeps no one else waiting."""

    async def ask_all() -> list[int]:
        limits = httpx.Limits(max_connections=100)
        async with httpx.AsyncClient(headers=GOOD_KEY, timeout=30, limits=limits) as client:
            slow = [client.post(server.base_url + URL, json=BODY, headers={"x-mock": "slow"}) for _ in range(50)]
            quick = [client.post(server.base_url + URL, json=BODY) for _ in range(50)]
            return [each.status_code for each in await asyncio.gather(*slow, *quick)]

    began = time.monotonic()
    statuses = asyncio.run(ask_all())

    assert statuses == [200] * 100
    assert 2 <= time.monotonic() - began < 8
    assert server.state() == {"open": 0, "cancelled": 0, "served": 100}


def test_a_path_that_begins_with_a_mock_is_for_that_mock(server: MockServer, client: httpx.Client) -> None:
    """So mocks with equal paths share a port; expressions see the path without it."""
    client.get("/straico.prompt.v1/v1/models")
    wrong = client.post("/straico.prompt.v1" + URL, json=BODY)

    assert server.requests()[0]["mock"] == "straico.prompt.v1"
    assert wrong.status_code == 404
    assert "POST /v1/prompt/completion" in wrong.json()["mock_error"]
    assert server.url_of("straico.chat.v2") == f"{server.base_url}/straico.chat.v2"
    assert server.url_of("acme.chat") is None


def test_unknown_paths_and_methods(client: httpx.Client) -> None:
    """404 and 405 say what is served."""
    assert client.get("/nothing").status_code == 404
    assert client.get(URL).status_code == 405
    assert client.head("/v0/models").status_code == 200
    assert client.head("/v0/models").content == b""


def raw(server: MockServer, data: bytes, answers: int = 1) -> bytes:
    parts = urlsplit(server.base_url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=5) as peer:
        peer.sendall(data)
        got = b""
        while got.count(b"HTTP/1.1 ") < answers or not got.endswith((b"}", b"\r\n\r\n")):
            piece = peer.recv(65536)
            if not piece:
                break
            got += piece
    return got


def test_pipelined_requests_are_answered_in_order(server: MockServer) -> None:
    """Also when the first is the slower one to make."""
    one = b"GET /v0/models HTTP/1.1\r\nhost: m\r\nauthorization: Bearer k\r\n\r\n"
    two = b"GET /v2/models/none HTTP/1.1\r\nhost: m\r\nauthorization: Bearer k\r\nconnection: close\r\n\r\n"
    got = raw(server, one + two, answers=2)

    assert got.index(b"HTTP/1.1 200") < got.index(b"HTTP/1.1 404")


def test_chunked_bodies_and_expect(server: MockServer) -> None:
    """A chunked body is read, and a caller that waits for leave gets it."""
    head = (
        f"POST {URL} HTTP/1.1\r\nhost: m\r\nauthorization: Bearer k\r\nexpect: 100-continue\r\n"
        "transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    ).encode()
    body = b'{"model":"openai/gpt-4o-mini","messages":[{"role":"user","content":"ping"}]}'
    got = raw(server, head + f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n", answers=2)

    assert got.startswith(b"HTTP/1.1 100 Continue")
    assert b'"pong"' in got


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000 + b"\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nhost: m\r\nconnection: close\r\n\r\n", b"404"),
    ],
)
def test_broken_requests(server: MockServer, data: bytes, status: bytes) -> None:
    """Each gets its status, and the server lives on."""
    assert raw(server, data).split(b" ")[1] == status
    assert server.state()["open"] == 0


def test_the_same_port_twice(shipped: Catalog, server: MockServer) -> None:
    """A port that is taken is an OSError at the start, and the server can be started again elsewhere."""
    port = urlsplit(server.base_url).port or 0
    other = MockServer()
    with pytest.raises(OSError, match="in use"):
        other.start(shipped.mocks.values(), port=port)
    with other:
        assert other.start(shipped.mocks.values()) != server.base_url
        with pytest.raises(RuntimeError):
            other.start(shipped.mocks.values())
    other.stop()


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_inside_a_running_loop(shipped: Catalog, new_loop: object) -> None:
    """The gateway runs the mock in its own loop, whichever loop that is; a reset is a reset there too."""

    async def run() -> tuple[int, type[BaseException]]:
        running = await serve_mock(shipped.mocks.values())
        url = (running.url_of("straico.chat.v0") or "") + URL
        async with httpx.AsyncClient(headers=GOOD_KEY) as client:
            good = await client.post(url, json=BODY)
            try:
                await client.post(url, json=BODY, headers={"x-mock": "reset"})
            except httpx.HTTPError as error:
                broken = type(error)
        closed = asyncio.ensure_future(running.wait_closed())
        await running.close()
        await asyncio.wait_for(closed, 5)
        return good.status_code, broken

    with asyncio.Runner(loop_factory=new_loop) as runner:  # type: ignore[arg-type]
        assert runner.run(run()) == (200, httpx.ReadError)
