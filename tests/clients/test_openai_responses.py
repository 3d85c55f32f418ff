"""openai-python on the Responses API, without a store: items in and out, events in order, tools, parsed answers."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from openai.types.responses import Response
from pydantic import BaseModel

from tests.clients.conftest import MODEL

pytestmark = pytest.mark.clients

PARIS = "The capital of France is Paris."
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
    },
}


class Weather(BaseModel):
    """What a parsed answer is."""

    city: str
    degrees: int


def test_a_response_is_exactly_of_the_sdks_type(gpt: openai.OpenAI) -> None:
    """Every key that OpenAI always sends is there before the SDK fills anything in."""
    raw = gpt.responses.with_raw_response.create(model=MODEL, input="capital of France", instructions="Be brief.")
    body = json.loads(raw.http_response.content)
    answer = Response.model_validate_json(json.dumps(body), strict=True)
    assert (answer.status, answer.output_text, answer.model) == ("completed", PARIS, MODEL)
    assert {"id", "object", "created_at", "error", "incomplete_details", "output", "usage", "text", "tools"} <= set(
        body
    )
    assert (body["usage"]["input_tokens"], body["usage"]["output_tokens"], body["usage"]["total_tokens"]) == (12, 6, 18)


def test_input_as_items_and_developer_text(gpt: openai.OpenAI) -> None:
    """Messages with parts, developer items, the assistant's own items."""
    items: Any = [
        {"role": "developer", "content": "echo: heard the developer\n"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello."}]},
        {"role": "user", "content": "go on"},
    ]
    assert gpt.responses.create(model=MODEL, input=items).output_text == "heard the developer"


def test_the_order_of_a_streams_events(gpt: openai.OpenAI) -> None:
    """Trap 95: the whole sequence, numbered without a gap; the last event holds the whole response."""
    events: list[Any] = list(gpt.responses.create(model=MODEL, input="capital of France", stream=True))
    kinds = [event.type for event in events if event.type != "response.output_text.delta"]
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == PARIS
    assert events[-1].response.output_text == PARIS
    assert events[-1].response.id == events[0].response.id


def test_the_streams_helper_and_the_whole_answer_agree(gpt: openai.OpenAI) -> None:
    """Calls streamed: every piece belongs to its item, and `completed` holds the same items (trap 96)."""
    whole = gpt.responses.create(model=MODEL, input="script:agent weather", tools=[WEATHER])
    with gpt.responses.stream(model=MODEL, input="script:agent weather", tools=[WEATHER]) as stream:
        pieces: dict[str, str] = {}
        for event in stream:
            if event.type == "response.function_call_arguments.delta":
                pieces[event.item_id] = pieces.get(event.item_id, "") + event.delta
        final = stream.get_final_response()
    calls = [item for item in final.output if item.type == "function_call"]
    assert pieces == {call.id: call.arguments for call in calls}
    assert [item.type for item in whole.output] == [item.type for item in final.output]
    assert [(call.name, json.loads(call.arguments)) for call in calls] == [
        ("get_weather", {"city": "Paris", "days": 2}),
        ("get_weather", {"city": "Oslo", "days": 1}),
    ]


def test_a_loop_that_sends_the_items_back(gpt: openai.OpenAI) -> None:
    """The history is the SDK's own items; results by call_id; the answer comes at the end."""
    items: list[Any] = [{"role": "user", "content": "script:agent weather"}]
    called = []
    for _ in range(4):
        response = gpt.responses.create(model=MODEL, input=items, tools=[WEATHER], store=False)
        items += response.output
        calls = [item for item in response.output if item.type == "function_call"]
        called += [json.loads(call.arguments) for call in calls]
        items += [{"type": "function_call_output", "call_id": call.call_id, "output": "21"} for call in calls]
        if not calls:
            break
    assert len(called) == 3
    assert response.output_text == "It is 21 degrees in Paris and 9 in Oslo."


@pytest.mark.parametrize("script", ["fenced", "stubborn"])
def test_an_answer_is_parsed_by_a_model(gpt: openai.OpenAI, script: str) -> None:
    """`parse` with pydantic, over endpoints that know no response format."""
    parsed = gpt.responses.parse(model=MODEL, input=f"script:{script} weather", text_format=Weather)
    assert parsed.output_parsed == Weather(city="Paris", degrees=21)


def test_what_coding_agents_send(gpt: openai.OpenAI) -> None:
    """Tools of other kinds are left out and told as losses; unknown fields are taken (facts/clients.md, codex)."""
    tools: Any = [
        WEATHER,
        {"type": "web_search"},
        {"type": "code_interpreter", "container": {"type": "auto"}},
    ]
    raw = gpt.responses.with_raw_response.create(
        model=MODEL,
        input=[{"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
               {"role": "user", "content": "ping"}],
        tools=tools,
        store=False,
        include=["reasoning.encrypted_content"],
        prompt_cache_key="k",
        extra_body={"client_metadata": {"a": "b"}},
    )  # fmt: skip
    assert raw.parse().output_text == "pong"
    assert "tools.web_search+code_interpreter=dropped" in raw.headers["x-engine-losses"]


def test_custom_tools_and_tools_in_items(gpt: openai.OpenAI) -> None:
    """What Codex offers to some models: a text instead of JSON, whole and streamed, and sent back as an item."""
    tool: Any = {"type": "custom", "name": "get_weather", "format": {"type": "grammar", "syntax": "lark",
                 "definition": "start: TEXT"}}  # fmt: skip
    more = [{"type": "namespace", "name": "clock", "description": "", "tools": [{"type": "function", "name": "sleep"}]}]
    items: list[Any] = [
        {"type": "additional_tools", "role": "developer", "tools": more},
        {"role": "user", "content": "mock:weather_call"},
    ]
    raw = gpt.responses.with_raw_response.create(model=MODEL, input=items, tools=[tool], store=False)
    assert "tools.format=dropped" in raw.headers["x-engine-losses"]
    whole = raw.parse()
    made = whole.output[-1]
    assert made.type == "custom_tool_call"
    assert (made.name, json.loads(made.input)) == ("get_weather", {"city": "Paris"})
    assert [each.type for each in whole.tools] == ["custom", "function"]
    with gpt.responses.stream(model=MODEL, input=items, tools=[tool], store=False) as stream:
        pieces = [event.delta for event in stream if event.type == "response.custom_tool_call_input.delta"]
        final = stream.get_final_response()
    assert pieces == [made.input]
    assert [item.type for item in final.output] == ["message", "custom_tool_call"]
    items[-1]["content"] = "weather"
    items += [*whole.output, {"type": "custom_tool_call_output", "call_id": made.call_id, "output": "21"}]
    assert gpt.responses.create(model=MODEL, input=items, tools=[tool], store=False).output_text == "It is 21 degrees."


def test_reasoning_is_an_item_before_the_answer(gpt: openai.OpenAI) -> None:
    """A summary, whole and streamed, which may be sent back."""
    response = gpt.responses.create(model=MODEL, input="mock:reasoning")
    assert [item.type for item in response.output] == ["reasoning", "message"]
    events: list[Any] = list(gpt.responses.create(model=MODEL, input="mock:reasoning", stream=True))
    texts = [event.delta for event in events if event.type == "response.reasoning_summary_text.delta"]
    assert "".join(texts) == "I thought about it."
    again: Any = [{"role": "user", "content": "hi"}, *response.output, {"role": "user", "content": "ping"}]
    assert gpt.responses.create(model=MODEL, input=again).status == "completed"


def test_a_cut_answer_is_incomplete(gpt: openai.OpenAI) -> None:
    """Trap 97: never `completed`, whole or streamed."""
    cut = gpt.responses.create(model=MODEL, input="mock:cut", max_output_tokens=20)
    assert (cut.status, cut.incomplete_details.reason if cut.incomplete_details else None) == (
        "incomplete",
        "max_output_tokens",
    )
    events = list(gpt.responses.create(model=MODEL, input="mock:cut", stream=True))
    assert events[-1].type == "response.incomplete"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": "hi", "previous_response_id": "resp_1"}, "previous_response_id"),
        ({"input": "hi", "conversation": "conv_1"}, "conversation"),
        ({"input": "hi", "background": True}, "background"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
        ({"input": [{"role": "user", "content": "hi"}, {"id": "msg_1"}]}, "input[1]"),
    ],
)
def test_what_needs_a_store_is_refused_by_name(gpt: openai.OpenAI, fields: Any, param: str) -> None:
    """Trap 98: a clear 400, never silence."""
    with pytest.raises(openai.BadRequestError) as caught:
        gpt.responses.create(model=MODEL, **fields)
    assert (caught.value.param, caught.value.code) == (param, "unsupported_feature")


def test_failures_are_the_sdks_classes(gpt: openai.OpenAI) -> None:
    """As for chats, whole or streamed, with the code that agents look for."""
    for streams in (False, True):
        with pytest.raises(openai.RateLimitError):
            gpt.responses.create(model=MODEL, input="mock:rate_limited", stream=streams)  # type: ignore[call-overload]
        with pytest.raises(openai.BadRequestError) as caught:
            gpt.responses.create(model=MODEL, input="mock:context_overflow", stream=streams)  # type: ignore[call-overload]
        assert caught.value.code == "context_length_exceeded"
    with pytest.raises(openai.NotFoundError):
        gpt.responses.retrieve("resp_1")
