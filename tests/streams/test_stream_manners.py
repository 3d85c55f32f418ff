"""How a stream behaves besides what it says: signs of life, back-pressure, leaving clients, ways of asking, counts."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.server import pump
from tests.gateway.fake_upstream import Behaviour, FakeUpstream, Seen, Wire, reply, reply_json, slowly
from tests.running import serving
from tests.streams.stage import MODEL, Stage, raw_chat, staged

SSE = "content-type: text/event-stream\r\n"
TEXT = b'data: {"text":"a"}\n\n'
GOOD = TEXT + b'data: {"finish":"stop","usage":{"prompt_tokens":3,"completion_tokens":1}}\n\ndata: [DONE]\n\n'
LONG = b'data: {"text":"' + b"a" * 200 + b'"}\n\n'
CHUNKS = 100_000
COST = {"amount": 0.5, "unit": "coins"}


def _plain(folder: Path, url: str, upstream: str = "", more: str = "") -> AbstractContextManager[Stage]:
    lines = f"timeouts: {{first_byte_s: 5, idle_s: 5, total_s: 20}}\n{more}"
    return staged("plain.stream", url=url, upstream=upstream, more=lines, folder=folder)


# -- signs of life


@pytest.mark.parametrize(
    ("style", "content"), [("empty", ""), ("zwsp", "\u200b"), ("zwnj", "\u200c"), ("wj", "\u2060")]
)
def test_a_sign_of_life_in_every_style(tmp_path: Path, style: str, content: str) -> None:
    """The role chunk comes with the commit, then a delta every `every_s`, then the answer."""
    upstream = f", heartbeat: {{every_s: 0.2, style: {style}}}"
    with staged("straico.prompt.v1", upstream=upstream, more="streaming: {grace_s: 0.1}", folder=tmp_path) as stage:
        heard = stage.ask("mock:slow")

    deltas = [chunk["choices"][0]["delta"] for chunk in heard.chunks]
    assert "assistant" == deltas[0]["role"]
    beats = [delta for delta in deltas[1:] if delta.get("content") == content]
    assert 7 <= len(beats) <= 10
    assert "This is a mock answer." == heard.text.replace(content, "") if content else heard.text
    assert ["stop"] == heard.finishes


def test_comments_come_on_time(tmp_path: Path) -> None:
    """Every 0.4 s while the upstream works, ±0.1 s; none before the commit, none after the end."""
    upstream = ", heartbeat: {every_s: 0.4}"
    with staged("straico.chat.v0", upstream=upstream, more="streaming: {grace_s: 0.1}", folder=tmp_path) as stage:
        first = stage.ask("hi")
        heard = stage.ask("mock:slow")

    assert [] == [line for line in first.comments if "heartbeat" in line]
    times = [when for when, piece in heard.pieces if b": heartbeat" in piece]
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert 3 <= len(times) <= 5
    assert all(0.3 < gap < 0.5 for gap in gaps)
    assert "This is a mock answer." == heard.text


def test_the_first_probe_is_not_silent_either(tmp_path: Path) -> None:
    """Nobody knows yet whether the upstream streams: where it answers whole, and late, the client hears of life."""
    upstream = ", streaming: probe, heartbeat: {every_s: 0.4}"
    with staged("straico.chat.v0", upstream=upstream, more="streaming: {grace_s: 0.1}", folder=tmp_path) as stage:
        heard = stage.ask("mock:slow")

    assert heard.bytes.count(b": heartbeat") >= 3
    assert ("This is a mock answer.", ["stop"]) == (heard.text, heard.finishes)


def test_a_native_stream_that_pauses_gets_signs_of_life(tmp_path: Path) -> None:
    """The silence inside a stream counts as well; a busy one gets none."""
    upstream = ", heartbeat: {every_s: 0.1}"
    with staged("straico.chat.v0", options={"streaming": True}, upstream=upstream, folder=tmp_path) as stage:
        slow, busy = stage.ask("mock:slow_stream"), stage.ask("hi")

    assert slow.bytes.count(b": heartbeat") >= 5
    assert 0 == busy.bytes.count(b": heartbeat")
    assert "This is a mock answer." == slow.text


def test_white_space_before_a_whole_answer(tmp_path: Path) -> None:
    """`heartbeat.json`: blanks while the upstream works, then the JSON; a fast answer is untouched."""
    upstream = ", heartbeat: {every_s: 0.3, json: true}"
    with staged("straico.chat.v2", upstream=upstream, folder=tmp_path) as stage:
        fast, slow = stage.ask("ping", stream=False), stage.ask("mock:slow", stream=False)
        failed = stage.ask("mock:rate_limited", stream=False)

    assert "0" not in (fast.headers.get("content-length"), len(fast.bytes) - len(fast.bytes.lstrip()))
    assert fast.bytes.startswith(b"{")
    assert "pong" == fast.json["choices"][0]["message"]["content"]
    assert 5 <= len(slow.bytes) - len(slow.bytes.lstrip()) <= 8
    assert (200, "This is a mock answer.") == (slow.status, slow.json["choices"][0]["message"]["content"])
    assert "application/json" == slow.headers["content-type"]
    assert 429 == failed.status


def test_a_late_failure_behind_white_space_is_an_error_body(tmp_path: Path) -> None:
    """The status is gone by then; the body is still the dialect's error."""
    broken = slowly(0.5, reply_json({"error": "no"}, status="500 Internal Server Error"))
    with FakeUpstream(broken) as upstream:
        text = ", heartbeat: {every_s: 0.1, json: true}"
        with staged("straico.chat.v2", url=upstream.url, upstream=text, folder=tmp_path) as stage:
            heard = stage.ask("hi", stream=False)

    assert (200, "upstream_error") == (heard.status, heard.error["code"])


# -- slow clients, and clients that leave


def _flood(sent: list[int]) -> Behaviour:
    async def play(wire: Wire, seen: Seen) -> bool:
        await wire.send(f"HTTP/1.1 200 OK\r\n{SSE}\r\n".encode())
        with contextlib.suppress(ConnectionError):
            for _ in range(CHUNKS // 100):
                await wire.send(LONG * 100)
                sent[0] += 100
            await wire.send(GOOD)
        return False

    return play


def _rss_mb() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def test_a_slow_client_holds_the_upstream_back(tmp_path: Path) -> None:
    """100,000 chunks to a client that stops reading: the upstream waits, memory stays flat, nothing is lost (F46)."""
    sent = [0]
    with FakeUpstream(_flood(sent)) as upstream, _plain(tmp_path, upstream.url) as stage:
        before = _rss_mb()
        with contextlib.closing(raw_chat(stage, "hi", receive_buffer=4096)) as client:
            client.recv(1024)
            time.sleep(1)
            halted = sent[0]
            time.sleep(0.5)
            assert halted == sent[0]
            assert halted < CHUNKS
            held = _rss_mb() - before
            chunks, tail = 0, b""
            while not tail.endswith(b"0\r\n\r\n"):
                tail = client.recv(262144) if len(tail) < 5 else tail[-4:] + client.recv(262144)
                chunks += tail.count(b'"content":"a')
        grown = _rss_mb() - before

    assert CHUNKS - 200 <= chunks <= CHUNKS + 2  # a few are cut by the reads' ends
    assert max(held, grown) < 10


def test_a_client_that_takes_nothing_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, records: list[dict[str, Any]]
) -> None:
    """It holds an upstream and memory no longer than `STALLED_S` (F46)."""
    monkeypatch.setattr(pump, "STALLED_S", 0.5)
    sent = [0]
    beat = ", heartbeat: {every_s: 0.2}"
    with (
        FakeUpstream(_flood(sent)) as upstream,
        _plain(tmp_path, upstream.url, upstream=beat) as stage,
        contextlib.closing(raw_chat(stage, "hi", receive_buffer=4096)) as client,
    ):
        client.recv(1024)
        stage.wait_for(lambda: bool(records), 10)

    assert 499 == records[0]["status"]
    assert 500 <= records[0]["duration_ms"] < 10_000
    assert sent[0] < CHUNKS


def test_a_connection_is_kept_though_its_http_end_comes_late(tmp_path: Path) -> None:
    """The client is not kept waiting for it, and the next request saves a handshake."""
    frames = GOOD

    async def play(wire: Wire, seen: Seen) -> bool:
        await wire.send(f"HTTP/1.1 200 OK\r\n{SSE}transfer-encoding: chunked\r\n\r\n".encode())
        await wire.send(b"%x\r\n%b\r\n" % (len(frames), frames))
        await asyncio.sleep(0.4)
        await wire.send(b"0\r\n\r\n")
        return True

    with FakeUpstream(play) as upstream, _plain(tmp_path, upstream.url) as stage:
        first = stage.ask("hi")
        time.sleep(0.6)
        begun = time.monotonic()
        second = stage.ask("hi")
        took = time.monotonic() - begun

        assert ["a", "a"] == [first.text, second.text]
        assert took < 0.3
        assert 1 == upstream.connections


def test_a_client_that_leaves_with_the_last_event(native: Stage, records: list[dict[str, Any]]) -> None:
    """It has all of the answer, so the log does not call it gone: agents hang up without waiting for HTTP's own end."""
    for _ in range(60):
        with contextlib.closing(raw_chat(native, "ping")) as client:
            heard = b""
            while b"[DONE]" not in heard:
                heard += client.recv(65536)
    native.wait_for(lambda: len(records) == 60)

    assert {200} == {record["status"] for record in records}


def test_a_client_that_leaves_in_the_middle(native: Stage, records: list[dict[str, Any]]) -> None:
    """The upstream's call ends within a second, the log says 499 (F45; trap 78)."""
    assert native.mock is not None
    native.mock.clear()
    with contextlib.closing(raw_chat(native, "mock:slow_stream")) as client:
        assert b"200 OK" in client.recv(1024)
    begun = time.monotonic()
    native.wait_for(lambda: native.mock is not None and native.mock.state()["cancelled"] == 1, 1)
    native.wait_for(lambda: bool(records), 1)

    assert time.monotonic() - begun < 1
    assert (499, "native", 1) == (records[0]["status"], records[0]["streamed"], records[0]["calls"])
    assert 0 == native.mock.state()["open"]


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("way", ["native", "emulated"])
def test_a_client_that_leaves_before_the_answer(
    request: pytest.FixtureRequest, records: list[dict[str, Any]], way: str, streams: bool
) -> None:
    """Streaming or not, before and after the commit: cancelled within a second (F44)."""
    stage: Stage = request.getfixturevalue(way)
    assert stage.mock is not None
    for wait_s in (0.2, 1.3):
        stage.mock.clear()
        records.clear()
        with contextlib.closing(raw_chat(stage, "mock:silence", stream=streams)):
            time.sleep(wait_s)
        stage.wait_for(
            lambda: stage.mock is not None and stage.mock.state() == {"open": 0, "cancelled": 1, "served": 0}, 1
        )
        stage.wait_for(lambda: bool(records), 1)
        assert 499 == records[0]["status"]
    assert {"in_flight": 0, "waiting": 0} == _gate(stage)


def _gate(stage: Stage) -> dict[str, int]:
    found = stage.server._door.gateway.stats()["upstreams"]["main"]
    return {key: found[key] for key in ("in_flight", "waiting")}


# -- ways of asking


def test_what_an_upstream_does_is_remembered(tmp_path: Path) -> None:
    """A probe that met a whole answer is not repeated; after `probe_ttl_s` it is (DESIGN 7)."""
    with staged("straico.chat.v0", more="streaming: {probe_ttl_s: 0.5}", folder=tmp_path) as stage:
        assert stage.mock is not None
        texts = [stage.ask("ping").text, stage.ask("ping").text]
        time.sleep(0.6)
        texts.append(stage.ask("ping").text)
        asked = [seen["body"].get("stream") for seen in stage.mock.requests()]

    assert ["pong"] * 3 == texts
    assert [True, None, True] == asked


@pytest.mark.parametrize(
    ("mode", "heeds", "asked", "native"),
    [
        ("native", True, True, 1),
        ("native", False, True, 0),
        ("synthetic", True, None, 0),
        ("probe", True, True, 1),
        ("probe", False, True, 0),
    ],
)
def test_an_upstream_may_say_how_it_is_asked(
    tmp_path: Path, mode: str, heeds: bool, asked: bool | None, native: int
) -> None:
    """`streaming:` of an upstream stands above the mapping; what comes is taken in every mode."""
    upstream = f", streaming: {mode}"
    with staged("straico.chat.v2", options={"streaming": heeds}, upstream=upstream, folder=tmp_path) as stage:
        heard = stage.ask("ping")
        assert stage.mock is not None
        sent = stage.mock.requests()[0]["body"].get("stream")
        counts = stage.stats

    assert ("pong", ["stop"]) == (heard.text, heard.finishes)
    assert (asked, native, 1 - native) == (sent, counts["native"], counts["emulated"])


def test_an_upstream_that_refuses_to_stream_is_asked_again(tmp_path: Path, records: list[dict[str, Any]]) -> None:
    """A 400 to a probe may be about streaming: the same without it, told in a comment and the log, then remembered."""
    refused = reply_json({"error": "unknown field: stream"}, status="400 Bad Request")
    whole = reply_json({"choices": [{"message": {"content": "pong"}, "finish_reason": "stop"}]})
    with (
        FakeUpstream(refused, whole) as upstream,
        staged("straico.chat.v0", url=upstream.url, folder=tmp_path) as stage,
    ):
        heard, again = stage.ask("ping"), stage.ask("ping")
        bodies = [json.loads(seen.body).get("stream") for seen in upstream.requests]
        counts = stage.stats
        stage.wait_for(lambda: len(records) == 2)

    assert ["pong", "pong"] == [heard.text, again.text]
    assert [True, None, None] == bodies
    assert ": x-engine-streaming: fallback" in heard.comments
    assert ["fallback", "emulated"] == [each["streamed"] for each in records]
    assert (2, 1, {}) == (counts["attempts"], counts["fallbacks"], counts["failures"])


@pytest.mark.parametrize(("told", "late"), [("true", {"streaming": "fallback", "cost": COST}), ("false", None)])
def test_lines_without_comments_tell_it_in_the_last(tmp_path: Path, told: str, late: dict[str, Any] | None) -> None:
    """What SSE says in comments before its end stands in a key of its own, and only there."""
    refused = reply_json({"error": "unknown field: stream"}, status="400 Bad Request")
    choices = [{"message": {"content": "pong"}, "finish_reason": "stop"}]
    whole = reply_json({"choices": choices, "price": {"total": 0.5}})
    with (
        FakeUpstream(refused, whole) as upstream,
        staged("straico.chat.v0", url=upstream.url, more=f"expose: {{headers: {told}}}", folder=tmp_path) as stage,
    ):
        body = {"model": MODEL, "messages": [{"role": "user", "content": "ping"}]}
        answer = httpx.post(f"{stage.origin}/api/chat", json=body, timeout=20)

    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert ("pong", True) == ("".join(line["message"]["content"] for line in lines), lines[-1]["done"])
    assert [None] * (len(lines) - 1) + [late] == [line.get("x_engine") for line in lines]


@pytest.mark.parametrize(("policy", "status", "calls"), [("true", 200, 2), ("false", 502, 1)])
def test_a_stream_that_says_nothing_is_tried_whole(tmp_path: Path, policy: str, status: int, calls: int) -> None:
    """Where `fallback` allows it, and only before the first event."""
    empty = reply(b"data: [DONE]\n\n", headers=SSE)
    whole = reply_json({"choices": [{"message": {"content": "pong"}, "finish_reason": "stop"}]})
    with (
        FakeUpstream(empty, whole) as upstream,
        staged(
            "straico.chat.v0", url=upstream.url, more=f"streaming: {{fallback: {policy}}}", folder=tmp_path
        ) as stage,
    ):
        heard = stage.ask("ping")
        made = len(upstream.requests)

    assert (status, calls) == (heard.status, made)


def test_an_endpoint_that_only_streams_answers_whole(tmp_path: Path, records: list[dict[str, Any]]) -> None:
    """`stream: false` over `streaming: only` is collected by the same lifecycle (trap 80)."""
    with FakeUpstream(reply(GOOD, headers=SSE)) as upstream, _plain(tmp_path, upstream.url) as stage:
        heard = stage.ask("hi", stream=False)
        counts = stage.stats
        stage.wait_for(lambda: bool(records))

    choice = heard.json["choices"][0]
    assert ("a", "stop", 4) == (
        choice["message"]["content"],
        choice["finish_reason"],
        heard.json["usage"]["total_tokens"],
    )
    assert (0, 1) == (counts["attempts"], counts["collected"])
    assert 4 == records[0]["usage"]["total_tokens"]


def test_a_stream_that_was_not_asked_for_is_collected(tmp_path: Path) -> None:
    """An event stream to a request without `stream` is one answer all the same (F26)."""
    body = b'data: {"choices":[{"index":0,"delta":{"content":"pong"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    with (
        FakeUpstream(reply(body, headers=SSE)) as upstream,
        staged("straico.chat.v0", url=upstream.url, folder=tmp_path) as stage,
    ):
        heard = stage.ask("ping", stream=False)

    assert "pong" == heard.json["choices"][0]["message"]["content"]


# -- the record


def test_a_stream_leaves_its_record(native: Stage, records: list[dict[str, Any]]) -> None:
    """Usage, cost, how it was made; for one that failed the code, and the text that went before."""
    native.ask("ping")
    native.ask("mock:error_event")
    native.wait_for(lambda: len(records) == 2)

    good, failed = records
    assert (200, "native", 18) == (good["status"], good["streamed"], good["usage"]["total_tokens"])
    assert {"amount": 0.14, "unit": "coins"} == good["cost"]
    assert (200, "upstream_error") == (failed["status"], failed["code"])


def test_what_comes_late_is_hidden_on_demand(tmp_path: Path) -> None:
    """`expose: {headers: false}` hides the comments too."""
    with staged("straico.chat.v0", more="expose: {headers: false}", folder=tmp_path) as stage:
        assert [] == stage.ask("ping").comments


def test_a_stream_ends_with_the_server(tmp_path: Path) -> None:
    """SIGTERM: a stream runs on to `drain_s`, then its last event is an error; a new request is refused (F51)."""
    file = tmp_path / "engine.yaml"
    file.write_text(
        "mapping: gateway/1\nupstreams: {main: {endpoint: straico.chat.v0}}\n"
        "routes: {all: {models: ['*'], to: main}}\ndrain_s: 1\nstreaming: {grace_s: 0.1}\n"
    )
    with serving("--mock", "--config", str(file), folder=tmp_path) as server:
        body = {"model": MODEL, "messages": [{"role": "user", "content": "mock:silence"}], "stream": True}
        pieces = b""
        with httpx.stream("POST", f"{server.base_url}/chat/completions", json=body, timeout=20) as answer:
            for piece in answer.iter_raw():
                if not pieces:
                    server.process.send_signal(signal.SIGTERM)
                pieces += piece
        assert 200 == answer.status_code
        assert b'"code":"shutting_down"' in pieces
        assert pieces.endswith(b"data: [DONE]\n\n")
        assert 0 == server.process.wait(10)


def test_json_that_was_asked_for_comes_alone_where_it_is_streamed_in_pieces(tmp_path: Path) -> None:
    """As docs/writing-mappings.md says of `streaming: synthetic`: fences and words around it stay behind."""
    content = 'Here:\n```json\n{"a": 1}\n```'
    whole = reply_json({"choices": [{"message": {"content": content}, "finish_reason": "stop"}]})
    with (
        FakeUpstream(whole) as upstream,
        staged("straico.chat.v2", url=upstream.url, upstream=", streaming: synthetic", folder=tmp_path) as stage,
    ):
        heard = stage.ask("hi", response_format={"type": "json_object"})

    assert {"a": 1} == json.loads(heard.text)
