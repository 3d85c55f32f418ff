"""Streamed answers of a mock from a raw socket: framings, pace, every fault, callers that leave or do not read."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from engine.language.catalog import Catalog
from engine.mock.server import MockServer
from engine.translate.mock_plan import STREAM_FAULTS

ENDPOINT: dict[str, Any] = {
    "mapping": "endpoint/1",
    "id": "acme.chat",
    "base_url": "https://api.acme.test",
    "request": {"path": "/chat", "body": {"model": "=model.name", "messages": "=req.messages"}},
    "response": {"text": "=res.text"},
    "errors": {"any": {"status": ["4xx", "5xx"], "raise": {"message": "=res.error"}}},
}
FAULTS = "\n".join(
    f"  {name}: {{when: false, reply: {{body: {{}}}}, stream: {{fault: {name}}}}}" for name in STREAM_FAULTS
)
MOCK = f"""mapping: mock/1
id: acme.chat
serves: acme.chat
options: {{size: {{type: integer, default: 4}}}}
path: /chat
stream:
  when: =in.stream == `true`
  frames: [{{n: 1}}, {{n: 2}}, {{n: 3}}, {{n: =opt.size}}]
  done: "[DONE]"
  error: {{oops: true}}
behaviours:
{FAULTS}
  lines: {{when: false, reply: {{}}, stream: {{framing: ndjson, frames: [{{n: 1}}, text], done: end}}}}
  plain: {{when: false, reply: {{}}, stream: {{framing: raw, content_type: text/x-mine, frames: [a, b], done: c}}}}
  named: {{when: false, reply: {{}}, stream: {{frames: [{{event: tick, id: 7, data: {{n: 1}}}}, "two\\nlines"]}}}}
  slow: {{when: false, reply: {{}}, stream: {{every_ms: 100, delay_s: 0.3}}}}
  refused: {{when: false, reply: {{status: 400, body: {{}}}}}}
  default: {{reply: {{body: {{text: whole}}}}}}
"""
WHOLE = 'data: {"n":1}\n\ndata: {"n":2}\n\ndata: {"n":3}\n\ndata: {"n":4}\n\ndata: [DONE]\n\n'
HALF = 'data: {"n":1}\n\ndata: {"n":2}\n\n'


@pytest.fixture
def mock(write_mapping: Callable[..., Catalog]) -> Iterator[MockServer]:
    catalog = write_mapping(ENDPOINT, **{"mock.yaml": MOCK})
    assert [] == catalog.problems.items
    with MockServer() as running:
        running.start(catalog.mocks.values())
        yield running


def ask(mock: MockServer, name: str = "default", *, stream: bool = True) -> httpx.Response:
    return httpx.post(f"{mock.base_url}/chat", json={"stream": stream}, headers={"x-mock": name}, timeout=10)


def test_an_answer_is_streamed_when_it_was_asked_for(mock: MockServer) -> None:
    """Else it comes whole; a refusal always does."""
    streamed, whole, refused = ask(mock), ask(mock, stream=False), ask(mock, "refused")

    assert (WHOLE, "text/event-stream") == (streamed.text, streamed.headers["content-type"])
    assert {"text": "whole"} == whole.json()
    assert (400, "application/json") == (refused.status_code, refused.headers["content-type"])
    assert {"open": 0, "cancelled": 0, "served": 3} == mock.state()


@pytest.mark.parametrize(
    ("name", "content_type", "text"),
    [
        ("lines", "application/x-ndjson", '{"n":1}\ntext\nend\n'),
        ("plain", "text/x-mine", "abc"),
        (
            "named",
            "text/event-stream",
            'event: tick\nid: 7\ndata: {"n":1}\n\ndata: two\ndata: lines\n\ndata: [DONE]\n\n',
        ),
    ],
)
def test_each_framing(mock: MockServer, name: str, content_type: str, text: str) -> None:
    """Events, lines, and bytes as they are; a behaviour's keys stand over its route's."""
    answer = ask(mock, name)

    assert (content_type, text) == (answer.headers["content-type"], answer.text)


def test_frames_come_at_a_pace(mock: MockServer) -> None:
    """`delay_s` before the first, `every_ms` before each; the terminator is one of them."""
    begun = time.monotonic()
    ask(mock, "slow")

    assert 0.75 < time.monotonic() - begun < 1.5


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("half_frame", HALF + "data: {"),
        ("error_event", HALF + 'data: {"oops":true}\n\n'),
        ("no_terminator", WHOLE.removesuffix("data: [DONE]\n\n")),
        ("no_terminator_no_finish", HALF),
        ("after_done", WHOLE + 'data: {"n":1}\n\ndata: [DONE]\n\n'),
        ("crlf", WHOLE.replace("\n", "\r\n")),
        ("one_byte_pieces", WHOLE),
        ("slow_drip", WHOLE),
    ],
)
def test_each_fault_that_ends_in_good_order(mock: MockServer, fault: str, text: str) -> None:
    """What the table says."""
    answer = ask(mock, fault)

    assert (200, text) == (answer.status_code, answer.content.decode())


def test_the_faults_of_content(mock: MockServer) -> None:
    """A page instead of a stream, a frame of 100 KB, a byte-order mark and comments."""
    page, big, marked = ask(mock, "html_page"), ask(mock, "big_event"), ask(mock, "bom_comments")

    assert page.headers["content-type"] == "text/html"
    assert page.text.startswith("<!DOCTYPE html>")
    assert len(json.loads(big.text.split("\n\n")[0][6:])["padding"]) > 65536
    assert marked.content.startswith(b"\xef\xbb\xbf: PROCESSING\n\n")
    assert marked.content.count(b": PROCESSING") == 5


def test_a_reset_in_the_middle(mock: MockServer) -> None:
    """Half of it comes, then the connection breaks."""
    got: list[bytes] = []
    with httpx.stream(
        "POST", f"{mock.base_url}/chat", json={"stream": True}, headers={"x-mock": "reset_mid"}
    ) as answer, pytest.raises(httpx.ReadError):  # fmt: skip
        got.extend(answer.iter_raw())
    assert b"".join(got) == HALF.encode()


def test_silence_lasts_until_the_caller_leaves(mock: MockServer) -> None:
    """Then the call counts as cancelled."""
    with _socket(mock, "silence") as peer:
        assert b'"n":1' in peer.recv(4096)
        assert mock.state() == {"open": 1, "cancelled": 0, "served": 0}
    end = time.monotonic() + 5
    while mock.state()["open"] and time.monotonic() < end:
        time.sleep(0.01)
    assert mock.state() == {"open": 0, "cancelled": 1, "served": 0}


def test_options_are_given_at_the_start(write_mapping: Callable[..., Catalog]) -> None:
    """`opt` in a mock's trees has what the starter said."""
    catalog = write_mapping(ENDPOINT, **{"mock.yaml": MOCK})
    with MockServer() as running:
        running.start(catalog.mocks.values(), options={"size": 9})
        assert '{"n":9}' in ask(running).text


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("done:", "dnoe:", "E022"),
        ("  frames: [{n: 1}, {n: 2}, {n: 3}, {n: =opt.size}]\n", "", "E024"),
        ("fault: silence", "fault: silnce", "E023"),
        ("framing: ndjson", "framing: lines", "E023"),
        ("{n: =opt.size}", "{n: =opt.sise}", "E106"),
        ("every_ms: 100", "every_ms: often", "E107"),
    ],
)
def test_what_an_author_gets_wrong(write_mapping: Callable[..., Catalog], old: str, new: str, code: str) -> None:
    """Each mistake is found at load."""
    assert old in MOCK
    catalog = write_mapping(ENDPOINT, **{"mock.yaml": MOCK.replace(old, new)})

    assert code in {each.code for each in catalog.problems.errors}


def _socket(mock: MockServer, name: str) -> socket.socket:
    parts = urlsplit(mock.base_url)
    peer = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=5)
    body = b'{"stream": true}'
    head = f"POST /chat HTTP/1.1\r\nhost: m\r\nx-mock: {name}\r\ncontent-type: application/json\r\n"
    peer.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    time.sleep(0.2)
    return peer
