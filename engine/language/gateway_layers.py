"""The layers of a gateway config, laid over each other as one tree of nodes: flag > environment > file > default.

A value from a flag or a variable becomes a node whose mark names the flag or the variable, so that one check over the
merged tree reports every problem with its place, and each effective value knows its origin.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from engine.config import Origin
from engine.language.diagnostics import Mark, Problems, did_you_mean
from engine.language.reader import Entry, MappingNode, Node, ScalarNode, SequenceNode, from_json
from engine.language.scalars import resolve_plain
from engine.language.shapes import Bool, ListOf, MapOf, Number, Object, Shape
from engine.types import Json, JsonObject

NAMED_VARIABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "ENGINE_HOST": ("listen", "host"),
    "ENGINE_PORT": ("listen", "port"),
    "ENGINE_WORKERS": ("workers",),
    "ENGINE_LOG_LEVEL": ("log", "level"),
    "ENGINE_FORCE_UPSTREAM": ("force_upstream",),
}
"""The variables that have names of their own, and the key each sets. `ENGINE_CONFIG` is read before all layers."""

FLAGS: Final[Mapping[str, str]] = {
    "listen.host": "--host",
    "listen.port": "--port",
    "workers": "--workers",
    "force_upstream": "--force-upstream",
    "mappings": "--mappings",
    "log.print": "--print",
    "log.level": "--log-level",
    "log.format": "--log-format",
    "clients.allow_open": "--allow-open",
}
"""The keys that flags can set, by dotted path. `endpoint` and `options` are flags too, see `lay_endpoint`."""

GENERIC_PREFIX: Final = "ENGINE__"
NO_FILE: Final = "(no config file)"
"""What marks say where a file's name would stand when there is none."""

Path = tuple[str, ...]


def place(tree: MappingNode, path: Sequence[str], value: Json, source: str) -> None:
    """Set a value in the tree, making the sections on its way; `source` names the flag or variable."""
    mark = Mark(source, 1, 1)
    node = tree
    for key in path[:-1]:
        below = node.get(key)
        if not isinstance(below, MappingNode):
            below = MappingNode(mark)
            node.entries[key] = Entry(_key_node(key, mark), below)
        node = below
    node.entries[path[-1]] = Entry(_key_node(path[-1], mark), from_json(value, mark))


def _key_node(key: str, mark: Mark) -> ScalarNode:
    return ScalarNode(mark, key, key)


def lay_environment(tree: MappingNode, shape: Object, environment: Mapping[str, str], problems: Problems) -> None:
    """Lay the environment over the tree: the named variables, then `ENGINE__SECTION__KEY` in alphabetical order."""
    for name, path in NAMED_VARIABLES.items():
        if environment.get(name):
            place(tree, path, parse_text(shape_at(shape, path), environment[name]), name)
    for name in sorted(environment):
        if name.startswith(GENERIC_PREFIX):
            _lay_generic(tree, shape, name, environment[name], problems)


def _lay_generic(tree: MappingNode, shape: Object, name: str, text: str, problems: Problems) -> None:
    path: list[str] = []
    at: Shape = shape
    node: Node | None = tree
    for part in name.removeprefix(GENERIC_PREFIX).split("__"):
        known = _keys_at(at, node)
        key = next((key for key in known if _as_variable(key) == part), None)
        if key is None and isinstance(at, MapOf) and part:
            key = part.lower()
        below = _below(at, key)
        if key is None or below is None:
            prefix = GENERIC_PREFIX + "".join(f"{_as_variable(one)}__" for one in path)
            candidates = [prefix + _as_variable(one) for one in known]
            message = f"the environment variable {name} sets no key of the gateway config"
            problems.add("E250", message, Mark(name, 1, 1), help=did_you_mean(name, candidates))
            return
        path.append(key)
        at = below
        node = node.get(key) if isinstance(node, MappingNode) else None
    place(tree, path, parse_text(at, text), name)


def _keys_at(shape: Shape, node: Node | None) -> list[str]:
    if isinstance(shape, Object):
        return list(shape.fields)
    return list(node.entries) if isinstance(shape, MapOf) and isinstance(node, MappingNode) else []


def _as_variable(key: str) -> str:
    return key.upper().replace("-", "_").replace(".", "_")


def _below(shape: Shape, key: str | None) -> Shape | None:
    if isinstance(shape, Object):
        return shape.fields[key].shape if key is not None and key in shape.fields else None
    return shape.item if isinstance(shape, MapOf) else None


def shape_at(shape: Shape, path: Sequence[str]) -> Shape:
    """The shape of a key path. Raises KeyError for a path that does not exist."""
    for key in path:
        below = _below(shape, key)
        if below is None:
            raise KeyError(".".join(path))
        shape = below
    return shape


def parse_text(shape: Shape, text: str) -> Json:
    """A variable's text as the shape wants it: numbers and booleans as YAML writes them, lists by commas, else JSON."""
    if isinstance(shape, Number | Bool):
        try:
            return resolve_plain(text.strip())
        except ValueError:
            return text
    if isinstance(shape, ListOf) and not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    if isinstance(shape, ListOf | Object | MapOf):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def lay_flags(tree: MappingNode, flags: Mapping[str, Json], problems: Problems) -> None:
    """Lay the flags over the tree. Keys are those of `FLAGS`, `endpoint` and `options`; None means not given.

    `mappings` is put before the file's folders, since a flag adds a folder rather than hiding the others.
    """
    for key, value in flags.items():
        if value is None or key in ("endpoint", "options"):
            continue
        if key not in FLAGS:
            raise KeyError(f"no flag sets {key!r}")
        if key == "mappings":
            value = [*value, *_texts(tree.get("mappings"))]
        place(tree, key.split("."), value, FLAGS[key])
    if flags.get("endpoint"):
        _lay_endpoint(tree, str(flags["endpoint"]), flags.get("options") or {})
    elif flags.get("options"):
        problems.add(
            "E250", "--option needs --endpoint", Mark("--option", 1, 1),
            help=("in a gateway file, options stand at the upstream: upstreams.NAME.options",),
        )  # fmt: skip


def _texts(node: Node | None) -> list[str]:
    return [item.text for item in node.items if isinstance(item, ScalarNode)] if isinstance(node, SequenceNode) else []


def _lay_endpoint(tree: MappingNode, endpoint: str, options: JsonObject) -> None:
    """`--endpoint ID`: one upstream of that name, and one route to it."""
    for section in ("upstreams", "routes"):
        tree.entries.pop(section, None)
    place(tree, ("upstreams", endpoint, "endpoint"), endpoint, "--endpoint")
    place(tree, ("routes", "default", "to"), endpoint, "--endpoint")
    for name, value in options.items():
        place(tree, ("upstreams", endpoint, "options", name), value, "--option")


def fill(shape: Shape, value: Json) -> Json:
    """The value with every default of the shape filled in, at any depth; keys in the order of the shape."""
    if isinstance(shape, Object) and isinstance(value, dict):
        fields = shape.fields
        merged = {key: known.default for key, known in fields.items() if known.default is not None or key in value}
        merged |= value
        return {key: fill(fields[key].shape, item) if key in fields else item for key, item in merged.items()}
    if isinstance(shape, MapOf) and isinstance(value, dict):
        return {key: fill(shape.item, item) for key, item in value.items()}
    if isinstance(shape, ListOf) and isinstance(value, list):
        return [fill(shape.item, item) for item in value]
    return value


def origins_of(tree: MappingNode, document: JsonObject) -> dict[str, Origin]:
    """For each leaf of the filled document, by dotted path, where it came from."""
    found: dict[str, Origin] = {}
    _collect(tree, document, (), None, found)
    return found


def _collect(node: Node | None, value: Json, path: Path, key: Mark | None, found: dict[str, Origin]) -> None:
    if isinstance(value, dict) and value:
        for name, item in value.items():
            entry = node.entries.get(name) if isinstance(node, MappingNode) else None
            below = (None, None) if entry is None else (entry.value, entry.key.mark)
            _collect(below[0], item, (*path, name), below[1], found)
        if not path:
            return
    found[".".join(path)] = _origin(node, key)


def _origin(node: Node | None, key: Mark | None) -> Origin:
    if node is None or node.mark.file == NO_FILE:
        return Origin("default", "default")
    mark = node.mark
    if mark.file.startswith("--"):
        return Origin("flag", f"flag {mark.file}", mark, key)
    if mark.file.startswith("ENGINE_"):
        return Origin("environment", f"environment {mark.file}", mark, key)
    return Origin("file", str(mark), mark, key)
