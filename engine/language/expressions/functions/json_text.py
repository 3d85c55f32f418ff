"""JSON as text. Reading is strict: what JSON does not allow gives null, never a guess."""

from __future__ import annotations

import json
import math

from engine.language.expressions.signatures import Parameter, function, text_parameter
from engine.language.static_types import ANY, STRING
from engine.types import Json, JsonObject


def _unique(pairs: list[tuple[str, Json]]) -> JsonObject:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate key")
    return result


def _refused(constant: str) -> Json:
    raise ValueError(constant)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("number too large")
    return value


def _has_lone_surrogate(text: str, value: Json) -> bool:
    """Only an escape can make one, so most texts are not searched."""
    if "\\ud" not in text and "\\uD" not in text:
        return False
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


@function(
    "from_json",
    [text_parameter()],
    ANY,
    "The value that JSON text stands for; null if it is not valid JSON. NaN, duplicate keys, numbers out of range, "
    "lone surrogates and too deep nesting are not valid; whole numbers of any size stay exact.",
    examples=[
        ("from_json(v)", {"v": '{"a":[1,2.5]}'}, {"a": [1, 2.5]}),
        ("from_json(v)", {"v": '{"a":1,"a":2}'}, None),
        ("from_json(v)", {"v": "{oops"}, None),
        ("from_json(v)", {"v": "18446744073709551617"}, 18446744073709551617),
    ],
)
def _from_json(text: str) -> Json:
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refused, parse_float=_finite)
    except (ValueError, RecursionError):
        return None
    return None if _has_lone_surrogate(text, value) else value


@function(
    "to_json",
    [Parameter("value", ANY)],
    STRING,
    "The value as compact JSON text; the order of keys is kept, and characters beyond ASCII stay as they are.",
    examples=[
        ("to_json(v)", {"v": {"b": [1, True, None], "a": "é"}}, '{"b":[1,true,null],"a":"é"}'),
        ("to_json(v)", {"v": "x"}, '"x"'),
        ("to_json(v)", {}, None),
    ],
)
def _to_json(value: Json) -> Json:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
