"""What the head of a request must satisfy before anything else is looked at (threats T24, T27, T33)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from starlette.types import Scope

from engine.errors import ErrorInfo, RequestError

CREDENTIALS: Final = frozenset({"authorization", "x-api-key", "api-key", "cookie", "proxy-authorization"})
NOT_FOR_MAPPINGS: Final = CREDENTIALS | {
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
}
"""Headers that expressions never see: credentials, hop-by-hop and forwarding fields (rule R24)."""

QUERY_FIELDS: Final = 100
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_CLOSE: Final = {"connection": "close"}


@dataclass(frozen=True, slots=True)
class Head:
    """A request's head: method, path as on the wire, headers in order with lower-case names."""

    method: str
    raw_path: bytes
    path: str
    headers: Sequence[tuple[str, str]]
    peer: str

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for key, value in self.headers if key == name]

    def first(self, name: str) -> str | None:
        """The first value of a header, or None."""
        return next((value for key, value in self.headers if key == name), None)


def read_head(scope: Scope) -> Head:
    """The head of an ASGI scope, unchecked."""
    client = scope.get("client") or ("", 0)
    path: str = scope["path"]
    return Head(
        method=scope["method"],
        raw_path=scope.get("raw_path") or path.encode("utf-8"),
        path=path,
        headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
        peer=client[0],
    )


def check_head(head: Head, scope: Scope, limit_bytes: int) -> None:
    """Refuse what no honest client sends. Raises RequestError; the connection is closed after the answer."""
    size = sum(len(name) + len(value) + 4 for name, value in scope["headers"])
    if size > limit_bytes:
        raise refusal(
            "too_large", f"The request headers are larger than {limit_bytes} bytes.", 431, "headers_too_large"
        )
    lengths = head.all("content-length")
    if lengths and head.all("transfer-encoding"):
        raise refusal("invalid_request", "Content-Length and Transfer-Encoding exclude each other.", 400, "bad_framing")
    if any(not text.isascii() or not text.isdigit() or len(text) > 15 for text in lengths) or len(set(lengths)) > 1:
        raise refusal("invalid_request", "The Content-Length header is not a number.", 400, "bad_framing")
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if len(hosts) > 1 or (not hosts and scope.get("http_version") != "1.0") or not all(map(_HOST.fullmatch, hosts)):
        raise refusal("invalid_request", "The Host header is missing or not a host name.", 400, "invalid_host")


def refusal(kind: str, message: str, status: int, code: str) -> RequestError:
    """A refusal after which the connection cannot be used again, since the body was not read."""
    return RequestError(ErrorInfo(kind, message, status=status, code=code, headers=_CLOSE, retryable=False))


def mapping_headers(head: Head) -> Mapping[str, str]:
    """The headers that a dialect's expressions may see; of repeated ones the first."""
    found: dict[str, str] = {}
    for name, value in head.headers:
        if name not in NOT_FOR_MAPPINGS:
            found.setdefault(name, value)
    return found


def first_query_values(query: bytes) -> Mapping[str, str]:
    """The query's keys with their first values. Raises RequestError when there are more than 100."""
    try:
        pairs = parse_qsl(
            query.decode("latin-1"), keep_blank_values=True, max_num_fields=QUERY_FIELDS, errors="replace"
        )
    except ValueError:
        raise refusal("invalid_request", "The query has too many parameters.", 400, "invalid_query") from None
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found


def client_address(head: Head, trusted: Iterable[str]) -> str:
    """Who called, for the log: the peer, or what a trusted proxy says of it (the last address it did not vouch for)."""
    networks = [ipaddress.ip_network(text, strict=False) for text in trusted]
    address = head.peer
    hops = [part.strip() for value in head.all("x-forwarded-for") for part in value.split(",")]
    while hops and _within(address, networks):
        address = hops.pop()
    return address[:45]


def _within(address: str, networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in networks)
