"""The models a client can name: what each upstream lists, cached, joined with aliases and renamed models."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from engine.config import GatewayConfig, UpstreamConfig
from engine.errors import EngineError, UpstreamError
from engine.gateway.call import Caller
from engine.gateway.log import ENGINE
from engine.gateway.routing import Router
from engine.gateway.targets import key_hash
from engine.types import JsonObject

Fetch = Callable[[UpstreamConfig, Caller], Awaitable[list[JsonObject]]]

CACHED_LISTS: Final = 256
"""Lists kept at most; with the callers' own keys there is one for each caller."""

_EMPTY: Final[JsonObject] = {
    "created": 0,
    "owned_by": "",
    "kind": "chat",
    "context_tokens": None,
    "max_output_tokens": None,
    "price": None,
    "tools": None,
    "images": None,
    "meta": None,
}


@dataclass(slots=True)
class _Listed:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    models: list[JsonObject] | None = None
    until: float = 0.0


class ModelLists:
    """Lists per upstream and key, fresh for `models_cache_s`, and the last one when the upstream fails."""

    def __init__(self, config: GatewayConfig, router: Router, fetch: Fetch) -> None:
        self._config = config
        self._router = router
        self._fetch = fetch
        self._cache: OrderedDict[tuple[str, str], _Listed] = OrderedDict()

    def known(self, upstream: UpstreamConfig, caller: Caller) -> list[JsonObject] | None:
        """The last list, however old, without asking anybody; None when there is none yet."""
        listed = self._cache.get((upstream.name, key_hash(upstream, caller)))
        return None if listed is None else listed.models

    async def of_upstream(self, upstream: UpstreamConfig, caller: Caller) -> list[JsonObject]:
        """The upstream's own list. Raises what the fetch raises when there is no old list to fall back on."""
        listed = self._slot((upstream.name, key_hash(upstream, caller)))
        async with listed.lock:
            if listed.models is not None and time.monotonic() < listed.until:
                return listed.models
            try:
                listed.models = await self._fetch(upstream, caller)
            except UpstreamError as failure:
                if listed.models is None:
                    raise
                told = {"upstream": upstream.name, "code": failure.code}
                ENGINE.warning("model list is stale", extra={"fields": told})
            listed.until = time.monotonic() + self._config.models_cache_s
            return listed.models

    async def union(self, caller: Caller, only: Iterable[str] | None = None) -> list[JsonObject]:
        """All models a request could name, each once, in the order of the routes; aliases last.

        One failing upstream leaves its models out; when all fail the first failure is raised.
        """
        names = list(only) if only is not None else self._router.used_upstreams()
        upstreams = [self._config.upstreams[name] for name in names]
        answers = await asyncio.gather(
            *(self.of_upstream(upstream, caller) for upstream in upstreams), return_exceptions=True
        )
        found: dict[str, JsonObject] = {}
        failures: list[BaseException] = []
        for upstream, answer in zip(upstreams, answers, strict=True):
            if isinstance(answer, BaseException):
                failures.append(_expected(answer, upstream.name))
                continue
            for model in [*answer, *_renamed(upstream, answer)]:
                if self._router.may_serve(model["id"], upstream.name):
                    found.setdefault(model["id"], model)
        if failures and len(failures) == len(upstreams):
            raise failures[0]
        for alias, target in self._config.aliases.items():
            found.setdefault(alias, {**_EMPTY, "name": alias, **found.get(target, {}), "id": alias})
        return list(found.values())

    def _slot(self, key: tuple[str, str]) -> _Listed:
        listed = self._cache.setdefault(key, _Listed())
        self._cache.move_to_end(key)
        if len(self._cache) > CACHED_LISTS:
            self._cache.popitem(last=False)
        return listed


def _renamed(upstream: UpstreamConfig, listed: list[JsonObject]) -> list[JsonObject]:
    """The names under which the upstream's `models` map offers what it lists."""
    by_id = {model["id"]: model for model in listed}
    return [
        {**_EMPTY, "name": asked, **by_id.get(sent, {}), "id": asked}
        for asked, sent in upstream.models.items()
        if "*" not in asked
    ]


def _expected(failure: BaseException, upstream: str) -> BaseException:
    """Failures of an upstream are data here; anything else (a bug, a cancellation) goes on up."""
    if not isinstance(failure, EngineError):
        raise failure
    ENGINE.warning("no model list", extra={"fields": {"upstream": upstream, "code": failure.code}})
    return failure
