"""Mappings written from the docs alone by who had never seen the engine (docs/trials.md): their cases still hold."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

from pathlib import Path

from engine.language.catalog import read_catalog
from engine.language.testing import run_tests

MAPPINGS = Path(__file__).parent / "mappings"
IDS = ("larkspur.jobs", "quillwerk.compose", "tidewater.talk")


def test_the_mappings_of_strangers_still_hold() -> None:
    """A change of the language that would break the work of others is seen here, warnings included."""
    catalog = read_catalog([MAPPINGS])
    report = run_tests(catalog, IDS)

    own = [str(each) for each in catalog.problems.items if str(MAPPINGS) in str(each.mark.file)]
    assert [] == own
    assert [] == report.failed
    assert {f"endpoint:{name}" for name in IDS} == set(report.ran)
    assert min(report.ran.values()) > 10
