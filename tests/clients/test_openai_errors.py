"""openai-python on every endpoint: each failure is the exception class that the SDK has for it."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.clients.conftest import MODEL
from tests.running import Running

pytestmark = pytest.mark.clients

NOT_FOR_CLIENTS = ("nginx", "10.0.0.7", "<html", "Traceback", "Bearer", "mock-", "http://127")


def fail(client: openai.OpenAI, kind: type[openai.APIStatusError], text: str = "hi", **fields: Any) -> Any:
    """The exception of one turn; its object has all four keys and nothing of ours in it (trap 101)."""
    with pytest.raises(kind) as caught:
        client.chat.completions.create(
            **{"model": MODEL, "messages": [{"role": "user", "content": text}], **fields}  # type: ignore[arg-type]
        )
    error = json.loads(caught.value.response.content)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    assert error["message"]
    assert isinstance(error["type"], str)
    assert not [each for each in NOT_FOR_CLIENTS if each in caught.value.response.text]
    assert caught.value.request_id == caught.value.response.headers["x-request-id"]
    return caught.value


def test_a_bad_role_is_a_bad_request_with_its_path(client: openai.OpenAI) -> None:
    """BadRequestError names the field by the client's own path."""
    messages = [{"role": "user", "content": "hi"}, {"role": "wizard", "content": "hi"}]
    error = fail(client, openai.BadRequestError, messages=messages)
    assert (error.status_code, error.param, error.type) == (400, "messages[1].role", "invalid_request_error")


def test_a_part_that_cannot_be_sent_is_named(client: openai.OpenAI) -> None:
    """A sound part is refused by its path, whatever the endpoint."""
    content = [
        {"type": "text", "text": "hear"},
        {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
    ]
    error = fail(client, openai.BadRequestError, messages=[{"role": "user", "content": content}])
    assert error.param == "messages[0].content[1]"


def test_an_unknown_model_is_not_found_with_the_nearest_name(client: openai.OpenAI) -> None:
    """NotFoundError, and the name that was probably meant."""
    client.models.list()
    error = fail(client, openai.NotFoundError, model="openai/gpt-4o-minni")
    assert (error.code, error.param) == ("model_not_found", "model")
    assert "did you mean `openai/gpt-4o-mini`" in error.message


def test_an_unknown_selector_is_not_found(client: openai.OpenAI) -> None:
    """The selectors are a closed list."""
    error = fail(client, openai.NotFoundError, model="auto:cheapest")
    assert error.code == "model_not_found"
    assert "auto:quality" in error.message


def test_a_rate_limit_keeps_the_time_to_wait(client: openai.OpenAI) -> None:
    """RateLimitError with the upstream's retry-after, so that the SDK waits as long."""
    error = fail(client, openai.RateLimitError, "mock:rate_limited")
    assert error.code == "rate_limit_exceeded"
    assert error.response.headers["retry-after"] == "7"
    assert error.response.headers.get("x-should-retry") != "false"


def test_a_long_conversation_is_context_length_exceeded(client: openai.OpenAI) -> None:
    """The upstream says 500; agents look for this code with a 400."""
    error = fail(client, openai.BadRequestError, "mock:context_overflow")
    assert (error.code, error.param) == ("context_length_exceeded", "messages")


def test_no_coins_is_insufficient_quota_and_is_not_retried(server: Running) -> None:
    """The SDK would retry a 429 twice; `x-should-retry: false` stops it."""
    asked = server.log.count("code=insufficient_quota")
    with openai.OpenAI(base_url=server.base_url, api_key="any", max_retries=2) as client:
        error = fail(client, openai.RateLimitError, "mock:no_coins")
    assert (error.code, error.type) == ("insufficient_quota", "insufficient_quota")
    assert error.response.headers["x-should-retry"] == "false"
    log = server.wait_for("code=insufficient_quota", asked + 1)
    assert log.count("code=insufficient_quota") == asked + 1


@pytest.mark.parametrize(
    ("behaviour", "status", "code"),
    [
        ("html_502", 502, "upstream_error"),
        ("server_error", 502, "upstream_error"),
        ("error_tree", 502, "upstream_error"),
        ("success_false_200", 502, "upstream_error"),
        ("model_failed_inside_201", 502, "upstream_error"),
        ("empty_503", 503, "upstream_overloaded"),
        ("gateway_timeout", 504, "upstream_timeout"),
        ("forbidden", 502, "upstream_auth"),
        ("null_content", 502, "upstream_empty"),
        ("empty_content", 502, "upstream_empty"),
        ("no_choices", 502, "upstream_empty"),
        ("bad_json", 502, "upstream_bad_response"),
        ("half_body", 502, "upstream_bad_response"),
        ("wrong_length", 502, "upstream_bad_response"),
        ("reset", 502, "upstream_reset"),
    ],
)
def test_a_failing_upstream_is_an_internal_server_error(
    client: openai.OpenAI, behaviour: str, status: int, code: str
) -> None:
    """InternalServerError with a stable code; the upstream's page, address and key stay inside."""
    error = fail(client, openai.InternalServerError, f"mock:{behaviour}")
    assert (error.status_code, error.code, error.type) == (status, code, "api_error")


@pytest.mark.parametrize(
    ("behaviour", "status"), [("error_string", 400), ("error_object", 400), ("message_form", 400), ("openai_like", 400)]
)
def test_a_request_that_the_upstream_refuses_is_a_bad_request(
    client: openai.OpenAI, behaviour: str, status: int
) -> None:
    """Whatever shape the upstream gave its text, the client reads it."""
    error = fail(client, openai.BadRequestError, f"mock:{behaviour}")
    assert (error.status_code, error.type) == (status, "invalid_request_error")
    assert "The request is not valid" in error.message


def test_our_own_key_is_no_business_of_the_client(client: openai.OpenAI) -> None:
    """A key that the upstream refuses is a 502 that is not worth a retry, never the client's 401."""
    error = fail(client, openai.InternalServerError, "mock:forbidden")
    assert error.response.headers["x-should-retry"] == "false"


def test_an_unknown_route_is_not_found(client: openai.OpenAI) -> None:
    """What this gateway does not serve answers in OpenAI's shape too."""
    with pytest.raises(openai.NotFoundError) as caught:
        client.embeddings.create(model=MODEL, input="hi")
    assert caught.value.code == "unknown_url"
    assert set(json.loads(caught.value.response.content)["error"]) == {"message", "type", "param", "code"}
