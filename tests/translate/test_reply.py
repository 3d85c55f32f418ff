"""The canonical reply: ids, finish reasons, usage and calls, completed once for every mapping (traps 40 to 58)."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import EngineError, TranslationError, UpstreamError
from engine.language.cases import json_codec
from engine.translate.losses import Losses
from engine.translate.reply import build_reply
from engine.translate.wire import Context
from engine.types import ABSENT, Json

CONTEXT = Context("req_0123456789abcdef01234567", 1_700_000_000)
CALL = {"name": "f", "arguments": {"a": 1}}


def build(emitted: Json, context: Context = CONTEXT) -> dict[str, Any]:
    return build_reply(
        emitted, endpoint="acme.chat", model="asked", context=context, losses=Losses(), codec=json_codec()
    )


def test_a_bare_text_becomes_a_whole_reply() -> None:
    """Every key of `out` is there (traps 40 to 42); the model is the one that was asked for (trap 53)."""
    out = build({"text": "hi", "id": "up-1", "model": "sent", "created": 1_600_000_000.7})

    choice = {"text": "hi", "reasoning": None, "refusal": None, "tool_calls": [], "finish_reason": "stop",
              "stop_sequence": None, "logprobs": None, "blocks": [{"kind": "text", "text": "hi", "index": 0}]}  # fmt: skip  # noqa: E501
    assert {
        "id": "0123456789abcdef01234567", "upstream_id": "up-1", "model": "asked", "upstream_model": "sent",
        "created": 1_600_000_000, "choices": [{"index": 0, **choice}], "usage": None, "cost": None, "meta": None,
        "losses": [], **choice,
    } == out  # fmt: skip


@pytest.mark.parametrize("created", [None, "now", -1, True, float("nan"), [1]])
def test_a_bad_time_is_our_own(created: Json) -> None:
    """`created` is integer seconds; garbage is replaced by the time of the request."""
    assert 1_700_000_000 == build({"text": "", "created": created})["created"]


@pytest.mark.parametrize(
    ("said", "calls", "expected"),
    [
        (None, [], "stop"),
        ("stop", [], "stop"),
        ("length", [], "length"),
        ("content_filter", [], "content_filter"),  # 46
        ("tool_calls", [], "stop"),
        ("stop", [CALL], "tool_calls"),  # 44
        (None, [CALL], "tool_calls"),
        ("length", [CALL], "length"),  # 45
        ("tool_calls", [CALL], "tool_calls"),
    ],
)
def test_the_finish_reason(said: Json, calls: Json, expected: str) -> None:
    """One of four words (trap 43); calls decide over what the upstream said, a cut answer stays cut."""
    assert expected == build({"text": "t", "tool_calls": calls, "finish_reason": said})["finish_reason"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (None, "{}"),
        ("", "{}"),
        ({}, "{}"),
        ('{"a": 1.0}', '{"a": 1.0}'),
        ("{broken", "{broken"),
        ({"one": 1.0, "big": 2**63, "é": [1, None]}, '{"one":1.0,"big":9223372036854775808,"é":[1,null]}'),
    ],
)
def test_arguments_are_json_text(arguments: Json, expected: str) -> None:
    """Text passes untouched, objects become compact JSON, numbers keep their form (trap 47)."""
    out = build({"tool_calls": [{"name": "f", "arguments": arguments}]})

    assert expected == out["tool_calls"][0]["arguments"]


def test_ids_of_calls_are_unique_short_and_the_same_each_time() -> None:
    """Generated ids follow from reply and position, across choices, and fit in 40 characters (traps 48 and 49)."""
    emitted = {"choices": [{"tool_calls": [CALL, {**CALL, "id": ""}]}, {"tool_calls": [CALL, {**CALL, "id": "up"}]}]}

    ids = [call["id"] for choice in build(emitted)["choices"] for call in choice["tool_calls"]]

    assert [call["id"] for choice in build(emitted)["choices"] for call in choice["tool_calls"]] == ids
    assert (4, "up") == (len(set(ids)), ids[3])
    assert all(len(each) <= 40 for each in ids)
    assert [0, 1] == [call["index"] for call in build(emitted)["choices"][0]["tool_calls"]]


def test_a_long_request_id_makes_no_long_call_id() -> None:
    """At most 40 characters, whatever the request is called (DECISIONS 1)."""
    out = build({"tool_calls": [CALL]}, Context("x" * 64, 1))

    assert len(out["tool_calls"][0]["id"]) <= 40


def test_several_choices_keep_their_indexes() -> None:
    """`choices` become distinct answers (trap 25); choice 0's keys are also on `out`."""
    out = build({"choices": [{"text": "a"}, {"text": "b", "finish_reason": "length"}], "usage": {"prompt_tokens": 1}})

    assert [(0, "a", "stop"), (1, "b", "length")] == [
        (each["index"], each["text"], each["finish_reason"]) for each in out["choices"]
    ]
    assert ("a", 1) == (out["text"], out["usage"]["total_tokens"])


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, None),
        ({}, None),  # 52
        ({"total_tokens": 9}, None),
        ("many", None),
        ({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 99}, (3, 4, 7)),  # 50
        ({"prompt_tokens": 3}, (3, 0, 3)),
        ({"prompt_tokens": "3", "completion_tokens": -1}, None),
        ({"prompt_tokens": 3.0, "completion_tokens": True}, (3, 0, 3)),
        ({"prompt_tokens": float("inf"), "completion_tokens": 2}, (0, 2, 2)),
    ],
)
def test_usage_is_whole_counts_or_nothing(usage: Json, expected: Any) -> None:
    """prompt + completion = total; no usage where the upstream counted nothing."""
    made = build({"text": "t", "usage": usage})["usage"]

    assert expected == (made and (made["prompt_tokens"], made["completion_tokens"], made["total_tokens"]))


def test_cached_and_reasoning_tokens_stay_inside() -> None:
    """Cached and reasoning tokens are told beside the totals and not added to them (traps 50 and 51)."""
    usage = build(
        {"text": "t", "usage": {"prompt_tokens": 9, "completion_tokens": 5, "cached_tokens": 4, "reasoning_tokens": 2}}
    )

    assert (14, 4, 2, None, False) == tuple(
        usage["usage"][key]
        for key in ("total_tokens", "cached_tokens", "reasoning_tokens", "cache_write_tokens", "estimated")
    )


@pytest.mark.parametrize(
    "emitted", [ABSENT, None, [], {}, {"id": "x"}, {"text": None}, {"choices": [{"text": "a"}, {}]}]
)
def test_an_empty_answer_is_an_error_with_a_reason(emitted: Json) -> None:
    """Nothing at all is 502 upstream_empty, never a crash (trap 55)."""
    with pytest.raises(UpstreamError) as failure:
        build(emitted)

    assert (502, "upstream_empty") == (failure.value.info.status, failure.value.info.code)


@pytest.mark.parametrize("key", ["text", "reasoning", "refusal"])
def test_one_text_of_any_kind_is_an_answer(key: str) -> None:
    """An empty text counts as an answer, as do thoughts or a refusal alone."""
    assert "" == build({key: ""})[key]


@pytest.mark.parametrize(
    "emitted",
    [
        {"text": 5},
        {"text": ["a"]},
        {"text": "t", "finish_reason": "eos"},
        {"tool_calls": [{"arguments": "{}"}]},
        {"tool_calls": ["f"]},
        {"tool_calls": {"name": "f"}},
        {"choices": ["a"]},
        {"tool_calls": 5},
        {"text": "t", "finish_reason": {"reason": "stop"}},
    ],
)  # fmt: skip
def test_a_value_of_a_wrong_type_names_the_mapping(emitted: Json) -> None:
    """What the canonical form does not have is 502 mapping_response_error with the key, without the value."""
    with pytest.raises(TranslationError) as failure:
        build(emitted)

    assert (502, "mapping_response_error", True) == (
        failure.value.info.status, failure.value.info.code, "acme.chat" in failure.value.info.message,
    )  # fmt: skip


def test_a_mapping_may_write_blocks() -> None:
    """Blocks in order are a form of the reply; the short keys are views of them (DECISIONS 1)."""
    out = build({"blocks": [{"kind": "reasoning", "text": "hm"}, {"kind": "text", "text": "hi"}]})

    assert ("hi", "hm", 2) == (out["text"], out["reasoning"], len(out["blocks"]))


def test_blocks_are_numbered_in_order() -> None:
    """Thoughts, refusal, text, then calls; empty texts make no block."""
    out = build({"text": "t", "reasoning": "r", "refusal": "", "tool_calls": [CALL]})

    assert [("reasoning", 0), ("text", 1), ("tool_call", 2)] == [
        (each["kind"], each["index"]) for each in out["blocks"]
    ]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "id", "arguments", "text"]), inner)
    ),
    max_leaves=8,
)
KEYS = st.sampled_from(["text", "reasoning", "usage", "choices", "id", "created", "cost", "logprobs"])


@given(VALUES | st.dictionaries(KEYS, VALUES))
def test_any_emitted_value_gives_a_reply_or_an_engine_error(emitted: Json) -> None:
    """Whatever a mapping emits (calls and finish reasons have their own tests), nothing but an engine error comes out."""  # noqa: E501
    try:
        out = build(emitted)
    except EngineError as failure:
        assert 500 <= failure.info.status < 600  # type: ignore[attr-defined]  # noqa: PT017
    else:
        assert json.dumps(out["id"])


def test_no_two_calls_have_one_id() -> None:
    """A client tells them apart by it, whatever the upstream sends (trap 48)."""
    calls = [{**CALL, "id": "same"}, {**CALL, "id": "same"}, {**CALL, "id": "other"}]

    ids = [call["id"] for call in build({"tool_calls": calls})["tool_calls"]]

    assert ["same", "call_0123456789abcdef01234567_1", "other"] == ids
