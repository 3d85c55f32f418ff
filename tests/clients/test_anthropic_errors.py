"""anthropic-python: each failure is the exception class that the SDK has for it, with a body of its own shape."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import httpx
import pytest

from tests.clients.conftest import MODEL

pytestmark = pytest.mark.clients


def fail(client: anthropic.Anthropic, kind: type[anthropic.APIStatusError], text: str = "hi", **fields: Any) -> Any:
    """The exception of one turn; its body is Anthropic's to the key."""
    with pytest.raises(kind) as caught:
        client.messages.create(
            **{"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": text}], **fields}  # type: ignore[arg-type]
        )
    body = json.loads(caught.value.response.content)
    assert (body["type"], set(body)) == ("error", {"type", "error", "request_id"})
    assert set(body["error"]) <= {"type", "message", "details"}
    assert body["error"]["message"]
    assert caught.value.request_id == body["request_id"] == caught.value.response.headers["x-request-id"]
    return caught.value


@pytest.mark.parametrize(
    ("text", "kind", "status", "type_"),
    [
        ("mock:rate_limited", anthropic.RateLimitError, 429, "rate_limit_error"),
        ("mock:error_string", anthropic.BadRequestError, 400, "invalid_request_error"),
        ("mock:context_overflow", anthropic.BadRequestError, 400, "invalid_request_error"),
        ("mock:no_coins", anthropic.RateLimitError, 429, "billing_error"),
        ("mock:empty_503", anthropic.InternalServerError, 529, "overloaded_error"),
        ("mock:html_502", anthropic.InternalServerError, 502, "api_error"),
        ("mock:gateway_timeout", anthropic.InternalServerError, 504, "timeout_error"),
        ("mock:half_body", anthropic.InternalServerError, 502, "api_error"),
    ],
)
@pytest.mark.parametrize("streams", [False, True])
def test_an_upstreams_failure(
    claude: anthropic.Anthropic,
    text: str,
    kind: type[anthropic.APIStatusError],
    status: int,
    type_: str,
    streams: bool,
) -> None:
    """Whole or streamed, a failure before the first word keeps its status and its class."""
    error = fail(claude, kind, text, stream=streams)
    assert (error.status_code, error.body["error"]["type"]) == (status, type_)


def test_what_agents_look_for(claude: anthropic.Anthropic) -> None:
    """A rate limit says when to come back; a long prompt says so in Anthropic's words."""
    assert fail(claude, anthropic.RateLimitError, "mock:rate_limited").response.headers["retry-after"] == "7"
    assert "prompt is too long" in fail(claude, anthropic.BadRequestError, "mock:context_overflow").message


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"tools": [{"type": "web_search_20260318", "name": "web_search"}]}, "web_search_20260318"),
        ({"messages": [{"role": "wizard", "content": "hi"}]}, "wizard"),
        ({"messages": []}, "messages"),
        ({"thread": {"type": "create"}}, "threads"),
    ],
)
def test_a_request_that_is_refused_by_name(claude: anthropic.Anthropic, fields: dict[str, Any], said: str) -> None:
    """400 with the words that say what is wrong, before anything is sent."""
    known = {key: value for key, value in fields.items() if key != "thread"}
    assert said in fail(claude, anthropic.BadRequestError, extra_body={**fields, **known}).message


def test_an_unknown_model_is_not_found(claude: anthropic.Anthropic) -> None:
    """NotFoundError, for a chat and for the model itself."""
    assert fail(claude, anthropic.NotFoundError, model="openai/nope").body["error"]["type"] == "not_found_error"
    with pytest.raises(anthropic.NotFoundError):
        claude.models.retrieve("openai/nope")


def test_unknown_routes_answer_in_anthropics_shape(claude: anthropic.Anthropic, http: httpx.Client) -> None:
    """Below the dialect's paths, and anywhere else for a client that sends its version header."""
    with pytest.raises(anthropic.NotFoundError) as caught:
        claude.messages.batches.list()
    assert caught.value.body["error"]["type"] == "not_found_error"  # type: ignore[index]
    origin = str(claude.base_url).rstrip("/")
    for path in ("/v1/files", "/nowhere"):
        body = http.get(origin + path, headers={"anthropic-version": "2023-06-01"}).json()
        assert (body["type"], body["error"]["type"]) == ("error", "not_found_error")
    wrong = http.get(f"{origin}/v1/messages")
    assert (wrong.status_code, wrong.json()["error"]["type"]) == (405, "invalid_request_error")
