"""Properties of the stream lifecycle: whatever pieces come, the events are in a legal order and lose nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ErrorInfo, UpstreamError
from engine.translate.lifecycle import Lifecycle

_START = {"id": "x", "model": "m", "created": 1}
_PIECES = st.lists(
    st.one_of(
        st.builds(lambda text: {"text": text}, st.text(max_size=4)),
        st.builds(lambda text: {"reasoning": text}, st.text(max_size=4)),
        st.builds(
            lambda key, name, arguments: {"tool_call": {"key": key, "name": name, "arguments": arguments}},
            st.integers(0, 2),
            st.sampled_from(["f", "g", None]),
            st.sampled_from(["", "{", '"a":1', "}"]),
        ),
        st.builds(lambda key: {"tool_call": {"key": key, "done": True}}, st.integers(0, 2)),
        st.just({"tool_calls": [{"name": "h", "arguments": '{"b":2}'}]}),
        st.just({"usage": {"prompt_tokens": 3, "completion_tokens": 1}}),
        st.just({"finish_reason": "stop"}),
    ),
    max_size=14,
)


def _run(pieces: list[dict[str, Any]], *, serial: bool) -> tuple[list[dict[str, Any]], Lifecycle]:
    life = Lifecycle(_START, serial=serial)
    events = life.start()
    for piece in pieces:
        events += life.take(piece)
    events += life.take({"finish_reason": "stop"})
    return events + life.end(), life


def _check_blocks(events: list[dict[str, Any]], *, serial: bool) -> None:
    """Blocks open once, in rising order, get their pieces while they are open, and close."""
    opened: list[int] = []
    current: set[int] = set()
    for event in events:
        block = event.get("block")
        if block is None:
            continue
        if event["kind"].endswith("_start"):
            assert block == len(opened)
            assert not serial or not current
            opened.append(block)
            current.add(block)
        else:
            assert block in current
        if event["kind"].endswith(("_stop", "_done")):
            current.remove(block)
    assert not current


@settings(max_examples=300, deadline=None)
@given(_PIECES, st.booleans())
def test_events_are_in_a_legal_order(pieces: list[dict[str, Any]], serial: bool) -> None:
    """Start first, blocks one inside the other never, finish, usage and end last and once."""
    events, _ = _run(pieces, serial=serial)
    kinds = [event["kind"] for event in events]
    assert [kinds[0], kinds.count("start"), kinds.count("finish"), kinds[-1]] == ["start", 1, 1, "end"]
    tail = kinds[kinds.index("finish") :]
    assert tail in (["finish", "end"], ["finish", "usage", "end"])
    _check_blocks(events, serial=serial)


@settings(max_examples=200, deadline=None)
@given(_PIECES, st.booleans())
def test_pieces_add_up_to_the_whole_reply(pieces: list[dict[str, Any]], serial: bool) -> None:
    """The text, the reasoning and every call's arguments of the events are those of `out`."""
    events, life = _run(pieces, serial=serial)
    choice = life.out["choices"][0]
    for kind in ("text", "reasoning"):
        told = "".join(event["text"] for event in events if event["kind"] == kind)
        assert told == (choice[kind] or "")
    deltas: dict[int, str] = {}
    for event in events:
        if event["kind"] == "tool_call_delta":
            deltas[event["call"]["index"]] = deltas.get(event["call"]["index"], "") + event["text"]
    assert {call["index"]: call["arguments"] for call in choice["tool_calls"]} == deltas
    assert ("tool_calls" if choice["tool_calls"] else "stop") == choice["finish_reason"]


def test_a_cut_stream_never_looks_finished() -> None:
    """A close with neither terminator nor finish reason is an error, and nothing comes after it."""
    life = Lifecycle(_START)
    life.take({"text": "half"})
    with pytest.raises(UpstreamError) as raised:
        life.end()
    assert raised.value.info.code == "upstream_incomplete"
    failed = life.fail(raised.value.info)
    assert [event["kind"] for event in failed] == ["error"]
    assert life.take({"text": "more"}) + life.end() + life.fail(ErrorInfo("upstream", "again")) == []


def test_cumulative_text_gives_only_what_is_new() -> None:
    """`text_total` is the text so far; a repeated total adds nothing."""
    life = Lifecycle(_START)
    pieces = [{"text_total": total} for total in ("He", "Hello", "Hello", "Hello!")]
    texts = [event["text"] for piece in pieces for event in life.take(piece) if event["kind"] == "text"]
    assert texts == ["He", "llo", "!"]


def test_parallel_calls_interleave_only_where_the_dialect_allows_it() -> None:
    """A serial dialect gets the second call's pieces when the first is done."""
    pieces = [
        {"tool_call": {"key": 0, "name": "f", "arguments": "{"}},
        {"tool_call": {"key": 1, "name": "g", "arguments": "{"}},
        {"tool_call": {"key": 0, "arguments": "}"}},
        {"tool_call": {"key": 1, "arguments": "}"}},
    ]
    parallel, _ = _run(pieces, serial=False)
    serial, _ = _run(pieces, serial=True)
    order = [event["block"] for event in serial if event["kind"] == "tool_call_delta"]
    assert [
        [event["block"] for event in parallel if event["kind"] == "tool_call_delta"],
        order,
    ] == [[0, 1, 0, 1], [0, 0, 1, 1]]
