"""The OpenAI SDK in front of streams, native and emulated: what it accumulates is what it gets unstreamed."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tests.streams.stage import MODEL, Stage

pytestmark = pytest.mark.clients
ASK: list[Any] = [{"role": "user", "content": "What is the capital of France?"}]
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]
CALL = "mock:weather_call"


def test_chunks_follow_the_protocol(stage: Stage) -> None:
    """Role first, one id, model and created; one finish; usage last with empty choices (traps 59 to 68)."""
    with stage.sdk() as client:
        options: Any = {"include_usage": True}
        chunks = list(client.chat.completions.create(model=MODEL, messages=ASK, stream=True, stream_options=options))

    assert chunks[0].choices[0].delta.role == "assistant"
    assert len({(chunk.id, chunk.model, chunk.created, chunk.object) for chunk in chunks}) == 1
    *parts, last = chunks
    assert (last.choices, last.usage.total_tokens if last.usage else None) == ([], 18)
    reasons = [choice.finish_reason for chunk in parts for choice in chunk.choices]
    assert (reasons[-1], reasons[:-1].count(None)) == ("stop", len(reasons) - 1)
    assert {chunk.usage for chunk in parts} == {None}
    text = "".join(choice.delta.content or "" for chunk in parts for choice in chunk.choices)
    assert text == "The capital of France is Paris."
    assert len(parts) > 3


def test_no_usage_unless_asked(stage: Stage) -> None:
    """Without the option no chunk has usage."""
    with stage.sdk() as client:
        chunks = list(client.chat.completions.create(model=MODEL, messages=ASK, stream=True))

    assert {chunk.usage for chunk in chunks} == {None}
    assert all(chunk.choices for chunk in chunks)


def test_the_accumulated_message_is_the_whole_one(stage: Stage) -> None:
    """`chat.completions.stream()` ends with the same completion that a plain call gives."""
    with stage.sdk() as client:
        plain = client.chat.completions.create(model=MODEL, messages=ASK)
        options: Any = {"include_usage": True}
        with client.chat.completions.stream(model=MODEL, messages=ASK, stream_options=options) as stream:
            kinds = [event.type for event in stream]
            final = stream.get_final_completion()

    assert "content.delta" in kinds
    assert _essence(plain) == _essence(final)
    assert final.usage is not None
    assert plain.usage is not None
    assert plain.usage.total_tokens == final.usage.total_tokens


def _essence(completion: Any) -> list[Any]:
    choice = completion.choices[0]
    calls = [(call.function.name, call.function.arguments) for call in choice.message.tool_calls or []]
    return [completion.model, choice.message.role, choice.message.content, calls, choice.finish_reason]


def test_async(stage: Stage) -> None:
    """The asynchronous client, ten streams side by side."""

    async def one(client: Any) -> str:
        stream = await client.chat.completions.create(model=MODEL, messages=ASK, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async def run() -> list[str]:
        async with stage.async_sdk() as client:
            return await asyncio.gather(*(one(client) for _ in range(10)))

    assert asyncio.run(run()) == ["The capital of France is Paris."] * 10


def test_tools_while_streaming(stage: Stage) -> None:
    """Text flows, no markup leaks, the call's id and name come once, and the whole equals the unstreamed answer."""
    messages: list[Any] = [{"role": "user", "content": CALL}]
    with stage.sdk() as client:
        plain = client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS)
        chunks = list(client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS, stream=True))
        with client.chat.completions.stream(model=MODEL, messages=messages, tools=TOOLS) as stream:
            for _ in stream:
                pass
            final = stream.get_final_completion()

    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    text = "".join(delta.content or "" for delta in deltas)
    calls = [call for delta in deltas for call in delta.tool_calls or []]
    assert "<" not in text
    assert [call.function.name for call in calls if call.id] == ["get_weather"]
    assert "".join(call.function.arguments or "" for call in calls) == '{"city": "Paris"}'
    assert _essence(plain) == _essence(final)
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_early_close_ends_the_upstream_call(native: Stage) -> None:
    """Closing the SDK's stream in the middle cancels the upstream's within a second (R10)."""
    assert native.mock is not None
    native.mock.clear()
    with native.sdk() as client:
        messages: list[Any] = [{"role": "user", "content": "mock:slow_stream"}]
        stream = client.chat.completions.create(model=MODEL, messages=messages, stream=True)
        next(iter(stream))
        begun = time.monotonic()
        stream.close()
    native.wait_for(lambda: native.mock is not None and native.mock.state()["cancelled"] == 1, 1)
    assert time.monotonic() - begun < 1


def test_early_close_before_the_answer(emulated: Stage) -> None:
    """Leaving while the upstream still thinks cancels it as well, streaming or not."""
    assert emulated.mock is not None
    for streams in (True, False):
        emulated.mock.clear()
        _leave_early(emulated, streams)
        emulated.wait_for(lambda: emulated.mock is not None and emulated.mock.state()["cancelled"] == 1, 1)


def _leave_early(stage: Stage, streams: bool) -> None:
    async def run() -> None:
        async with stage.async_sdk() as client:
            messages: list[Any] = [{"role": "user", "content": "mock:silence"}]
            asking = client.chat.completions.create(model=MODEL, messages=messages, stream=streams)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asking, 0.3)

    asyncio.run(run())
