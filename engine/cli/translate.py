"""`engine translate`: what an upstream would be sent, and what a client would get."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from engine.cli.arguments import (
    dialect_of,
    dump,
    endpoint_of,
    load,
    mappings_option,
    options_option,
    parse_options,
    read_bytes,
)
from engine.cli.readings import lines as reading_lines
from engine.cli.translation import Translation, translate
from engine.translate.losses import Loss
from engine.types import JsonObject

_HELP: Final = """Translate a client's request to the upstream's HTTP request, and print it with the secrets masked.

REQUEST is a file with a client's JSON body in the dialect, `-` for standard input. With --reply, the upstream's reply
in that file is translated back and the client's answer is printed. Losses go to standard error, and where tools were
offered in the prompt, how the reply's text was read for calls. Nothing is sent.

\b
Exit code: 0 translated, 1 refused or failed (the client's error answer is printed), 2 wrong usage.

\b
Examples:
  engine translate --dialect acme.api --endpoint acme.chat request.json
  engine translate --dialect acme.api --endpoint acme.chat request.json --reply reply.json --status 200
"""


def translation_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The arguments that `translate` and `explain` share."""
    for add in reversed((
        click.argument("request_file", metavar="REQUEST"),
        click.option("--dialect", "dialect_id", required=True, metavar="ID", help="The dialect of the request."),
        click.option("--endpoint", "endpoint_id", required=True, metavar="ID", help="The endpoint it is sent to."),
        mappings_option,
        options_option,
        click.option("--reply", "reply_file", metavar="FILE", help="The upstream's reply, to translate back."),
        click.option("--status", type=click.IntRange(100, 599), default=200, help="The reply's status (default: 200)."),
    )):  # fmt: skip
        command = add(command)
    return command


@click.command("translate", help=_HELP)
@translation_options
def command(
    request_file: str, dialect_id: str, endpoint_id: str, folders: tuple[Path, ...], options: tuple[str, ...],
    reply_file: str | None, status: int,
) -> int:  # fmt: skip
    """Translate, print, and return the exit code."""
    catalog = load(folders)
    endpoint, dialect = endpoint_of(catalog, endpoint_id), dialect_of(catalog, dialect_id)
    reply = (status, read_bytes(reply_file)) if reply_file is not None else None
    done = translate(endpoint, dialect, read_bytes(request_file), parse_options(options, dict(endpoint.options)), reply)
    click.echo(dump(done.wire() if done.answer is None else done.answer_json()))
    for loss in done.losses.items:
        click.echo(f"loss: {loss_text(loss)}", err=True)
    for line in reading_lines(done.readings):
        click.echo(line, err=True)
    report_failure(done)
    return 1 if failed(done, reply is not None) else 0


def loss_text(loss: Loss) -> str:
    """A loss in one line: `temperature clamped (acme.chat.params.temperature)`."""
    stage = " in the reply" if loss.stage == "reply" else ""
    return f"{loss.field} {loss.action}{stage}" + (f" ({loss.rule})" if loss.rule else "")


def report_failure(done: Translation) -> None:
    """Say on standard error why the answer is an error; the detail is what a server's log would hold."""
    if done.failure is not None:
        info: JsonObject = done.failure.info.as_json()
        detail = f"\n  {done.failure.detail}" if done.failure.detail else ""
        click.echo(f"{info['type']} ({info['code'] or 'no code'}): {info['message']}{detail}", err=True)


def failed(done: Translation, with_reply: bool) -> bool:
    """Whether it went wrong: an upstream's error reply that became a client's error is a translation like any other."""
    return done.failure is not None and not (with_reply and type(done.failure).__name__ == "UpstreamError")
