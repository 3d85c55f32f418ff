"""Checks of what goes into HTTP as it stands in a mapping: origins and header names (E161, E162)."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from engine.language.problems import Problems
from engine.language.reader import MappingNode, ScalarNode

_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE: Final = re.compile(r"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")
_FORBIDDEN_HEADERS: Final = frozenset(
    ["host", "content-length", "transfer-encoding", "connection", "expect", "te", "upgrade", "trailer", "keep-alive"]
)
_CREDENTIAL_HEADERS: Final = frozenset(
    {"authorization", "x-api-key", "api-key", "x-goog-api-key", "proxy-authorization", "cookie"}
)
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def check_origin(node: ScalarNode, insecure: bool, problems: Problems) -> None:
    """An upstream is https, or on this machine, or openly declared insecure (E162, rule R1)."""
    url = str(node.value)
    try:
        parts = urlsplit(url)
        sound = bool(parts.hostname) and parts.port != 0 and not (parts.username or parts.query or parts.fragment)
    except ValueError:
        sound = False
    if not sound:
        problems.add(
            "E162", f"{url!r} is not an origin with a path prefix", node.mark, length=node.length,
            help=("e.g. https://api.acme.example/v1; no user, no query, no fragment",),
        )  # fmt: skip
    elif parts.scheme != "https" and parts.hostname not in _LOOPBACK and not insecure:
        problems.add(
            "E162", "plain http to another machine would show the key to the network", node.mark, length=node.length,
            help=("use https, or say `insecure: true` in the mapping",),
        )  # fmt: skip


def check_headers(node: MappingNode, problems: Problems, *, credentials: bool = False) -> None:
    """Header names follow RFC 9110; framing headers are the engine's, credentials are `auth`'s (E161)."""
    for name, entry in node.entries.items():
        lower = name.lower()
        if not _HEADER_NAME.fullmatch(name) or lower in _FORBIDDEN_HEADERS or lower.startswith("proxy-"):
            problems.add(
                "E161", f"the header {name!r} cannot be set by a mapping", entry.key.mark, length=len(name),
                help=("remove it; what belongs to the connection and the body is set by the engine",),
            )  # fmt: skip
        elif lower in _CREDENTIAL_HEADERS and not credentials:
            problems.add(
                "E161", f"the header {name!r} carries credentials", entry.key.mark, length=len(name),
                help=("set it under `auth: {header: {…}}`, where secrets are",),
            )  # fmt: skip
        value = entry.value
        text = value.value if isinstance(value, ScalarNode) and isinstance(value.value, str) else ""
        if not text.startswith("=") and not _HEADER_VALUE.fullmatch(text):
            problems.add(
                "E161", f"the value of the header {name!r} has a character that HTTP does not allow", value.mark,
                length=value.length if isinstance(value, ScalarNode) else 1,
                help=("headers hold one line of Latin-1 text without spaces at its ends",),
            )  # fmt: skip
