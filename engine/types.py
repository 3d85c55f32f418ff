"""The vocabulary of types that every module shares.

`Any` occurs here and nowhere else: JSON from a provider is whatever the provider sends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, final

Json = Any
"""A JSON value: None, bool, int, float, str, list of Json, dict of str to Json."""

JsonObject = dict[str, Any]
Scope = dict[str, Any]
"""What an expression can see: a declared name (`req`, `res`, `m` …) to its JSON value."""

Headers = Mapping[str, str]
"""HTTP headers as a reader sees them: lower-case names to values."""


@final
class Absent:
    """The type of `ABSENT`: a leaf that is not there, so its key or item is left out (LANGUAGE 3.1)."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "ABSENT"

    def __bool__(self) -> bool:
        return False


ABSENT: Final = Absent()

Build = Callable[[Scope], Any]
"""A compiled tree: from a scope to a JSON value, or ABSENT."""

Condition = Callable[[Scope], bool]
"""A compiled condition: null and absent count as false (DECISIONS 2.14)."""


@final
class Secret:
    """A secret value that prints as `***` everywhere; only the sender of an upstream request reveals it (rule R3)."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret itself. Only the HTTP edge may call this."""
        return self._value

    def prefixed(self, text: str) -> Secret:
        """A secret that begins with `text`, such as an authentication scheme."""
        return Secret(text + self._value)

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "***"

    def __reduce__(self) -> str:
        raise TypeError("a secret is never serialized")
