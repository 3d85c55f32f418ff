"""Which upstream serves a request: aliases, then routes in order, the first that matches."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from engine.config import GatewayConfig, RouteConfig, ToolsConfig
from engine.errors import EngineError, ErrorInfo, RequestError, TranslationError
from engine.types import Scope

SHOWN_NAME_CHARS: Final = 80


@dataclass(frozen=True, slots=True)
class Choice:
    """A decided route: the model's id after aliases, the upstream's name, the model's name there, its tools."""

    model_id: str
    upstream: str
    sent_name: str
    tools: ToolsConfig | None = None


class Router:
    """The routing table of one config. Holds no state."""

    def __init__(self, config: GatewayConfig) -> None:
        self._config = config

    def choose(self, asked: str, scope: Scope, wanted: str | None = None) -> Choice:
        """Choose for the model name a client asked for.

        `scope` lacks `model` (it is added here); `wanted` is an upstream the caller may name. A forced upstream
        overrides everything. Raises RequestError: 404 for a model no route takes, 400 for an unknown `wanted`.
        """
        model_id = self.resolve(asked)
        name, tools = self._config.force_upstream or self._wanted(wanted), None
        if name is None:
            route = self._routed(asked, model_id, scope)
            name, tools = route.to, route.tools
        return Choice(model_id, name, self._config.upstreams[name].models.get(model_id, model_id), tools)

    def resolve(self, asked: str) -> str:
        """The model id behind an alias; any other name is itself. Aliases do not chain."""
        return self._config.aliases.get(asked, asked)

    def may_serve(self, model_id: str, upstream: str) -> bool:
        """Whether some request for the model could go to the upstream; decides what model lists show."""
        if self._config.force_upstream:
            return self._config.force_upstream == upstream
        for route in self._config.routes:
            if route.matches(model_id):
                if route.to == upstream:
                    return True
                if route.when is None:
                    return False
        return False

    def used_upstreams(self) -> list[str]:
        """The upstreams that requests can reach, in the order of the routes."""
        if self._config.force_upstream:
            return [self._config.force_upstream]
        return list(dict.fromkeys(route.to for route in self._config.routes))

    def _wanted(self, wanted: str | None) -> str | None:
        if wanted is not None and wanted not in self._config.upstreams:
            known = ", ".join(self._config.upstreams)
            message = f"There is no upstream {clipped(wanted)}. Known: {known}."
            info = ErrorInfo("invalid_request", message, code="unknown_upstream", param="x-engine-upstream")
            raise RequestError(info)
        return wanted

    def _routed(self, asked: str, model_id: str, scope: Scope) -> RouteConfig:
        full: Scope = {**scope, "model": {"id": model_id}}
        for route in self._config.routes:
            if route.matches(model_id) and _holds(route, full):
                return route
        raise model_not_found(asked, self._config.aliases)


def _holds(route: RouteConfig, scope: Scope) -> bool:
    if route.when is None:
        return True
    try:
        return route.when(scope)
    except EngineError as failure:
        info = ErrorInfo(
            "internal", "A route of the gateway failed on this request.", code="mapping_request_error", retryable=False
        )
        raise TranslationError(info, detail=f"routes.{route.name}.when: {failure}") from failure


def clipped(name: str) -> str:
    """A client's name as it may stand in a message: at most 80 characters, escaped, in quotes."""
    return repr(name[:SHOWN_NAME_CHARS])


def model_not_found(asked: str, known: Iterable[str]) -> RequestError:
    """The error for a model that nobody serves, with the nearest name when there is one (F50)."""
    nearest = difflib.get_close_matches(asked[:SHOWN_NAME_CHARS], list(known), n=1)
    hint = f" Did you mean {clipped(nearest[0])}?" if nearest else ""
    message = f"The model {clipped(asked)} does not exist or you do not have access to it.{hint}"
    return RequestError(ErrorInfo("not_found", message, code="model_not_found", param="model", retryable=False))
