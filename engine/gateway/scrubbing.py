"""The second net under logs and messages: known secret values are taken out of any text (threat T25).

The first net is the type `Secret`. This one catches a value that came back from outside, as when an upstream quotes
the key it did not like: as it stands, in base64 (any of the three alignments) or percent-encoded.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, quote_plus

MASK: Final = "***"
_LEARNED: Final = 64
SHORTEST: Final = 6
"""Shorter values would blank out ordinary words; nobody's key is that short."""

CREDENTIAL_HEADERS: Final = frozenset(
    {"authorization", "proxy-authorization", "x-api-key", "api-key", "cookie", "set-cookie"}
)
"""Headers whose value is never printed, whoever sent them."""


class Scrubber:
    """Takes a fixed set of secret values, in all their written forms, out of text."""

    def __init__(self, values: Iterable[str]) -> None:
        forms = {form for value in values if len(value) >= SHORTEST for form in _written_forms(value)}
        self._forms = sorted(forms, key=len, reverse=True)
        self._learned: dict[str, list[str]] = {}

    def learn(self, value: str) -> None:
        """Take out this value, too: a token that an upstream gave, a caller's own key. The last are remembered."""
        if value in self._learned or len(value) < SHORTEST:
            return
        if len(self._learned) >= _LEARNED:
            self._learned.pop(next(iter(self._learned)))
        self._learned[value] = sorted(_written_forms(value), key=len, reverse=True)

    def scrub(self, text: str) -> str:
        """`text` with every known secret replaced by `***`."""
        for forms in (self._forms, *self._learned.values()):
            for form in forms:
                if form in text:
                    text = text.replace(form, MASK)
        return text


def _written_forms(value: str) -> set[str]:
    raw = value.encode("utf-8")
    forms = {value, quote(value, safe=""), quote_plus(value)}
    for shift in range(3):  # base64 of the value inside a longer text depends on where it starts
        encoded = base64.b64encode(b"\0" * shift + raw).decode("ascii")
        inner = encoded[(0, 2, 3)[shift] :].rstrip("=")
        forms |= {inner[:-1], inner[:-1].replace("+", "-").replace("/", "_")}
    return {form for form in forms if len(form) >= SHORTEST}
