"""Properties of every shipped toolformat: what is rendered is read back, and no text whatever breaks the reader."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Mapping
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.language.catalog import Catalog, read_catalog
from engine.language.toolformat_cases import joined
from engine.translate.tools.pieces import CallEnd, CallStart, Piece, Span, TextPiece
from engine.translate.tools.plan import Literals, ToolformatPlan
from engine.translate.tools.reader import ToolReader
from engine.types import Json, JsonObject

TOOLS: Final[list[JsonObject]] = [
    {
        "type": "function",
        "function": {
            "name": "search_web",
            "parameters": {
                "type": "object",
                "properties": {
                    "text": {"type": "string"},
                    "count": {"type": "integer"},
                    "ratio": {"type": "number"},
                    "flag": {"type": "boolean"},
                    "limit": {"type": ["integer", "null"]},
                    "tags": {"type": "array", "items": {"type": "string"}},
                    "opts": {"type": "object"},
                },
            },
        },
    },
    {"type": "function", "function": {"name": "run"}},
]


@functools.cache
def catalog() -> Catalog:
    return read_catalog()


FORMATS: Final = sorted(catalog().toolformats)

PLAIN: Final = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
TEXTS: Final = st.one_of(
    PLAIN, st.sampled_from(["a\nb", " x ", "}", '"', "\\", "'", "</x>", "a\n\n  b", "[1]", "null", "7"])
)
NUMBERS: Final = st.integers(-(10**25), 10**25)
FLOATS: Final = st.floats(allow_nan=False, allow_infinity=False, width=32).filter(lambda each: "e" not in repr(each))
VALUES: Final[st.SearchStrategy[Json]] = st.recursive(
    st.one_of(TEXTS, NUMBERS, st.booleans(), st.none()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN, inner, max_size=3),
    max_leaves=6,
)


def arguments(texts: st.SearchStrategy[str]) -> st.SearchStrategy[JsonObject]:
    return st.fixed_dictionaries(
        {},
        optional={
            "text": texts,
            "count": NUMBERS,
            "ratio": FLOATS,
            "flag": st.booleans(),
            "limit": NUMBERS | st.none(),
            "tags": st.lists(TEXTS, max_size=3),
            "opts": st.dictionaries(PLAIN, VALUES, max_size=3),
        },
    )


def markers(plan: ToolformatPlan) -> list[str]:
    found = list(plan.markers) + list(plan.read.orphans) + list(plan.read.drop)
    for rule in plan.read.calls:
        for tokens in rule.heads:
            found += [text for token in tokens if isinstance(token, Literals) for text in token.texts]
        found += rule.ends
    for region in plan.read.regions:
        found += [*region.open, *region.close]
    return sorted(set(found))


def read(plan: ToolformatPlan, parts: list[str], *, cut: bool = False) -> tuple[list[Piece], list[Span]]:
    reader = ToolReader([plan], TOOLS)
    pieces = [piece for part in parts for piece in reader.feed(part)]
    pieces += reader.finish(cut=cut)
    return joined(pieces), reader.spans


def calls_of(pieces: list[Piece]) -> list[tuple[str, str]]:
    names = {piece.index: piece.name for piece in pieces if isinstance(piece, CallStart)}
    return [(names[piece.index], piece.arguments) for piece in pieces if isinstance(piece, CallEnd)]


def content_of(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces if isinstance(piece, TextPiece))


def rendered(plan: ToolformatPlan, calls: list[tuple[str, JsonObject]]) -> str:
    texts = []
    for index, (name, args) in enumerate(calls):
        call = {
            "id": f"call_{index}",
            "name": name,
            "arguments": json.dumps(args, ensure_ascii=False),
            "args": args,
            "index": index,
        }
        texts.append(plan.history_call({"call": call, "m": {"role": "assistant"}}))
    return plan.calls_open + plan.join.join(texts) + plan.calls_close


def as_read(plan: ToolformatPlan, args: JsonObject) -> JsonObject:
    """What a format can carry of the arguments: some take one newline, or a trailing return, for markup."""
    return {key: value for key, value in args.items() if not (isinstance(value, str) and "\r" in value)}


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_what_is_rendered_is_read_back(name: str, data: st.DataObject) -> None:
    """For any tools, calls and text: render, then parse, gives them back."""
    plan = catalog().toolformats[name]
    hostile = st.sampled_from(markers(plan)).map(lambda each: f"a {each} b")
    texts = st.one_of(TEXTS, hostile) if plan.read.calls[0].payload.kind != "braced" else TEXTS
    calls = data.draw(
        st.lists(st.tuples(st.sampled_from(["search_web", "run"]), arguments(texts)), min_size=1, max_size=3)
    )
    calls = [(tool, as_read(plan, args) if tool == "search_web" else {}) for tool, args in calls]
    text = rendered(plan, calls)
    before = data.draw(st.sampled_from(["", "Let me see.\n\n"]))
    pieces, spans = read(plan, [before + text])
    assert [(tool, json.loads(found)) for tool, found in calls_of(pieces)] == calls
    assert content_of(pieces) == before.strip()
    check_spans(spans, before + text)


def check_spans(spans: list[Span], text: str) -> None:
    """The spans account for every character, once and in order."""
    assert "".join(text[span.start : span.end] for span in spans) == text
    assert all(left.end == right.start for left, right in itertools.pairwise(spans))


def pieces_of_text(plan: ToolformatPlan) -> st.SearchStrategy[str]:
    bits = st.sampled_from(
        [
            *markers(plan),
            *(
                "search_web",
                "run",
                "zip",
                "text",
                "count",
                "<",
                "[",
                "{",
                "}",
                "]",
                '"',
                "'",
                ",",
                ":",
                "(",
                ")",
                "=",
                "\\",
            ),
            *(
                '{"name": "run", "arguments": {}}',
                '{"name": "search_web", "arguments": {"text": "',
                "```",
                "```json\n",
                "\n",
            ),
            *(" ", "&quot;", "\u2060", "// c\n", "/*", "true", "None", "1.0", "run()", 'search_web(text="a")', "&"),
        ]
    )
    return st.lists(st.one_of(bits, PLAIN), max_size=14).map("".join)


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_text_is_accounted_for_and_every_cut_agrees(name: str, data: st.DataObject) -> None:
    """Whatever the text: no exception, spans for every character, and the same pieces for every cut of it."""
    plan = catalog().toolformats[name]
    text = data.draw(pieces_of_text(plan))
    cut = data.draw(st.booleans())
    whole = read(plan, [text], cut=cut)
    check_spans(whole[1], text)
    assert read(plan, list(text), cut=cut) == whole
    place = data.draw(st.integers(0, len(text)))
    assert read(plan, [text[:place], text[place:]], cut=cut) == whole
    if not calls_of(whole[0]) and not plan.read.drop and not plan.read.regions and "\u2060" not in text:
        assert content_of(whole[0]) == text


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_no_marker_leaks_when_a_call_was_read(name: str, data: st.DataObject) -> None:
    """Where text and calls alternate, not a fragment of the markup becomes content, whatever the cut."""
    plan = catalog().toolformats[name]
    words = st.text("abc .,", min_size=1, max_size=10).map(lambda each: f"w{each}w")
    parts = data.draw(st.lists(st.tuples(words, arguments(PLAIN.filter(str.isalnum))), min_size=1, max_size=3))
    text = "".join(f"{said}\n\n{rendered(plan, [('search_web', args)])}\n\n" for said, args in parts)
    pieces, _ = read(plan, [text[at : at + 7] for at in range(0, len(text), 7)])
    assert content_of(pieces).split() == " ".join(said for said, _ in parts).split()
    assert len(calls_of(pieces)) == len(parts)


LISTS: Final[Mapping[str, tuple[str, ...]]] = {
    "generic": ("xml_json", "anthropic_xml", "fenced_json"),
    "tags": ("hermes_json", "qwen3_coder_xml", "glm45_kv"),
}


@pytest.mark.parametrize("names", LISTS.values(), ids=LISTS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_lists_of_formats_read_each_of_them(names: tuple[str, ...], data: st.DataObject) -> None:
    """Models drift: a list reads what any of its formats renders, and every cut agrees."""
    plans = [catalog().toolformats[name] for name in names]
    own = data.draw(st.sampled_from(plans))
    args = data.draw(arguments(PLAIN.filter(str.isalnum)))
    text = rendered(own, [("search_web", args)])
    results = []
    for parts in ([text], list(text)):
        reader = ToolReader(plans, TOOLS)
        pieces = joined([*(piece for part in parts for piece in reader.feed(part)), *reader.finish()])
        results.append(pieces)
        assert [(tool, json.loads(found)) for tool, found in calls_of(pieces)] == [("search_web", args)]
    assert results[0] == results[1]
