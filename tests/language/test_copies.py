"""Which rules copy a text and which look at it, and that a frame made with a gap is the frame that the rule makes."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.language.catalog import load_catalog
from engine.language.copies import only_copies
from engine.server.run import json_codec
from engine.translate.plan import ClientStreamPlan
from engine.translate.streaming import _GAP, ClientStream
from engine.types import JsonObject

CATALOG = load_catalog()
STREAMS = {
    f"{name}.{operation}": plan.stream
    for name, dialect in CATALOG.dialects.items()
    for operation, plan in dialect.operations.items()
    if plan.stream is not None
}
KINDS = ("text", "reasoning", "refusal", "tool_call_delta")


def body(*lines: str) -> str:
    """A function as `engine.language.writing` writes it."""
    return "\n".join(
        ["def build(scope):", " t1 = scope.get('ev')", " t2 = scope.get('out')", *(f" {x}" for x in lines)]
    )


@pytest.mark.parametrize(
    "lines",
    [
        ("t3 = t1.get('text') if isinstance(t1, dict) else None", "return {'a': [t3]}"),
        ("t3 = t1 if isinstance(t1, dict) else empty", "t4 = t3.get('text')", "t5 = {}", "t5['a'] = t4", "return t5"),
        ("t3 = t1.get('text')", "if t3 is not None:", " t4 = t3", "else:", " t4 = None", "return t4"),
        ("t3 = t1.get('text')", "if type(t3) is str:", " t4 = t3", "return t4"),
        ("t3 = [t1.get('text')]", "t4 = []", "t4.append(t3)", "if not t4 and type(t4) in k1:", " t4 = 0", "return t4"),
        ("t4 = t1.get('choice')", "t3 = k1(t4)", "return {'a': t3, 'b': t1.get('text'), 'c': t2.get('id')}"),
    ],
)  # fmt: skip
def test_what_only_moves_the_text_copies_it(lines: tuple[str, ...]) -> None:
    """Through aliases, containers and branches; of other fields anything may be made."""
    assert only_copies(body(*lines), "ev", "text", {"out": frozenset({"id"})})


@pytest.mark.parametrize(
    "lines",
    [
        ("t3 = t1.get('text')", "return k1(t3)"),
        ("t3 = t1.get('text')", "if t3 == 'x':", " t3 = None", "return t3"),
        ("t3 = t1.get('text')", "if t3 in k1:", " t3 = None", "return t3"),
        ("t3 = t1.get('text')", "t4 = [k1, t3]", "return k2(t4)"),
        ("t3 = t1.get('text')", "t4 = {}", "t4[t3] = 1", "return t4"),
        ("t3 = t1.get('text')", "for t4 in t3:", " t5 = t4", "return t5"),
        ("t3 = t1.get('text')", "t4 = {'a': t3}", "t5 = t4", "return k1(t5.get('a'))"),
        ("t3 = t1.get('text')", "return t3[0]"),
        ("t3 = t1.get('text')", "t4 = t3 or k1(t3)", "return t4"),
        ("return t1",),
        ("t3 = t1", "return t3.get('text')"),
        ("t3 = k1(t1)", "return t3"),
        ("return {'a': t2.get('usage')}",),
        ("return t2",),
        ("t3 = t1.get('text')", "def f(x):", " return t3", "return f"),
        ("t3 = t1.get('text')", "k1(t3)", "return None"),
        ("for t9 in k0:", " t4 = k1(t5)", " t5 = t1.get('text')", "return t4"),
    ],
)
def test_what_looks_at_the_text_is_told(lines: tuple[str, ...]) -> None:
    """Comparing, calling, taking apart, and whatever the analysis does not know."""
    assert not only_copies(body(*lines), "ev", "text", {"out": frozenset({"id"})})


def events(kind: str, texts: list[str], block: int = 0) -> list[JsonObject]:
    """The events of one block, as the lifecycle gives them."""
    call = {"id": "call_1", "name": "f", "index": 0}
    more = {"call": call} if kind == "tool_call_delta" else {}
    return [{"kind": kind, "choice": 0, "block": block, "id": f"x_{block}", "text": text, **more} for text in texts]


def written(plan: ClientStreamPlan, made: list[JsonObject]) -> bytes:
    """The client's bytes of some events."""
    out = {"id": "x", "model": "m", "created": 1, "usage": None}
    scope = {"req": {"model": "m", "stream_options": {"include_usage": True}}, "ctx": {"request_id": "r"}, "opt": {}}
    return ClientStream(plan, scope, out, json_codec()).write(made)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", STREAMS)
@given(texts=st.lists(st.text(), min_size=1, max_size=6))
def test_a_gap_that_is_filled_gives_the_frame_of_the_rule(name: str, kind: str, texts: list[str]) -> None:
    """Byte for byte, in every dialect, also for empty texts, line separators and numbered frames."""
    plan = STREAMS[name]
    made = [*events(kind, texts), *events(kind, texts, block=1), *events(kind, texts)]

    assert written(replace(plan, copies=lambda _kind: False), made) == written(plan, made)


@pytest.mark.parametrize("name", STREAMS)
def test_the_shipped_dialects_only_copy_the_text(name: str) -> None:
    """What makes a chunk cheap: a rule that looks at the text would cost the whole tree again for each."""
    assert STREAMS[name].copies("text")


@pytest.mark.parametrize("name", STREAMS)
def test_a_client_that_knows_the_gap_gains_nothing(name: str) -> None:
    """A model of that name stands in each frame: the frames are those of the rule."""
    plan = STREAMS[name]
    scope = {"req": {"model": _GAP}, "ctx": {"request_id": _GAP}, "opt": {}}
    out = {"id": _GAP, "model": _GAP, "created": 1, "usage": None}
    made = events("text", ["a", _GAP, "b"])
    plans = [plan, replace(plan, copies=lambda _kind: False)]
    ours, rules = [ClientStream(each, scope, out, json_codec()).write(made) for each in plans]

    assert rules == ours
