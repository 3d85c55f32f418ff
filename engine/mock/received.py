"""A request as the mock got it, and what can be read off it: its JSON, the words that force a behaviour."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote_to_bytes

import orjson

from engine.types import Json, JsonObject

_DIRECTIVE: Final = re.compile(r"(?<![\w-])(mock|script):([a-z0-9_-]+)")
_UNREADABLE: Final = "the body is not JSON"


@dataclass(frozen=True, slots=True)
class Received:
    """One request. `raw_path` is without query and as it was on the wire, `headers` have lower-case names.

    `body` is the decoded body: JSON, an object of a form's fields, or text; None when there is none or it cannot be
    read, and then `problem` says so.
    """

    method: str
    raw_path: bytes
    query: Mapping[str, Json] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Json = None
    problem: str | None = None
    body_bytes: int = 0

    @property
    def segments(self) -> tuple[str, ...]:
        """The percent-decoded segments of the path; `/` has none."""
        parts = self.raw_path.split(b"/")[1:]
        return () if parts == [b""] else tuple(_decoded(part) for part in parts)

    @property
    def path(self) -> str:
        """The percent-decoded path."""
        return _decoded(self.raw_path)


def receive(method: bytes, target: bytes, headers: list[tuple[bytes, bytes]], body: bytes) -> Received:
    """Make a request of its raw parts. Repeated headers are joined with `, `, repeated query keys become a list."""
    raw_path, _, query = target.partition(b"?")
    named: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        named[name] = f"{named[name]}, {value}" if name in named else value
    decoded, problem = _body(body, named.get("content-type", "application/json"))
    return Received(
        method.decode("latin-1"), raw_path, _query(query.decode("latin-1")), named, decoded, problem, len(body)
    )


def directives(body: Json) -> dict[str, str]:
    """The last `mock:NAME` and the last `script:NAME` in any text of a body, as `{mock: NAME, script: NAME}`.

    Any text, since where the user's words stand in a body differs from API to API.
    """
    return {word: name for text in _texts(body) for word, name in _DIRECTIVE.findall(text)}


def assistant_turns(body: Json) -> int:
    """How many assistant messages a body has: objects with the role `assistant` in a top-level list."""
    lists = [value for value in body.values() if isinstance(value, list)] if isinstance(body, dict) else []
    return sum(isinstance(item, dict) and item.get("role") == "assistant" for items in lists for item in items)


def _body(raw: bytes, content_type: str) -> tuple[Json, str | None]:
    if not raw:
        return None, None
    kind = content_type.partition(";")[0].strip().lower()
    if kind.endswith("json"):
        try:
            return orjson.loads(raw), None
        except orjson.JSONDecodeError:
            return None, _UNREADABLE
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return None, _UNREADABLE
    return (_query(text), None) if kind == "application/x-www-form-urlencoded" else (text, None)


def _query(text: str) -> JsonObject:
    found: dict[str, list[str]] = {}
    for key, value in parse_qsl(text, keep_blank_values=True):
        found.setdefault(key, []).append(value)
    return {key: values[0] if len(values) == 1 else values for key, values in found.items()}


def _texts(value: Json) -> Iterator[str]:
    """Every string in a value, in the order of the body; a stack, since a body may nest deeper than Python's own."""
    stack = [value]
    while stack:
        each = stack.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, dict):
            stack.extend(reversed(list(each.values())))
        elif isinstance(each, list):
            stack.extend(reversed(each))


def _decoded(part: bytes) -> str:
    return unquote_to_bytes(part).decode("utf-8", "replace")
