"""From an upstream's frames to pieces, and from pieces to a client's bytes, without a network."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import TranslationError, UpstreamError
from engine.language.cases import json_codec
from engine.translate.lifecycle import Lifecycle
from engine.translate.reply import with_fitted_calls
from engine.translate.streaming import Translation, words

START = {"id": "x", "model": "m", "created": 1}


def _fitted(piece: dict[str, Any]) -> dict[str, Any]:
    return with_fitted_calls(piece, "a.b", json_codec())


def test_arguments_may_be_an_object() -> None:
    """They become JSON text in calls that come whole and in pieces, as in an answer that comes whole."""
    assert '{"a":1}' == _fitted({"tool_calls": [{"name": "f", "arguments": {"a": 1}}]})["tool_calls"][0]["arguments"]
    assert '{"a":1}' == _fitted({"tool_call": {"key": 0, "arguments": {"a": 1}}})["tool_call"]["arguments"]
    assert '{"a": 1}' == _fitted({"tool_call": {"key": 0, "arguments": '{"a": 1}'}})["tool_call"]["arguments"]


@pytest.mark.parametrize(
    "piece",
    [
        {"text": 1},
        {"refusal": ["no"]},
        {"finish_reason": "end_turn"},
        {"tool_calls": {"name": "f"}},
        {"tool_calls": [{"arguments": "{}"}]},
        {"tool_call": "f"},
    ],
)
def test_a_value_of_the_wrong_type_is_an_error(piece: dict[str, Any]) -> None:
    """What the canonical form has no place for is not dropped in silence."""
    life = Lifecycle(START)
    with pytest.raises(TranslationError) as raised:
        life.take(_fitted(piece))

    assert "mapping_response_error" == raised.value.info.code


def test_pieces_before_one_that_cannot_follow_are_given() -> None:
    """However the bytes are cut, the client gets what came before the failure; the end raises it."""
    life = Lifecycle(START)
    answer = Translation(life, None)
    done = {"tool_call": {"key": 0, "name": "f", "arguments": "{}", "done": True}}
    answer.take([done, {"tool_call": {"key": 0, "arguments": "more"}}])

    assert life.has_calls
    assert answer.failure is not None
    with pytest.raises(UpstreamError):
        answer.end()


@pytest.mark.parametrize("text", ["", "a", "a b c", "word " * 20, "x" * 100, "a\nb " * 9])
def test_words_lose_nothing(text: str) -> None:
    """Pieces end behind white space where there is some, and add up to the text."""
    made = list(words(text, 8))

    assert text == "".join(made)
    assert all(1 <= len(piece) <= 8 for piece in made)
