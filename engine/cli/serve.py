"""`engine serve`: run the gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from engine.cli.deployment import LOG_LEVELS, deploy, deployment_options
from engine.config import PRINT_STAGES

_HELP: Final = """Run the gateway until it is stopped; requests in flight finish first.

Flags come before the environment, the environment before the file. Keys are never given on the command line: name
their variable or file under `secrets` in the config, or use the mapping's own default.

\b
Examples:
  engine serve --mock --endpoint ID
  engine serve --config engine.yaml
  engine serve --endpoint acme.chat --option base_url=https://proxy.example --port 8080
"""


@click.command("serve", help=_HELP)
@deployment_options
@click.option("--mock-option", "mock_options", multiple=True, metavar="K=V",
              help="With --mock: set an option of the mocks, such as streaming=true; may be repeated.")  # fmt: skip
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes that share the port.")
@click.option("--print", "stages", multiple=True, type=click.Choice(PRINT_STAGES), metavar="NAME",
              help=f"Show whole messages, secrets masked; may be repeated: {', '.join(PRINT_STAGES)}.")  # fmt: skip
@click.option("--force-upstream", metavar="NAME", help="Send everything to this upstream, whatever the routes say.")
@click.option("--allow-open", is_flag=True, help="Allow `clients.auth: open` on an address that others can reach.")
@click.option("--log-level", type=click.Choice(LOG_LEVELS), help="The least level that is logged.")
@click.option("--log-format", type=click.Choice(("text", "json")), help="How the log is written.")
def command(  # noqa: PLR0913  # click hands over one argument per flag
    config_file: Path | None, endpoint: str | None, options: tuple[str, ...], folders: tuple[Path, ...], mock: bool,
    mock_options: tuple[str, ...],
    host: str | None, port: int | None, workers: int | None, stages: tuple[str, ...], force_upstream: str | None,
    allow_open: bool, log_level: str | None, log_format: str | None,
) -> int:  # fmt: skip # click hands over one argument per flag
    """Serve, and return the exit code."""
    flags = {
        "listen.host": host,
        "listen.port": port,
        "workers": workers,
        "log.print": list(stages) or None,
        "log.level": log_level,
        "log.format": log_format,
        "force_upstream": force_upstream,
        "clients.allow_open": allow_open or None,
    }
    with deploy(
        config_file, endpoint, options, folders, mock=mock, flags=flags, mock_options=mock_options
    ) as deployment:
        from engine.language.writing import warm
        from engine.server.run import run

        # Before workers are forked, so that they share what is made; no first request has to wait for it.
        upstreams = deployment.config.upstreams.values()
        warm([deployment.catalog.endpoints[each.endpoint] for each in upstreams])
        warm([each.tools for each in upstreams])
        warm(deployment.catalog.dialects)
        return run(deployment.config, deployment.catalog)
