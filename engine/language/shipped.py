"""Where the shipped mappings and templates are: beside the package in a checkout, inside it in an installed wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).resolve().parent.parent


def _shipped(name: str) -> Path:
    inside = _PACKAGE / "shipped" / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


MAPPINGS: Final = _shipped("mappings")
"""The shipped mappings folder."""

TEMPLATES: Final = _shipped("templates")
"""The shipped templates folder."""
