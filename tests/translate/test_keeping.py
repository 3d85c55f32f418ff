"""Reasoning state that rides through dialects without a place for it, and what of it is refused on the way back."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from engine.language.cases import json_codec
from engine.translate.foreign import without_foreign_state
from engine.translate.keeping import MAX_CHARS, Keeper, kept_reply, with_kept_state
from engine.translate.losses import Losses
from engine.types import Json, JsonObject

CODEC = json_codec()
WIRE = "acme.talk"
THOUGHT = {"kind": "reasoning", "text": "Hm.", "state": {"signature": "c2Vj"}}


def call(number: int) -> JsonObject:
    made = {"id": f"call_{number}", "name": "add", "arguments": "{}", "index": number}
    return {"kind": "tool_call", "id": made["id"], "call": made}


def reply(*blocks: JsonObject) -> JsonObject:
    own = json.loads(json.dumps(blocks))
    return {
        "choices": [{"index": 0, "blocks": own, "tool_calls": [b["call"] for b in own if b["kind"] == "tool_call"]}]
    }


def kept(place: str | None, *blocks: JsonObject, wire: str | None = WIRE) -> tuple[Any, list[JsonObject]]:
    losses = Losses()
    out = kept_reply(reply(*blocks), Keeper(place, wire, losses, CODEC))
    return out["choices"][0], losses.as_json()


def sent(ids: list[str], wire: str, **message: Json) -> tuple[list[JsonObject], list[JsonObject]]:
    """The messages as an endpoint of a wire gets them, of a client that sends these ids back."""
    losses = Losses()
    calls = [{"id": each, "type": "function", "function": {"name": "add", "arguments": "{}"}} for each in ids]
    results = [{"role": "tool", "tool_call_id": each, "content": "1"} for each in ids]
    request = {"messages": [{"role": "assistant", "content": None, "tool_calls": calls, **message}, *results]}
    opened = without_foreign_state(with_kept_state(request, CODEC, losses), wire, "openai.chat", losses)
    return opened["messages"], losses.as_json()


def ids_of(choice: JsonObject) -> list[str]:
    return [each["id"] for each in choice["tool_calls"]]


LOST = [{"field": "reasoning.state", "action": "dropped", "stage": "reply"}]


def test_in_the_id_of_the_first_call_behind_it() -> None:
    """The text goes along, since it may be signed; calls without thoughts keep their ids as they are."""
    choice, losses = kept("call_ids", THOUGHT, call(0), call(1))
    messages, lost = sent(ids_of(choice), WIRE)

    assert ([], []) == (losses, lost)
    assert [None, "call_1"] == [choice["blocks"][0]["state"], choice["tool_calls"][1]["id"]]
    assert ["call_0", "call_1"] == [each["id"] for each in messages[0]["tool_calls"]]
    assert ["call_0", "call_1"] == [each["tool_call_id"] for each in messages[1:]]
    assert [{"text": "Hm.", "state": {"signature": "c2Vj"}}] == messages[0]["reasoning"]


def test_thoughts_between_calls_ride_with_the_call_behind_each() -> None:
    """All of a turn come back in their order, in place of what the client itself said of them."""
    redacted = {"kind": "reasoning", "text": "", "state": "b"}
    choice, _ = kept("call_ids", THOUGHT, call(0), redacted, {**THOUGHT, "state": "c"}, call(1))
    messages, _ = sent(ids_of(choice), WIRE, reasoning=[{"text": "Hm.Hm."}])

    assert [{"signature": "c2Vj"}, "b", "c"] == [each["state"] for each in messages[0]["reasoning"]]


def test_another_wire_gets_the_thought_and_never_the_state() -> None:
    """That is a loss; the ids are its own again."""
    choice, _ = kept("call_ids", THOUGHT, call(0))
    messages, losses = sent(ids_of(choice), "other.wire")

    assert ([{"text": "Hm."}], "call_0") == (messages[0]["reasoning"], messages[0]["tool_calls"][0]["id"])
    assert ["messages[0].reasoning.state"] == [each["field"] for each in losses]
    assert "c2Vj" not in json.dumps(messages)


def test_in_blocks_the_state_alone_is_one_text() -> None:
    """A client of another wire sends it back as its own state: it goes to the wire that made it."""
    choice, losses = kept("blocks", THOUGHT, call(0))
    sealed = choice["blocks"][0]["state"]
    thought = [{"text": "Hm.", "state": sealed}]

    assert (str, [], ["call_0"]) == (type(sealed), losses, ids_of(choice))
    assert [{"text": "Hm.", "state": {"signature": "c2Vj"}}] == sent([], WIRE, reasoning=thought)[0][0]["reasoning"]
    assert [{"text": "Hm."}] == sent([], "openai.chat", reasoning=thought)[0][0]["reasoning"]


@pytest.mark.parametrize(
    ("place", "wire", "blocks"),
    [
        (None, WIRE, (THOUGHT, call(0))),
        ("call_ids", None, (THOUGHT, call(0))),
        ("call_ids", WIRE, (THOUGHT, {"kind": "text", "text": "42."})),
        ("call_ids", WIRE, ({**THOUGHT, "state": os.urandom(MAX_CHARS).hex()}, call(0))),
        ("blocks", WIRE, ({**THOUGHT, "state": os.urandom(MAX_CHARS).hex()}, call(0))),
    ],
)
def test_what_cannot_ride_is_a_loss(place: str | None, wire: str | None, blocks: tuple[JsonObject, ...]) -> None:
    """No place, no wire, no call behind it, or too much of it: the id stays short, and the client is told."""
    choice, losses = kept(place, *blocks, wire=wire)

    assert (LOST, None) == (losses, choice["blocks"][0]["state"])
    assert [] == [each for each in ids_of(choice) if each != "call_0"]


@pytest.mark.parametrize("break_it", [
    lambda text: text[:-9],
    lambda text: text + "A" * MAX_CHARS,
    lambda text: text.partition("_kept1_")[0] + "_kept1_!!",
    lambda text: text.partition("_kept1_")[0] + "_kept1_",
])  # fmt: skip
def test_a_text_that_came_back_damaged_is_a_loss(break_it: Any) -> None:
    """The call keeps its id, so that its result finds it."""
    choice, _ = kept("call_ids", THOUGHT, call(0))
    messages, losses = sent([break_it(ids_of(choice)[0])], WIRE)

    assert ("call_0", "call_0") == (messages[0]["tool_calls"][0]["id"], messages[1]["tool_call_id"])
    assert ["damaged"] == [each["action"] for each in losses]


def test_a_bomb_is_not_unpacked() -> None:
    """Little text that would become very much."""
    losses = Losses()
    choice = kept_reply(reply({**THOUGHT, "state": "x" * 9_000_000}, call(0)), Keeper("call_ids", WIRE, losses, CODEC))
    messages, lost = sent(ids_of(choice["choices"][0]), WIRE)

    assert (["damaged"], "call_0") == ([each["action"] for each in lost], messages[0]["tool_calls"][0]["id"])


def test_a_conversation_without_it_is_not_touched() -> None:
    """Not even copied."""
    request = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "reasoning": "as a text"}]}

    assert with_kept_state(request, CODEC, Losses()) is request
