"""`engine test`: run the cases that stand in mappings."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Final

import click

from engine.cli.selection import Selection, select
from engine.language.cases import cases_of
from engine.language.catalog import Catalog
from engine.language.diagnostics import did_you_mean, render_text
from engine.language.testing import TestReport, run_tests

_HELP: Final = """Run the cases that stand in mappings under `tests:`.

PATHS as for `engine validate`. A mapping runs its parents' cases too, where it changes nothing they exercise.

\b
Exit code: 0 all passed, 1 a case failed or a mapping is broken, 2 wrong usage or nothing ran.

\b
Examples:
  engine test
  engine test my-mappings
  engine test --mapping acme.chat -v
"""


@click.command("test", help=_HELP)
@click.argument("paths", nargs=-1)
@click.option("--mapping", "mappings", multiple=True, metavar="ID", help="Only this mapping; may be repeated.")
@click.option("-v", "--verbose", is_flag=True, help="Name every case.")
def command(paths: tuple[str, ...], mappings: tuple[str, ...], verbose: bool) -> int:
    """Run the cases, print counts and failures, and return the exit code."""
    selection = select(paths)
    _require_known(selection, mappings)
    report = run_tests(selection.catalog, mappings or selection.files)
    errors = [item for item in selection.problems() if item.severity == "error"]
    _print_counts(selection.catalog, report, verbose)
    if errors:
        click.echo()
        click.echo(render_text(errors, selection.catalog.sources, color=sys.stdout.isatty()), nl=False)
        return 1
    if not report.total:
        click.echo("no case ran: the mappings have no `tests:`", err=True)
        return 2
    click.echo(f"{report.total} passed")
    return 0


def _require_known(selection: Selection, wanted: Collection[str]) -> None:
    known = [identifier for _, identifier in selection.catalog.resolved]
    for identifier in wanted:
        if identifier not in known:
            raise click.UsageError(f"there is no mapping {identifier!r}; {' '.join(did_you_mean(identifier, known))}")


def _print_counts(catalog: Catalog, report: TestReport, verbose: bool) -> None:
    failed = {(failure.case.mapping, failure.case.mark) for failure in report.failed}
    width = max(map(len, report.ran), default=0)
    for name in report.ran:
        kind, _, identifier = name.partition(":")
        cases = list(cases_of(catalog.resolved[(kind, identifier)]))
        bad = {case.name for case in cases if (identifier, case.mark) in failed}
        counts = f"{len(cases) - len(bad)} passed" + (f", {len(bad)} failed" if bad else "")
        click.echo(f"{name:<{width}}  {counts}")
        for case in cases if verbose else ():
            inherited = " (inherited)" if case.inherited else ""
            click.echo(f"  {'FAIL' if case.name in bad else 'ok  '} {case.name}{inherited}")
