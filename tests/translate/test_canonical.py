"""What no endpoint could serve is refused once, by the name of the field (traps 1 to 39)."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import RequestError
from engine.translate.canonical import check_request
from engine.types import Json

USER = {"role": "user", "content": "hi"}
TOOL = {"type": "function", "function": {"name": "f"}}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def request(*messages: Json, **fields: Json) -> dict[str, Json]:
    return {"model": "m", "messages": list(messages or [USER]), **fields}


def part(content: Json) -> dict[str, Json]:
    return request({"role": "user", "content": [content]})


@pytest.mark.parametrize(
    "good",
    [
        request(),
        request({"role": "developer", "content": "d"}, USER),  # 1
        request(
            {"role": "system", "content": "a"}, {"role": "system", "content": [{"type": "text", "text": "b"}]}, USER
        ),
        request(USER, {"role": "assistant", "content": None, "tool_calls": [CALL]}),  # 4
        request(
            USER, {"role": "assistant", "content": ""}, {"role": "assistant"}, {"role": "assistant", "content": []}
        ),  # 7
        request(USER, {"role": "tool", "tool_call_id": "c", "content": "r"}),  # 8
        request(USER, {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "r"}]}),
        request({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{broken"}}]}),  # 11
        request({"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}),
        request(tools=[TOOL]),  # 12
        request(tools=[{"type": "function", "function": {"name": "a-B_9" * 12, "parameters": {}}}]),  # 13
        request(tools=[], functions=[]),  # 33
        request(tool_choice="auto", tools=[TOOL]),  # 16
        request(tool_choice={"type": "function", "function": {"name": "f"}}),
        request(tool_choice={"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}),
        request(max_tokens=1, max_completion_tokens=2),  # 20
        request(stop="x"),  # 22
        request(stop=["x", "y"]),
        request(temperature=7),  # 23: an upstream's range is its mapping's
        request(unknown={"a": 1}),  # 24
        request(n=2, logprobs=True, top_logprobs=0),  # 25, 26
        request(response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}),  # 27
        request({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}),  # 30
        request(
            {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]}
        ),  # 31
        request(stream=True, stream_options={"include_usage": True}),  # 32
        request(user="u", metadata={}, store=False, service_tier="x", seed=-1, prompt_cache_key="k"),  # 38
    ],
)
def test_a_legal_request_is_left_as_it_is(good: dict[str, Json]) -> None:
    """Good values pass untouched, in their order, and the input is not changed."""
    before = copy.deepcopy(good)

    checked = check_request(good)

    assert (before, list(before)) == (checked, list(checked))
    assert before == good


def test_a_null_field_counts_as_not_given() -> None:
    """Top-level nulls are removed (traps 22 and 33), nulls inside values stay."""
    given_ = request(stop=None, tools=None, stream_options=None, temperature=None, metadata={"a": None})

    assert request(metadata={"a": None}) == check_request(given_)


@pytest.mark.parametrize(
    ("bad", "param", "code"),
    [
        # 39
        ([], None, None),
        ("text", None, None),
        (None, None, None),
        ({}, "model", "missing_required_parameter"),
        ({"model": "m"}, "messages", "missing_required_parameter"),
        ({"model": None, "messages": [USER]}, "model", "missing_required_parameter"),
        ({"model": "", "messages": [USER]}, "model", "invalid_value"),
        ({"model": 4, "messages": [USER]}, "model", "invalid_type"),
        ({"model": "m", "messages": []}, "messages", "invalid_value"),
        ({"model": "m", "messages": {}}, "messages", "invalid_type"),
        (request("hi"), "messages[0]", "invalid_type"),
        # messages
        (request(USER, {"content": "x"}), "messages[1].role", "missing_required_parameter"),
        (request({"role": "robot", "content": "x"}), "messages[0].role", "invalid_value"),
        (request({"role": 1, "content": "x"}), "messages[0].role", "invalid_type"),
        (request({"role": ["user"], "content": "x"}), "messages[0].role", "invalid_type"),
        (request({"role": "user"}), "messages[0].content", "missing_required_parameter"),
        (request({"role": "user", "content": None}), "messages[0].content", "missing_required_parameter"),
        (request({"role": "user", "content": 5}), "messages[0].content", "invalid_type"),
        (request({"role": "user", "content": []}), "messages[0].content", "empty_array"),
        (request({"role": "tool", "content": "r"}), "messages[0].tool_call_id", "missing_required_parameter"),
        # parts
        (part("text"), "messages[0].content[0]", "invalid_type"),
        (part({}), "messages[0].content[0].type", "missing_required_parameter"),
        (part({"type": 1}), "messages[0].content[0].type", "invalid_type"),
        (part({"type": "video"}), "messages[0].content[0].type", "invalid_value"),
        (part({"type": "text"}), "messages[0].content[0].text", "missing_required_parameter"),
        (part({"type": "text", "text": 1}), "messages[0].content[0].text", "invalid_type"),
        (part({"type": "image_url", "image_url": "http://x"}), "messages[0].content[0].image_url", "invalid_type"),
        (part({"type": "image_url", "image_url": {}}), "messages[0].content[0].image_url.url", "missing_required_parameter"),  # noqa: E501
        (part({"type": "file"}), "messages[0].content[0].file", "missing_required_parameter"),
        # calls in the history
        (request({"role": "assistant", "tool_calls": {}}), "messages[0].tool_calls", "invalid_type"),
        (request({"role": "assistant", "tool_calls": [1]}), "messages[0].tool_calls[0].function", "missing_required_parameter"),  # noqa: E501
        (request({"role": "assistant", "tool_calls": [{"function": {"name": ""}}]}),
         "messages[0].tool_calls[0].function.name", "missing_required_parameter"),
        (request({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": 1}}]}),
         "messages[0].tool_calls[0].function.arguments", "invalid_type"),
        # tools
        (request(tools={}), "tools", "invalid_type"),
        (request(tools=["f"]), "tools[0]", "invalid_type"),
        (request(tools=[{"type": "web"}]), "tools[0].type", "invalid_value"),
        (request(tools=[TOOL, {"type": "function"}]), "tools[1].function", "missing_required_parameter"),
        (request(tools=[{"function": {}}]), "tools[0].function.name", "missing_required_parameter"),
        (request(tools=[{"function": {"name": "a b"}}]), "tools[0].function.name", "invalid_value"),
        (request(tools=[{"function": {"name": "x" * 65}}]), "tools[0].function.name", "invalid_value"),
        (request(tools=[{"function": {"name": "f\n"}}]), "tools[0].function.name", "invalid_value"),
        (request(tools=[{"function": {"name": "f", "parameters": []}}]), "tools[0].function.parameters", "invalid_type"),  # noqa: E501
        (request(tools=[{"function": {"name": "f", "parameters": {"type": "array"}}}]), "tools[0].function.parameters",
         "invalid_function_parameters"),
        (request(tool_choice="any"), "tool_choice", None),
        (request(tool_choice=1), "tool_choice", "invalid_type"),
        (request(tool_choice={"type": "function"}), "tool_choice.function.name", "missing_required_parameter"),
        (request(tool_choice={}), "tool_choice.type", "invalid_value"),
        # numbers
        (request(temperature="1"), "temperature", "invalid_type"),
        (request(temperature=True), "temperature", "invalid_type"),
        (request(max_tokens=0), "max_tokens", "invalid_value"),
        (request(max_tokens=1.5), "max_tokens", "invalid_type"),
        (request(n=0), "n", "invalid_value"),
        (request(n=True), "n", "invalid_type"),
        (request(top_p=1.01), "top_p", "invalid_value"),
        (request(top_logprobs=21), "top_logprobs", "invalid_value"),
        # the rest
        (request(stream="yes"), "stream", "invalid_type"),
        (request(stop=[1]), "stop", "invalid_type"),
        (request(stop=1), "stop", "invalid_type"),
        (request(response_format={}), "response_format.type", "invalid_value"),
        (request(response_format={"type": "json_schema"}), "response_format.json_schema", "missing_required_parameter"),
        (request(response_format={"type": "json_schema", "json_schema": {}}), "response_format.json_schema.name",
         "missing_required_parameter"),  # 29
        (request(stream_options={}), "stream_options", "invalid_value"),  # 32
        (request(stream=False, stream_options={}), "stream_options", "invalid_value"),
        (request(metadata=[]), "metadata", "invalid_type"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_field(bad: Json, param: str | None, code: str | None) -> None:
    """Each refusal is 400 invalid_request, not to be retried, with the client's own path in `param`."""
    with pytest.raises(RequestError) as failure:
        check_request(bad)

    info = failure.value.info
    assert (param, code, 400, "invalid_request", False) == (
        info.param,
        info.code,
        info.status,
        info.type,
        info.retryable,
    )


def test_a_long_value_is_not_quoted_in_full() -> None:
    """What a client sends comes back in a message only cut short."""
    with pytest.raises(RequestError) as failure:
        check_request(request({"role": "r" * 10_000, "content": "x"}))

    assert len(failure.value.info.message) < 300


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
)
WORDS = st.sampled_from(["user", "tool", "text", "image_url", "function", "json_schema", "allowed_tools", "assistant"])
NAMES = st.sampled_from(["role", "content", "type", "text", "image_url", "url", "tool_calls", "function", "name", "arguments",  # noqa: E501
                         "parameters", "json_schema", "tool_call_id", "file"])  # fmt: skip
NEAR = st.recursive(
    SCALARS | WORDS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4)
)
FIELDS = st.sampled_from(["model", "messages", "tools", "tool_choice", "stop", "response_format", "n", "max_tokens", "stream",  # noqa: E501
                          "stream_options", "functions", "metadata", "temperature", "extra"])  # fmt: skip


@given(JSON | st.dictionaries(FIELDS, NEAR) | st.builds(lambda messages, more: {"model": "m", **more, "messages": messages},  # noqa: E501
                                                        st.lists(NEAR, max_size=3), st.dictionaries(FIELDS, NEAR)))  # fmt: skip  # noqa: E501
def test_any_json_passes_or_is_refused(body: Json) -> None:
    """Nothing but RequestError comes out of any JSON value; what passes, passes again unchanged."""
    try:
        checked: Any = check_request(body)
    except RequestError as failure:
        assert 400 == failure.info.status  # noqa: PT017
    else:
        assert checked == check_request(checked)
