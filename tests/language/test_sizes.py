"""A provider is a YAML file, and a short one: the sizes that the project promises, cases and comments apart."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

ENDPOINTS = Path(__file__).parents[2] / "mappings" / "endpoints"
OWN_WIRES = {"anthropic/messages": 200, "google/generate-content": 200, "cohere/chat-v2": 200, "ollama/chat": 200}
SHAPED = sorted(
    path.relative_to(ENDPOINTS).as_posix()
    for path in ENDPOINTS.glob("*/*.yaml")
    if path.parent.name != "openai" and "mock" not in path.name and "\nextends: openai." in path.read_text("utf-8")
)


def lines_of(name: str) -> int:
    """The lines of a mapping that say something, up to its cases."""
    lines = (ENDPOINTS / name).with_suffix(".yaml").read_text(encoding="utf-8").splitlines()
    own = itertools.takewhile(lambda line: not line.startswith("tests:"), lines)
    return sum(1 for line in own if line.strip() and not line.strip().startswith("#"))


@pytest.mark.parametrize("name", OWN_WIRES)
def test_a_hard_api_is_a_short_file(name: str) -> None:
    """Elsewhere such a mapping costs 832 to 4,951 lines of code."""
    assert lines_of(name) < OWN_WIRES[name]


@pytest.mark.parametrize("name", SHAPED)
def test_what_looks_like_openai_is_eight_lines(name: str) -> None:
    """An id, an address, a secret, and what differs."""
    assert lines_of(name) <= 8


def test_there_are_twelve_of_them() -> None:
    """So that the count above is a count of something."""
    assert len(SHAPED) == 12
