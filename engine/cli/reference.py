"""The reference of the command line and of its messages as Markdown, printed from what the commands themselves say.

`python -m engine.cli.reference` prints the page of the command line; `docs/reference/cli.md` is that text, and
`docs/reference/messages.md` is `messages_markdown` of the golden diagnostics; a test compares both.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from engine.cli.group import COMMANDS, HELP_NAMES, root
from engine.language.codes import CODES

_COLUMNS: Final = 100
_CLI_HEAD: Final = """# The command line

<!-- Printed by `python -m engine.cli.reference`. Do not edit by hand. -->

Every command says the same with `--help`.

| exit code | meaning |
|---|---|
| 0 | good |
| 1 | problems were found, or the request was refused |
| 2 | wrong usage |
| 70 | a fault of the engine itself; please report it |
| 130 | interrupted |
"""
_MESSAGES_HEAD: Final = """# Messages

<!-- Made from tests/diagnostics by engine.cli.reference. Do not edit by hand. -->

For each [code](codes.md), a mistake and exactly what `engine validate` says to it.
The mistakes are the files of `tests/diagnostics`.
"""


def cli_markdown() -> str:
    """The page of the command line; ends with a newline."""
    return "\n".join(_cli_lines()).rstrip() + "\n"


def _cli_lines() -> Iterator[str]:
    yield _CLI_HEAD
    for name in COMMANDS:
        parent = click.Context(
            root, info_name="engine", terminal_width=_COLUMNS, max_content_width=_COLUMNS, help_option_names=HELP_NAMES
        )
        command = root.get_command(parent, name)
        assert command is not None
        context = click.Context(command, parent=parent, info_name=name)
        yield f"## engine {name}\n"
        yield f"```text\n{command.get_help(context)}\n```\n"


def messages_markdown(folder: Path) -> str:
    """The page of messages: the golden texts of `folder`, by code; ends with a newline."""
    return "\n".join(_message_lines(folder)).rstrip() + "\n"


def _message_lines(folder: Path) -> Iterator[str]:
    yield _MESSAGES_HEAD
    for code, info in CODES.items():
        texts = sorted(folder.glob(f"{code}_*.txt"))
        if texts:
            yield f"## {code}: {info.title}\n"
        for text in texts:
            what = text.stem.removeprefix(f"{code}_").replace("_", " ")
            yield f"{what[:1].upper()}{what[1:]}:\n"
            yield f"```text\n{text.read_text(encoding='utf-8').rstrip()}\n```\n"


if __name__ == "__main__":
    sys.stdout.write(cli_markdown())
