"""What a client wished of an answer: a required call, strict arguments, JSON; one more try, or a loss."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.language.cases import target_for
from engine.language.catalog import load_catalog
from engine.language.json_schema import violation
from engine.translate.chat import chat_exchange
from engine.translate.losses import Losses
from engine.translate.plan import Codec
from engine.translate.wire import Context, UpstreamReply, UpstreamRequest

PLAN = load_catalog().endpoints["straico.chat.v2"]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CALL = '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>'
WRONG = '<tool_call>{"name": "get_weather", "arguments": {"town": "Paris"}}</tool_call>'


CODEC = Codec(json.loads, lambda value: json.dumps(value).encode(), violation)


def tool(**more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA, **more}}


def converse(request: dict[str, Any], *texts: str) -> tuple[dict[str, Any], list[dict[str, Any]], str]:
    """The canonical reply to a request whose answers have these texts, the bodies sent, and the losses."""
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **request}
    losses, sent = Losses(), []
    exchange = chat_exchange(target_for(PLAN, {}), body, {"id": "m", "name": "m"}, Context("req_1", 1), losses, CODEC)
    answers = iter(texts)
    try:
        asked = next(exchange)
        while True:
            assert isinstance(asked, UpstreamRequest)
            sent.append(json.loads(asked.body or b"{}"))
            message = {"role": "assistant", "content": next(answers)}
            usage = {"prompt_tokens": 10, "completion_tokens": 5}
            reply = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}
            asked = exchange.send(UpstreamReply(200, {}, json.dumps(reply).encode()))
    except StopIteration as end:
        return end.value, sent, losses.header()


def test_a_required_call_is_asked_for_once_more() -> None:
    """The model's own words and a request to call follow the conversation; tokens of both tries are counted."""
    out, sent, losses = converse({"tools": [tool()], "tool_choice": "required"}, "Which city?", CALL)

    assert ["get_weather"] == [call["name"] for call in out["tool_calls"]]
    assert ["user", "assistant", "user"] == [message["role"] for message in sent[1]["messages"]]
    assert "Which city?" in str(sent[1]["messages"][1])
    assert (20, 10) == (out["usage"]["prompt_tokens"], out["usage"]["completion_tokens"])
    assert "tool_choice" not in losses


def test_a_call_that_never_comes_is_text_and_a_loss() -> None:
    """No call is invented."""
    out, sent, losses = converse({"tools": [tool()], "tool_choice": "required"}, "No.", "Still no.")

    assert (2, "Still no.", []) == (len(sent), out["text"], out.get("tool_calls") or [])
    assert "tool_choice=dropped" in losses


def test_strict_arguments_are_validated() -> None:
    """What does not fit the schema is asked for once more; without `strict` it is taken as it came."""
    strict = {"tools": [tool(strict=True)]}
    good, asked, _ = converse(strict, WRONG, CALL)
    bad, _, losses = converse(strict, WRONG, WRONG)
    loose, once, none = converse({"tools": [tool()]}, WRONG)

    assert '{"city": "Paris"}' == good["tool_calls"][0]["arguments"]
    assert "do not fit its schema" in str(asked[1]["messages"][-1])
    assert '{"town": "Paris"}' == bad["tool_calls"][0]["arguments"]
    assert "tools=damaged" in losses
    assert (1, '{"town": "Paris"}', False) == (len(once), loose["tool_calls"][0]["arguments"], "tools=" in none)


BOTH = CALL + '<tool_call>{"name": "now", "arguments": {}}</tool_call>'


def allowed(mode: str, *names: str) -> dict[str, Any]:
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


@pytest.mark.parametrize(
    ("wish", "called", "said"),
    [
        ({}, ["get_weather", "now"], "only when you need it"),
        ({"tool_choice": "auto"}, ["get_weather", "now"], "only when you need it"),
        ({"tool_choice": "none"}, [], None),
        ({"tool_choice": "required"}, ["get_weather", "now"], "You must call at least one function"),
        ({"tool_choice": {"type": "function", "function": {"name": "now"}}}, ["now"], "You must call now now"),
        ({"tool_choice": allowed("auto", "now")}, ["now"], "and only now"),
        ({"tool_choice": allowed("required", "get_weather")}, ["get_weather"], "only get_weather"),
        ({"tool_choice": allowed("auto")}, [], None),
        ({"parallel_tool_calls": False}, ["get_weather"], "Make one call at most"),
        ({"tool_choice": "required", "parallel_tool_calls": False}, ["get_weather"], "You must call one function"),
    ],
)
def test_a_choice_stands_in_the_prompt_and_is_enforced(
    wish: dict[str, Any], called: list[str], said: str | None
) -> None:
    """What a wish excludes is no call, whatever the model writes; what is not offered stays content."""
    other = {"type": "function", "function": {"name": "now"}}
    out, sent, _ = converse({"tools": [tool(), other], **wish}, BOTH)

    assert called == [call["name"] for call in out["tool_calls"]]
    assert (said is None) is ("<tools>" not in str(sent[0]))
    assert said is None or said in str(sent[0])
    assert 1 == len(sent)


@pytest.mark.parametrize(
    "schema", [{"required": "city"}, {"$ref": "http://127.0.0.1:9/x"}, {"properties": {"city": {"pattern": "(("}}}]
)
def test_a_schema_of_no_use_is_a_loss_and_no_reason_to_ask_again(schema: dict[str, Any]) -> None:
    """It is the client's: broken, or elsewhere, from where nothing is fetched. The answer is taken unchecked."""
    out, sent, losses = converse({"tools": [tool(strict=True, parameters=schema)]}, CALL, CALL)
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    told, asked, lost = converse({"response_format": wanted}, 'So: {"city": 1}')

    assert (1, ["get_weather"]) == (len(sent), [call["name"] for call in out["tool_calls"]])
    assert (1, '{"city": 1}') == (len(asked), told["text"])
    assert ("tools=dropped", "response_format=dropped") == (losses, lost)


WANTED = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}


@pytest.mark.parametrize(
    "text",
    ['{"city": "Paris"}', ' {"city": "Paris"}\n', '```json\n{"city": "Paris"}\n```', 'Here: {"city": "Paris"} Bye.',
     'Sure!\n\n```\n{"city": "Paris"}\n```\nAnything else?'],
)  # fmt: skip
@pytest.mark.parametrize("wanted", [WANTED, {"type": "json_object"}])
def test_json_is_taken_out_of_what_surrounds_it(text: str, wanted: dict[str, Any]) -> None:
    """Fences and words go, the JSON stays as it was written, the finish reason is the model's."""
    out, sent, _ = converse({"response_format": wanted}, text)

    assert (1, '{"city": "Paris"}', "stop") == (len(sent), out["text"], out["finish_reason"])
    assert "response_format" not in sent[0]
    assert ("city" in str(sent[0])) is (wanted is WANTED)


@pytest.mark.parametrize(
    ("wanted", "text"),
    [(WANTED, "No JSON."), (WANTED, '{"town": 1}'), ({"type": "json_object"}, "[1]"), ({"type": "json_object"}, "{")],
)
def test_an_answer_that_is_not_as_wished_is_asked_for_once_more(wanted: dict[str, Any], text: str) -> None:
    """The second answer counts; if it is no better the text stays and the loss is told."""
    good, asked, _ = converse({"response_format": wanted}, text, '{"city": "Oslo"}')
    bad, _, losses = converse({"response_format": wanted}, text, text)

    assert (2, '{"city": "Oslo"}') == (len(asked), good["text"])
    assert text == bad["text"]
    assert "response_format=damaged" in losses


def test_text_is_no_wish() -> None:
    """`response_format: text` is what every endpoint does."""
    out, sent, losses = converse({"response_format": {"type": "text"}}, "Hello.")

    assert (1, "Hello.", "") == (len(sent), out["text"], losses)
