"""The key that a caller would send, for commands that ask upstreams themselves, and which config they work with."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import click

from engine.config import GatewayConfig, UpstreamConfig
from engine.types import Secret

_FLAG: Final = "--caller-key-env"

caller_key_option: Final = click.option(
    _FLAG, metavar="NAME", help="Variable with the key that a caller would send (`pass_through`)."
)


def read_caller_key(name: str | None, config: GatewayConfig, upstreams: Iterable[UpstreamConfig]) -> Secret | None:
    """The value of the variable. Raises UsageError where it is not set, or where all upstreams need one and none is."""
    from engine.gateway.targets import uses_caller_key

    if name is not None:
        value = os.environ.get(name)
        if not value:
            raise click.UsageError(f"{_FLAG}: the variable {name} is not set")
        return Secret(value)
    if all(map(uses_caller_key, upstreams)):
        raise click.UsageError(
            f"this config sends each caller's own key on{config_in_use(config)}; say which variable holds one: "
            f"{_FLAG} NAME"
        )
    return None


def config_in_use(config: GatewayConfig) -> str:
    """` (config: ./engine.yaml)`, or nothing where no file is in use."""
    if config.file is None:
        return ""
    file = config.file
    return f" (config: {file if file.is_absolute() or file.parent != Path() else f'./{file}'})"
