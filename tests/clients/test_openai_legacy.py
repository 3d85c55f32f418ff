"""The deprecated `functions` of OpenAI's chat, over an endpoint with messages and one with a single text; and values
that OpenAI refuses by name.
"""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest

from tests.clients.conftest import MODEL
from tests.running import Running

pytestmark = pytest.mark.clients

USER: Any = {"role": "user", "content": "What is the weather in Paris?"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTIONS: Any = [{"name": "get_weather", "description": "The weather.", "parameters": SCHEMA}]


@pytest.fixture
def chat(one_of_two: Running, http: httpx.Client) -> Any:
    """The SDK's chat completions."""
    client = openai.OpenAI(base_url=one_of_two.base_url, api_key="any", max_retries=0, timeout=30, http_client=http)
    return client.chat.completions


def test_a_function_is_called_and_answered(chat: Any) -> None:
    """`function_call` and its own finish reason, no `tool_calls`; the answer's role is `function`."""
    first = chat.create(model=MODEL, messages=[USER], functions=FUNCTIONS, function_call="auto").choices[0]
    assert (first.finish_reason, first.message.tool_calls) == ("function_call", None)
    assert first.message.function_call.name == "get_weather"
    assert "Paris" in first.message.function_call.arguments

    turns = [USER, first.message, {"role": "function", "name": "get_weather", "content": "21"}]
    second = chat.create(model=MODEL, messages=turns, functions=FUNCTIONS).choices[0]
    assert (second.finish_reason, second.message.function_call) == ("stop", None)


def test_a_function_is_called_in_a_stream(chat: Any) -> None:
    """The name once, then the arguments in pieces."""
    choices = [each.choices[0] for each in chat.create(model=MODEL, messages=[USER], functions=FUNCTIONS, stream=True)]
    calls = [choice.delta.function_call for choice in choices if choice.delta.function_call is not None]
    assert [call.name for call in calls if call.name] == ["get_weather"]
    assert "Paris" in "".join(call.arguments or "" for call in calls)
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["function_call"]
    assert [choice.delta.tool_calls for choice in choices if choice.delta.tool_calls] == []


CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": {}}}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"service_tier": 1}, "service_tier"),
        ({"verbosity": 1}, "verbosity"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"presence_penalty": 99}, "presence_penalty"),
        ({"frequency_penalty": -3}, "frequency_penalty"),
        ({"functions": FUNCTIONS, "tools": [{"type": "function", "function": FUNCTIONS[0]}]}, "functions"),
        ({"functions": [{"name": "a b"}]}, "functions[0].name"),
        ({"functions": FUNCTIONS, "function_call": {"name": 5}}, "function_call.name"),
        ({"messages": [USER, {"role": "assistant", "tool_calls": [CALL]}]},
         "messages[1].tool_calls[0].function.arguments"),
    ],
)  # fmt: skip
def test_a_value_that_openai_refuses(chat: Any, fields: dict[str, Any], param: str) -> None:
    """By its name, before anything is sent."""
    with pytest.raises(openai.BadRequestError) as caught:
        chat.create(model=MODEL, messages=[USER], extra_body=fields)
    assert caught.value.param == param
