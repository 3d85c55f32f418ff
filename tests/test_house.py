"""House manners that a linter does not know: docstrings that say something, tests that state a behaviour."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ENGINE = sorted((ROOT / "engine").rglob("*.py"))
TESTS = sorted(path for path in (ROOT / "tests").rglob("test_*.py"))
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


def public(body: list[ast.stmt], prefix: str) -> list[tuple[str, ast.AST]]:
    """Public classes and functions of a body, and public methods of its public classes."""
    found: list[tuple[str, ast.AST]] = []
    for node in body:
        if isinstance(node, FUNCTIONS | ast.ClassDef) and not node.name.startswith("_"):
            found.append((f"{prefix}{node.name}", node))
            if isinstance(node, ast.ClassDef):
                found += public(node.body, f"{prefix}{node.name}.")
    return found


@pytest.mark.parametrize("path", ENGINE, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_public_name_has_a_docstring(path: Path) -> None:
    """Modules, public classes, functions and methods say what they are."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = [(path.stem, tree), *public(tree.body, "")]

    assert [] == [name for name, node in named if not ast.get_docstring(node)]  # type: ignore[arg-type]


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_test_file_states_what_it_proves(path: Path) -> None:
    """A test file has a docstring and at least one test with one."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tests = [node for node in ast.walk(tree) if isinstance(node, FUNCTIONS) and node.name.startswith("test_")]

    assert ast.get_docstring(tree)
    assert any(ast.get_docstring(node) for node in tests)


def test_no_test_mocks_our_own_code() -> None:
    """The mocking library of the standard library is imported nowhere in the tests (STYLE B8)."""
    word = ".".join(("unittest", "mock"))

    assert [] == [path.name for path in (ROOT / "tests").rglob("*.py") if word in path.read_text(encoding="utf-8")]


def test_test_files_have_distinct_names() -> None:
    """Folders of tests are no packages, so two files of one name would hide each other."""
    names = [path.name for path in TESTS]

    assert [] == sorted({name for name in names if names.count(name) > 1})


def test_no_prose_is_left_for_later() -> None:
    """No TODO, FIXME or XXX in what is shipped."""
    later = re.compile(r"\b(?:TODO|FIXME|XXX)\b")
    shipped = [*ENGINE, *(ROOT / "mappings").rglob("*.yaml"), *(ROOT / "templates").rglob("*.j2")]

    assert [] == [str(path.relative_to(ROOT)) for path in shipped if later.search(path.read_text(encoding="utf-8"))]
