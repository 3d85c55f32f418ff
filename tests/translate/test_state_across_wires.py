"""Reasoning across dialects: the state of one wire never reaches another, whichever dialect brought it and whichever
endpoint is asked; over the same wire it comes through.
"""

# house style (STYLE B8): expected == actual

from __future__ import annotations

from typing import Any

import pytest

from engine.language.cases import json_codec, target_for
from engine.language.catalog import load_catalog
from engine.translate.chat import Chat
from engine.translate.client import read_client, write_reply
from engine.translate.losses import Losses
from engine.translate.reply import build_reply
from engine.translate.wire import Context, HttpInput, UpstreamRequest

CATALOG = load_catalog()
CODEC = json_codec()
STATE = "c3RhdGUtb2YtYW5vdGhlci13aXJl"
CACHE = "a-cache-key-of-this-wire"

CALL: dict[str, Any] = {"name": "add", "arguments": "{}"}
CLAUDE: dict[str, Any] = {
    "model": "m",
    "max_tokens": 9,
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": {"type": CACHE}}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": STATE},
                {"type": "redacted_thinking", "data": STATE},
                {"type": "tool_use", "id": "t1", "name": "add", "input": {}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "1"}]},
    ],
    "tools": [{"name": "add", "input_schema": {"type": "object"}}],
}
ITEMS: dict[str, Any] = {
    "model": "m",
    "input": [
        {"role": "user", "content": "hi"},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": STATE},
        {"type": "function_call", "call_id": "c1", **CALL},
        {"type": "function_call_output", "call_id": "c1", "output": "1"},
    ],
    "tools": [{"type": "function", "name": "add", "parameters": {"type": "object"}}],
}
WITH_STATE = {"anthropic.messages": ("messages", CLAUDE), "openai.responses": ("responses", ITEMS)}
"""The dialects whose wire carries reasoning state, and a conversation with some of it."""


def sent(dialect: str, endpoint: str) -> tuple[str, list[dict[str, Any]]]:
    """The body of the first call that an endpoint makes of the dialect's conversation, and what was lost."""
    name, body = WITH_STATE[dialect]
    plan, losses = CATALOG.dialects[dialect], Losses()
    options = {key: spec.default for key, spec in plan.options.items()}
    request = read_client(plan, plan.operations[name], body, HttpInput("POST", "/"), options, losses)
    context = Context("req_0123456789abcdef01234567", 1_700_000_000, client_wire=plan.wire)
    target = target_for(CATALOG.endpoints[endpoint], {})
    opened = Chat(target, request, {"id": "m", "name": "m", "meta": None}, context, losses, CODEC).opened()
    try:
        asked: Any = next(opened)
    except StopIteration as end:
        asked = end.value
    assert isinstance(asked, UpstreamRequest)
    return (asked.body or b"").decode(), losses.as_json()


@pytest.mark.parametrize("endpoint", CATALOG.endpoints)
@pytest.mark.parametrize("dialect", WITH_STATE)
def test_state_goes_to_its_own_wire_only(dialect: str, endpoint: str) -> None:
    """A signature is sent where it came from, and is a loss everywhere else; the thought itself is no state."""
    body, losses = sent(dialect, endpoint)

    own = CATALOG.endpoints[endpoint].wire == CATALOG.dialects[dialect].wire
    assert own == (STATE in body)
    if dialect == "anthropic.messages":
        assert own == (CACHE in body)
    lost = [each for each in losses if "reasoning" in str(each["field"])]
    assert own or [] != lost


def test_there_is_an_endpoint_for_the_same_wire() -> None:
    """Else the test above would only ever say no."""
    assert {"anthropic.messages"} <= {plan.wire for plan in CATALOG.endpoints.values()} & {
        CATALOG.dialects[each].wire for each in WITH_STATE
    }


THOUGHT = {"reasoning": "Hm, hm.", "text": "42.", "tool_calls": [CALL], "finish_reason": "tool_calls"}


@pytest.mark.parametrize(
    ("dialect", "operation"),
    [
        ("openai.chat", "chat"),
        ("openai.responses", "responses"),
        ("anthropic.messages", "messages"),
        ("ollama", "chat"),
    ],
)
def test_thoughts_come_back_as_they_were_told(dialect: str, operation: str) -> None:
    """An answer with a thought, put into the history as the dialect's clients do, is the same thought to the engine."""
    plan = CATALOG.dialects[dialect]
    context = Context("req_0123456789abcdef01234567", 1_700_000_000)
    out = build_reply(THOUGHT, endpoint="e", model="m", context=context, losses=Losses(), codec=CODEC)
    options = {key: spec.default for key, spec in plan.options.items()}
    scope = {"req": {"model": "m", "messages": []}, "in": {}, "out": out, "ctx": context.for_client(), "opt": options}
    answer: Any = CODEC.loads(write_reply(plan, plan.operations[operation], scope, CODEC).body)
    user = {"role": "user", "content": "hi"}
    history: dict[str, Any] = {
        "openai.chat": lambda: {"messages": [user, answer["choices"][0]["message"]]},
        "openai.responses": lambda: {"input": [user, *answer["output"]]},
        "anthropic.messages": lambda: {
            "max_tokens": 9,
            "messages": [user, {"role": "assistant", "content": answer["content"]}],
        },
        "ollama": lambda: {"messages": [user, answer["message"]]},
    }[dialect]()

    request = read_client(
        plan, plan.operations[operation], {"model": "m", **history}, HttpInput("POST", "/"), options, Losses()
    )

    message = request["messages"][1]
    told = next(each["text"] for each in message["reasoning"])
    assert ("Hm, hm.", "add") == (told, message["tool_calls"][0]["function"]["name"])
