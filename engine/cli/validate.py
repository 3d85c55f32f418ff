"""`engine validate`: every check on mappings and gateway files, their inline tests included."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import click

from engine.cli.gateways import check_gateway
from engine.cli.selection import Selection, select
from engine.language.diagnostics import (
    Diagnostic,
    Sources,
    render_github,
    render_json,
    render_sarif,
    render_text,
)
from engine.language.testing import run_tests

_HELP: Final = """Check mappings and gateway files, and run the tests that stand in them.

PATHS are files, folders, `folder/...` or globs; without any, ./mappings (if it is there) and the shipped mappings.
They are read before the shipped mappings, so a file may extend a shipped one. All problems are shown at once.
Of a gateway file it also says what its clients will be refused, for each dialect over each upstream.

\b
Exit code: 0 clean, 1 problems (with --release warnings too), 2 wrong usage.

\b
Examples:
  engine validate
  engine validate my-mappings/acme-chat.yaml engine.yaml
  engine validate my-mappings --release --format github
"""


def _text(found: Sequence[Diagnostic], sources: Sources) -> str:
    return render_text(found, sources, color=sys.stdout.isatty())


_FORMATS: Final[Mapping[str, Callable[[Sequence[Diagnostic], Sources], str]]] = {
    "text": _text,
    "json": lambda found, _: render_json(found),
    "sarif": lambda found, _: render_sarif(found),
    "github": lambda found, _: render_github(found),
}


@click.command("validate", help=_HELP)
@click.argument("paths", nargs=-1)
@click.option("--format", "form", type=click.Choice(list(_FORMATS)), default="text", help="How problems are printed.")
@click.option("--release", is_flag=True, help="Warnings count as problems too.")
def command(paths: tuple[str, ...], form: str, release: bool) -> int:
    """Check, print, and return the exit code."""
    selection = select(paths)
    gateways = [each for each in selection.documents() if each.kind == "gateway"]
    refused = [text for each in gateways if (text := check_gateway(each, selection.catalog))]
    ran = run_tests(selection.catalog, selection.files).total
    found = selection.problems()
    click.echo(_FORMATS[form](found, selection.catalog.sources), nl=False)
    if form == "text":
        for text in refused:
            click.echo(text)
        click.echo(_closing(selection, ran, found))
    return int(any(release or item.severity == "error" for item in found))


def _closing(selection: Selection, ran: int, found: Sequence[Diagnostic]) -> str:
    files, result = len(selection.files), "" if found else ": no problems"
    return f"checked {files} file{'' if files == 1 else 's'}, ran {ran} test{'' if ran == 1 else 's'}{result}"
