"""Errors speak of the client's own fields, in every shipped dialect; nothing is spent on it until there is an error."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ErrorInfo, RequestError
from engine.language.catalog import Catalog
from engine.translate.client import origins_of, read_client
from engine.translate.losses import Losses
from engine.translate.origins import Origins, at, parse_path, path_text
from engine.translate.wire import HttpInput
from engine.types import Json, JsonObject

HTTP = HttpInput("POST", "/talk")
USER = {"role": "user", "content": "hi"}
PNG = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
SCHEMA = {"type": "object"}


def body_of(operation: str, fields: JsonObject) -> Any:
    """A body as it comes out of the parser: no two values are one object."""
    plain: dict[str, JsonObject] = {
        "messages": {"model": "m", "max_tokens": 5, "messages": [USER]},
        "responses": {"model": "m", "input": "hi"},
        "chat": {"model": "m", "messages": [USER]},
    }
    return json.loads(json.dumps({**plain[operation], **fields}))


def options(plan: Any) -> JsonObject:
    return {name: option.default for name, option in plan.options.items()}


def refused(catalog: Catalog, dialect: str, operation: str, fields: JsonObject) -> ErrorInfo:
    plan = catalog.dialects[dialect]
    with pytest.raises(RequestError) as caught:
        read_client(plan, plan.operations[operation], body_of(operation, fields), HTTP, options(plan), Losses())
    return caught.value.info


def of(catalog: Catalog, dialect: str, operation: str, fields: JsonObject, path: str) -> str | None:
    """Where a value of the canonical request came from, as an error of an endpoint would ask."""
    plan = catalog.dialects[dialect]
    chosen, body = plan.operations[operation], body_of(operation, fields)
    request = read_client(plan, chosen, body, HTTP, options(plan), Losses())
    origins = origins_of(chosen, body, HTTP, options(plan), request)
    return origins.named(ErrorInfo("invalid_request", f"'{path}' is bad.", param=path)).param


CLAUDE, ITEMS, LLAMA = ("anthropic.messages", "messages"), ("openai.responses", "responses"), ("ollama", "chat")


@pytest.mark.parametrize(
    ("where", "fields", "param"),
    [
        (CLAUDE, {"messages": [USER, {"role": "wizard", "content": "hi"}]}, "messages[1].role"),
        (CLAUDE, {"system": "Be.", "messages": [USER, {"role": "user"}]}, "messages[1].content"),
        (CLAUDE, {"system": "Be.", "messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]},
         "messages[0].content[0].text"),
        (CLAUDE, {"system": 5}, "system"),
        (CLAUDE, {"system": [{"type": "text", "text": "a"}, {"type": "text"}]}, "system[1].text"),
        (CLAUDE, {"messages": [USER, {"role": "user", "content": [{"type": "text", "text": "a"},
                                                                  {"type": "tool_result", "content": "x"}]}]},
         "messages[1].content[1].tool_use_id"),
        (CLAUDE, {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "a", "input": {}}]}]},
         "messages[0].content[0].name"),
        (CLAUDE, {"tools": [{"name": "f", "input_schema": SCHEMA}, {"name": "f", "input_schema": {"type": "string"}}]},
         "tools[1].input_schema"),
        (CLAUDE, {"tools": [{"input_schema": SCHEMA}]}, "tools[0].name"),
        (CLAUDE, {"tools": [{"name": "a b", "input_schema": SCHEMA}]}, "tools[0].name"),
        (CLAUDE, {"tools": [], "tool_choice": {"type": "tool"}}, "tool_choice.name"),
        (CLAUDE, {"stop_sequences": [5]}, "stop_sequences"),
        (CLAUDE, {"messages": "x"}, "messages"),
        (ITEMS, {"instructions": "Be.", "input": [USER, {"role": "wizard", "content": "hi"}]}, "input[1].role"),
        (ITEMS, {"input": []}, "input"),
        (ITEMS, {"input": [USER, {"type": "function_call_output", "output": "x"}]}, "input[1].call_id"),
        (ITEMS, {"input": [USER, {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
                           {"type": "function_call", "call_id": "b", "arguments": "{}"}]}, "input[2].name"),
        (ITEMS, {"max_output_tokens": 0}, "max_output_tokens"),
        (ITEMS, {"max_output_tokens": True}, "max_output_tokens"),
        (ITEMS, {"tools": [{"type": "function"}]}, "tools[0].name"),
        (ITEMS, {"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name"),
        (LLAMA, {"options": {"temperature": "hot"}}, "options.temperature"),
        (LLAMA, {"options": {"top_k": False, "seed": 1}}, "options.top_k"),
        (LLAMA, {"messages": [USER, {"role": "user", "content": "a", "images": [5]}]}, "messages[1].images[0]"),
    ],
)  # fmt: skip
def test_a_refused_request_names_the_clients_own_field(
    shipped: Catalog, where: tuple[str, str], fields: JsonObject, param: str
) -> None:
    """In `param`, and wherever the message quotes it."""
    info = refused(shipped, *where, fields)

    assert param == info.param
    assert info.message.count("'") % 2 == 0
    assert param == "messages" or "'messages" not in info.message or f"'{param}" in info.message


def test_what_is_missing_without_a_known_name_is_named_in_its_place(shipped: Catalog) -> None:
    """Ollama's results need no id of their own, so the thing that answers nothing is named."""
    info = refused(shipped, *LLAMA, {"messages": [USER, {"role": "tool", "content": "rain"}]})

    assert ("messages[1]", "Missing required parameter: 'tool_call_id' in 'messages[1]'.") == (info.param, info.message)


@pytest.mark.parametrize(
    ("where", "fields", "path", "param"),
    [
        (CLAUDE, {"system": "Be."}, "messages[0]", "system"),
        (CLAUDE, {"system": "Be."}, "messages[1].content", "messages[0].content"),
        (CLAUDE, {"messages": [USER, {"role": "user", "content": [{"type": "image", "source": PNG}]}]},
         "messages[1].content[0]", "messages[1].content[0]"),
        (CLAUDE, {"max_tokens": 5, "temperature": 1, "top_k": 1}, "top_k", "top_k"),
        (ITEMS, {"instructions": "Be.", "input": [USER, {"role": "user", "content": [
            {"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "data:image/png;base64,aGk="}]}]},
         "messages[2].content[1]", "input[1].content[1]"),
        (ITEMS, {"reasoning": {"effort": "low"}}, "reasoning_effort", "reasoning.effort"),
        (ITEMS, {"max_output_tokens": 7}, "max_tokens", "max_output_tokens"),
        (LLAMA, {"options": {"num_predict": 1, "seed": 1}}, "seed", "options.seed"),
        (LLAMA, {"messages": [{"role": "user", "content": "Look.", "images": ["iVBORw0KGgo="]}]},
         "messages[0].content[1]", "messages[0].images[0]"),
        (ITEMS, {}, "tools", "tools"),
        (ITEMS, {}, "not a path", "not a path"),
    ],
)  # fmt: skip
def test_an_endpoint_that_refuses_a_value_names_where_it_came_from(
    shipped: Catalog, where: tuple[str, str], fields: JsonObject, path: str, param: str
) -> None:
    """What a dialect built itself came from where its parts came from."""
    assert param == of(shipped, *where, fields, path)


@pytest.mark.parametrize("path", ["a", "a.b[0].c", "[3]", "tools[12].function"])
def test_a_path_is_read_as_it_is_written(path: str) -> None:
    """And what is no path has no steps."""
    assert path == path_text(parse_path(path))
    assert ((), ()) == (parse_path("a..b"), parse_path("a b]"))


def test_the_search_in_a_large_body_has_an_end() -> None:
    """The more values a body holds, the less often a request is made again to find one."""
    made: list[Json] = []
    body = {"turns": [{"of": f"turn {number}", "one": 1} for number in range(20_000)]}
    origins = Origins(body, {"messages": [{"one": 1}] * 20_000}, lambda changed: made.append(changed), frozenset("ab"))

    assert "turns" == origins.named(ErrorInfo("invalid_request", "", param="messages[7].two")).param
    assert len(made) <= 5


ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 300) | st.text("ab", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "role", "content", "text", "name", "b"]), inner, max_size=4)
    ),
)


@given(
    where=st.sampled_from([CLAUDE, ITEMS, LLAMA]),
    fields=st.dictionaries(
        st.sampled_from(["messages", "input", "tools", "system", "options", "top_p", "tool_choice", "stop"]), ODD
    ),
)
def test_a_named_field_stands_in_the_body(shipped: Catalog, where: tuple[str, str], fields: JsonObject) -> None:
    """Whatever a client sends: what `param` names is there, or lacks in something that is there."""
    plan, body = shipped.dialects[where[0]], body_of(where[1], fields)
    param = None
    try:
        read_client(plan, plan.operations[where[1]], body, HTTP, options(plan), Losses())
    except RequestError as refusal:
        param = refusal.info.param

    assert at(body, parse_path(param or "")[:-1]) is not None
