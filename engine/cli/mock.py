"""`engine mock`: run the bundled mock upstream alone."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Final

import click

from engine.cli.arguments import load, mappings_option, parse_options
from engine.cli.deployment import no_mock
from engine.language.catalog import Catalog
from engine.mock.server import serve_mock
from engine.translate.mock_plan import MockPlan
from engine.types import JsonObject

_HELP: Final = """Run mocks of upstreams until stopped, and print the base URL of each endpoint they stand for.

\b
Examples:
  engine mock
  engine mock --endpoint acme.chat --port 9000
  engine mock --option streaming=true
"""


@click.command("mock", help=_HELP)
@click.option(
    "--endpoint", "endpoints", multiple=True, metavar="ID", help="Only this endpoint's mock; may be repeated."
)
@mappings_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port to listen on (default: a free one).")
@click.option("--option", "options", multiple=True, metavar="K=V", help="Set an option of the mocks; may be repeated.")
def command(
    endpoints: tuple[str, ...], folders: tuple[Path, ...], host: str, port: int, options: tuple[str, ...]
) -> int:
    """Serve, and return the exit code."""
    plans = _wanted(load(folders), endpoints)
    given = parse_options(options, {name: spec for plan in plans for name, spec in plan.options.items()})
    try:
        asyncio.run(_serve(plans, host, port, given))
    except OSError as problem:
        click.echo(f"engine: cannot listen on {host}:{port}: {problem.strerror or problem}", err=True)
        return 1
    return 0


def _wanted(catalog: Catalog, endpoints: tuple[str, ...]) -> list[MockPlan]:
    served = sorted({each for plan in catalog.mocks.values() for each in plan.serves})
    for endpoint in endpoints:
        if endpoint not in served:
            raise click.UsageError(no_mock(endpoint, served))
    return [plan for plan in catalog.mocks.values() if not endpoints or set(endpoints) & set(plan.serves)]


async def _serve(plans: list[MockPlan], host: str, port: int, options: JsonObject) -> None:
    running, stopped = await serve_mock(plans, host, port, options), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    for plan in plans:
        for endpoint in plan.serves:
            click.echo(f"{endpoint}  {running.url_of(endpoint)}")
    await stopped.wait()
    await running.close()
