"""`engine list`: the mappings that a load finds."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from engine.cli.arguments import dump, load, mappings_option
from engine.cli.table import print_table
from engine.language.cases import cases_of
from engine.language.catalog import Catalog
from engine.types import JsonObject

_HELP: Final = """List all mappings: kind, id, title, file, digest of the compiled content, and number of tests.

A mapping without a digest is a parent that is never served, an overlay, or broken (`engine validate` says why).

\b
Examples:
  engine list
  engine list --mappings my-mappings --json
"""


@click.command("list", help=_HELP)
@mappings_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(folders: tuple[Path, ...], as_json: bool) -> int:
    """Print the table."""
    catalog = load(folders)
    rows = _rows(catalog)
    if as_json:
        click.echo(dump(rows))
    else:
        columns = ("kind", "id", "title", "tests", "digest", "file")
        print_table(columns, [[str(row[name] if row[name] is not None else "-") for name in columns] for row in rows])
    if catalog.problems.has_errors():
        click.echo("some mappings have errors: run `engine validate`", err=True)
    return 0


def _rows(catalog: Catalog) -> list[JsonObject]:
    digests = {
        **{("endpoint", each.id): each.digest for each in catalog.endpoints.values()},
        **{("dialect", each.id): each.digest for each in catalog.dialects.values()},
        **{("toolformat", each.id): each.digest for each in catalog.toolformats.values()},
        **{("mock", each.id): each.digest for each in catalog.mocks.values()},
    }
    rows = []
    for document in catalog.documents:
        key = (document.kind, document.id)
        resolved = catalog.resolved.get(key)
        shadowed = resolved is not None and resolved.document is not document
        rows.append({
            "kind": document.kind,
            "id": document.id,
            "title": document.text("title") or ("(hidden by a file before it)" if shadowed else None),
            "abstract": document.flag("abstract"),
            "tests": len(list(cases_of(resolved))) if resolved is not None and not shadowed else 0,
            "digest": None if shadowed else digests.get(key),
            "file": _seen_from_here(document.file),
        })  # fmt: skip
    return sorted(rows, key=lambda row: (row["kind"], row["id"]))


def _seen_from_here(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_absolute() and path.is_relative_to(Path.cwd()) else file
