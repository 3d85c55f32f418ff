"""`engine config`: the effective config, and where each value came from."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

import click

from engine.cli.arguments import dump
from engine.cli.deployment import config_option
from engine.cli.table import print_table
from engine.language.gateway_config import load_config
from engine.language.gateway_example import effective

_HELP: Final = """Print the effective config: every key, its value, and the flag, variable, line or default behind it.

Secrets are shown as the place they come from, never as a value.

\b
Examples:
  engine config
  engine config --config engine.yaml --json
"""


@click.command("config", help=_HELP)
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(config_file: Path | None, as_json: bool) -> int:
    """Print, and return the exit code."""
    rows = effective(load_config(config_file, environment=os.environ))
    if as_json:
        click.echo(dump({key: {"value": json.loads(value), "origin": origin} for key, value, origin in rows}))
    else:
        print_table(("key", "value", "origin"), rows)
    return 0
