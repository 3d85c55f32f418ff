"""`engine new`: the first draft of a mapping from what an API's documentation shows."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from engine.cli.arguments import read_bytes

_HELP: Final = """Draft an endpoint from a curl command and a sample of the reply.

The draft validates at once and has a case for the command and for each sample. What looks like the model, the messages,
the prompt and the usual parameters becomes expressions, all else stays as it is. Comments with CHECK say what was
guessed. The command is read, not run, and no credential is written: the file names a variable instead.

A sample is a whole reply, as JSON, or a recorded stream (server-sent events, or JSON in lines); give both if there are
both. Tools are drafted where the command offers some and a sample shows a call.

\b
Examples:
  engine new endpoint --from-curl call.sh --sample reply.json
  engine new endpoint --from-curl call.sh --sample reply.json --id acme.chat --out mappings/acme.yaml
  engine new endpoint --from-curl call.sh --sample reply.json --sample stream.txt
"""


@click.command("new", help=_HELP)
@click.argument("kind", type=click.Choice(("endpoint",)))
@click.option("--from-curl", "curl", metavar="FILE", required=True, help="The command; - reads standard input.")
@click.option(
    "--sample",
    "files",
    metavar="FILE",
    required=True,
    multiple=True,
    help="A reply of the API as JSON, or a recorded stream; may be repeated.",
)
@click.option("--id", "identifier", metavar="ID", help="The endpoint's id (default: from the host).")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write a file instead.")
def command(kind: str, curl: str, files: tuple[str, ...], identifier: str | None, out: Path | None) -> int:
    """Draft, write or print, and return the exit code."""
    import re

    from engine.cli.sketch.curl import read_curl
    from engine.cli.sketch.file import draft_file
    from engine.cli.sketch.samples import read_samples
    from engine.language.documents import ID_PATTERN

    if out is not None and out.exists():
        raise click.UsageError(f"{str(out)!r} is there already; name another file")
    if identifier is not None and not re.fullmatch(ID_PATTERN, identifier):
        raise click.UsageError(f"{identifier!r} is no id: lower-case words joined by dots, such as acme.chat")
    folder = Path(curl).parent if curl != "-" else Path()
    call = read_curl(read_bytes(curl).decode("utf-8", "replace"), folder)
    text = draft_file(call, read_samples(files), identifier, str(out or f"{identifier or 'draft'}.yaml"))
    if out is None:
        click.echo(text, nl=False)
        return 0
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"cannot write {str(out)!r}: {error.strerror}") from error
    click.echo(f"wrote {out}; check it with: engine validate {out}")
    return 0
