"""Plain HTTP, with no SDK to be polite: a bad request gets the exact error object, the right status, the field."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.clients.conftest import MODEL
from tests.running import Running, serving

pytestmark = pytest.mark.clients

KEY = "a-client-key-0123456789"
AUTHORIZATION = {"authorization": f"Bearer {KEY}"}
LIMIT_BYTES = 20_000
USER = {"role": "user", "content": "hi"}
CONFIG = f"""
mapping: gateway/1
upstreams:
  straico: {{endpoint: straico.chat.v2}}
  old: {{endpoint: straico.prompt.v0}}
routes:
  old-names: {{models: ["legacy/*"], to: old}}
  rest: {{models: ["openai/*", "auto*", small], to: straico}}
aliases: {{small: openai/gpt-4o-mini}}
clients: {{auth: keys, keys: [{{name: app, env: APP_KEY}}, {{name: chooser, env: CHOOSER_KEY, choose: true}}]}}
limits: {{body_bytes: {LIMIT_BYTES}}}
"""


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway with keys, routes, an alias and a small body limit."""
    folder = tmp_path_factory.mktemp("gateway")
    (folder / "engine.yaml").write_text(CONFIG, encoding="utf-8")
    keys = {"APP_KEY": KEY, "CHOOSER_KEY": "a-chooser-key-0123456789"}
    with serving("--mock", folder=folder, more=keys) as server:
        yield server


class Door:
    """Sends what it is told, with the right key unless told otherwise, and reads the error object."""

    def __init__(self, http: httpx.Client, origin: str) -> None:
        self.http, self.origin = http, origin

    def send(self, method: str = "POST", path: str = "/v1/chat/completions", **fields: Any) -> httpx.Response:
        fields["headers"] = {**AUTHORIZATION, **fields.get("headers", {})}
        return self.http.request(method, f"{self.origin}{path}", **fields)

    def error(self, *arguments: Any, **fields: Any) -> tuple[int, Any, Any, Any]:
        """Status, type, param and code of an error whose object is exactly OpenAI's."""
        answer = self.send(*arguments, **fields)
        body = answer.json()
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-request-id"].startswith("req_")
        assert set(body) == {"error"}
        error = body["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert isinstance(error["message"], str)
        assert error["message"]
        assert KEY not in answer.text
        assert "Traceback" not in answer.text
        return answer.status_code, error["type"], error["param"], error["code"]


@pytest.fixture
def door(keyed: Running, http: httpx.Client) -> Door:
    """The gateway's front door."""
    return Door(http, keyed.origin)


def test_a_good_request_passes(door: Door) -> None:
    """The same door serves what is right, by its alias too."""
    answer = door.send(json={"model": "small", "messages": [USER]})
    assert (answer.status_code, answer.json()["model"]) == (200, "small")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"{'model': 'm'}", b'{"model": "m",}', b"\xff\xfe{}", b'{"a": NaN}', b'{"a": 1, "a": 2}', b"[" * 500],
)
def test_what_is_no_json_is_said_to_be_none(door: Door, body: bytes) -> None:
    """Broken, empty, doubled, bottomless: 400, never 500."""
    status, kind, param, code = door.error(content=body, headers={"content-type": "application/json"})
    assert (status, kind) == (400, "invalid_request_error")
    assert code
    assert param is None or isinstance(param, str)


@pytest.mark.parametrize("body", ["null", "[]", '"text"', "7", "true"])
def test_a_body_is_an_object(door: Door, body: str) -> None:
    """JSON of another kind is a bad request."""
    assert door.error(content=body)[:2] == (400, "invalid_request_error")


GOOD: dict[str, Any] = {"model": MODEL, "messages": [USER]}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"model": None}, "model"),
    ({"model": 7}, "model"),
    ({"model": ""}, "model"),
    ({"messages": None}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": "hi"}, "messages"),
    ({"messages": ["hi"]}, "messages[0]"),
    ({"messages": [{"content": "hi"}]}, "messages[0].role"),
    ({"messages": [{"role": 7, "content": "hi"}]}, "messages[0].role"),
    ({"messages": [USER, {"role": "wizard", "content": "hi"}]}, "messages[1].role"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": {"text": "hi"}}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": ["hi"]}]}, "messages[0].content[0]"),
    ({"messages": [{"role": "user", "content": [{"text": "hi"}]}]}, "messages[0].content[0].type"),
    ({"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, "messages[0].content[0].type"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": 7}]}]}, "messages[0].content[0].text"),
    ({"messages": [{"role": "tool", "content": "hi"}]}, "messages[0].tool_call_id"),
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": True}, "temperature"),
    ({"max_tokens": "many"}, "max_tokens"),
    ({"max_tokens": 1.5}, "max_tokens"),
    ({"stream": "yes"}, "stream"),
    ({"stop": 7}, "stop"),
    ({"n": "two"}, "n"),
    ({"response_format": "json"}, "response_format"),
    ({"tools": "hammer"}, "tools"),
    ({"tools": [{"type": "function"}]}, "tools[0].function"),
    ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
    ({"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]}, "tools[0].function.parameters"),
]


@pytest.mark.parametrize(
    ("change", "param"), WRONG, ids=[f"{param}-{number}" for number, (_, param) in enumerate(WRONG)]
)
def test_a_wrong_field_is_named(door: Door, change: dict[str, Any], param: str) -> None:
    """The field is named by the client's own path."""
    status, kind, found, _ = door.error(json={**GOOD, **change})
    assert (status, kind, found) == (400, "invalid_request_error", param)


@pytest.mark.parametrize("field", ["model", "messages"])
def test_a_missing_field_is_named(door: Door, field: str) -> None:
    """What a chat cannot do without."""
    body = {key: value for key, value in GOOD.items() if key != field}
    assert door.error(json=body) == (400, "invalid_request_error", field, "missing_required_parameter")


def test_a_large_body_is_refused(door: Door) -> None:
    """413 beyond the limit, whether its length is told or not."""
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "x" * LIMIT_BYTES}]}).encode()
    assert door.error(content=body)[:2] == (413, "invalid_request_error")
    halves = iter([body[:9000], body[9000:18_000], body[18_000:]])
    assert door.error(content=halves)[:2] == (413, "invalid_request_error")


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/embeddings", "/v1/chat", "/v1/nope/x"])
def test_an_unknown_path(door: Door, path: str) -> None:
    """404 in OpenAI's shape."""
    assert door.error(path=path, json=GOOD) == (404, "invalid_request_error", None, "unknown_url")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/chat/completions", "POST"),
        ("PUT", "/v1/chat/completions", "POST"),
        ("POST", "/v1/models", "GET, HEAD"),
        ("DELETE", "/v1/models/openai/gpt-4o-mini", "GET, HEAD"),
    ],
)
def test_a_wrong_method(door: Door, method: str, path: str, allowed: str) -> None:
    """405 in OpenAI's shape, and what is allowed."""
    assert door.error(method, path) == (405, "invalid_request_error", None, "method_not_allowed")
    assert door.send(method, path).headers["allow"] == allowed


@pytest.mark.parametrize(
    "headers", [{"authorization": ""}, {"authorization": "Bearer wrong"}, {"authorization": KEY},
                {"authorization": f"Basic {KEY}"}, {"authorization": f"Bearer {KEY}x"}],
)  # fmt: skip
def test_a_bad_key(door: Door, headers: dict[str, str]) -> None:
    """401 for a missing, wrong or oddly sent key, on every route."""
    expected = (401, "authentication_error", None, "invalid_api_key")
    assert door.error(json=GOOD, headers=headers) == expected
    assert door.error("GET", "/v1/models", headers=headers) == expected


def test_a_bad_key_is_the_sdks_authentication_error(keyed: Running, http: httpx.Client) -> None:
    """AuthenticationError for a bad client key; the right one is served."""
    bad = openai.OpenAI(base_url=keyed.base_url, api_key="wrong", max_retries=0, http_client=http)
    with pytest.raises(openai.AuthenticationError) as caught:
        bad.models.list()
    assert caught.value.code == "invalid_api_key"
    good = openai.OpenAI(base_url=keyed.base_url, api_key=KEY, max_retries=0, http_client=http)
    assert MODEL in [model.id for model in good.models.list()]


def test_the_other_header_for_a_key(door: Door) -> None:
    """Some clients send `x-api-key`."""
    answer = door.http.get(f"{door.origin}/v1/models", headers={"x-api-key": KEY})
    assert answer.status_code == 200


def test_a_model_that_no_route_takes(door: Door) -> None:
    """404, before any upstream is asked."""
    assert door.error(json={**GOOD, "model": "acme/x"}) == (404, "invalid_request_error", "model", "model_not_found")


def test_only_some_keys_may_choose_the_upstream(door: Door) -> None:
    """`x-engine-upstream` is for keys with `choose: true`."""
    chosen = {"x-engine-upstream": "old"}
    assert door.error(json=GOOD, headers=chosen)[::3] == (403, "upstream_choice_denied")
    may = {**chosen, "authorization": "Bearer a-chooser-key-0123456789"}
    assert door.send(json=GOOD, headers=may).headers["x-engine-endpoint"] == "straico.prompt.v0"
    assert door.error(json=GOOD, headers={**may, "x-engine-upstream": "nope"})[::3] == (400, "unknown_upstream")


@pytest.mark.parametrize(
    "path", ["/v1/models/openai/gpt-4o-mini", "/v1/models/openai%2Fgpt-4o-mini", "/models/openai/gpt-4o-mini"]
)
def test_one_model_escaped_or_not(door: Door, path: str) -> None:
    """Both spellings of a name with a slash; the prefix may be left out."""
    answer = door.send("GET", path)
    assert (answer.status_code, answer.json()["id"]) == (200, "openai/gpt-4o-mini")


def test_the_alias_is_listed(door: Door) -> None:
    """Aliases are models too (trap 57)."""
    assert "small" in [model["id"] for model in door.send("GET", "/v1/models").json()["data"]]
    assert door.send("GET", "/v1/models/small").json()["id"] == "small"


def test_any_content_type_is_read_as_json(door: Door) -> None:
    """Some clients send JSON without saying so."""
    body = json.dumps(GOOD).encode()
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-8"):
        assert door.send(content=body, headers={"content-type": content_type}).status_code == 200


def test_what_is_no_http_is_closed(keyed: Running) -> None:
    """Garbage on the socket ends that connection and nothing else."""
    host, port = keyed.origin.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as sock:
        sock.sendall(b"not http at all\r\n\r\n")
        assert b"200 OK" not in sock.recv(4096)
