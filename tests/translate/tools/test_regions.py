"""Stretches of an answer's text that a mapping says are reasoning: whole answers, streams, tools beside them."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

from typing import Any

import pytest

from engine.language.kinds.regions import compile_regions
from engine.language.problems import Problems
from engine.language.reader import read_document
from engine.translate.lifecycle import Lifecycle
from engine.translate.losses import Losses
from engine.translate.streaming import Translation
from engine.translate.tools.answer import filters_of, read_regions

SECTION = b"think: {open: ['<think>', '<thought>'], close: '</think>', as: reasoning, anchor: start}\n"
REGIONS = compile_regions(read_document(SECTION, "t.yaml", Problems()))
READ = [
    ("<think>a</think>b", "a", "b"),
    ("\n<think>\na b\n c\n</think>\n\nd\n", "a b\n c", "d\n"),
    ("<thought>a</think> b", "a", "b"),
    ("<think></think>b", None, "b"),
    ("<think>\n\n</think>", None, ""),
    ("<think>never closed", "never closed", ""),
    ("b <think>a</think>", None, "b <think>a</think>"),
    ("<think>a</think>b<think>c</think>", "a", "b<think>c</think>"),
    ("<thin", None, "<thin"),
    ("<think>a</thi", "a</thi", ""),
    ("plain", None, "plain"),
]


@pytest.mark.parametrize(("text", "reasoning", "rest"), READ)
def test_a_whole_answer(text: str, reasoning: str | None, rest: str) -> None:
    """The markers go, and the white space within and behind them; an opener elsewhere is text."""
    made = read_regions({"text": text, "finish_reason": "stop"}, REGIONS, Losses())

    assert (reasoning, rest) == (made.get("reasoning"), made["text"])


@pytest.mark.parametrize(("text", "reasoning", "rest"), READ)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_a_stream_however_it_is_cut(text: str, reasoning: str | None, rest: str, size: int) -> None:
    """The same reasoning and the same text."""
    life = Lifecycle({"id": "x", "model": "m", "created": 1})
    answer = Translation(life, None, filters_of(REGIONS, None, Losses()))
    answer.take([{"text": text[at : at + size]} for at in range(0, len(text), size)])
    answer.take([{"finish_reason": "stop"}])
    answer.flush()
    answer.end()

    assert (reasoning, rest) == (life.out["reasoning"], life.out["text"] or "")


def test_blocks_are_read_where_they_stand() -> None:
    """An answer that is given in blocks keeps their order, and what is no text."""
    blocks: list[Any] = [
        {"kind": "text", "text": "<think>a</think>b"},
        {"kind": "tool_call", "call": {"name": "f", "arguments": "{}"}},
        {"kind": "text", "text": "c"},
    ]
    made = read_regions({"blocks": blocks, "text": "all of it"}, REGIONS, Losses())

    assert [("reasoning", "a"), ("text", "b"), ("tool_call", None), ("text", "c")] == [
        (block["kind"], block.get("text")) for block in made["blocks"]
    ]
    assert "text" not in made


def test_every_choice_has_a_reader_of_its_own() -> None:
    """What one answer leaves open is no other's."""
    made = read_regions({"choices": [{"text": "<think>a"}, {"text": "b"}]}, REGIONS, Losses())

    assert [("a", ""), (None, "b")] == [(each.get("reasoning"), each["text"]) for each in made["choices"]]
