"""anthropic-python over endpoints that have neither its wire nor tools: messages, streams, tools, counts, models."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import httpx
import pytest
from anthropic import beta_tool
from anthropic.types import Message

from tests.clients.conftest import MODEL

pytestmark = pytest.mark.clients

PARIS = "The capital of France is Paris."
WEATHER: Any = {
    "name": "get_weather",
    "description": "The weather of a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
    },
}


def ask(client: anthropic.Anthropic, text: str = "capital of France", **more: Any) -> Message:
    """One turn of a user."""
    return client.messages.create(model=MODEL, max_tokens=100, messages=[{"role": "user", "content": text}], **more)


def test_a_message_is_exactly_of_the_sdks_type(claude: anthropic.Anthropic) -> None:
    """Before the SDK fills anything in, the JSON is a valid Message."""
    raw = claude.messages.with_raw_response.create(
        model=MODEL, max_tokens=100, messages=[{"role": "user", "content": "capital of France"}]
    )
    body = json.loads(raw.http_response.content)
    message = Message.model_validate_json(json.dumps(body), strict=True)
    assert (message.type, message.role, message.model) == ("message", "assistant", MODEL)
    assert body["content"] == [{"type": "text", "text": PARIS}]
    assert (body["stop_reason"], body["stop_sequence"]) == ("end_turn", None)
    assert (body["usage"]["input_tokens"], body["usage"]["output_tokens"]) == (12, 6)
    assert raw.headers["request-id"] == raw.headers["x-request-id"]
    assert raw.parse()._request_id == raw.headers["request-id"]


def test_system_text_in_blocks_and_in_the_middle(claude: anthropic.Anthropic) -> None:
    """The system as blocks, and a system message between the others, both reach the model."""
    system: Any = [
        {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "echo: heard the blocks\n"},
    ]
    assert ask(claude, "hi", system=system).content[0].text == "heard the blocks"  # type: ignore[union-attr]
    messages: Any = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [{"type": "text", "text": "Hello."}]},
        {"role": "system", "content": "echo: heard the middle\n"},
        {"role": "user", "content": [{"type": "text", "text": "go on"}]},
    ]
    answer = claude.messages.create(model=MODEL, max_tokens=100, messages=messages)
    assert answer.content[0].text == "heard the middle"  # type: ignore[union-attr]


def test_the_order_of_a_streams_events(claude: anthropic.Anthropic) -> None:
    """Trap 85: message_start, one block after the other, message_delta, message_stop; the deltas make the answer."""
    with claude.messages.stream(
        model=MODEL, max_tokens=100, messages=[{"role": "user", "content": "capital of France"}]
    ) as stream:
        kinds = [event.type for event in stream if event.type not in ("text", "ping")]
        final = stream.get_final_message()
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(kinds[2:-3]) == {"content_block_delta"}
    assert final.content[0].text == PARIS  # type: ignore[union-attr]
    assert (final.stop_reason, final.usage.input_tokens, final.usage.output_tokens) == ("end_turn", 12, 6)


def test_raw_events_carry_their_name(claude: anthropic.Anthropic) -> None:
    """`create(stream=True)` skips events without an `event:` line, so text must still arrive."""
    events = claude.messages.create(
        model=MODEL, max_tokens=9, stream=True, messages=[{"role": "user", "content": "ping"}]
    )
    texts = [event.delta.text for event in events if event.type == "content_block_delta"]  # type: ignore[union-attr]
    assert "".join(texts) == "pong"


def test_calls_are_blocks_after_the_text(claude: anthropic.Anthropic) -> None:
    """Two calls at once: a text block, two tool_use blocks with parsed input, stop_reason tool_use."""
    answer = ask(claude, "script:agent weather", tools=[WEATHER])
    assert [block.type for block in answer.content] == ["text", "tool_use", "tool_use"]
    assert [block.input for block in answer.content if block.type == "tool_use"] == [
        {"city": "Paris", "days": 2},
        {"city": "Oslo", "days": 1},
    ]
    assert answer.stop_reason == "tool_use"


def test_a_streamed_call_adds_up_to_the_whole_one(claude: anthropic.Anthropic) -> None:
    """Trap 88: the pieces of the input parse; the blocks are those of the whole answer."""
    whole = ask(claude, "script:agent weather", tools=[WEATHER])
    with claude.messages.stream(
        model=MODEL, max_tokens=100, tools=[WEATHER], messages=[{"role": "user", "content": "script:agent weather"}]
    ) as stream:
        indexes = [event.index for event in stream if event.type == "content_block_start"]
        final = stream.get_final_message()

    def content(message: Message) -> list[Any]:
        return [block.model_dump(exclude={"id"}) for block in message.content]

    assert indexes == [0, 1, 2]
    assert (content(final), final.stop_reason) == (content(whole), "tool_use")


def test_results_in_any_order_and_without_content(claude: anthropic.Anthropic) -> None:
    """Coding agents send results as they finish, beside text, some of them empty or failed."""
    messages: Any = [
        {"role": "user", "content": "The weather in Paris and Oslo?"},
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris"}},
                {"type": "tool_use", "id": "toolu_2", "name": "weather", "input": {"city": "Oslo"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": True, "content": "echo: seen\n"},
                {"type": "text", "text": "Go on."},
                {"type": "tool_result", "tool_use_id": "toolu_1"},
            ],
        },
    ]
    answer = claude.messages.create(model=MODEL, max_tokens=100, messages=messages, tools=[WEATHER])
    assert answer.content[0].text.strip() == "seen"  # type: ignore[union-attr]


@pytest.mark.parametrize("streams", [False, True])
def test_the_tool_runner_finishes_its_job(claude: anthropic.Anthropic, streams: bool) -> None:
    """It begins a message thread, is told that there are none, and sends the whole conversation from then on."""
    called: list[tuple[str, int]] = []

    @beta_tool
    def get_weather(city: str, days: int) -> str:
        """The weather of a city.

        Args:
            city: where
            days: for how long
        """
        called.append((city, days))
        return "21"

    runner: Any = claude.beta.messages.tool_runner(
        model=MODEL,
        max_tokens=100,
        tools=[get_weather],
        messages=[{"role": "user", "content": "script:agent weather"}],
        stream=streams,
    )
    turns = [turn.get_final_message() if streams else turn for turn in runner]
    assert called == [("Paris", 2), ("Oslo", 1), ("Oslo", 3)]
    assert turns[-1].content[0].text == "It is 21 degrees in Paris and 9 in Oslo."


def test_tokens_are_counted_as_an_estimate(claude: anthropic.Anthropic) -> None:
    """A longer conversation counts more; tools count too; nothing is asked of an upstream."""
    short = claude.messages.count_tokens(model=MODEL, messages=[{"role": "user", "content": "hi"}])
    more = claude.messages.count_tokens(model=MODEL, messages=[{"role": "user", "content": "hello world " * 50}])
    tools = claude.messages.count_tokens(
        model=MODEL, messages=[{"role": "user", "content": "hi"}], tools=[WEATHER], system="Be brief."
    )
    assert 0 < short.input_tokens < tools.input_tokens < more.input_tokens


def test_models_are_in_the_sdks_own_shape(claude: anthropic.Anthropic) -> None:
    """The path is another dialect's too: the version header tells them apart (`route.header`)."""
    listed = {model.id: model for model in claude.models.list()}
    assert listed[MODEL].display_name == "OpenAI: GPT-4o mini"
    one = claude.models.retrieve(MODEL)
    assert (one.type, one.id, one.created_at.year) == ("model", MODEL, 2024)


def test_a_limit_and_sampling_fields_are_taken(claude: anthropic.Anthropic) -> None:
    """What the model's answer was cut by is told; what the SDK no longer types comes in `extra_body`."""
    assert ask(claude, "mock:cut").stop_reason == "max_tokens"
    assert ask(claude, "ping", extra_body={"temperature": 0.5, "top_p": 0.9, "top_k": 3}).stop_reason == "end_turn"


def test_reasoning_is_a_thinking_block(claude: anthropic.Anthropic) -> None:
    """What the upstream thought comes first, with an empty signature, and may be sent back."""
    answer = ask(claude, "mock:reasoning")
    assert [block.type for block in answer.content] == ["thinking", "text"]
    messages: Any = [
        {"role": "user", "content": "mock:reasoning"},
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in answer.content]},
        {"role": "user", "content": "ping"},
    ]
    again = claude.messages.create(model=MODEL, max_tokens=100, messages=messages)
    assert again.stop_reason == "end_turn"


def test_both_ways_to_send_a_key(claude: anthropic.Anthropic, http: httpx.Client) -> None:
    """Bearer and `x-api-key`, any version, any beta: all are served."""
    body = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "ping"}]}
    url = f"{str(claude.base_url).rstrip('/')}/v1/messages?beta=true"
    for headers in (
        {"x-api-key": "k", "anthropic-version": "2023-06-01"},
        {"authorization": "Bearer k", "anthropic-version": "2026-10-21", "anthropic-beta": "a-2025-01-01,b-2026-01-01"},
    ):
        assert http.post(url, json=body, headers=headers).json()["content"][0]["text"] == "pong"
