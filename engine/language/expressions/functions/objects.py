"""Objects: their keys, and copies with more or fewer of them. The order of keys is kept.

`merge` checks all its arguments; the `jmespath` package looks at the first only.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.language.expressions.signatures import Parameter, function
from engine.language.static_types import ANY, OBJECT, STRING, Type, array_of, object_of, union
from engine.types import Json, JsonObject

_OBJECT = Parameter("object", OBJECT)
_KEYS = Parameter("keys", array_of(STRING))


def _values_of(arguments: Sequence[Type]) -> Type:
    fields = arguments[0].fields if arguments else None
    return array_of(union(*fields.values()) if fields else ANY)


@function(
    "keys",
    [_OBJECT],
    array_of(STRING),
    "The keys of an object.",
    examples=[("keys(v)", {"v": {"b": 1, "a": 2}}, ["b", "a"]), ("keys(v)", {"v": {}}, [])],
)
def _keys(value: JsonObject) -> Json:
    return list(value)


@function(
    "values",
    [_OBJECT],
    _values_of,
    "The values of an object.",
    examples=[
        ("values(v)", {"v": {"b": 1, "a": 2}}, [1, 2]),
        ("values(res.data)[0].text", {"res": {"data": {"m": {"text": "hi"}}}}, "hi"),
    ],
)
def _values(value: JsonObject) -> Json:
    return list(value.values())


@function(
    "items",
    [_OBJECT],
    array_of(object_of({"key": STRING, "value": ANY})),
    "The entries of an object, each as {key, value}.",
    examples=[
        ("items(v)", {"v": {"a": 1}}, [{"key": "a", "value": 1}]),
        ("items(v)[].key", {"v": {"a": 1, "b": 2}}, ["a", "b"]),
    ],
)
def _items(value: JsonObject) -> Json:
    return [{"key": key, "value": each} for key, each in value.items()]


@function(
    "merge",
    [_OBJECT],
    OBJECT,
    "One object of several; of equal keys the last one's value stays.",
    examples=[
        ("merge(a, b)", {"a": {"x": 1, "y": 1}, "b": {"y": 2}}, {"x": 1, "y": 2}),
        ("merge(a, b)", {"a": {"x": 1}}, None),
    ],
    variadic=True,
)
def _merge(*objects: JsonObject) -> Json:
    merged: JsonObject = {}
    for each in objects:
        merged.update(each)
    return merged


@function(
    "pick",
    [_OBJECT, _KEYS],
    OBJECT,
    "The object with these keys only, as far as it has them.",
    examples=[
        ('pick(v, `["a","c"]`)', {"v": {"a": 1, "b": 2}}, {"a": 1}),
        ("pick(v, `[]`)", {"v": {"a": 1}}, {}),
    ],
)
def _pick(value: JsonObject, keys: list[str]) -> Json:
    wanted = set(keys)
    return {key: each for key, each in value.items() if key in wanted}


@function(
    "omit",
    [_OBJECT, _KEYS],
    OBJECT,
    "The object without these keys.",
    examples=[
        ('omit(v, `["a","c"]`)', {"v": {"a": 1, "b": 2}}, {"b": 2}),
        ('omit(v, `["a"]`)', {}, None),
    ],
)
def _omit(value: JsonObject, keys: list[str]) -> Json:
    unwanted = set(keys)
    return {key: each for key, each in value.items() if key not in unwanted}


@function(
    "omit_deep",
    [Parameter("value", ANY), _KEYS],
    ANY,
    "The value without these keys at any depth, as for a JSON Schema that an upstream reads only in part.",
    examples=[
        ('omit_deep(v, `["x"]`)', {"v": {"x": 1, "a": [{"x": 2, "b": 3}]}}, {"a": [{"b": 3}]}),
        ('omit_deep(v, `["x"]`)', {"v": "text"}, "text"),
    ],
)
def _omit_deep(value: Json, keys: list[str]) -> Json:
    return _without(value, frozenset(keys))


def _without(value: Json, unwanted: frozenset[str]) -> Json:
    if isinstance(value, dict):
        return {key: _without(each, unwanted) for key, each in value.items() if key not in unwanted}
    if isinstance(value, list):
        return [_without(each, unwanted) for each in value]
    return value
