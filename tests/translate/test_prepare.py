"""The pre-pass: what an endpoint cannot take is refused by name, clamped or dropped with a loss, never in silence."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.errors import RequestError
from engine.translate.losses import Losses
from engine.translate.prepare import NEUTRAL, prepare
from engine.types import Json

Make = Callable[..., Any]
USER = {"role": "user", "content": "hi"}
PARTS = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "u"}}]
TEXT_ONLY = {"$each": "=req.messages", "as": "m", "do": {"role": "=m.role", "content": "=text(m.content)"}}


def body(**more: Json) -> dict[str, Json]:
    return {"path": "/c", "body": {"messages": "=req.messages", **more}}


def run(plan: Any, *messages: Json, model: str = "m", **fields: Json) -> tuple[dict[str, Json], list[tuple[str, str]]]:
    request = {"model": model, "messages": list(messages or [USER]), **fields}
    before, losses = copy.deepcopy(request), Losses()
    prepared = prepare(plan, request, model, losses)
    assert before == request
    return prepared, [(each.field, each.action) for each in losses.items]


def refused(plan: Any, *messages: Json, **fields: Json) -> str | None:
    with pytest.raises(RequestError) as failure:
        run(plan, *messages, **fields)
    assert 400 == failure.value.info.status
    return failure.value.info.param


def test_what_is_read_passes_and_what_is_not_is_dropped_with_a_loss(endpoint: Make) -> None:
    """Sampling parameters and unknown fields that the body does not read are losses (trap 24)."""
    plan = endpoint(request=body(t="=req.temperature", x="=req.extra.known"))

    prepared, losses = run(plan, temperature=0, top_p=0.5, seed=7, extra={"known": 1, "odd": 2})

    assert {"model": "m", "messages": [USER], "temperature": 0, "extra": {"known": 1, "odd": 2}} == prepared
    assert [("top_p", "dropped"), ("seed", "dropped"), ("odd", "unread")] == losses


@pytest.mark.parametrize(("field", "value"), [(name, value) for name, values in NEUTRAL.items() for value in values])
def test_a_neutral_value_is_no_loss(endpoint: Make, field: str, value: Json) -> None:
    """A value that says what holds anyway is left out without a word."""
    prepared, losses = run(endpoint(), **{field: value})

    assert (False, []) == (field in prepared, losses)


@pytest.mark.parametrize(
    ("field", "value"),
    [("n", 2), ("tools", [{"type": "function", "function": {"name": "f"}}]), ("functions", [{"name": "f"}]),
     ("response_format", {"type": "json_object"}), ("modalities", ["audio"]), ("audio", {"voice": "v"})],
)  # fmt: skip
def test_what_changes_the_answer_is_refused_not_dropped(endpoint: Make, field: str, value: Json) -> None:
    """Tools, n, formats, audio: 400 naming the field (traps 16, 25, 27), never ignored."""
    assert field == refused(endpoint(), **{field: value})


@pytest.mark.parametrize(("policy", "outcome"), [("reject", "seed"), ("drop", None)])
def test_a_mapping_may_say_what_becomes_of_an_unread_parameter(
    endpoint: Make, policy: str, outcome: str | None
) -> None:
    """`params: {seed: {unsupported: …}}` decides, and names itself as the rule."""
    plan = endpoint(params={"seed": {"unsupported": policy}})

    if outcome:
        assert outcome == refused(plan, seed=7)
    else:
        assert [("seed", "dropped")] == run(plan, seed=7)[1]


@pytest.mark.parametrize(
    ("over", "given", "kept", "lost"),
    [
        ("clamp", 5, 2, [("temperature", "clamped")]),
        ("clamp", -0.5, 0, [("temperature", "clamped")]),
        ("clamp", 2, 2, []),
        ("clamp", 1.5, 1.5, []),
        ("drop", 5, None, [("temperature", "dropped")]),
        ("pass", 5, 5, []),
        ("clamp", 10**400, 2, [("temperature", "clamped")]),
    ],
)
def test_a_value_outside_follows_the_policy(endpoint: Make, over: str, given: Json, kept: Json, lost: Json) -> None:
    """Clamped and dropped values are losses, never silent (trap 23); a value within stays as it is."""
    plan = endpoint(request=body(t="=req.temperature"), params={"temperature": {"min": 0, "max": 2, "over": over}})

    prepared, losses = run(plan, temperature=given)

    assert (kept, lost) == (prepared.get("temperature"), losses)


@pytest.mark.parametrize(
    "limits",
    [
        {"min": 0, "max": 2},
        {"max": 2},
    ],
)  # fmt: skip
def test_a_value_outside_can_be_refused(endpoint: Make, limits: dict[str, Json]) -> None:
    """`over: reject` is 400 with the bounds, be there one or two of them."""
    plan = endpoint(request=body(t="=req.temperature"), params={"temperature": {**limits, "over": "reject"}})

    assert "temperature" == refused(plan, temperature=3)


def test_either_name_of_the_token_limit_is_enough(endpoint: Make) -> None:
    """max_tokens and max_completion_tokens reach an endpoint that reads the other (trap 20)."""
    old, new = endpoint(request=body(t="=req.max_tokens")), endpoint(request=body(t="=req.max_completion_tokens"))

    assert (5, []) == (run(old, max_completion_tokens=5)[0]["max_tokens"], run(old, max_completion_tokens=5)[1])
    assert 5 == run(new, max_tokens=5)[0]["max_completion_tokens"]


@pytest.mark.parametrize(
    "fields", [{"max_tokens": 5, "max_completion_tokens": 9}, {"max_completion_tokens": 9, "max_tokens": 5}]
)
def test_the_winner_of_two_token_limits_is_the_same_in_any_order(endpoint: Make, fields: dict[str, Json]) -> None:
    """Both present has a defined winner (trap 20)."""
    assert 5 == run(endpoint(request=body(t="=req.max_tokens")), **fields)[0]["max_tokens"]


def test_the_loser_of_two_token_limits_is_a_loss(endpoint: Make) -> None:
    """Of two different limits one is not served, and the client hears of it."""
    assert [] != run(endpoint(request=body(t="=req.max_tokens")), max_tokens=5, max_completion_tokens=9)[1]


def test_a_limit_holds_for_both_names(endpoint: Make) -> None:
    """A limit on max_tokens cannot be passed by with the other name, where the body reads both."""
    plan = endpoint(
        request=body(t="=not_null(req.max_completion_tokens, req.max_tokens)"), params={"max_tokens": {"max": 10}}
    )

    assert 10 == run(plan, max_completion_tokens=99)[0]["max_completion_tokens"]


# -- parts and messages


def test_a_part_that_is_not_taken_is_refused_by_its_path(endpoint: Make) -> None:
    """An image to a text-only endpoint is 400 naming message and part (trap 31)."""
    plan = endpoint(request={"path": "/c", "body": {"m": TEXT_ONLY}})

    assert "messages[1].content[1]" == refused(plan, USER, {"role": "user", "content": PARTS})
    assert PARTS == run(endpoint(), {"role": "user", "content": PARTS})[0]["messages"][0]["content"]


@pytest.mark.parametrize("message", [{"role": "tool", "tool_call_id": "c", "content": "r"},
                                     {"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}])  # fmt: skip
def test_tool_messages_are_refused_where_tools_are_not_native(endpoint: Make, message: Json) -> None:
    """Until toolformats come, history with tools is 400 naming the message."""
    assert "messages[1]" == refused(endpoint(), USER, message)


def test_a_message_field_that_nobody_reads_is_a_loss(endpoint: Make) -> None:
    """Fields of messages beyond role and content are told about (`messages[i].field`)."""
    plan = endpoint(request={"path": "/c", "body": {"m": TEXT_ONLY}})

    assert [("messages[0].name", "dropped")] == run(plan, {**USER, "name": "bob"})[1]


def test_a_read_of_another_objects_field_does_not_hide_a_loss(endpoint: Make) -> None:
    """A body that reads model.name, as nearly all do, still loses a message's name, and says so."""
    plan = endpoint(request={"path": "/c", "body": {"model": "=model.name", "m": TEXT_ONLY}})

    assert [("messages[0].name", "dropped")] == run(plan, {**USER, "name": "bob"})[1]


def test_a_message_of_two_keys_can_lose_one(endpoint: Make) -> None:
    """An assistant message without content has its other fields looked at too."""
    plan = endpoint(request={"path": "/c", "body": {"m": TEXT_ONLY}})

    assert [("messages[1].refusal", "dropped")] == run(plan, USER, {"role": "assistant", "refusal": "no"})[1]


def test_what_is_sent_is_not_called_lost(endpoint: Make) -> None:
    """`messages: =req.messages` sends messages as they are, but for the foreign keys that are reported as lost."""
    prepared, losses = run(endpoint(), {**USER, "cache_control": {"type": "ephemeral"}})

    assert ("cache_control" in prepared["messages"][0]) is (losses == [])


def test_a_field_of_the_same_name_does_not_make_a_part_known(endpoint: Make) -> None:
    """An endpoint that reads req.extra.file takes no file parts: they are refused, not dropped."""
    plan = endpoint(request={"path": "/c", "body": {"m": TEXT_ONLY, "f": "=req.extra.file"}})

    assert "messages[0].content[0]" == refused(
        plan, {"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}
    )


def test_losses_come_in_the_same_order_in_every_process(tmp_path: Path) -> None:
    """Equal requests give an equal losses header, whatever the hash seed."""
    script = tmp_path / "run.py"
    script.write_text(
        "from engine.language.catalog import load_catalog\nfrom engine.translate.prepare import prepare\n"
        "from engine.translate.losses import Losses\nlosses = Losses()\n"
        "message = {'role': 'user', 'content': 'x', **dict.fromkeys(('q1', 'q2', 'q3', 'q4', 'q5', 'q6'), 1)}\n"
        "plan = next(iter(load_catalog().endpoints.values()))\n"
        "prepare(plan, {'model': 'm', 'messages': [message]}, 'm', losses)\nprint(losses.header())\n"
    )
    headers = {
        subprocess.run(
            [sys.executable, str(script)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }

    assert 1 == len(headers)


# -- system messages


def test_system_texts_fold_into_the_first_user_message(endpoint: Make) -> None:
    """For models without a system role all system and developer texts lead the first user's, in order (traps 1, 2)."""
    plan = endpoint(capabilities={"system": {"*small*": "first_user", "*": "native"}})
    messages = [{"role": "system", "content": "A"}, {"role": "assistant", "content": "x"}, USER,
                {"role": "developer", "content": [{"type": "text", "text": "B"}]}]  # fmt: skip

    prepared, losses = run(plan, *messages, model="Small-1")

    assert [{"role": "assistant", "content": "x"}, {"role": "user", "content": "A\n\nB\n\nhi"}] == prepared["messages"]
    assert [("messages", "merged")] == losses
    assert messages == run(plan, *messages, model="big")[0]["messages"]


def test_folding_keeps_parts_as_parts(endpoint: Make) -> None:
    """Array content stays an array; without a user message the texts become one."""
    plan = endpoint(capabilities={"system": "first_user"})
    system = {"role": "system", "content": "A"}

    made = run(plan, system, {"role": "user", "content": PARTS})[0]["messages"]
    assert [{"role": "user", "content": [{"type": "text", "text": "A\n\n"}, *PARTS]}] == made
    assert [{"role": "user", "content": "A"}] == run(plan, system)[0]["messages"]
    assert ([USER], []) == (run(plan, USER)[0]["messages"], run(plan, USER)[1])


def test_hoisting_joins_system_messages_at_the_head(endpoint: Make) -> None:
    """One slot at the head: late ones move there and are not dropped (trap 2); one at the head is no loss."""
    plan = endpoint(capabilities={"system": "hoist"})
    one, two = {"role": "system", "content": "A"}, {"role": "developer", "content": "B"}

    assert [{"role": "system", "content": "A\n\nB"}, USER] == run(plan, one, USER, two)[0]["messages"]
    assert ([one, USER], []) == (run(plan, one, USER)[0]["messages"], run(plan, one, USER)[1])


@pytest.mark.parametrize("way", ["first_user", "hoist"])
def test_folding_drops_no_image(endpoint: Make, way: str) -> None:
    """An image in a system message is kept or refused, never dropped."""
    plan = endpoint(capabilities={"system": way})
    try:
        made = run(plan, USER, {"role": "system", "content": PARTS})[0]
    except RequestError:
        return
    assert "image_url" in str(made["messages"])


def test_more_stop_sequences_than_the_endpoint_takes_are_reported(endpoint: Make) -> None:
    """What exceeds max_stop is a loss or a refusal."""
    plan = endpoint(request=body(stop="=req.stop"), capabilities={"max_stop": 1})
    try:
        losses = run(plan, stop=["a", "b"])[1]
    except RequestError:
        return
    assert [] != losses


def test_turns_alternate_where_the_endpoint_says_so(endpoint: Make) -> None:
    """Neighbours of one role are merged for endpoints with `alternate: true`."""
    assert 1 == len(run(endpoint(capabilities={"alternate": True}), USER, USER)[0]["messages"])
