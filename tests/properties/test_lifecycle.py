"""Properties of the stream lifecycle: whatever pieces come, the events are in a legal order and lose nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ErrorInfo, UpstreamError
from engine.translate.lifecycle import Lifecycle, replay
from engine.translate.streaming import words

_START = {"id": "x", "model": "m", "created": 1}
_PIECES = st.lists(
    st.one_of(
        st.builds(lambda text: {"text": text}, st.text(max_size=4)),
        st.builds(lambda text: {"reasoning": text}, st.text(max_size=4)),
        st.builds(lambda text: {"refusal": text}, st.text(max_size=4)),
        st.builds(lambda state: {"reasoning_state": state}, st.sampled_from(["s", {"t": 1}])),
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
    """All events; pieces that cannot follow one another end in an error, as does a call that never gets a name."""
    life = Lifecycle(_START, serial=serial)
    events = life.start()
    try:
        for piece in [*pieces, {"finish_reason": "stop"}]:
            events += life.take(piece)
        return events + life.end(), life
    except UpstreamError as failure:
        return events + life.fail(failure.info), life


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
    assert not current or events[-1]["kind"] == "error"


@settings(max_examples=300, deadline=None)
@given(_PIECES, st.booleans())
def test_events_are_in_a_legal_order(pieces: list[dict[str, Any]], serial: bool) -> None:
    """Start first, blocks one inside the other never, finish, usage and end last and once."""
    events, _ = _run(pieces, serial=serial)
    kinds = [event["kind"] for event in events]
    _check_blocks(events, serial=serial)
    assert [kinds[0], kinds.count("start")] == ["start", 1]
    if kinds[-1] == "error":
        assert not {"finish", "usage", "end"} & set(kinds)
        return
    tail = kinds[kinds.index("finish") :]
    assert tail in (["finish", "end"], ["finish", "usage", "end"])


@settings(max_examples=200, deadline=None)
@given(_PIECES, st.booleans())
def test_pieces_add_up_to_the_whole_reply(pieces: list[dict[str, Any]], serial: bool) -> None:
    """The text, the reasoning and every call's arguments of the events are those of `out`."""
    events, life = _run(pieces, serial=serial)
    if events[-1]["kind"] == "error":
        return
    choice = life.out["choices"][0]
    for kind in ("text", "reasoning", "refusal"):
        told = "".join(event["text"] for event in events if event["kind"] == kind)
        assert told == (choice[kind] or "")
    deltas: dict[int, str] = {}
    for event in events:
        if event["kind"] == "tool_call_delta":
            deltas[event["call"]["index"]] = deltas.get(event["call"]["index"], "") + event["text"]
    assert {call["index"]: call["arguments"] for call in choice["tool_calls"]} == deltas
    assert ("tool_calls" if choice["tool_calls"] else "stop") == choice["finish_reason"]
    for kind in ("text", "reasoning", "refusal"):
        assert "".join(b["text"] for b in choice["blocks"] if b["kind"] == kind) == (choice[kind] or "")
    calls = sorted((b["call"] for b in choice["blocks"] if b["kind"] == "tool_call"), key=lambda call: call["index"])
    assert calls == choice["tool_calls"]
    assert [b["index"] for b in choice["blocks"]] == list(range(len(choice["blocks"])))


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
    pieces = [{"text_total": total} for total in ("He", "Hello", "Hello", "Hello ", "Hello !")]
    texts = [event["text"] for piece in pieces for event in life.take(piece) if event["kind"] == "text"]
    assert texts == ["He", "llo", " ", "!"]


@pytest.mark.parametrize("total", ["Hell", "Hello ", "", "Hello\n"])
def test_a_total_that_is_trimmed_takes_nothing_back(total: str) -> None:
    """Some upstreams end with the whole text once more, without its last white space."""
    life = Lifecycle(_START)
    pieces = [{"text_total": "Hello "}, {"text_total": total}]
    texts = [event["text"] for piece in pieces for event in life.take(piece) if event["kind"] == "text"]
    assert texts == ["Hello "]


def test_text_that_is_taken_back_is_no_answer() -> None:
    """The client has the first text already: going on as if nothing had happened would lose the second."""
    life = Lifecycle(_START)
    life.take({"text_total": "You said"})
    with pytest.raises(UpstreamError) as raised:
        life.take({"text_total": "Different"})
    assert (raised.value.info.code, raised.value.detail) == (
        "upstream_bad_event",
        "text_total does not go on from the text that was sent",
    )


@pytest.mark.parametrize("serial", [False, True])
def test_text_between_the_pieces_of_a_call_leaves_it_whole(serial: bool) -> None:
    """Where blocks go one after the other the text waits for the call, else it goes on at once."""
    pieces = [
        {"tool_call": {"key": "t1", "name": "f", "arguments": '{"a":'}},
        {"text": "One mo"},
        {"reasoning": "hm"},
        {"text": "ment."},
        {"tool_call": {"key": "t1", "arguments": "1}"}},
        {"tool_call": {"key": "t1", "done": True}},
        {"text": " Done."},
    ]
    events, life = _run(pieces, serial=serial)
    _check_blocks(events, serial=serial)
    kinds = [event["kind"] for event in events if event["kind"] in ("text", "tool_call_delta")]
    calls = ["tool_call_delta"] * 2
    assert kinds == ([*calls, "text", "text", "text"] if serial else [calls[0], "text", "text", calls[1], "text"])
    assert (life.out["text"], life.out["reasoning"]) == ("One moment. Done.", "hm")
    assert [call["arguments"] for call in life.out["tool_calls"]] == ['{"a":1}']


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


def _kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["kind"] for event in events]


def test_a_replayed_reply_is_the_reply() -> None:
    """What an emulated stream adds up to is what it was made from: blocks, states, refusal, logprobs, stop sequence."""
    blocks = [
        {"kind": "reasoning", "text": "Hm.", "state": "sig", "index": 0},
        {"kind": "reasoning", "text": "", "state": {"redacted": "x"}, "index": 1},
        {"kind": "text", "text": "It is wet.", "index": 2},
        {"kind": "refusal", "text": "No.", "index": 3},
        {"kind": "tool_call", "call": {"id": "c1", "name": "f", "arguments": '{"a":1}', "index": 0}, "index": 4},
    ]
    rest = {"finish_reason": "tool_calls", "stop_sequence": "END", "logprobs": {"content": [1, 2]}}
    out = {"choices": [{"index": 0, "blocks": blocks, **rest}], "usage": None}
    life = Lifecycle(_START)
    events = [event for piece in replay(out, lambda text: words(text, 4)) for event in life.take(piece)] + life.end()
    made = life.out["choices"][0]
    assert [{key: value for key, value in each.items() if key != "id"} for each in made["blocks"]] == blocks
    assert {key: made[key] for key in rest} == rest
    assert (made["reasoning"], made["text"], made["refusal"]) == ("Hm.", "It is wet.", "No.")
    assert [event["state"] for event in events if event["kind"] == "reasoning_stop"] == ["sig", {"redacted": "x"}]
    assert next(event for event in events if event["kind"] == "text")["logprobs"] == {"content": [1, 2]}


def test_a_state_completes_its_reasoning() -> None:
    """What is thought behind a signature is another block; a state without text is one of its own."""
    pieces = [{"reasoning": "a"}, {"reasoning_state": "1"}, {"reasoning": "b"}, {"text": "t"}, {"reasoning_state": "2"}]
    events, life = _run(pieces, serial=True)
    found = [(b["kind"], b["text"], b.get("state")) for b in life.out["blocks"]]
    assert found == [("reasoning", "a", "1"), ("reasoning", "b", None), ("text", "t", None), ("reasoning", "", "2")]
    assert [event.get("state") for event in events if event["kind"] == "reasoning_stop"] == ["1", None, "2"]


def test_logprobs_go_with_their_text_or_with_the_finish() -> None:
    """They are joined in the whole, and none is sent twice."""
    pieces = [
        {"logprobs": {"content": [1]}},
        {"text": "a", "logprobs": {"content": [2], "refusal": None}},
        {"text": "b"},
        {"logprobs": {"content": [3]}},
    ]
    events, life = _run(pieces, serial=False)
    found = [(event["kind"], event["logprobs"]["content"]) for event in events if "logprobs" in event]
    assert found == [("text", [1, 2]), ("finish", [3])]
    assert life.out["logprobs"] == {"content": [1, 2, 3], "refusal": None}


def test_the_end_of_a_cut_block_says_so() -> None:
    """A block that the end of the answer closed carries the finish reason; one that ended by itself does not."""
    life = Lifecycle(_START)
    events = [
        event
        for piece in ({"reasoning": "a"}, {"text": "b"}, {"finish_reason": "length", "stop_sequence": "x"})
        for event in life.take(piece)
    ] + life.end()
    stops = [event.get("finish_reason") for event in events if event["kind"].endswith("_stop")]
    assert stops == [None, "length"]
    assert life.out["stop_sequence"] == "x"


@pytest.mark.parametrize("pieces", [["null"], ["nu", "ll"], [], [" "], ["n", "ull "]])
def test_arguments_that_are_null_are_an_empty_object(pieces: list[str]) -> None:
    """A tool without parameters: some upstreams write the word, however it is cut."""
    calls = [{"tool_call": {"key": 0, "name": "f"}}, *({"tool_call": {"key": 0, "arguments": p}} for p in pieces)]
    events, life = _run(calls, serial=False)
    assert [event["text"] for event in events if event["kind"] == "tool_call_delta"] == ["{}"]
    assert life.out["tool_calls"][0]["arguments"] == "{}"


def test_every_delta_of_a_call_names_it() -> None:
    """A dialect that repeats the name on each delta finds it there."""
    events, _ = _run([{"tool_call": {"key": 0, "name": "f", "arguments": "{}"}}], serial=False)
    assert [event["call"]["name"] for event in events if event["kind"].startswith("tool_call")] == ["f"] * 3


@pytest.mark.parametrize("serial", [False, True])
def test_a_call_without_a_name_holds_up_no_other(serial: bool) -> None:
    """The named one is sent; the answer ends in an error, for the other's arguments would be lost."""
    pieces = [{"tool_call": {"key": 0, "arguments": "{"}}, {"tool_call": {"key": 1, "name": "g", "arguments": "{}"}}]
    events, _ = _run(pieces, serial=serial)
    assert [event["call"]["name"] for event in events if event["kind"] == "tool_call_start"] == ["g"]
    assert (events[-1]["kind"], events[-1]["err"]["code"]) == ("error", "upstream_bad_event")


@pytest.mark.parametrize("serial", [False, True])
def test_a_name_in_pieces_is_no_name(serial: bool) -> None:
    """The client has heard the first piece as the name already; a name that is repeated is one."""
    life = Lifecycle(_START, serial=serial)
    life.take({"tool_call": {"key": 0, "name": "get_", "arguments": ""}})
    life.take({"tool_call": {"key": 0, "name": "get_", "arguments": "{"}})
    with pytest.raises(UpstreamError) as raised:
        life.take({"tool_call": {"key": 0, "name": "weather"}})
    assert raised.value.info.code == "upstream_bad_event"


def test_a_name_that_comes_late_is_taken() -> None:
    """Arguments wait for it, even behind text."""
    pieces = [
        {"tool_call": {"key": 0, "arguments": '{"a":1}'}},
        {"text": "t"},
        {"tool_call": {"key": 0, "name": "f"}},
    ]
    events, life = _run(pieces, serial=True)
    assert _kinds(events)[-2:] == ["finish", "end"]
    assert life.out["tool_calls"][0]["arguments"] == '{"a":1}'


def test_a_key_with_another_id_and_name_is_another_call() -> None:
    """Some upstreams give every call of an answer the same index."""
    pieces = [
        {"tool_call": {"key": 0, "id": "a", "name": "f", "arguments": "{}"}},
        {"tool_call": {"key": 0, "id": "b", "name": "g", "arguments": '{"x":1}'}},
        {"tool_call": {"key": 0, "id": "b", "arguments": ""}},
    ]
    _, life = _run(pieces, serial=True)
    found = [(call["id"], call["index"], call["arguments"]) for call in life.out["tool_calls"]]
    assert found == [("a", 0, "{}"), ("b", 1, '{"x":1}')]


def test_what_comes_for_a_finished_call_is_no_silent_loss() -> None:
    """The call was sent as finished: its arguments would be wrong, so the stream fails."""
    life = Lifecycle(_START)
    life.take({"tool_call": {"key": 0, "name": "f", "arguments": "{", "done": True}})
    with pytest.raises(UpstreamError) as raised:
        life.take({"tool_call": {"key": 0, "arguments": "}"}})
    assert raised.value.info.code == "upstream_bad_event"


def test_what_was_counted_before_the_answer_is_in_its_start() -> None:
    """Some dialects tell the input tokens first (trap 87)."""
    life = Lifecycle(_START)
    life.take({"usage": {"prompt_tokens": 7}})
    (start, *_) = life.take({"text": "a"})
    assert (start["kind"], start["usage"]["prompt_tokens"]) == ("start", 7)


def test_no_two_streamed_calls_have_one_id() -> None:
    """As in a whole reply: the second gets an id of ours (trap 48)."""
    pieces = [{"tool_call": {"key": key, "id": "same", "name": "f", "arguments": "{}"}} for key in (0, 1)]
    _, life = _run(pieces, serial=False)
    first, second = (call["id"] for call in life.out["tool_calls"])
    assert first == "same"
    assert second.startswith("call_")


_WHOLE = '{"p":1}'


@pytest.mark.parametrize(
    ("pieces", "calls"),
    [
        pytest.param(
            [{"id": "x", "name": "a", "arguments": ""}, {"arguments": '{"p"'}, {"arguments": ":1}"}],
            [("a", _WHOLE)], id="an id once, then nothing",
        ),
        pytest.param(
            [{"name": "a", "arguments": _WHOLE}, {"name": "a", "arguments": '{"p":2}'}],
            [("a", _WHOLE), ("a", '{"p":2}')], id="whole calls of one name",
        ),
        pytest.param(
            [{"name": "a", "arguments": _WHOLE}, {"name": "b", "arguments": ""}, {"arguments": "{}"}],
            [("a", _WHOLE), ("b", "{}")], id="another name",
        ),
        pytest.param(
            [{"key": 0, "name": "a", "arguments": _WHOLE}, {"key": 0, "name": "a", "arguments": '{"p":2}'}],
            [("a", _WHOLE), ("a", '{"p":2}')], id="whole calls of one index",
        ),
        pytest.param(
            [{"name": "a", "arguments": '{"p":'}, {"name": "a", "arguments": '{"q":1}}'}, {"name": "a"}],
            [("a", '{"p":{"q":1}}')], id="the name each time",
        ),
        pytest.param(
            [{"id": "x", "name": "a"}, {"id": "y", "name": "b"}, {"id": "x", "arguments": "{}"}, {"id": "y"}],
            [("a", "{}"), ("b", "{}")], id="by id, interleaved",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("serial", [False, True])
def test_calls_that_nobody_numbered(pieces: list[Any], calls: list[tuple[str, str]], serial: bool) -> None:
    """Traps 63 and 64: upstreams leave out the index, the id, or both; each call still arrives once and whole."""
    events, life = _run([{"tool_call": piece} for piece in pieces], serial=serial)
    _check_blocks(events, serial=serial)
    assert [(call["name"], call["arguments"]) for call in life.out["tool_calls"]] == calls
    assert len({call["id"] for call in life.out["tool_calls"]}) == len(calls)
