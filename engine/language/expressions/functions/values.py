"""Values of any type: is there one, which one, of what kind, as what kind."""

from __future__ import annotations

import json
from collections.abc import Sequence

from engine.language.expressions.runtime import kind_of
from engine.language.expressions.signatures import Parameter, function
from engine.language.static_types import (
    ANY,
    ARRAY,
    BOOLEAN,
    KINDS,
    NULL,
    NUMBER,
    OBJECT,
    STRING,
    Type,
    array_of,
    enum_of,
    union,
)
from engine.types import Json, JsonObject

_VALUE = Parameter("value", ANY)


def _first_present(arguments: Sequence[Type]) -> Type:
    if not arguments:
        return NULL
    result = union(*(each.required() for each in arguments))
    always = any(not each.may_be_null for each in arguments)
    return result.required() if always else result.optional()


def _as_list(arguments: Sequence[Type]) -> Type:
    if not arguments:
        return ARRAY
    (given,) = arguments
    single = given.known - {"array"}
    items = [given.items or ANY] if "array" in given.kinds else []
    if single:
        items.append(Type(single, given.fields, None, given.values))
    return array_of(union(*items)) if items else ARRAY


@function(
    "present",
    [_VALUE],
    BOOLEAN,
    "Whether there is a value: true for anything but null, also for false, 0, an empty text or list.",
    examples=[
        ("present(req.tools)", {"req": {"tools": []}}, True),
        ("present(req.tools)", {"req": {}}, False),
        ("present(v)", {"v": False}, True),
    ],
    takes_null=True,
    inline=lambda names: f"{names[0]} is not None",
)
def _present(value: Json) -> Json:
    return value is not None


@function(
    "not_null",
    [_VALUE],
    _first_present,
    "The first argument that is not null, or null. This is how a default is given by absence.",
    examples=[
        ("not_null(req.max_completion_tokens, req.max_tokens)", {"req": {"max_tokens": 9}}, 9),
        ("not_null(v, 'none')", {"v": ""}, ""),
        ("not_null(v, 'none')", {"v": None}, "none"),
    ],
    takes_null=True,
    variadic=True,
    inline=lambda names: " else ".join([*(f"{name} if {name} is not None" for name in names[:-1]), names[-1]]),
)
def _not_null(*values: Json) -> Json:
    for value in values:
        if value is not None:
            return value
    return None


@function(
    "type",
    [_VALUE],
    enum_of(*KINDS),
    "The kind of a value: null, boolean, number, string, array or object.",
    examples=[
        ("type(req.tool_choice)", {"req": {"tool_choice": {"type": "function"}}}, "object"),
        ("type(v)", {"v": None}, "null"),
        ("type(v)", {"v": 1.5}, "number"),
    ],
    takes_null=True,
    inline=lambda names: f"kinds.get(type({names[0]}), 'unknown')",
)
def _type(value: Json) -> Json:
    return kind_of(value)


@function(
    "list",
    [_VALUE],
    _as_list,
    "A list in any case: a list as it is, null as an empty list, anything else as a list of one.",
    examples=[
        ("list(req.stop)", {"req": {"stop": "END"}}, ["END"]),
        ("list(req.stop)", {"req": {"stop": ["a", "b"]}}, ["a", "b"]),
        ("list(req.stop)", {"req": {}}, []),
    ],
    takes_null=True,
)
def _list(value: Json) -> Json:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


@function(
    "to_array",
    [_VALUE],
    _as_list,
    "A list as it is, anything else as a list of one; null gives null (see list).",
    examples=[
        ("to_array(v)", {"v": "a"}, ["a"]),
        ("to_array(v)", {"v": ["a"]}, ["a"]),
        ("to_array(v)", {"v": None}, None),
    ],
)
def _to_array(value: Json) -> Json:
    return value if isinstance(value, list) else [value]


@function(
    "to_string",
    [_VALUE],
    STRING,
    "A text as it is, anything else as ASCII-only JSON; null gives null. For JSON to be sent on use to_json.",
    examples=[
        ("to_string(v)", {"v": "a"}, "a"),
        ("to_string(v)", {"v": 12}, "12"),
        ("to_string(v)", {"v": {"a": ["é", True]}}, '{"a":["\\u00e9",true]}'),
    ],
)
def _to_string(value: Json) -> Json:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


@function(
    "to_number",
    [_VALUE],
    NUMBER.optional(),
    "A number as it is, a text that spells a number as that number, anything else null.",
    examples=[
        ("to_number(v)", {"v": "12"}, 12),
        ("to_number(v)", {"v": "1e3"}, 1000.0),
        ("to_number(v)", {"v": "twelve"}, None),
        ("to_number(v)", {"v": True}, None),
    ],
)
def _to_number(value: Json) -> Json:
    if isinstance(value, bool | list | dict):
        return None
    if isinstance(value, int | float):
        return value
    for read in (int, float):
        try:
            return read(value)
        except ValueError:
            continue
    return None


@function(
    "as_object",
    [_VALUE],
    OBJECT.optional(),
    "An object as it is, anything else null.",
    examples=[
        ("as_object(from_json(v))", {"v": '{"a":1}'}, {"a": 1}),
        ("as_object(from_json(v))", {"v": "[1]"}, None),
    ],
)
def _as_object(value: Json) -> JsonObject | None:
    return value if isinstance(value, dict) else None


@function(
    "as_string",
    [_VALUE],
    STRING.optional(),
    "A text as it is, anything else null. Nothing is converted.",
    examples=[
        ("as_string(res.error)", {"res": {"error": "no such model"}}, "no such model"),
        ("as_string(res.error)", {"res": {"error": {"message": "no such model"}}}, None),
    ],
    inline=lambda names: f"{names[0]} if type({names[0]}) is str else None",
)
def _as_string(value: Json) -> str | None:
    return value if isinstance(value, str) else None
