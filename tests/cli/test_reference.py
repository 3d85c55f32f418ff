"""The generated reference pages of the command line are what the code says today."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.cli.reference import cli_markdown, messages_markdown

ROOT = Path(__file__).parent.parent.parent
PAGES = {
    "cli.md": cli_markdown,
    "messages.md": lambda: messages_markdown(ROOT / "tests" / "diagnostics"),
}


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_current(name: str) -> None:
    """UPDATE_CASES=1 rewrites it."""
    page = ROOT / "docs" / "reference" / name
    text = PAGES[name]()
    if os.environ.get("UPDATE_CASES") == "1":
        page.write_text(text, encoding="utf-8")

    assert text == page.read_text(encoding="utf-8")
