"""A checked tree of a gateway config to the dataclasses, and what the shape cannot say: names that must exist, keys,
the rules of who may call from where.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from engine.config import (
    ClientKey,
    ClientsConfig,
    ConcurrencyConfig,
    CorsConfig,
    GatewayConfig,
    HeartbeatConfig,
    LimitsConfig,
    ListenConfig,
    LogConfig,
    Origin,
    RouteConfig,
    SecretSource,
    StreamingConfig,
    TimeoutsConfig,
    ToolsConfig,
    UpstreamConfig,
)
from engine.language.canonical import CANONICAL_REQUEST
from engine.language.diagnostics import Mark, Problems, did_you_mean
from engine.language.expressions import compile_expression
from engine.language.gateway_layers import fill, origins_of
from engine.language.gateway_shape import GATEWAY
from engine.language.reader import MappingNode, Node, ScalarNode, SequenceNode, to_json
from engine.language.static_types import OBJECT, STRING, Type, object_of
from engine.secrets import SecretError, read_secret
from engine.translate.patterns import PatternTable
from engine.types import Condition, Json, JsonObject, Scope

WHEN_SCOPE: Final[Mapping[str, Type]] = {
    "req": CANONICAL_REQUEST,
    "model": object_of({"id": STRING}),
    "client": object_of({}, {"name": STRING}),
    "http": object_of({"headers": OBJECT}),
}
"""What a route's `when` sees."""

OPEN_REFUSED: Final = (
    "say who may call: `clients.auth: keys` (our own keys, under clients.keys)",
    "or `clients.auth: pass_through` (each caller's own upstream key, sent on)",
    "or `clients.auth: open` with --allow-open, if whoever reaches this address may spend your quota",
)
"""The one refusal of an open gateway that others can reach; it names the three kinds."""


def build_config(
    tree: MappingNode, file: Path | None, environment: Mapping[str, str], problems: Problems
) -> GatewayConfig:
    """Make the config of a tree that has passed its shape. Problems are added; the result then is not for use."""
    document: JsonObject = fill(GATEWAY, to_json(tree))
    return _Builder(tree, document, file, environment, problems).build()


class _Builder:
    def __init__(
        self,
        tree: MappingNode,
        document: JsonObject,
        file: Path | None,
        environment: Mapping[str, str],
        problems: Problems,
    ) -> None:
        self._tree = tree
        self._document = document
        self._file = file
        self._folder = file.parent if file is not None else Path()
        self._environment = environment
        self._problems = problems
        self._origins: Mapping[str, Origin] = origins_of(tree, document)

    def build(self) -> GatewayConfig:
        document = self._document
        config = GatewayConfig(
            listen=ListenConfig(**document["listen"]),
            mappings=tuple(self._folder_of(index, text) for index, text in enumerate(document["mappings"])),
            upstreams={name: _upstream(name, values, self._folder) for name, values in document["upstreams"].items()},
            routes=self._routes(),
            dialects={name: values["options"] for name, values in document["dialects"].items()},
            aliases=document["aliases"],
            clients=self._clients(),
            limits=LimitsConfig(**document["limits"]),
            timeouts=TimeoutsConfig(**document["timeouts"]),
            concurrency=ConcurrencyConfig(**document["concurrency"]),
            streaming=StreamingConfig(**document["streaming"]),
            log=LogConfig(**{**document["log"], "print": tuple(document["log"]["print"])}),
            cors=CorsConfig(tuple(document["cors"]["origins"]), document["cors"]["max_age_s"]),
            expose_headers=document["expose"]["headers"],
            trusted_proxies=tuple(document["trusted_proxies"]),
            outbound_proxy=document.get("outbound_proxy"),
            force_upstream=document.get("force_upstream"),
            workers=document["workers"],
            drain_s=document["drain_s"],
            models_cache_s=document["models_cache_s"],
            file=self._file,
            document=document,
            origins=self._origins,
        )
        self._check_upstreams(config)
        self._check_networks(config)
        self._check_bind(config)
        return config

    def _report(self, message: str, node: Node | None, help: Sequence[str] = ()) -> None:
        at = node if node is not None else self._tree
        length = at.length if isinstance(at, ScalarNode) else 1
        self._problems.add("E250", message, at.mark, length=length, help=help)

    def _node(self, *path: str | int) -> Node | None:
        node: Node | None = self._tree
        for key in path:
            if isinstance(key, int):
                node = node.items[key] if isinstance(node, SequenceNode) and key < len(node.items) else None
            else:
                node = node.get(key) if isinstance(node, MappingNode) else None
        return node

    def _folder_of(self, index: int, text: str) -> Path:
        node = self._node("mappings", index)
        from_file = node is not None and self._file is not None and node.mark.file == str(self._file)
        folder = (self._folder if from_file else Path()) / Path(text).expanduser()
        if not folder.is_dir():
            self._report(f"there is no folder {text!r}", node)
        return folder

    def _routes(self) -> tuple[RouteConfig, ...]:
        upstreams, routes = self._document["upstreams"], self._document["routes"]
        if not routes and len(upstreams) == 1:
            return (RouteConfig("default", ("*",), next(iter(upstreams)), _always),)
        if not routes and upstreams:
            self._report("there are several upstreams and no route says which serves what", self._node("upstreams"))
        made = tuple(self._route(name, values) for name, values in routes.items())
        for place, route in enumerate(made[:-1]):
            if route.when is None and "*" in route.models:
                behind = made[place + 1].name
                message = f"the route {behind!r} is never taken: {route.name!r} before it takes every model"
                self._report(message, self._node("routes", behind), (f"put it before {route.name!r}",))
                break
        return made

    def _route(self, name: str, values: JsonObject) -> RouteConfig:
        if values["to"] not in self._document["upstreams"]:
            known = did_you_mean(values["to"], self._document["upstreams"])
            message = f"route {name!r} leads to {values['to']!r}, which is no upstream"
            self._report(message, self._node("routes", name, "to"), known)
        when = values.get("when")
        return RouteConfig(
            name=name,
            models=tuple(values["models"]),
            to=values["to"],
            matches=compile_patterns(values["models"]),
            when=None if when is None else self._condition(when, self._node("routes", name, "when")),
            when_text=None if when is None else str(when),
            tools=_tools(values.get("tools")),
        )

    def _condition(self, text: str | bool, node: Node | None) -> Condition:
        if isinstance(text, bool):
            return lambda scope: bool(text)
        if not isinstance(node, ScalarNode) or not text.startswith("="):
            self._report("a condition is an expression and begins with `=`", node, (f'write "={text}"',))
            return _never
        expression, found = compile_expression(text[1:], WHEN_SCOPE)
        skip = 1 if node.style == "plain" else 2  # the `=`, and the quote before it
        for problem in found:
            mark = Mark(node.mark.file, node.mark.line, node.mark.column + skip + problem.offset)
            self._problems.add(problem.code, problem.message, mark, length=problem.length, help=problem.help)
        if expression is None:
            return _never
        if not expression.result.is_condition:
            help_lines = ("compare it with something, or use present(…)",)
            self._problems.add("E104", "the condition is not boolean", node.mark, length=node.length, help=help_lines)
        return _as_condition(expression.evaluate)

    def _clients(self) -> ClientsConfig:
        clients = self._document["clients"]
        keys = [self._client_key(index, entry) for index, entry in enumerate(clients["keys"])]
        node = self._node("clients", "auth")
        if clients["auth"] == "keys" and not keys:
            self._report("clients.auth is `keys`, but clients.keys has none", node or self._node("clients"))
        if clients["auth"] != "keys" and keys:
            message = f"clients.keys has keys, but clients.auth is `{clients['auth']}`, so nobody would ask for them"
            self._report(message, node or self._node("clients", "keys"), ("write `auth: keys`",))
        names = [entry["name"] for entry in clients["keys"]]
        for index, name in enumerate(names):
            if name in names[:index]:
                self._report(f"two client keys have the name {name!r}", self._node("clients", "keys", index, "name"))
        return ClientsConfig(clients["auth"], tuple(key for key in keys if key is not None), clients["allow_open"])

    def _client_key(self, index: int, entry: JsonObject) -> ClientKey | None:
        source = SecretSource(env=entry.get("env"), file=entry.get("file"))
        try:
            value = read_secret(source, self._environment, self._folder).value
        except SecretError as problem:
            self._report(f"client key {entry['name']!r}: {problem}", self._node("clients", "keys", index))
            return None
        assert value is not None
        return ClientKey(entry["name"], hashlib.sha256(value.reveal().encode()).digest(), entry["choose"])

    def _check_upstreams(self, config: GatewayConfig) -> None:
        if not config.upstreams:
            self._report(
                "no upstream is configured",
                self._node("upstreams"),
                ("name one: `engine serve --endpoint ID`, or write a config with `engine init`",),
            )
        forced = config.force_upstream
        if forced is not None and forced not in config.upstreams:
            known = did_you_mean(forced, config.upstreams)
            self._report(f"force_upstream names {forced!r}, which is no upstream", self._node("force_upstream"), known)

    def _check_networks(self, config: GatewayConfig) -> None:
        for index, text in enumerate(config.trusted_proxies):
            if not is_network(text):
                self._report(f"{text!r} is neither an address nor a network", self._node("trusted_proxies", index))
        if config.outbound_proxy is not None and not re.fullmatch(r"https?://[^/\s]+/?", config.outbound_proxy):
            self._report("outbound_proxy must be a URL such as http://proxy:3128", self._node("outbound_proxy"))

    def _check_bind(self, config: GatewayConfig) -> None:
        clients, host = config.clients, config.listen.host
        if clients.auth == "open" and not clients.allow_open and not is_loopback(host):
            message = f"listening on {host} without asking callers for a key (clients.auth is `open`)"
            self._report(message, self._node("listen", "host"), OPEN_REFUSED)


def _upstream(name: str, values: JsonObject, folder: Path) -> UpstreamConfig:
    ca_file = values.get("ca_file")
    return UpstreamConfig(
        name=name,
        endpoint=values["endpoint"],
        url=values.get("url", ""),
        hosts=values["hosts"],
        options=values["options"],
        secrets={key: SecretSource(**source) for key, source in values["secrets"].items()},
        models=values["models"],
        ca_file=None if ca_file is None else str(folder / ca_file),
        streaming=values.get("streaming"),
        tools=_tools(values.get("tools")),
        heartbeat=HeartbeatConfig(**values["heartbeat"]),
    )


def _tools(value: Json) -> ToolsConfig | None:
    if value is None:
        return None
    if value == "off":
        return ToolsConfig(off=True)
    named = value.get("format") or ()
    return ToolsConfig(format=(named,) if isinstance(named, str) else tuple(named), place=value.get("place"))


def compile_patterns(patterns: Sequence[str]) -> Callable[[str], bool]:
    """A matcher for model patterns: case does not count, `*` crosses `/`, one of them is enough (DECISIONS 2.12)."""
    if "*" in patterns:
        return _always
    table = PatternTable((pattern, True) for pattern in patterns)
    return lambda model: table.find(model) is True


def _always(model: str) -> bool:
    return True


def _never(scope: Scope) -> bool:
    return False


def _as_condition(evaluate: Callable[[Scope], Json]) -> Condition:
    return lambda scope: evaluate(scope) is True


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_network(text: str) -> bool:
    """Whether the text is an IP address or a network in CIDR form."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True
