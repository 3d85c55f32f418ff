"""Raw text to JSON text by a JSON Schema: null, integer, number, boolean, structure, string, in this order.

Only the types that a schema names are read: `$ref` inside the schema, `anyOf`, `oneOf`, `allOf`, lists of types, and
the types of `enum` and `const`. No pattern of a client's schema is ever run (rule R5). A text that fits nothing stays
the string it is; a text whose type can only be a string is never looked into.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from engine.translate.tools.jsontext import NUMBER, JsonText, quoted
from engine.translate.tools.source import NotACall, Source, finished
from engine.types import Json, JsonObject

_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.0+)?")
_MAX_STEPS: Final = 200
_UNTYPED: Final = frozenset({"object", "array", "string"})
_BOOLEANS: Final = {"true": "true", "false": "false", "True": "true", "False": "false"}
_NULLS: Final = frozenset({"null", "None"})
_BRANCHES: Final = ("anyOf", "oneOf", "allOf")


def _json_type(value: Json) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    names = {int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "string")


def _resolve(reference: Json, root: JsonObject) -> Json:
    """What `#/a/b` leads to in the same schema; nothing is ever fetched."""
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    place: Json = root
    for step in filter(None, reference[1:].split("/")):
        step = step.replace("~1", "/").replace("~0", "~")
        place = place.get(step) if isinstance(place, dict) else None
    return place


def _branches(schema: Json, root: JsonObject) -> Iterator[JsonObject]:
    """The schema and all schemas that it refers to or joins, each once, a bounded number of them."""
    seen: set[int] = set()
    waiting = [schema]
    while waiting and len(seen) < _MAX_STEPS:
        each = waiting.pop(0)
        if not isinstance(each, dict) or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        if "$ref" in each:
            waiting.append(_resolve(each["$ref"], root))
        for key in _BRANCHES:
            found = each.get(key)
            waiting += found if isinstance(found, list) else []


def _own_types(schema: JsonObject) -> set[str]:
    """The types that one schema names itself."""
    named = schema.get("type")
    if isinstance(named, str):
        return {named}
    if isinstance(named, list):
        return {each for each in named if isinstance(each, str)}
    values = schema["enum"] if isinstance(schema.get("enum"), list) else []
    values = [*values, schema["const"]] if "const" in schema else values
    if values:
        return {_json_type(each) for each in values}
    found = {"object"} if "properties" in schema else set()
    return found | ({"array"} if "items" in schema else set())


def types_of(schema: Json, root: JsonObject) -> frozenset[str]:
    """The JSON types a value of this schema may have; structures and strings where it names none."""
    found: set[str] = set()
    is_nullable = False
    for each in _branches(schema, root):
        found |= _own_types(each)
        is_nullable = is_nullable or each.get("nullable") is True
    return (frozenset(found) if found else _UNTYPED) | (frozenset({"null"}) if is_nullable else frozenset())


class Parameters:
    """The parameters of one tool: which keys it knows, and which types each may have."""

    def __init__(self, schema: Json) -> None:
        self.root: JsonObject = schema if isinstance(schema, dict) else {}
        self._types: dict[str, frozenset[str]] = {}

    def knows(self, key: str) -> bool:
        """Whether the tool declares a parameter of this name."""
        return self._schema(key) is not None

    def types(self, key: str) -> frozenset[str]:
        """The types that a parameter may have."""
        if key not in self._types:
            self._types[key] = types_of(self._schema(key), self.root)
        return self._types[key]

    def _schema(self, key: str) -> Json:
        for each in _branches(self.root, self.root):
            properties = each.get("properties")
            if isinstance(properties, dict) and key in properties:
                found = properties[key]
                return {} if found is True else found
        for each in _branches(self.root, self.root):
            if isinstance(each.get("additionalProperties"), dict):
                return each["additionalProperties"]
        return None


def json_value(text: str, repairs: frozenset[str]) -> str | None:
    """The text as JSON text if the whole of it is one JSON value, after the repairs that are allowed; else None."""
    source = Source(text, is_over=True)
    reader, parts = JsonText(source, repairs), list[str]()
    try:
        at, _ = finished(reader.peek(0))
        at = finished(reader.value(at, parts.append))
        at, rest = finished(reader.peek(at))
    except NotACall:
        return None
    return None if rest else "".join(parts)


def coerce(text: str, types: frozenset[str], repairs: frozenset[str] = frozenset()) -> str:
    """JSON text for a raw value. `types` are those the schema allows; numbers stay as they were written."""
    if types == {"string"}:
        return quoted(text)
    trimmed = text.strip()
    scalar = _scalar(trimmed, types)
    if scalar is not None:
        return scalar
    if types & {"object", "array"} and trimmed[:1] in ("{", "["):
        wanted = "object" if trimmed[0] == "{" else "array"
        found = json_value(trimmed, repairs) if wanted in types else None
        if found is not None:
            return found
    return quoted(text)


def _scalar(text: str, types: frozenset[str]) -> str | None:
    if "null" in types and text in _NULLS:
        return "null"
    if "integer" in types and _INTEGER.fullmatch(text):
        return text
    if "number" in types and NUMBER.fullmatch(text):
        return text
    if "boolean" in types:
        return _BOOLEANS.get(text)
    return None
