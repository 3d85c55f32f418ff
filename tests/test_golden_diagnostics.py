"""Golden diagnostics: every bad file of `tests/diagnostics` prints exactly the text beside it.

`UPDATE_CASES=1 pytest tests/test_golden_diagnostics.py` rewrites the texts; read the difference before it is committed.
A case is `<CODE>_<what>.yaml`, or a folder of that name where a problem needs several files. `shared/` holds what the
bad files may extend or name.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from engine.cli.gateways import check_gateway
from engine.language.catalog import read_catalog
from engine.language.codes import CODES
from engine.language.diagnostics import render_text
from engine.language.testing import run_tests

HERE = Path(__file__).parent
FOLDER = HERE / "diagnostics"
SOURCE = HERE.parent / "engine" / "language"
CASES = sorted(
    path.name for path in FOLDER.iterdir() if path.suffix == ".yaml" or (path.is_dir() and path.name != "shared")
)
_EMITTED = re.compile(r'"([EWR][0-9]{3})"')
CANNOT_BE_A_FILE: dict[str, str] = {}
"""Codes that no file can show, each with the reason."""


def diagnose(name: str) -> str:
    """What `engine validate` prints for a bad file, seen from its own folder."""
    catalog = read_catalog([Path(name), Path("shared")], shipped=False)
    for document in catalog.documents:
        if document.kind == "gateway":
            check_gateway(document, catalog)
    files = {document.file for document in catalog.documents if document.folder != Path("shared")}
    run_tests(catalog, files)
    shown = [item for item in catalog.problems.items if not item.mark.file.startswith("shared")]
    return render_text(shown, catalog.sources)


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)


@pytest.mark.parametrize("name", CASES)
def test_bad_file_prints_its_golden_text(name: str) -> None:
    """The whole text is compared: code, place, line, caret, notes and help."""
    golden = FOLDER / f"{Path(name).stem}.txt"
    found = diagnose(name)
    if os.environ.get("UPDATE_CASES") == "1":
        golden.write_text(found, encoding="utf-8")

    assert golden.read_text(encoding="utf-8") == found


@pytest.mark.parametrize("name", CASES)
def test_bad_file_shows_the_code_of_its_name_with_a_place(name: str) -> None:
    """A file named for a code shows that code, a place, and nothing of Python."""
    text = (FOLDER / f"{Path(name).stem}.txt").read_text(encoding="utf-8")
    code = name[:4]

    assert code in text
    assert re.search(r"-->.*:\d+:\d+", text)
    assert "Traceback" not in text


def test_every_code_that_is_emitted_has_a_bad_file() -> None:
    """A check without an example is a message that nobody has read."""
    emitted = {
        code
        for path in SOURCE.rglob("*.py")
        if path.name != "codes.py"
        for code in _EMITTED.findall(path.read_text(encoding="utf-8"))
    }

    assert set() == emitted - {name[:4] for name in CASES} - CANNOT_BE_A_FILE.keys()


def test_every_code_that_is_emitted_is_registered() -> None:
    """A code outside the registry would end in a KeyError in front of an author."""
    emitted = {code for path in SOURCE.rglob("*.py") for code in _EMITTED.findall(path.read_text(encoding="utf-8"))}

    assert set() == emitted - CODES.keys()


def test_there_are_more_than_forty_kinds_of_mistake() -> None:
    """The promise of the issue: at least 40 broken mappings, each with a code of its own."""
    assert len({name[:4] for name in CASES}) >= 40
