"""The example loads without a problem and its cases pass."""

from __future__ import annotations

from pathlib import Path

from engine.language.catalog import read_catalog
from engine.language.testing import run_tests

HERE = Path(__file__).parent


def test_the_new_format_passes_its_cases() -> None:
    catalog = read_catalog([HERE / "mappings"], shipped=False)
    report = run_tests(catalog)
    assert [(problem.mark.line, problem.message, problem.notes) for problem in catalog.problems.items] == []
    assert report.ran == {"toolformat:ini_blocks": 7}
