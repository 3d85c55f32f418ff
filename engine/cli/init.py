"""`engine init`: write an annotated gateway file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from engine.cli.arguments import endpoint_of, load, mappings_option
from engine.language.gateway_example import annotated_example

_HELP: Final = """Write a gateway file in which every key is explained (default: ./engine.yaml).

\b
Examples:
  engine init
  engine init deploy/engine.yaml --endpoint acme.chat
"""


@click.command("init", help=_HELP)
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path), default=Path("engine.yaml"), required=False)
@click.option("--endpoint", metavar="ID", help="The endpoint that the file names (default: the first there is).")
@mappings_option
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
def command(path: Path, endpoint: str | None, folders: tuple[Path, ...], force: bool) -> int:
    """Write, and return the exit code. Raises UsageError for an endpoint that there is not."""
    catalog = load(folders)
    named = endpoint_of(catalog, endpoint or min(catalog.endpoints)).id
    if path.exists() and not force:
        raise click.UsageError(f"{str(path)!r} is there already; --force overwrites it")
    try:
        path.write_text(annotated_example(named), encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"cannot write {str(path)!r}: {error.strerror}") from error
    click.echo(f"wrote {path}; run it with: engine serve --config {path}")
    return 0
