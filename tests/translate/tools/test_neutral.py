"""Markers in untrusted text: broken when rendered, whole again when read, whatever the cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.translate.tools.neutral import Neutraliser

MARKERS = ("<tool_call>", "</tool_call>", "<tools>", "Action: ")
NEUTRAL = Neutraliser(MARKERS, "\u2060")
TEXTS = st.lists(
    st.sampled_from([*MARKERS, "<", "\u2060", "tool_call>", "A", "ction: ", "x", "\u2060\u2060"]), max_size=8
).map("".join)


def restored(text: str, cuts: list[str]) -> str:
    restorer = NEUTRAL.restorer()
    return "".join([*map(restorer.feed, cuts), restorer.flush()])


def test_a_marker_gets_the_character_after_its_first_letter() -> None:
    assert NEUTRAL.apply("a <tool_call> b") == "a <\u2060tool_call> b"


@given(TEXTS)
def test_no_marker_is_left(text: str) -> None:
    assert not any(marker in NEUTRAL.apply(text) for marker in MARKERS)


@given(TEXTS)
def test_what_was_neutralised_comes_back(text: str) -> None:
    """Also text that held the character before."""
    made = NEUTRAL.apply(text)
    assert restored(made, [made]) == text
    assert restored(made, list(made)) == text


def test_markers_inside_json_strings_are_found() -> None:
    neutral = Neutraliser(('<invoke name="',), "\u2060")
    restorer = neutral.restorer(as_json=True)
    assert restorer.feed('"<\u2060invoke name=\\"x"') == '"<invoke name=\\"x"'
