"""The public face of diagnostics.

What was found is in `problems.py`, what codes mean in `codes.py`, how it looks in `render.py`.
"""

from __future__ import annotations

from engine.language.codes import CODES, CodeInfo
from engine.language.problems import Diagnostic, Mark, Problems, Sources, did_you_mean, nearest
from engine.language.render import render_github, render_json, render_sarif, render_text, summary

__all__ = [
    "CODES",
    "CodeInfo",
    "Diagnostic",
    "Mark",
    "Problems",
    "Sources",
    "did_you_mean",
    "nearest",
    "render_github",
    "render_json",
    "render_sarif",
    "render_text",
    "summary",
]
