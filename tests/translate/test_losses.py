"""Losses: each once, in order, in words from closed lists, safe in a header."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

import pytest

from engine.translate.losses import Losses


def filled(*fields: str) -> Losses:
    losses = Losses()
    for field in fields:
        losses.add(field, "dropped")
    return losses


def test_losses_keep_their_order_and_stand_once() -> None:
    """A repeated loss counts once; another action on the same field is another loss."""
    losses = filled("b", "a", "b")
    losses.add("a", "clamped", "reply", "x.params.a")

    assert [
        {"field": "b", "action": "dropped", "stage": "request"},
        {"field": "a", "action": "dropped", "stage": "request"},
        {"field": "a", "action": "clamped", "stage": "reply", "rule": "x.params.a"},
    ] == losses.as_json()
    assert "b=dropped, a=dropped, a=clamped" == losses.header()


@pytest.mark.parametrize(("action", "stage"), [("lost", "request"), ("dropped", "later"), ("", "request")])
def test_words_outside_the_lists_are_refused(action: str, stage: str) -> None:
    """Actions and stages are closed lists."""
    with pytest.raises(ValueError, match="not a loss"):
        Losses().add("a", action, stage)


@pytest.mark.parametrize("field", ["a\r\nset-cookie: x", "a,b=c d", "naïve\u2028", "x" * 500, "", "\x00"])
def test_a_clients_field_name_cannot_break_the_header(field: str) -> None:
    """Names of unknown fields come from clients: only visible ASCII, no separators, not endless."""
    name, _, action = filled(field).header().partition("=")

    assert "dropped" == action
    assert len(name) <= 80
    assert all("!" <= char <= "~" and char not in ",=" for char in name)


def test_a_long_header_is_cut() -> None:
    """At most 800 characters."""
    header = filled(*(f"field{number}" for number in range(200))).header()

    assert (800, "...") == (len(header), header[-3:])
