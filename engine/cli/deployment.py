"""A deployment from the command line: config, catalog and, with `--mock`, stand-ins for every upstream."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import click

from engine.cli.arguments import mappings_option, options_option, own_folders, parse_options
from engine.config import GatewayConfig, UpstreamConfig
from engine.language.catalog import Catalog, load_catalog
from engine.language.gateway_binding import bind_config
from engine.language.gateway_config import load_config
from engine.mock.server import MockServer
from engine.types import Json, JsonObject

config_option: Final = click.option(
    "--config",
    "config_file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The gateway file (default: $ENGINE_CONFIG, then ./engine.yaml).",
)


@dataclass(frozen=True, slots=True)
class Deployment:
    """A bound config and its catalog, ready for a gateway."""

    config: GatewayConfig
    catalog: Catalog


def deployment_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The arguments that say what is deployed."""
    for add in reversed((
        config_option,
        click.option("--endpoint", metavar="ID", help="Serve this one endpoint; needs no file."),
        options_option,
        mappings_option,
        click.option("--mock", is_flag=True, help="Use the bundled mocks as upstreams; needs no key and no network."),
    )):  # fmt: skip
        command = add(command)
    return command


@contextmanager
def deploy(
    config_file: Path | None, endpoint: str | None, options: tuple[str, ...], folders: tuple[Path, ...], *,
    mock: bool, flags: Mapping[str, Json] | None = None, mock_options: tuple[str, ...] = (),
) -> Iterator[Deployment]:  # fmt: skip
    """Load everything and hand it out; the mocks run as long as the block does. Raises MappingError.

    `mock_options` are `K=V` texts for the mocks.
    """
    given: JsonObject = {
        "endpoint": endpoint,
        "options": parse_options(options) or None,
        "mappings": [str(folder) for folder in folders] or None,
        **(flags or {}),
    }
    config = load_config(config_file, environment=os.environ, flags=given)
    catalog = load_catalog(config.mappings or own_folders())
    if not mock:
        bound = bind_config(
            config, catalog.endpoints, environment=os.environ, toolformats=catalog.toolformats,
            dialects=catalog.dialects,
        )  # fmt: skip
        yield Deployment(bound, catalog)
        return
    server = MockServer()
    specs = {name: spec for plan in catalog.mocks.values() for name, spec in plan.options.items()}
    server.start(catalog.mocks.values(), options=parse_options(mock_options, specs))
    try:
        yield Deployment(_bind_to_mocks(config, catalog, server), catalog)
    finally:
        server.stop()


def _bind_to_mocks(config: GatewayConfig, catalog: Catalog, server: MockServer) -> GatewayConfig:
    """Each upstream is bound alone, since each endpoint has its own place on the mock server."""
    bound: dict[str, UpstreamConfig] = {}
    routes = config.routes
    for name, upstream in config.upstreams.items():
        alone = replace(config, upstreams={name: upstream})
        url = _mock_of(catalog, server, upstream.endpoint)
        made = bind_config(
            alone, catalog.endpoints, environment=os.environ, mock_url=url, toolformats=catalog.toolformats,
            dialects=catalog.dialects,
        )  # fmt: skip
        bound[name], routes = made.upstreams[name], made.routes
    return replace(config, upstreams=bound, routes=routes)


def _mock_of(catalog: Catalog, server: MockServer, endpoint: str) -> str:
    """The mock of an endpoint, else that of the nearest endpoint it is made from."""
    resolved = catalog.resolved.get(("endpoint", endpoint))
    for identifier in (endpoint, *((parent.id for parent in resolved.lineage) if resolved is not None else ())):
        url = server.url_of(identifier)
        if url is not None:
            return url
    if endpoint not in catalog.endpoints:
        return server.base_url  # the binding says what is wrong with the name
    served = sorted({each for plan in catalog.mocks.values() for each in plan.serves})
    raise click.UsageError(no_mock(endpoint, served))


def no_mock(endpoint: str, served: Sequence[str]) -> str:
    """What is said of an endpoint that has no mock."""
    return (
        f"there is no mock for {endpoint!r}: a mock is a file of its own, see docs/reference/mock.md; "
        f"mocks stand for: {', '.join(served)}"
    )


LOG_LEVELS: Final = ("debug", "info", "warning", "error")
"""What `--log-level` takes."""
