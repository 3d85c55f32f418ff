"""Model patterns: case-insensitive fnmatch on the whole id, first match wins (DECISIONS 2.12)."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

import pytest

from engine.translate.patterns import PatternTable, matcher


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("*", "", True),
        ("*llama*", "meta/Llama-3.1", True),
        ("GPT-?o", "gpt-4o", True),
        ("gpt-?", "gpt-4o", False),
        ("gpt", "gpt-4o", False),
        ("gpt[45]", "gpt4", True),
        ("gpt[!45]", "gpt4", False),
        ("*/x", "a/b/x", True),
        ("a.c", "abc", False),
        ("*haiku-4.5*", "claude-HAIKU-4.5-x", True),
        ("*", "two\nlines", True),
        ("straße", "STRASSE", True),
    ],
)
def test_a_pattern_takes_the_whole_id(pattern: str, text: str, matches: bool) -> None:
    """`*` crosses slashes, `?` is one character, `.` is itself, case does not count."""
    assert matches is (matcher(pattern).match(text.casefold()) is not None)


def test_the_first_row_that_matches_wins() -> None:
    """Rows are tried in order; without a match there is nothing, also the second time."""
    table = PatternTable([("a*", 1), ("*b", 2)])

    assert [1, 2, None, 1, 2, None] == [table.find(text) for text in ("AB", "cb", "c", "AB", "cb", "c")]


def test_the_cache_does_not_grow_with_what_clients_send() -> None:
    """However many ids are asked for, memory is bounded, and answers stay right."""
    table = PatternTable([("*7", "seven"), ("*", "other")])
    for number in range(5000):
        table.find(f"model-{number}")

    assert len(table._cache) <= 1024
    assert "seven" == table.find("model-4997")
    assert "other" == table.find("x" * 100_000)
