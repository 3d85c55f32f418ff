"""Which header fields may go to an upstream: the grammar of RFC 9110, and the names that are ours alone (threat T22).

Checked before the HTTP library sees them: the library's own exception would quote the value, key and all.
"""

from __future__ import annotations

import re
from typing import Final

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")

OURS: Final = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "expect", "te", "trailer", "upgrade", "keep-alive"}
)
"""Framing and hop-by-hop fields: the HTTP client writes them, no mapping does."""


def header_problem(name: str, value: str) -> str | None:
    """What is wrong with a header field, without quoting its value; None when nothing is."""
    if not _NAME.fullmatch(name):
        return f"header name {name[:40]!r} is not an HTTP token"
    if name.lower() in OURS or name.lower().startswith("proxy-"):
        return f"header {name.lower()!r} is not a mapping's to set"
    if not _VALUE.fullmatch(value):
        return f"the value of header {name.lower()!r} has a character that HTTP does not allow"
    return None
