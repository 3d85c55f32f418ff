"""`engine models`: the models that clients of the gateway can name."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import click

from engine.cli.arguments import dump
from engine.cli.caller_key import caller_key_option, config_in_use, read_caller_key
from engine.cli.deployment import Deployment, deploy, deployment_options
from engine.cli.table import print_table
from engine.errors import UpstreamError
from engine.types import JsonObject, Secret

_HELP: Final = """List the models of the configured upstreams, aliases and renamed models included.

The upstreams are asked, so their keys are needed (or --mock).

\b
Examples:
  engine models --config engine.yaml
  engine models --endpoint acme.chat --json
  engine models --endpoint acme.chat --mock
"""


@click.command("models", help=_HELP)
@deployment_options
@caller_key_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    config_file: Path | None, endpoint: str | None, options: tuple[str, ...], folders: tuple[Path, ...], mock: bool,
    caller_key_env: str | None, as_json: bool,
) -> int:  # fmt: skip
    """List, print, and return the exit code."""
    with deploy(config_file, endpoint, options, folders, mock=mock) as deployment:
        config = deployment.config
        key = read_caller_key(caller_key_env, config, config.upstreams.values())
        try:
            models = asyncio.run(_fetch(deployment, key))
        except UpstreamError as error:
            detail = f"\n  {error.detail}" if error.detail else ""
            click.echo(f"{error.message}{config_in_use(config)}{detail}", err=True)
            return 1
    if as_json:
        click.echo(dump(models))
    else:
        columns = ("id", "name", "kind", "context_tokens", "max_output_tokens")
        print_table(columns, [[_cell(model.get(column)) for column in columns] for model in models])
    return 0


def _cell(value: object) -> str:
    return "-" if value is None else str(value)


async def _fetch(deployment: Deployment, key: Secret | None) -> list[JsonObject]:
    from engine.gateway.call import Caller
    from engine.gateway.gateway import Gateway
    from engine.server.run import json_codec

    gateway = Gateway(deployment.config, deployment.catalog, json_codec())
    try:
        return await gateway.models.union(Caller("cli", key))
    finally:
        await gateway.close()
