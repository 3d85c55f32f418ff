"""What breaks in an upstream's stream, and what a client sees of it: issue 4, the fault matrix F8 to F46."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from tests.gateway.fake_upstream import FakeUpstream, raw, reply, reply_json, slowly, then_silence
from tests.streams.conftest import Stages
from tests.streams.stage import CHATS, MODEL, Stage, staged

WHOLE = "This is a mock answer."
HALF = "This is a"


@pytest.fixture(params=CHATS)
def native(request: pytest.FixtureRequest, stages: Stages) -> Stage:
    """Every chat endpoint whose upstream streams; the other endpoints have two of the faults in `tests/matrix`."""
    return stages.get(request.param, "native")


@pytest.mark.parametrize(
    ("force", "status", "code"),
    [
        ("server_error", 502, "upstream_error"),
        ("rate_limited", 429, "rate_limit_exceeded"),
        ("bad_key", 502, "upstream_auth"),
        ("forbidden", 502, "upstream_auth"),
        ("empty_503", 503, "upstream_overloaded"),
        ("reset", 502, "upstream_reset"),
        ("html_page", 502, "upstream_bad_response"),
        ("error_first", 502, "upstream_error"),
        ("no_coins", 429, "insufficient_quota"),
    ],
)
def test_a_failure_before_the_first_event_keeps_its_status(native: Stage, force: str, status: int, code: str) -> None:
    """Nothing was sent yet, so the client gets a true status and a JSON error (F15 to F23, F26, F35; traps 70, 72)."""
    heard = native.ask(f"mock:{force}")

    assert (status, "application/json") == (heard.status, heard.headers["content-type"])
    assert code == heard.error["code"]
    assert "10.0.0.7" not in str(heard.error)


def test_an_unknown_model_is_explained(native: Stage) -> None:
    """A 422 to a streaming request becomes the same 404 with the nearest name that a plain request gets."""
    heard = native.ask("hi", model="openai/gpt-4o-minni")

    assert (404, "model_not_found") == (heard.status, heard.error["code"])
    assert "openai/gpt-4o-mini" in heard.error["message"]


@pytest.mark.parametrize(
    ("force", "code"),
    [
        ("reset_mid", "upstream_reset"),
        ("half_frame", "upstream_incomplete"),
        ("error_event", "upstream_error"),
        ("silence_mid", "upstream_idle_timeout"),
        ("no_terminator_no_finish", "upstream_incomplete"),
    ],
)
def test_a_failure_in_the_stream_is_its_last_event(native: Stage, force: str, code: str) -> None:
    """The text so far stays, then an error event and the terminator; never a finish reason (F10, F13, F37; R13)."""
    heard = native.ask(f"mock:{force}")

    assert (200, HALF, []) == (heard.status, heard.text, heard.finishes)
    assert [code] == [each["code"] for each in heard.failures]
    assert "[DONE]" == heard.data[-1]


@pytest.mark.parametrize(
    "force", ["no_terminator", "after_done", "big_event", "crlf", "bom_comments", "one_byte_pieces"]
)
def test_an_odd_stream_is_a_whole_answer(native: Stage, force: str) -> None:
    """What the standard allows, and what harms nobody (F29, F30, F33, F36, F39)."""
    heard = native.ask(f"mock:{force}")

    assert (200, WHOLE, ["stop"], []) == (heard.status, heard.text, heard.finishes, heard.failures)
    assert 1 == heard.data.count("[DONE]")
    assert "[DONE]" == heard.data[-1]


def test_a_drip_ends_by_the_total_clock(native: Stage) -> None:
    """Bytes that never make an event hold no client for ever (F11)."""
    heard = native.ask("mock:slow_drip")

    assert (504, "upstream_total_timeout") == (heard.status, heard.error["code"])


@pytest.mark.parametrize(
    ("body", "text", "finishes", "codes"),
    [
        (b'data: {"text":"a"}\n\ndata: {"finish":"stop"}\n\n', "a", ["stop"], []),
        (b'data: {"text":"a"}\n\ndata: {"finish":"stop"}', "a", ["stop"], []),
        (b'data: {"text":"a\xe2\x80\xa8b"}\n\ndata: {"finish":"stop"}\n\n', "a\u2028b", ["stop"], []),
        (b'data: {"text":"a"}\n\ndata: nonsense\n\n', "a", [], ["upstream_bad_event"]),
        (b'data: {"text":"a"}\n\ndata: {"error":"x"}\n\n', "a", [], ["upstream_error"]),
        (b'data: {"text":"a"}\n\ndata: ' + b"x" * (2 << 20), "a", [], ["upstream_too_large"]),
    ],
)  # fmt: skip
def test_what_the_bytes_decide(tmp_path: Path, body: bytes, text: str, finishes: list[str], codes: list[str]) -> None:
    """The same answer, whether the bytes come at once or one by one: a failure never swallows the text before it."""
    head = "content-type: text/event-stream\r\n"
    with FakeUpstream(reply(body, headers=head)) as upstream, _plain(tmp_path, upstream.url) as stage:
        heard = stage.ask("hi")

    assert (200, text, finishes) == (heard.status, heard.text, heard.finishes)
    assert codes == [each["code"] for each in heard.failures]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "upstream_incomplete"),
        (b"data: [DONE]\n\n", "upstream_empty"),
        (b"data: nonsense\n\n", "upstream_bad_event"),
        (b"data: \xff\n\n", "upstream_bad_event"),
        (b"data: " + b"x" * (2 << 20), "upstream_too_large"),
    ],
)
def test_a_stream_that_says_nothing_is_a_502(tmp_path: Path, body: bytes, code: str) -> None:
    """No event was judged good: the status is true (F27, F32, F34, F38)."""
    head = "content-type: text/event-stream\r\n"
    with FakeUpstream(reply(body, headers=head)) as upstream, _plain(tmp_path, upstream.url) as stage:
        heard = stage.ask("hi")

    assert (502, code) == (heard.status, heard.error["code"])


def test_a_finish_reason_survives_a_broken_end(tmp_path: Path) -> None:
    """The connection falls silent after the finish reason: the answer is whole (DECISIONS 2.15)."""
    sent = b'data: {"text":"a"}\n\ndata: {"finish":"stop"}\n\n'
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    with FakeUpstream(then_silence(head + sent)) as upstream, _plain(tmp_path, upstream.url) as stage:
        heard = stage.ask("hi")

    assert ("a", ["stop"], []) == (heard.text, heard.finishes, heard.failures)


def test_a_silent_upstream_is_a_504(tmp_path: Path) -> None:
    """No head within the first-byte clock (F8)."""
    with FakeUpstream(then_silence()) as upstream, _plain(tmp_path, upstream.url) as stage:
        heard = stage.ask("hi")

    assert (504, "upstream_first_byte_timeout") == (heard.status, heard.error["code"])


def test_a_silent_upstream_after_the_commit_is_an_error_event(tmp_path: Path) -> None:
    """Once the answer was committed by the clock the same failure is an event after the role chunk."""
    with (
        FakeUpstream(then_silence()) as upstream,
        _plain(tmp_path, upstream.url, "streaming: {commit_after_s: 0.1}") as stage,
    ):
        heard = stage.ask("hi")

    assert (200, "assistant", []) == (heard.status, heard.chunks[0]["choices"][0]["delta"]["role"], heard.finishes)
    assert ["upstream_first_byte_timeout"] == [each["code"] for each in heard.failures]


def test_an_unreachable_upstream_is_a_502(tmp_path: Path) -> None:
    """F1, over a streaming request."""
    with _plain(tmp_path, "http://127.0.0.1:1") as stage:
        heard = stage.ask("hi")

    assert (502, "upstream_unreachable") == (heard.status, heard.error["code"])


@pytest.mark.parametrize(
    "make",
    [
        lambda body: reply(body, headers="content-type: text/plain\r\n"),
        lambda body: reply(body, headers="content-type: text/event-stream\r\n"),
        lambda body: raw(b"HTTP/1.0 200 OK\r\n\r\n" + body),
    ],
)
def test_the_first_bytes_tell_a_stream_from_a_page(tmp_path: Path, make: Callable[[bytes], object]) -> None:
    """Whatever the content type says, what begins like an event is one, and what begins like JSON a whole answer."""
    stream, whole = b'\xef\xbb\xbf\n: hi\n\ndata: {"text":"a"}\n\ndata: {"finish":"stop"}\n\n', b' {"text":"b"}'
    with (
        FakeUpstream(make(stream), make(whole)) as upstream,  # type: ignore[arg-type]
        _plain(tmp_path, upstream.url) as stage,
    ):
        answers = [stage.ask("hi"), stage.ask("hi")]

    assert ["a", "b"] == [heard.text for heard in answers]
    assert [1, 1] == [stage.stats["native"], stage.stats["emulated"]]


def _plain(folder: Path, url: str, more: str = "streaming: {}") -> AbstractContextManager[Stage]:
    lines = f"timeouts: {{first_byte_s: 0.5, idle_s: 0.5, total_s: 3}}\n{more}"
    return staged("plain.stream", url=url, more=lines, folder=folder)


@pytest.mark.parametrize("grace_s", [0.05, 5])
def test_a_late_error_names_the_field_that_the_client_sent(tmp_path: Path, grace_s: float) -> None:
    """Before the commit and after it."""
    refused = {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 > 8"}}
    slow = slowly(0.3, reply_json(refused, status="400 Bad Request"))
    ways = {
        "upstream": ", streaming: synthetic, secrets: {api_key: {env: STRAICO_API_KEY}}",
        "more": f"streaming: {{grace_s: {grace_s}}}",
    }
    with (
        FakeUpstream(slow) as upstream,
        staged("anthropic.messages", url=upstream.url, folder=tmp_path, **ways) as stage,
    ):
        heard = httpx.post(f"{stage.base_url}/responses", json={"model": MODEL, "input": "hi", "stream": True})

    assert (200 if grace_s < 0.3 else 400) == heard.status_code
    assert '"param":"input"' in heard.text


def test_cumulative_text_is_read_like_any_other(tmp_path: Path) -> None:
    """What stands between the marks of thoughts is no text, also where each event holds all of the text so far."""
    body = b'{"t":"<think>a</th"}\n{"t":"<think>a</think>b"}\n{"t":"<think>a</think>bc","f":"stop"}\n'
    sent = reply(body, headers="content-type: application/x-ndjson\r\n")
    with FakeUpstream(sent) as upstream, staged("total.stream", url=upstream.url, folder=tmp_path) as stage:
        heard = stage.ask("hi")

    deltas = [choice["delta"] for chunk in heard.chunks for choice in chunk["choices"]]
    assert ("bc", "a") == (heard.text, "".join(delta.get("reasoning_content") or "" for delta in deltas))
