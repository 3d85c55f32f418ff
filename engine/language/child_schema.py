"""The JSON Schema of a file that may extend another: what stands in a child is only what it changes (LANGUAGE 3.6).

A child needs no key or argument that its parent brings, and may say `$remove` or `$replace` in place of what it
inherits. So an editor is given two schemas in one: `whole` for a file that stands alone, `child` for one that
`extends`, or is `abstract` and so may lack what its children bring.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from engine.language.inherit import NOT_INHERITED
from engine.types import Json, JsonObject

_OWN: Final = ("type", "anyOf", "enum", "$ref")
"""What says something of a value, besides prose: a place without takes anything, `$remove` too."""
_PROSE: Final = ("description", "default", "examples")
_CHANGE: Final[JsonObject] = {
    "description": "A change of what the parent has: `$remove: true` deletes it, `$replace` does not merge with it.",
    "type": "object",
    "properties": {"$remove": {"const": True}, "$replace": {}},
    "additionalProperties": False,
    "minProperties": 1,
    "maxProperties": 1,
}


def with_children(schema: JsonObject) -> JsonObject:
    """The schema of a kind, if it can extend, for its children too; else the schema as it is."""
    if "extends" not in schema["properties"]:
        return schema
    head = {key: each for key, each in schema.items() if key in ("$schema", "title", "description")}
    whole = {key: each for key, each in schema.items() if key not in (*head, "$defs")}
    inherits = {
        "anyOf": [{"required": ["extends"]}, {"properties": {"abstract": {"const": True}}, "required": ["abstract"]}]
    }
    return {
        **head,
        "if": inherits,
        "then": {"$ref": "#/$defs/child"},
        "else": {"$ref": "#/$defs/whole"},
        "$defs": {
            **schema["$defs"],
            "whole": whole,
            "child": {**whole, "properties": _properties(whole["properties"], kept=NOT_INHERITED)},
            "change": _CHANGE,
            "child.tree": _partial(schema["$defs"]["tree"]),
        },
    }


def _partial(schema: Json) -> Json:
    if isinstance(schema, list):
        return [_partial(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _partial(each) for key, each in schema.items() if key not in ("required", "properties")}
    if made.get("$ref") == "#/$defs/tree":
        made["$ref"] = "#/$defs/child.tree"
    if "properties" in schema:
        made["properties"] = _properties(schema["properties"])
    if isinstance(schema.get("additionalProperties"), dict):
        made["additionalProperties"] = _changeable(schema["additionalProperties"])
    return made


def _properties(schemas: Mapping[str, JsonObject], kept: frozenset[str] = frozenset()) -> JsonObject:
    return {key: each if key in kept else _changeable(each) for key, each in schemas.items()}


def _changeable(schema: JsonObject) -> JsonObject:
    """What a place takes in a child: a change, too. The prose stays outside, where editors look for it."""
    made: JsonObject = _partial(schema)
    if not any(key in schema for key in _OWN):
        return made
    prose = {key: each for key, each in made.items() if key in _PROSE}
    return {
        **prose,
        "anyOf": [{key: each for key, each in made.items() if key not in prose}, {"$ref": "#/$defs/change"}],
    }
