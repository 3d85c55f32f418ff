"""Properties of the framers: any split of the bytes gives the same frames."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.translate.framing import FRAMERS, MAX_FRAME_BYTES, Frame, FramingError

_TEXT = st.text(st.characters(blacklist_characters="\r\n", blacklist_categories=("Cs",)), max_size=12)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(blacklist_categories=("Cs",)), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)
_END = st.sampled_from(["\n", "\r\n", "\r"])


@st.composite
def _sse(draw: st.DrawFn) -> bytes:
    out = draw(st.sampled_from(["", "\ufeff"]))
    for _ in range(draw(st.integers(0, 5))):
        end = draw(_END)
        for _ in range(draw(st.integers(0, 3))):
            kind = draw(st.sampled_from(["data: ", "data:", "event: ", "id: ", ": ", "retry: ", "odd: "]))
            out += kind + draw(_TEXT) + end
        out += end
    return out.encode()


@st.composite
def _streams(draw: st.DrawFn) -> tuple[str, bytes]:
    name = draw(st.sampled_from(sorted(FRAMERS.keys() - {"aws_eventstream"})))  # binary: see test_event_stream.py
    values = draw(st.lists(_JSON, max_size=5))
    texts = [json.dumps(value, ensure_ascii=draw(st.booleans())) for value in values]
    made = {
        "sse": lambda: draw(_sse()),
        "ndjson": lambda: "".join(text + draw(_END) for text in texts).encode(),
        "json_array": lambda: ("[" + " ,\n".join(texts) + "]").encode(),
        "json_concat": lambda: draw(st.sampled_from([" ", "\n", "\r\n"])).join(texts).encode(),
        "text": lambda: draw(_TEXT).encode(),
    }
    return name, made[name]()


def _frames(name: str, pieces: list[bytes]) -> list[Frame]:
    framer = FRAMERS[name]()
    return [frame for piece in pieces for frame in framer.feed(piece)] + framer.flush()


def _same(name: str, frames: list[Frame]) -> object:
    return "".join(frame.data for frame in frames) if name == "text" else frames


@settings(max_examples=400, deadline=None)
@given(_streams(), st.data())
def test_any_split_gives_the_same_frames(stream: tuple[str, bytes], data: st.DataObject) -> None:
    """Bytes may arrive one at a time, all at once, or cut anywhere, inside a character too."""
    name, content = stream
    whole = _same(name, _frames(name, [content]))
    single = _same(name, _frames(name, [content[at : at + 1] for at in range(len(content))]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=4)))
    edges = [0, *cuts, len(content)]
    random = _same(name, _frames(name, [content[a:b] for a, b in itertools.pairwise(edges)]))
    assert (whole, whole) == (single, random)


@settings(max_examples=200, deadline=None)
@given(st.lists(_JSON, max_size=5), st.sampled_from(["json_array", "json_concat", "ndjson"]))
def test_json_framings_give_back_their_values(values: list[object], name: str) -> None:
    """Each frame is one value, complete and in order."""
    texts = [json.dumps(value) for value in values]
    content = {"json_array": "[" + ",".join(texts) + "]", "json_concat": " ".join(texts), "ndjson": "\n".join(texts)}
    assert values == [json.loads(frame.data) for frame in _frames(name, [content[name].encode()])]


def test_sse_follows_the_standard() -> None:
    """Fields, joined data lines, a comment, a missing space, a field of its own, a last event without a blank line."""
    content = b": ping\n\nevent: a\ndata: 1\ndata:2\nid: 7\nretry: 5\n\r\nodd: x\ndata\n\n\n\ndata: \xe2\x80\xa8 end"
    expected = [
        Frame("1\n2", "a", "7"),
        Frame("", None, None, {"odd": "x"}),
        Frame("\u2028 end"),
    ]
    assert expected == _frames("sse", [content])


@pytest.mark.parametrize("name", ["sse", "ndjson", "json_concat"])
def test_a_frame_without_end_is_refused(name: str) -> None:
    """Memory does not grow beyond one frame."""
    framer = FRAMERS[name]()

    def feed_all() -> None:
        for _ in range(MAX_FRAME_BYTES // 1000 + 10):
            framer.feed(b"{" + b"x" * 1000)

    with pytest.raises(FramingError):
        feed_all()


@pytest.mark.parametrize("content", [b"{", b"x[1]", b"[1", b'["a'])
def test_a_broken_array_is_an_error(content: bytes) -> None:
    """A stream that ends inside a value is not a finished one."""
    with pytest.raises(FramingError):
        _frames("json_array", [content])


def test_broken_utf8_is_an_error() -> None:
    """Bytes that are no text are refused, not replaced."""
    with pytest.raises(FramingError):
        _frames("sse", [b"data: \xff\n\n"])
