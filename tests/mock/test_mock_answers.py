"""Answers of a small mock: other bodies than JSON, and what a file can get wrong only when it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from engine.language.catalog import Catalog
from engine.mock.server import MockServer

MOCK = """mapping: mock/1
id: acme.chat
serves: acme.chat
options: {greeting: {type: string, default: hello}}
path: /chat/{room}
accept:
  body: {anyOf: [{type: object}, {type: string}, {type: "null"}]}
  else: {status: 422, body: =problem}
behaviours:
  status: {when: false, reply: {status: =in.status}}
  header: {when: false, reply: {headers: {x-it: =in.value}}}
  framing: {when: false, reply: {headers: {content-length: 7}}}
  function: {when: false, reply: {body: "=length(in.number)"}}
  teapot: {when: false, reply: {status: 299}}
  nothing: {when: false, reply: {status: 204, body: x}}
  default:
    reply:
      headers: {x-on: true}
      body: {in: =in, room: =http.params.room, q: =http.query, say: =opt.greeting}
scripts:
  odd: [{delay_s: 0.01, reply: {body: one}}]
"""


@pytest.fixture
def chat(write_mapping: Callable[..., Catalog]) -> Iterator[httpx.Client]:
    endpoint = """mapping: endpoint/1
id: acme.chat
base_url: https://api.acme.test
request: {path: /chat, body: {model: =model.name, messages: =req.messages}}
response: {text: =res.text}
errors: {any: {status: [4xx, 5xx], raise: {message: =res.error}}}
"""
    catalog = write_mapping(endpoint, MOCK)
    assert catalog.problems.errors == []
    with MockServer() as server, httpx.Client(base_url=server.start(catalog.mocks.values())) as client:
        yield client


def test_what_an_expression_sees(chat: httpx.Client) -> None:
    """Path parameter, query with a repeated key, options; a header that is a boolean is lower case."""
    answer = chat.post("/chat/a%2Fb?x=1&x=2&y=", json={"a": 1})

    assert answer.json() == {"in": {"a": 1}, "room": "a/b", "q": {"x": ["1", "2"], "y": ""}, "say": "hello"}
    assert answer.headers["x-on"] == "true"


@pytest.mark.parametrize(
    ("kind", "content", "seen"),
    [
        ("application/x-www-form-urlencoded", b"a=1&b=%20", {"a": "1", "b": " "}),
        ("text/plain", b"some text", "some text"),
        ("application/vnd.acme+json", b'{"a":1}', {"a": 1}),
    ],
)
def test_other_bodies_than_json(chat: httpx.Client, kind: str, content: bytes, seen: object) -> None:
    """A form is an object, text is text."""
    answer = chat.post("/chat/r", content=content, headers={"content-type": kind})

    assert answer.json()["in"] == seen


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\x00\xff"])
def test_a_body_that_cannot_be_read_is_refused(chat: httpx.Client, content: bytes) -> None:
    """Bytes that are no text fail `accept`."""
    answer = chat.post("/chat/r", content=content, headers={"content-type": "image/png"})

    assert (answer.status_code, answer.json()) == (422, "the body is not JSON")


@pytest.mark.parametrize(
    ("forced", "body", "says"),
    [
        ("status", {"status": 99}, "status"),
        ("status", {"status": "fine"}, "status"),
        ("header", {"value": "a\r\nb: c"}, "x-it"),
        ("header", {"value": [1]}, "x-it"),
        ("framing", {}, "content-length"),
        ("function", {"number": 1}, "m1.yaml:"),
    ],
)
def test_what_goes_wrong_when_it_runs(chat: httpx.Client, forced: str, body: object, says: str) -> None:
    """The mock answers 500 and says what its file did."""
    answer = chat.post("/chat/r", json=body, headers={"x-mock": forced})

    assert answer.status_code == 500
    assert says in answer.json()["mock_error"]


def test_unusual_statuses(chat: httpx.Client) -> None:
    """A status without a name has a reason all the same; 204 has no body."""
    assert chat.post("/chat/r", headers={"x-mock": "teapot"}).reason_phrase == "Unknown"
    assert chat.post("/chat/r", headers={"x-mock": "nothing"}).content == b""


def test_scripts_that_do_not_exist_are_loud(chat: httpx.Client) -> None:
    """501 and the list of scripts."""
    assert chat.post("/chat/r", json={"t": "script:odd"}).json() == "one"
    missing = chat.post("/chat/r", json={"t": "script:even"})

    assert missing.status_code == 501
    assert "odd" in missing.json()["mock_error"]
