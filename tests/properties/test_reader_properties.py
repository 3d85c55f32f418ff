"""Properties of the reader: no bytes make it raise, what JSON says YAML reads, every offset has a place."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from engine.language.diagnostics import Mark, Problems, Sources, render_github, render_json, render_sarif, render_text
from engine.language.reader import MappingNode, ScalarNode, from_json, mark_at, mark_at_line, read_document, to_json
from engine.types import Json

SCALARS = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
VALUES = st.recursive(
    SCALARS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=15,
)
YAML_PIECES = st.lists(
    st.sampled_from(
        [
            *("a", "b: ", ": ", "- ", "\n", "\n  ", "\t", "[", "]", "{", "}", ", ", "&x ", "*x", "!t ", "|\n", ">-\n"),
            *("'", '"', "\\", "#", "<<: ", "?", "---\n", "...\n", "%", "no", "1e5", "é", "="),
            *("\u2028", "\r\n", "\r", "\x85", "\ufeff"),
        ]
    ),
    max_size=40,
).map("".join)


def read_and_render(data: bytes) -> None:
    problems, sources = Problems(), Sources()
    sources.add("f", data.decode(errors="replace"))
    node = read_document(data, "f", problems)
    assert node is not None or problems.has_errors()
    if node is not None:
        json.dumps(to_json(node), allow_nan=False)
    render_text(problems.items, sources, color=True).encode()
    for render in (render_json, render_sarif, render_github):
        render(problems.items).encode()


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_raise(data: bytes) -> None:
    read_and_render(data)


@given(YAML_PIECES)
def test_no_pieces_of_yaml_make_the_reader_raise(text: str) -> None:
    read_and_render(text.encode())


@given(VALUES)
def test_json_text_is_read_as_json(value: Json) -> None:
    # Not as ASCII: JSON escapes astral characters in two halves, which YAML refuses.
    text = json.dumps(value, ensure_ascii=False)
    problems = Problems()
    node = read_document(text.encode(), "f", problems)
    if problems.has_errors():
        assert problems.errors[0].code == "E013"  # a blank in its place may then repeat a key
        assert not text.isprintable()
        return
    assert node is not None
    assert to_json(node) == value
    assert to_json(from_json(value, Mark("f", 1, 1))) == value


@given(YAML_PIECES, st.integers(-3, 60))
def test_every_offset_has_a_place_inside_the_file(text: str, offset: int) -> None:
    node = read_document(f"k: {text}".encode(), "f", Problems())
    leaf = node.get("k") if isinstance(node, MappingNode) else node
    if isinstance(leaf, ScalarNode):
        for mark, room in (mark_at(leaf, offset), mark_at_line(leaf, offset), mark_at_line(leaf, 1, offset)):
            assert room >= 1
            assert 1 <= mark.line <= 2 + text.count("\n") + text.count("\r")
            assert mark.column >= 1


@given(st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=10), st.integers(0, 9))
def test_a_letter_is_found_where_it_stands(word: str, at: int) -> None:
    """In every style of scalar, the place of offset n holds character n."""
    at = min(at, len(word) - 1)
    body = f"x {word} y"
    for source in (f"k: {body}", f"k: '{body}'", f'k: "{body}"', f"k: |\n   {body}", f"k: >\n   {body}\n   more\n"):
        node = read_document(source.encode(), "f", Problems())
        assert isinstance(node, MappingNode)
        leaf = node.get("k")
        assert isinstance(leaf, ScalarNode)
        mark, _ = mark_at(leaf, 2 + at)
        assert source.split("\n")[mark.line - 1][mark.column - 1] == word[at]
