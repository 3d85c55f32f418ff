"""From a `gateway/1` file, the environment and flags to the config that runs.

Two steps, since endpoints are looked up in folders that the config names:
`load_config` reads and checks everything that needs no mapping; `gateway_binding.bind_config` then checks upstreams
against their endpoints and reads their secrets. Each reports all its problems at once, with positions.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn

from engine.config import GatewayConfig
from engine.errors import MappingError
from engine.language.diagnostics import Mark, Problems, Sources, render_text
from engine.language.gateway_build import build_config
from engine.language.gateway_layers import NO_FILE, lay_environment, lay_flags, place
from engine.language.gateway_shape import GATEWAY
from engine.language.reader import MappingNode, read_file
from engine.types import Json

DEFAULT_FILE: Final = Path("engine.yaml")


def load_config(
    path: Path | None, *, environment: Mapping[str, str], flags: Mapping[str, Json] | None = None
) -> GatewayConfig:
    """Read a gateway config. `path` is `--config`; without it `$ENGINE_CONFIG`, then `./engine.yaml` if it is there.

    Without any file the flags `endpoint` and `options` make one upstream and one route. `flags` are named by dotted
    key (`listen.port`, see `gateway_layers.FLAGS`); a None counts as not given. Raises MappingError with every problem.
    """
    problems, sources = Problems(), Sources()
    file = find_file(path, environment)
    tree = _read_tree(file, problems, sources)
    if tree is None:
        raise_problems(problems, sources)
    lay_environment(tree, GATEWAY, environment, problems)
    lay_flags(tree, flags or {}, problems)
    config = None
    if _has_its_shape(tree, problems):
        config = build_config(tree, file, environment, problems)
    if config is None or problems.has_errors():
        raise_problems(problems, sources)
    return config


def _has_its_shape(tree: MappingNode, problems: Problems) -> bool:
    before = len(problems.errors)
    GATEWAY.check(tree, "", problems)
    return len(problems.errors) == before


def find_file(path: Path | None, environment: Mapping[str, str]) -> Path | None:
    """The config file in use: the given one, `$ENGINE_CONFIG`, `./engine.yaml` if it exists, or none."""
    if path is not None:
        return path
    if environment.get("ENGINE_CONFIG"):
        return Path(environment["ENGINE_CONFIG"])
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None


def raise_problems(problems: Problems, sources: Sources) -> NoReturn:
    """Raise MappingError with all that was found."""
    raise MappingError(problems.items, render_text(problems.items, sources))


def _read_tree(file: Path | None, problems: Problems, sources: Sources) -> MappingNode | None:
    if file is None:
        tree = MappingNode(Mark(NO_FILE, 1, 1))
        place(tree, ("mapping",), "gateway/1", NO_FILE)
        return tree
    node = read_file(file, problems, sources)
    if node is None:
        return None
    if not isinstance(node, MappingNode) or "mapping" not in node.entries:
        problems.add("E020", "a gateway config begins with `mapping: gateway/1`", node.mark,
                     help=("`engine init` writes one to begin with",))  # fmt: skip
        return None
    return node
