"""The second step of a gateway config: upstreams against the endpoints they name.

Endpoint ids, options and secrets are checked with positions, defaults of the mapping filled in, secrets read (F59).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from engine.config import GatewayConfig, Origin, SecretSource, ToolsConfig, UpstreamConfig
from engine.language.diagnostics import Mark, Problems, Sources, did_you_mean
from engine.language.gateway_config import raise_problems
from engine.language.gateway_layers import NO_FILE
from engine.language.packages import INSTALL, is_installed
from engine.language.reader import read_file
from engine.language.scalars import resolve_plain
from engine.secrets import SecretError, read_secret
from engine.translate.plan import DialectPlan, EndpointPlan, OptionSpec, SecretSpec
from engine.translate.tools.plan import ToolformatPlan
from engine.types import Json, JsonObject, Secret

MOCK_SECRET: Final = "mock-secret"
"""No secret: what `--mock` sends instead of one."""

_KINDS: Final[Mapping[str, Callable[[Json], bool]]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "list": lambda value: isinstance(value, list),
}


def bind_config(
    config: GatewayConfig,
    endpoints: Mapping[str, EndpointPlan],
    *,
    environment: Mapping[str, str],
    mock_url: str | None = None,
    toolformats: Mapping[str, ToolformatPlan] | None = None,
    dialects: Mapping[str, DialectPlan] | None = None,
) -> GatewayConfig:
    """The config with every upstream complete: base URL, hosts, options, secrets with their values.

    `endpoints` are the plans that can be served, by id; without `dialects` their options are not looked at. With
    `mock_url` every base URL and host becomes that one, since a mock's routes lie below it whatever path those have,
    and every secret a dummy: nothing is needed and nothing can leave. Raises MappingError.
    """
    problems, sources = Problems(), Sources()
    if config.file is not None:
        read_file(config.file, Problems(), sources)
    bound: dict[str, UpstreamConfig] = {}
    for name, upstream in config.upstreams.items():
        plan = endpoints.get(upstream.endpoint)
        if plan is None:
            place = _Place(config, f"upstreams.{name}.endpoint", problems)
            place.report(f"there is no endpoint {upstream.endpoint!r}", help=did_you_mean(upstream.endpoint, endpoints))
        else:
            binder = _Binder(config, upstream, plan, environment, problems)
            bound[name] = binder.bind_to_mock(mock_url) if mock_url else binder.bind()
    if dialects is not None:
        _check_dialects(config, dialects, problems)
    formats = toolformats or {}
    bound = {
        name: replace(each, tools=_linked(config, each.tools, f"upstreams.{name}", formats, problems))
        for name, each in bound.items()
    }
    routes = tuple(
        replace(each, tools=_linked(config, each.tools, f"routes.{each.name}", formats, problems))
        for each in config.routes
    )
    if problems.has_errors():
        raise_problems(problems, sources)
    return replace(config, upstreams=bound, routes=routes)


def _check_dialects(config: GatewayConfig, dialects: Mapping[str, DialectPlan], problems: Problems) -> None:
    """Options are for dialects that there are, and fit what these declare."""
    for name, given in config.dialects.items():
        where = f"dialects.{name}"
        plan = dialects.get(name)
        if plan is None:
            place = _Place(config, where, problems)
            place.report(f"there is no dialect {name!r}", key=True, help=did_you_mean(name, dialects))
            continue
        for option, value in given.items():
            place = _Place(config, f"{where}.options.{option}", problems)
            spec = plan.options.get(option)
            if spec is None:
                known = did_you_mean(option, plan.options)
                place.report(f"{plan.id} has no option {option!r}", key=True, help=known)
            else:
                _check_option(plan.id, spec, value, place)


def _check_option(owner: str, option: OptionSpec, value: Json, where: _Place) -> None:
    if not _KINDS.get(option.type, lambda _: True)(value):
        where.report(f"option {option.name!r} of {owner} must be of type {option.type}")
    elif option.values and value not in option.values:
        known = ", ".join(str(each) for each in option.values)
        where.report(f"option {option.name!r} of {owner} must be one of {known}")


def _linked(
    config: GatewayConfig,
    tools: ToolsConfig | None,
    path: str,
    formats: Mapping[str, ToolformatPlan],
    problems: Problems,
) -> ToolsConfig | None:
    """What an upstream or a route says of tools, with the formats that it names instead of the mapping's."""
    if tools is None:
        return None
    for name in tools.format:
        if name not in formats:
            place = _Place(config, f"{path}.tools.format", problems)
            place.report(f"there is no toolformat {name!r}", help=did_you_mean(name, formats))
    return replace(tools, plans=tuple(formats[name] for name in tools.format if name in formats))


class _Place:
    """Where a problem with one key is reported: at its value, or at the nearest thing above that was written."""

    def __init__(self, config: GatewayConfig, path: str, problems: Problems) -> None:
        self._config = config
        self._path = path
        self._problems = problems

    def report(self, message: str, *, key: bool = False, help: tuple[str, ...] = (), code: str = "E250") -> None:
        origin = self._origin()
        mark = (origin.key_mark if key else None) or origin.mark or Mark(str(self._config.file or NO_FILE), 1, 1)
        self._problems.add(code, message, mark, help=help)

    def _origin(self) -> Origin:
        path = self._path
        while path:
            origin = self._config.origins.get(path)
            if origin is not None and origin.mark is not None:
                return origin
            path = path.rpartition(".")[0]
        return Origin("default", "default")


class _Binder:
    def __init__(
        self,
        config: GatewayConfig,
        upstream: UpstreamConfig,
        plan: EndpointPlan,
        environment: Mapping[str, str],
        problems: Problems,
    ) -> None:
        self._config = config
        self._upstream = upstream
        self._plan = plan
        self._environment = environment
        self._problems = problems
        self._folder = config.file.parent if config.file is not None else Path()

    def bind(self) -> UpstreamConfig:
        if self._upstream.ca_file is not None and not Path(self._upstream.ca_file).is_file():
            self._place("ca_file").report(f"there is no file {self._upstream.ca_file!r}")
        for package in sorted(self._plan.packages):
            if not is_installed(package):
                message = f"{self._plan.id} needs the package {package}, which is not installed"
                self._place("endpoint").report(message, help=(INSTALL[package],))
        return replace(
            self._upstream,
            url=self._base_url(),
            hosts=self._hosts(),
            options=self._options(),
            secrets=self._secrets(),
        )

    def bind_to_mock(self, mock_url: str) -> UpstreamConfig:
        self._base_url()  # a wrong one is told all the same
        dummy = {
            name: SecretSource(env="MOCK", value=Secret(MOCK_SECRET), parsed=_parts(spec))
            for name, spec in self._plan.secrets.items()
        }
        return replace(
            self._upstream,
            url=mock_url,
            hosts=dict.fromkeys(self._hosts(), mock_url),
            options=self._options(),
            secrets=dummy,
        )

    def _place(self, *path: str) -> _Place:
        return _Place(self._config, ".".join(("upstreams", self._upstream.name, *path)), self._problems)

    def _base_url(self) -> str:
        option = self._upstream.options.get("base_url")
        if self._upstream.url and option:
            self._place("url").report("`url` and `options.base_url` both say where the upstream is", help=("keep one",))
        url = self._upstream.url or str(option or "") or self._plan.base_url
        where = self._place("options", "base_url") if option else self._place("url")
        self._check_url(url, where)
        return url

    def _hosts(self) -> Mapping[str, str]:
        for name, url in self._upstream.hosts.items():
            where = self._place("hosts", name)
            if name not in self._plan.hosts:
                help_lines = did_you_mean(name, self._plan.hosts)
                where.report(f"{self._plan.id} has no host {name!r}", key=True, help=help_lines)
            self._check_url(url, where)
        return {**self._plan.hosts, **self._upstream.hosts}

    def _check_url(self, url: str, where: _Place) -> None:
        problem = url_problem(url, insecure=self._plan.insecure)
        if problem is not None:
            where.report(f"{problem}: {url[:200]!r}", code="E162")

    def _options(self) -> JsonObject:
        given = {name: value for name, value in self._upstream.options.items() if name != "base_url"}
        for name in given:
            if name not in self._plan.options:
                known = did_you_mean(name, [*self._plan.options, "base_url"])
                self._place("options", name).report(f"{self._plan.id} has no option {name!r}", key=True, help=known)
        return {
            name: self._option(option, given[name]) if name in given else option.default
            for name, option in self._plan.options.items()
        }

    def _option(self, option: OptionSpec, value: Json) -> Json:
        origin = self._config.origins.get(f"upstreams.{self._upstream.name}.options.{option.name}")
        if isinstance(value, str) and option.type != "string" and origin is not None and origin.kind != "file":
            value = _typed(value)
        _check_option(self._plan.id, option, value, self._place("options", option.name))
        return value

    def _secrets(self) -> Mapping[str, SecretSource]:
        for name in self._upstream.secrets:
            if name not in self._plan.secrets:
                known = did_you_mean(name, self._plan.secrets)
                self._place("secrets", name).report(f"{self._plan.id} has no secret {name!r}", key=True, help=known)
        return {name: self._secret(name, spec) for name, spec in self._plan.secrets.items()}

    def _secret(self, name: str, spec: SecretSpec) -> SecretSource:
        source = self._upstream.secrets.get(name)
        if source is None:
            passing = self._config.clients.auth == "pass_through"
            source = SecretSource(client="key") if passing else SecretSource(spec.env, spec.file, spec.client)
        source = replace(source, parse=spec.parse)
        where = self._place("secrets", name)
        if source.client is not None and self._config.clients.auth == "keys":
            where.report(
                f"secret {name!r} is the caller's own key, but callers send this gateway's keys (clients.auth: keys)",
                help=("use `clients.auth: pass_through`", "or give this secret as {env: …} or {file: …}"),
            )
            return source
        try:
            return read_secret(source, self._environment, self._folder)
        except SecretError as problem:
            where.report(f"upstream {self._upstream.name!r} cannot have its secret {name!r}: {problem}")
            return source


def _parts(spec: SecretSpec) -> Mapping[str, Secret] | Sequence[Secret] | None:
    made: Mapping[str, Secret] | Sequence[Secret] = spec.placeholder(Secret(MOCK_SECRET))
    return made if spec.parse is not None else None


def _typed(text: str) -> Json:
    """A flag or a variable is text; YAML's rules give it a type."""
    try:
        return resolve_plain(text)
    except ValueError:
        return text


def url_problem(url: str, *, insecure: bool = False) -> str | None:
    """Why a URL cannot be where keys are sent, or None. Plain HTTP is for this machine and private networks only."""
    try:
        parts = urlsplit(url)
        port_is_good = parts.port is None or parts.port > 0
    except ValueError:
        return "not a URL"
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_good:
        return "a base URL begins with https:// and names a host"
    if parts.username or parts.password or parts.query or parts.fragment:
        return "a base URL has no user, query or fragment"
    if re.search(r"[\s\\{}<>]", url) or ".." in parts.path.split("/"):
        return "a base URL has no spaces, braces, backslashes or '..'"
    if parts.scheme == "http" and not insecure and not _is_private(parts.hostname):
        return "keys would travel unencrypted; use https://"
    return None


def _is_private(host: str) -> bool:
    """This machine, a private address, or a name that only a private network resolves (no dot, a local suffix)."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((".local", ".internal", ".svc", ".localhost", ".test"))
    return address.is_loopback or address.is_private
