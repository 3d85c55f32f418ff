"""Calls from web pages, where the config allows their origins. Off by default."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from engine.config import CorsConfig
from engine.server.head import Head

_PLAIN: Final = frozenset(
    {"cache-control", "content-language", "content-length", "content-type", "expires", "last-modified", "pragma"}
)
"""What a page may read unasked."""


def cors_headers(head: Head, cors: CorsConfig, sent: Iterable[str] = ()) -> Mapping[str, str]:
    """The headers that let a page read the answer and what is `sent` with it; empty when its origin is not allowed.

    Credentials in the browser's sense (cookies) are never allowed: keys travel in headers.
    """
    origin = head.first("origin")
    if origin is None or not cors.origins:
        return {}
    exposed = ", ".join(name for name in sent if name not in _PLAIN)
    shown = {"access-control-expose-headers": exposed} if exposed else {}
    if "*" in cors.origins:
        return {"access-control-allow-origin": "*", **shown}
    if origin not in cors.origins:
        return {"vary": "Origin"}
    return {"access-control-allow-origin": origin, **shown, "vary": "Origin"}


def is_preflight(head: Head, cors: CorsConfig) -> bool:
    """Whether the request asks for permission before a call."""
    asks = head.method == "OPTIONS" and head.first("access-control-request-method") is not None
    return asks and bool(cors.origins) and head.first("origin") is not None


def preflight_headers(head: Head, cors: CorsConfig) -> Mapping[str, str]:
    """The permission: any header may be sent, since the door refuses what it does not know anyway."""
    allowed = cors_headers(head, cors)
    if "access-control-allow-origin" not in allowed:
        return allowed
    wanted = head.first("access-control-request-headers") or ""
    names = ", ".join(name.strip() for name in wanted.split(",") if name.strip().replace("-", "").isalnum())
    return {
        **allowed,
        "access-control-allow-methods": "GET, HEAD, POST, OPTIONS",
        "access-control-allow-headers": names or "authorization, content-type",
        "access-control-max-age": str(cors.max_age_s),
    }
