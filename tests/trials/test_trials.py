"""Mappings written from the docs alone by who had never seen the engine (docs/trials.md): their cases still hold."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

from pathlib import Path

import pytest

from engine.language.catalog import read_catalog
from engine.language.testing import run_tests

MAPPINGS = Path(__file__).parent / "mappings"


@pytest.fixture(scope="module")
def catalog():  # type: ignore[no-untyped-def]
    return read_catalog([MAPPINGS])


def test_they_load_without_a_warning(catalog) -> None:  # type: ignore[no-untyped-def]
    """As `engine validate --release` sees them."""
    assert [] == [each for each in catalog.problems.items if str(MAPPINGS) in str(each.mark.file)]


@pytest.mark.parametrize("name", ["quillwerk.compose", "tidewater.talk", "larkspur.jobs"])
def test_their_cases_hold(catalog, name: str) -> None:  # type: ignore[no-untyped-def]
    """A change of the language that would break the work of others is seen here."""
    assert [] == [failed for failed in run_tests(catalog, [name]) if not failed.passed]
