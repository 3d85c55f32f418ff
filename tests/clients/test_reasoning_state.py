"""Over real HTTP: the signature of an upstream comes back to it through dialects that have no place for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.running import Running, serving

pytestmark = pytest.mark.clients

SIGNATURE = "c2ln"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
USER = {"role": "user", "content": "What is the weather?"}
CHAT_TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}


@pytest.fixture(scope="module")
def gemini() -> Iterator[Running]:
    """A gateway before an upstream that signs its calls; it prints what it sends there."""
    with serving("--mock", "--endpoint", "google.generate_content", "--print", "upstream_request") as server:
        yield server


def frames(answer: httpx.Response) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


def ask(http: httpx.Client, server: Running, path: str, body: dict[str, Any]) -> httpx.Response:
    answer = http.post(f"{server.origin}{path}", json={"model": "gemini-3-pro", **body}, headers={"x-api-key": "any"})
    assert answer.status_code == 200, answer.text
    return answer


def of_chat(http: httpx.Client, server: Running, streams: bool) -> None:
    """A client of OpenAI's chat keeps the message and answers by the ids of the calls."""
    asked = {"messages": [USER], "tools": [CHAT_TOOL]}
    answer = ask(http, server, "/v1/chat/completions", {**asked, "stream": streams})
    if streams:
        deltas = [frame["choices"][0]["delta"] for frame in frames(answer)]
        calls = [call for delta in deltas for call in delta.get("tool_calls", ()) if "id" in call]
        calls = [{**call, "function": {**call["function"], "arguments": "{}"}} for call in calls]
        message: dict[str, Any] = {"role": "assistant", "content": "Let me look.", "tool_calls": calls}
    else:
        message = answer.json()["choices"][0]["message"]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "21"} for call in message["tool_calls"]]
    assert len(results) == 2
    ask(http, server, "/v1/chat/completions", {**asked, "messages": [USER, message, *results]})


def of_messages(http: httpx.Client, server: Running, streams: bool) -> None:
    """A client of Anthropic's sends the blocks back as they are."""
    asked = {"messages": [USER], "max_tokens": 99, "tools": [{"name": "get_weather", "input_schema": SCHEMA}]}
    answer = ask(http, server, "/v1/messages", {**asked, "stream": streams})
    if streams:
        found = frames(answer)
        blocks = [each["content_block"] for each in found if each["type"] == "content_block_start"]
        signed = next(each["delta"] for each in found if each.get("delta", {}).get("type") == "signature_delta")
        blocks = [{**each, "signature": signed["signature"]} if each["type"] == "thinking" else each for each in blocks]
        blocks = [each for each in blocks if each["type"] != "text"]
    else:
        blocks = answer.json()["content"]
    ids = [block["id"] for block in blocks if block["type"] == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": each, "content": "21"} for each in ids]
    turns = [USER, {"role": "assistant", "content": blocks}, {"role": "user", "content": results}]
    assert len(ids) == 2
    ask(http, server, "/v1/messages", {**asked, "messages": turns})


def of_items(http: httpx.Client, server: Running, streams: bool) -> None:
    """A client of the Responses API sends the items back as they are."""
    asked = {"input": [USER], "tools": [{"type": "function", "name": "get_weather", "parameters": SCHEMA}]}
    answer = ask(http, server, "/v1/responses", {**asked, "stream": streams})
    output = frames(answer)[-1]["response"]["output"] if streams else answer.json()["output"]
    calls = [item["call_id"] for item in output if item["type"] == "function_call"]
    results = [{"type": "function_call_output", "call_id": each, "output": "21"} for each in calls]
    assert len(calls) == 2
    ask(http, server, "/v1/responses", {**asked, "input": [USER, *output, *results]})


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("talk", [of_chat, of_messages, of_items])
def test_a_signature_comes_back(gemini: Running, http: httpx.Client, talk: Any, streams: bool) -> None:
    """In the call that it stood in, and nothing of how it travelled goes upstream."""
    before = gemini.log.count(SIGNATURE)
    talk(http, gemini, streams)

    log = gemini.wait_for(SIGNATURE, before + 1)
    assert "_kept1_" not in log
    assert "skip_thought_signature_validator" not in log
