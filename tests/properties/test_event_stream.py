"""Binary event-stream framing: any split gives the same frames, and damage is never taken for an answer."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

import base64
import itertools
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.language.testing import run_tests
from engine.translate.framing import MAX_FRAME_BYTES, EventStreamFramer, Frame, FramingError
from tests.conftest import ENDPOINT

NAMES = st.text("abc:-", min_size=1, max_size=8)
MESSAGES = st.lists(
    st.tuples(st.dictionaries(NAMES, st.text(max_size=9), max_size=3), st.text(max_size=40)), max_size=4
)


def message(headers: dict[str, str], payload: str, more: bytes = b"") -> bytes:
    """One message as the wire has it; `more` are headers of other types, as bytes."""
    head = more
    for name, value in headers.items():
        text = value.encode()
        head += bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(text)) + text
    body = payload.encode()
    prelude = struct.pack(">II", 16 + len(head) + len(body), len(head))
    whole = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + body
    return whole + struct.pack(">I", zlib.crc32(whole))


@given(MESSAGES, st.lists(st.integers(0, 400), max_size=6))
def test_any_split_gives_the_same_frames(messages: list[tuple[dict[str, str], str]], cuts: list[int]) -> None:
    """Also byte by byte; the payload is the data, the headers are the fields."""
    data = b"".join(itertools.starmap(message, messages))
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    splits = [[data], [data[at : at + 1] for at in range(len(data))], [data[a:b] for a, b in itertools.pairwise(edges)]]

    for pieces in splits:
        framer = EventStreamFramer()
        frames = [frame for piece in pieces for frame in framer.feed(piece)] + framer.flush()
        assert [(fields, text) for fields, text in messages] == [(frame.fields, frame.data) for frame in frames]


def test_the_event_is_named_by_its_header() -> None:
    """`:event-type`, or what names a failure; headers of other types are passed over."""
    other = b"\x01n\x04\x00\x00\x00\x09" + b"\x01t\x00" + b"\x01b\x06\x00\x02xy"
    names = [{":event-type": "delta"}, {":message-type": "exception", ":exception-type": "throttling"}]
    frames = EventStreamFramer().feed(b"".join(message(each, "{}", other) for each in names))

    assert [Frame("{}", "delta", None, names[0]), Frame("{}", "throttling", None, names[1])] == frames


def _frames(data: bytes) -> list[Frame]:
    framer = EventStreamFramer()
    return framer.feed(data) + framer.flush()


GOOD = message({":event-type": "delta"}, '{"t":"He"}')


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_damaged_message_is_never_a_frame(place: int, flip: int) -> None:
    """One changed byte anywhere: an error at once or at the end of the stream."""
    data = bytearray(GOOD)
    data[place] ^= flip

    with pytest.raises(FramingError):
        _frames(bytes(data))


@pytest.mark.parametrize("size", [MAX_FRAME_BYTES + 1, 12])
def test_lengths_that_cannot_be_are_refused(size: int) -> None:
    """Before the bytes come: a message that is too large, or too short for itself."""
    prelude = struct.pack(">II", size, 0)

    with pytest.raises(FramingError):
        EventStreamFramer().feed(prelude + struct.pack(">I", zlib.crc32(prelude)))


def test_a_stream_that_ends_inside_a_message_is_cut() -> None:
    """What is left over is no frame."""
    framer = EventStreamFramer()
    framer.feed(GOOD[:-1])

    with pytest.raises(FramingError, match="ended inside a message"):
        framer.flush()


def test_a_mapping_reads_such_a_stream(write_mapping: Callable[..., Any]) -> None:
    """An invented endpoint: events by name, and its case passes at every split."""
    data = GOOD + message({":event-type": "delta"}, '{"t":"llo"}') + message({":event-type": "stop"}, '{"r":"end"}')
    sample = "base64:" + base64.b64encode(data).decode()
    stream = {
        "framing": "aws_eventstream",
        "at_end": "error",
        "select": "=ev.event",
        "cases": {"delta": {"emit": {"text": "=ev.json.t"}}, "stop": {"emit": {"finish_reason": "stop"}, "end": True}},
        "default": "error",
    }
    case = {"given": {"stream": sample}, "expect": {"result": {"text": "Hello", "finish_reason": "stop"}}}
    catalog = write_mapping({**ENDPOINT, "stream": stream, "tests": {"stream": case}})
    run_tests(catalog)

    assert [] == [each.message for each in catalog.problems.errors]
