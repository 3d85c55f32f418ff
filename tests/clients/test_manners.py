"""Manners that every dialect keeps: errors in its own shape on every path, signs of life, no line end inside a frame,
keys in both headers, and pages of allowed origins served.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.clients.conftest import MODEL
from tests.running import Running, serving

pytestmark = pytest.mark.clients

KEY = "a-client-key-0123456789"
PAGE = "https://app.example"
LIMIT_BYTES = 8000
CONFIG = f"""
mapping: gateway/1
upstreams: {{straico: {{endpoint: straico.chat.v2, streaming: synthetic, heartbeat: {{every_s: 0.3}}}}}}
routes: {{rest: {{models: ["openai/*"], to: straico}}}}
clients: {{auth: keys, keys: [{{name: app, env: APP_KEY}}]}}
limits: {{body_bytes: {LIMIT_BYTES}}}
streaming: {{grace_s: 0.2}}
cors: {{origins: ["{PAGE}"]}}
"""
VERSION = {"anthropic-version": "2023-06-01"}


def messages(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


DIALECTS: dict[str, tuple[str, str, Any, dict[str, str]]] = {
    "openai.chat": ("/v1/chat/completions", "/v1/nope", messages, {}),
    "openai.completions": ("/v1/completions", "/v1/completions/nope", lambda text: {"prompt": text}, {}),
    "openai.responses": ("/v1/responses", "/v1/responses/nope", lambda text: {"input": text}, {}),
    "anthropic.messages": ("/v1/messages", "/v1/nope", lambda text: {"max_tokens": 9, **messages(text)}, VERSION),
    "ollama": ("/api/chat", "/api/nope", messages, {}),
}
"""Path, a path that is not there, a body for a text, headers that clients of the dialect send."""


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway with a key, a small body limit, an allowed origin and quick signs of life."""
    folder = tmp_path_factory.mktemp("gateway")
    (folder / "engine.yaml").write_text(CONFIG, encoding="utf-8")
    with serving("--mock", folder=folder, more={"APP_KEY": KEY}) as server:
        yield server


class Speaker:
    """A client of one dialect, with no SDK to be polite."""

    def __init__(self, dialect: str, http: httpx.Client, origin: str) -> None:
        self.dialect, self.http, self.origin = dialect, http, origin
        self.path, self.nowhere, self.body, self.own = DIALECTS[dialect]

    def send(self, method: str = "POST", path: str | None = None, **fields: Any) -> httpx.Response:
        fields["headers"] = {"authorization": f"Bearer {KEY}", **self.own, **fields.get("headers", {})}
        return self.http.request(method, f"{self.origin}{path or self.path}", **fields)

    def ask(self, text: str, **more: Any) -> httpx.Response:
        return self.send(json={"model": MODEL, **self.body(text), **more})

    def type_of_error(self, answer: httpx.Response) -> str:
        """The type that an error names; its shape is the dialect's to the key. Ollama's is a string without one."""
        assert answer.headers["content-type"] == "application/json"
        return self.type_in(answer.json())

    def type_in(self, body: Any) -> str:
        if self.dialect == "ollama":
            assert set(body) == {"error"}
            assert isinstance(body["error"], str)
            return ""
        if self.dialect == "anthropic.messages":
            assert (body["type"], set(body)) == ("error", {"type", "error", "request_id"})
            return str(body["error"]["type"])
        error = body["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return str(error["type"])


@pytest.fixture(params=DIALECTS)
def speaker(request: pytest.FixtureRequest, keyed: Running, http: httpx.Client) -> Speaker:
    """A client per dialect."""
    return Speaker(request.param, http, keyed.origin)


def test_every_refusal_is_in_the_dialects_shape(speaker: Speaker) -> None:
    """Wrong path, method, key, body, size, model: the status tells, the shape is the client's."""
    wrong_key = {"authorization": "Bearer nope"}
    large = {"model": MODEL, **speaker.body("x" * LIMIT_BYTES)}
    cases: list[tuple[int, str, httpx.Response]] = [
        (404, "not_found_error", speaker.send(path=speaker.nowhere, json={})),
        (405, "invalid_request_error", speaker.send("DELETE")),
        (401, "authentication_error", speaker.send(json={}, headers=wrong_key)),
        (400, "invalid_request_error", speaker.send(content=b"{")),
        (400, "invalid_request_error", speaker.send(content=b"[]")),
        (413, "request_too_large", speaker.send(json=large)),
        (404, "not_found_error", speaker.send(json={"model": "acme/x", **speaker.body("hi")})),
        (400, "invalid_request_error", speaker.send(json={"model": MODEL, **speaker.body("hi"), "stream": "yes"})),
    ]
    for status, kind, answer in cases:
        assert answer.status_code == status, answer.text
        assert answer.headers["x-request-id"].startswith("req_")
        found = speaker.type_of_error(answer)
        if speaker.dialect.startswith("openai") and kind in ("not_found_error", "request_too_large"):
            kind = "invalid_request_error"
        assert found in ("", kind)


def test_every_answer_tells_the_id_of_its_request(speaker: Speaker) -> None:
    """Whole, streamed or refused, in the header that the dialect's clients look at too, and pages may read it."""
    page = {"origin": PAGE}
    answers = [
        speaker.ask("ping"),
        speaker.ask("ping", stream=True),
        speaker.send(json={}, headers=page),
        speaker.send(path=speaker.nowhere, json={}),
        speaker.send(json={}, headers={"authorization": "Bearer nope"}),
    ]
    for answer in answers:
        own = "request-id" if speaker.dialect == "anthropic.messages" else "x-request-id"
        assert answer.headers[own] == answer.headers["x-request-id"]
        assert answer.headers[own].startswith("req_")
        assert ("request-id" in answer.headers) == (own == "request-id")
    assert own in answers[2].headers["access-control-expose-headers"].split(", ")


def test_a_head_that_is_too_large_is_told_in_the_dialects_shape(speaker: Speaker) -> None:
    """Even what is refused before anything else is looked at."""
    answer = speaker.send(json={}, headers={"x-long": "x" * 40_000})
    assert answer.status_code == 431
    speaker.type_of_error(answer)


def test_a_path_under_no_dialect_is_a_plain_error(keyed: Running, http: httpx.Client) -> None:
    """An object that SDKs can read, and never a page."""
    answer = http.get(f"{keyed.origin}/nowhere/at/all")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")
    assert answer.json()["error"]["code"] == "unknown_url"


def test_signs_of_life_while_the_upstream_thinks(speaker: Speaker) -> None:
    """A comment for OpenAI's three, `ping` for Anthropic; NDJSON has no comments, so by default nothing."""
    text = speaker.ask("mock:slow", stream=True).text
    expected = {"anthropic.messages": '{"type":"ping"}', "ollama": ""}.get(speaker.dialect, ": heartbeat\n\n")
    assert text.count(expected) >= 2
    assert ("heartbeat" in text) == (speaker.dialect not in ("ollama", "anthropic.messages"))
    assert "mock answer" in text.replace('"}', "")


def test_a_failure_behind_the_first_frame_is_an_event_of_the_dialect(speaker: Speaker) -> None:
    """After a sign of life the status is gone: the error is the last thing, and nothing says that it ended well."""
    answer = speaker.ask("mock:fails_late", stream=True)
    frames = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith(("data: ", "{"))]
    said = [json.loads(frame) for frame in frames if frame != "[DONE]"]
    assert answer.status_code == 200
    errors = [each for each in said if "error" in each and each.get("type") in (None, "error")]
    assert len(errors) == 1
    assert "completed" not in answer.text
    assert "message_stop" not in answer.text
    assert '"done":true' not in answer.text


def test_no_line_end_hides_in_a_frame(speaker: Speaker) -> None:
    """U+2028, U+2029 and U+0085 come as escapes, in SSE and NDJSON."""
    answer = speaker.ask("echo: a\u2028b\u2029c\u0085d", stream=True)
    assert not {"\u2028", "\u2029", "\u0085"} & set(answer.text)
    assert "a\\u2028b\\u2029c\\u0085d" in answer.text


def test_both_headers_carry_the_key(speaker: Speaker) -> None:
    """`Authorization: Bearer` and `x-api-key`, whatever the dialect, and a body without a content type."""
    body = json.dumps({"model": MODEL, **speaker.body("ping")}).encode()
    for headers in ({"x-api-key": KEY}, {"authorization": f"Bearer {KEY}"}):
        answer = speaker.http.post(f"{speaker.origin}{speaker.path}", content=body, headers={**headers, **speaker.own})
        assert "pong" in answer.text


def test_pages_of_allowed_origins_may_call(speaker: Speaker) -> None:
    """The preflight needs no key; the answer, an error and a stream carry the permission; other pages get none."""
    asks = {"origin": PAGE, "access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}
    allowed = speaker.http.options(f"{speaker.origin}{speaker.path}", headers=asks)
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (204, PAGE)
    assert "x-api-key" in allowed.headers["access-control-allow-headers"]
    for body in (
        {"model": MODEL, **speaker.body("ping")},
        {"model": MODEL, **speaker.body("ping"), "stream": True},
        {},
    ):
        answer = speaker.send(json=body, headers={"origin": PAGE})
        assert answer.headers["access-control-allow-origin"] == PAGE
        other = speaker.send(json=body, headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
