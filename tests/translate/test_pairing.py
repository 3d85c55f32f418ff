"""Results without ids find their calls; conversations with ids come through untouched."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

from typing import Any

import pytest

from engine.translate.pairing import pair_results


def call(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": "{}"}, **more}


def turn(*calls: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(calls)}


def result(content: str, **more: Any) -> dict[str, Any]:
    return {"role": "tool", "content": content, **more}


def pairs(*messages: dict[str, Any]) -> list[tuple[str, str | None]]:
    """Content and call id of each result."""
    paired: Any = pair_results(list(messages))
    return [(each["content"], each.get("tool_call_id")) for each in paired if each["role"] == "tool"]


def test_by_name_then_by_order() -> None:
    """The first call of the name that waits; without a name the first that waits."""
    calls = turn(call("add"), call("now"), call("add"))
    expected = [("noon", "call_0_1"), ("1", "call_0_0"), ("2", "call_0_2")]

    assert expected == pairs(calls, result("noon", name="now"), result("1", name="add"), result("2", name="add"))
    assert [("1", "call_0_0"), ("2", "call_0_1")] == pairs(calls, result("1"), result("2"))


def test_only_the_last_calling_turn_waits() -> None:
    """A call that was never answered is not answered by a later turn's result."""
    first, second = turn(call("add")), turn(call("add"))

    assert [("2", "call_1_0")] == pairs(first, second, result("2", name="add"))


def test_ids_that_are_given_are_kept_and_taken_first() -> None:
    """A result by id leaves the others to those without; a name is the call's own and goes."""
    calls = turn(call("add", id="a"), call("add"))

    assert [("1", "call_0_1"), ("2", "a")] == pairs(calls, result("1", tool_call_id="call_0_1"), result("2"))
    paired: Any = pair_results([calls, result("x", name="add")])
    assert {"role": "tool", "content": "x", "tool_call_id": "a"} == paired[1]


def test_a_result_that_answers_nothing_has_no_id() -> None:
    """More results than calls, another name, no calls at all: the request's check refuses them."""
    assert [("1", "call_0_0"), ("2", None)] == pairs(turn(call("add")), result("1"), result("2"))
    assert [("1", None)] == pairs(turn(call("add")), result("1", name="now"))
    assert [("1", None)] == pairs(result("1"))


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": "hi"}],
        [turn(call("add", id="a")), result("1", tool_call_id="a", name="add"), result("2", tool_call_id="lost")],
        "text",
        [5, {"role": "assistant", "tool_calls": "text"}, {"role": "assistant", "tool_calls": [5]}],
    ],
)
def test_what_needs_no_pairing_is_the_same_object(messages: Any) -> None:
    """Nothing is copied, and a wrong shape is another check's business."""
    assert messages is pair_results(messages)


def test_wrong_shapes_among_good_ones_do_no_harm() -> None:
    """The check that follows names them by their place."""
    odd: Any = [turn(call("add"), 5), result("1"), 7, {"role": "tool", "tool_call_id": 9}]  # type: ignore[arg-type]
    paired: Any = pair_results(odd)

    assert ["call_0_0", 5] == [paired[0]["tool_calls"][0]["id"], paired[0]["tool_calls"][1]]
    assert [7, {"role": "tool", "tool_call_id": 9}] == paired[2:]
