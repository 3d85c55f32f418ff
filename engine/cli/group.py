"""The command table: names, modules and one-line helps, so that `engine --help` imports no command."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final

import click

from engine import __version__

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "serve": ("serve", "Run the gateway."),
    "init": ("init", "Write an annotated gateway file."),
    "config": ("config", "Print the effective config with each value's origin."),
    "models": ("models", "List the models of the configured upstreams."),
    "list": ("list", "List the mappings in use."),
    "validate": ("validate", "Check mappings and gateway files; all problems at once."),
    "test": ("test", "Run the cases that stand in mappings."),
    "translate": ("translate", "Show the upstream request of a client's request, or the answer of a reply."),
    "explain": ("explain", "Translate, and say which line of which file made each value."),
    "trace": ("trace", "Show what each frame of a recorded stream becomes."),
    "eval": ("eval", "Evaluate an expression or a template on a sample."),
    "flatten": ("flatten", "Print a mapping with its parents and overlays merged in."),
    "schema": ("schema", "Print the JSON Schema of a kind of file, for editors."),
    "new": ("new", "Draft an endpoint from a curl command and a sample of the reply."),
    "try": ("trying", "Make one live call and show what became of it."),
    "mock": ("mock", "Run the bundled mock upstream."),
}
"""Command name to its module below `engine.cli` and its line in the overview, in the order of the overview."""

_MAIN_HELP: Final = """A gateway for language models in which every endpoint is a YAML file.

\b
Start without a key and without a network, with any ID that `engine list` shows:
  engine serve --mock --endpoint ID
Check your own mappings:
  engine validate ./mappings
"""


HELP_NAMES: Final = ["-h", "--help"]
"""How help is asked for."""


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"engine.cli.{COMMANDS[cmd_name][0]}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The overview, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest name for one that is unknown."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from engine.language.problems import nearest

            close = nearest(args[0], COMMANDS)
            ctx.fail(f"no such command '{args[0]}'" + (f"; did you mean '{close}'?" if close else "."))
        return super().resolve_command(ctx, args)


root = LazyGroup(
    "engine",
    help=_MAIN_HELP,
    context_settings={"help_option_names": HELP_NAMES, "max_content_width": 110},
    params=[
        click.Option(
            ["--version"], is_flag=True, is_eager=True, expose_value=False, help="Show the version and exit.",
            callback=lambda ctx, _param, value: _show_version(ctx) if value else None,
        )
    ],
)  # fmt: skip
"""The whole command line."""


def _show_version(ctx: click.Context) -> None:
    click.echo(f"engine {__version__}")
    ctx.exit()


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; click's own messages are printed here.

    Not through `root.main`, which answers a reader that went away (`engine list | head`) with exit code 1 by itself.
    """
    if "_ENGINE_COMPLETE" in os.environ:
        root.main(prog_name="engine")
    try:
        with root.make_context("engine", list(sys.argv[1:] if arguments is None else arguments)) as context:
            result = root.invoke(context)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    return result if isinstance(result, int) else 0
