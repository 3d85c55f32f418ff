"""All four endpoints give the client the same answer; only ids, costs and what stands under `x_engine` may differ."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.clients.conftest import ENDPOINTS, MODEL, Servers

pytestmark = pytest.mark.clients

HEADERS = ("retry-after", "x-should-retry", "x-engine-losses")
Ask = Callable[..., Any]
USER = {"role": "user", "content": "What is the capital of France?"}
CONVERSATIONS: dict[str, list[dict[str, Any]]] = {
    "one question": [USER],
    "parts": [{"role": "user", "content": [{"type": "text", "text": "ping"}]}],
    "system": [{"role": "system", "content": "Be brief."}, USER],
    "developer": [{"role": "developer", "content": [{"type": "text", "text": "Be brief."}]}, USER],
    "history": [USER, {"role": "assistant", "content": "Paris."}, {"role": "user", "content": "echo: again"}],
    "assistant first": [{"role": "assistant", "content": "Hello."}, USER],
    "late system": [USER, {"role": "assistant", "content": "Paris."}, {"role": "system", "content": "Stop."}, USER],
    "two users": [{"role": "user", "content": "first"}, {"role": "user", "content": "ping"}],
    "script": [{"role": "user", "content": "script:three"}, {"role": "assistant", "content": "x"}, USER],
    "unicode": [{"role": "user", "content": "echo: \u2028 日本 🎉 \\u0041"}],
    "empty content": [{"role": "user", "content": ""}],
    "null content": [USER, {"role": "assistant", "content": None}, USER],
}
BEHAVIOURS = (
    "error_string", "error_object", "error_tree", "message_form", "openai_like", "html_502", "empty_503",
    "server_error", "gateway_timeout", "success_false_200", "model_failed_inside_201", "context_overflow", "no_coins",
    "rate_limited", "reset", "half_body", "bad_json", "wrong_length", "null_content", "empty_content", "dict_content",
    "list_content", "end_turn", "cut", "null_finish", "vendor_model_name", "missing_usage", "no_choices", "reasoning",
    "forbidden",
)  # fmt: skip
BODIES: dict[str, dict[str, Any]] = {
    "no model": {"messages": [USER]},
    "no messages": {"model": MODEL},
    "empty messages": {"model": MODEL, "messages": []},
    "unknown model": {"model": "openai/gpt-4o-minni", "messages": [USER]},
    "unknown selector": {"model": "auto:cheap", "messages": [USER]},
    "unknown role": {"model": MODEL, "messages": [{"role": "wizard", "content": "hi"}]},
    "audio": {"model": MODEL, "messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]},
    "clamped": {"model": MODEL, "messages": [USER], "temperature": 3},
    "dropped": {"model": MODEL, "messages": [USER], "top_p": 0.5, "seed": 1},
    "selector": {"model": "auto:quality", "messages": [USER]},
}

FAMILIES = (
    "anthropic/claude-haiku-4.5",
    "meta-llama/llama-3.3-70b-instruct",
    "mistralai/mistral-large",
    "cohere/command-r-plus",
    "qwen/qwen-2.5-72b-instruct",
    "deepseek/deepseek-r1",
)


@pytest.fixture
def ask(servers: Servers, http: httpx.Client) -> Ask:
    """Ask every endpoint, see that all answer as the first does, and give that answer."""

    def same(body: dict[str, Any], headers: tuple[str, ...] = HEADERS) -> Any:
        found = answers(servers, http, body, headers)
        first = found[ENDPOINTS[0]]
        for endpoint in ENDPOINTS[1:]:
            assert first == found[endpoint], endpoint
        return first

    return same


def answers(servers: Servers, http: httpx.Client, body: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """What each endpoint answers: status, telling headers, and the body without id and cost."""
    found = {}
    for endpoint in ENDPOINTS:
        base_url = servers[endpoint].base_url
        http.get(f"{base_url}/models")
        answer = http.post(f"{base_url}/chat/completions", json=body)
        content = json.loads(answer.text.replace(endpoint, "ENDPOINT"))
        content.pop("id", None)
        content.pop("x_engine", None)
        if "error" not in content and content.get("usage"):
            content["usage"].pop("cost", None)
        headers = {name: answer.headers.get(name) for name in names}
        found[endpoint] = (answer.status_code, headers, content)
    return found


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_conversations(ask: Ask, name: str) -> None:
    """The same conversation, the same answer."""
    status, _, content = ask({"model": MODEL, "messages": CONVERSATIONS[name]})
    assert status == 200 or set(content["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_odd_answers_and_failures(ask: Ask, behaviour: str) -> None:
    """Whatever the upstream does, the client cannot tell which endpoint did it."""
    ask({"model": MODEL, "messages": [{"role": "user", "content": f"mock:{behaviour}"}]})


@pytest.mark.parametrize("name", BODIES)
def test_bad_and_borderline_requests(ask: Ask, name: str) -> None:
    """A request is refused, clamped or served alike."""
    ask(BODIES[name])


@pytest.mark.parametrize("model", FAMILIES)
def test_model_families(ask: Ask, model: str) -> None:
    """Each family's prompt is read by the upstream as the messages are."""
    messages = [{"role": "system", "content": "Be brief."}, *CONVERSATIONS["script"]]
    status, _, content = ask(
        {"model": model, "messages": messages}, headers=()
    )  # one model has its system message merged: a loss
    assert (status, content["choices"][0]["message"]["content"]) == (200, "The second answer.")
