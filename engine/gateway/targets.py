"""Upstreams made concrete for one call: the compiled endpoint with its options, origins and secrets."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from engine.config import SecretSource, ToolsConfig, UpstreamConfig
from engine.errors import ErrorInfo, RequestError
from engine.gateway.call import Caller
from engine.secrets import SecretError, parse_secret
from engine.translate.calls import incomplete_key
from engine.translate.plan import EndpointPlan
from engine.translate.wire import Target
from engine.types import Json, Secret


def uses_caller_key(upstream: UpstreamConfig) -> bool:
    """Whether any secret of the upstream is the caller's own credential."""
    return any(source.client is not None for source in upstream.secrets.values())


def make_target(
    upstream: UpstreamConfig,
    plan: EndpointPlan,
    caller: Caller,
    known_models: tuple[str, ...] | None,
    tools: ToolsConfig | None = None,
) -> Target:
    """The target of a call; `tools` is what its route says of them, before the upstream.

    Raises RequestError (401) when the caller's key is needed and there is none.
    """
    tools = tools or upstream.tools or ToolsConfig()
    return Target(
        name=upstream.name,
        plan=plan,
        base_url=upstream.url,
        hosts=upstream.hosts,
        options=upstream.options,
        secrets={name: _secret(source, caller) for name, source in upstream.secrets.items()},
        caller_key=uses_caller_key(upstream),
        credential_id=key_hash(upstream, caller),
        known_models=known_models,
        toolformats=tools.plans,
        tool_place=tools.place,
        tools_off=tools.off,
    )


def _secret(source: SecretSource, caller: Caller) -> Json:
    if source.client is None:
        return source.value if source.parsed is None else _parts(source.parsed)
    if caller.credential is None:
        info = ErrorInfo(
            "authentication",
            "No API key was sent. Send yours as 'Authorization: Bearer …' or 'x-api-key'.",
            code="invalid_api_key",
            retryable=False,
        )
        raise RequestError(info)
    if source.parse is None:
        return caller.credential
    try:
        return _parts(parse_secret(caller.credential.reveal(), source.parse, "the caller's key"))
    except SecretError as problem:
        raise incomplete_key(str(problem)) from problem


def _parts(parsed: Mapping[str, Secret] | Sequence[Secret]) -> Json:
    return dict(parsed) if isinstance(parsed, Mapping) else list(parsed)


def key_hash(upstream: UpstreamConfig, caller: Caller) -> str:
    """What separates one caller's cached answers from another's: the whole hash of the key, never a part (R17)."""
    if not uses_caller_key(upstream) or caller.credential is None:
        return ""
    return hashlib.sha256(caller.credential.reveal().encode("utf-8", "surrogateescape")).hexdigest()


def configured_secrets(upstreams: Mapping[str, UpstreamConfig]) -> list[str]:
    """The values of all secrets known at load, for the scrubber."""
    sources = [source for upstream in upstreams.values() for source in upstream.secrets.values()]
    found: list[Secret] = [source.value for source in sources if source.value is not None]
    for parsed in (source.parsed for source in sources if source.parsed is not None):
        found += parsed.values() if isinstance(parsed, Mapping) else parsed
    return [secret.reveal() for secret in found]
