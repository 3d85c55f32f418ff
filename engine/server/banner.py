"""What the server says at its start: where it is, which endpoint serves which models, where to point a client."""

from __future__ import annotations

from engine import __version__
from engine.config import GatewayConfig, RouteConfig
from engine.gateway.gateway import Plans

_CLIENTS = {
    "keys": "one of the gateway's own keys ({names})",
    "pass_through": "the caller's own key, which goes on to the upstream",
    "open": "no key (open)",
}


def banner(config: GatewayConfig, catalog: Plans, port: int) -> str:
    """The text, without secrets. `port` is the one the socket really has."""
    base = f"http://{_host(config.listen.host)}:{port}"
    lines = [f"endpoint-engine {__version__} on {base}", ""]
    if config.force_upstream:
        lines.append(f"  every model -> {_upstream(config, config.force_upstream)}   (forced)")
    else:
        lines += [f"  {_models(route)} -> {_upstream(config, route.to)}" for route in config.routes]
    lines += [f"  {alias} = {model}" for alias, model in config.aliases.items()]
    lines.append("")
    for dialect in catalog.dialects.values():
        lines.append(f'  {dialect.title}: base_url="{base}{dialect.base_path}"')
    names = ", ".join(key.name for key in config.clients.keys)
    lines.append(f"  clients send {_CLIENTS[config.clients.auth].format(names=names)}")
    return "\n".join(lines)


def _host(host: str) -> str:
    if host in ("0.0.0.0", "::", ""):
        return "localhost"
    return f"[{host}]" if ":" in host else host


def _models(route: RouteConfig) -> str:
    patterns = ", ".join("every model" if pattern == "*" else pattern for pattern in route.models)
    return f"{patterns} when {route.when_text}" if route.when_text else patterns


def _upstream(config: GatewayConfig, name: str) -> str:
    upstream = config.upstreams[name]
    shown = upstream.endpoint if name == upstream.endpoint else f"{name} ({upstream.endpoint})"
    return f"{shown} at {upstream.url}"
