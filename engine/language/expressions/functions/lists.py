"""Lists: size, order, search, and an expression applied to every item."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.language.expressions.runtime import NUMBERS, FunctionError, equals, kind_of
from engine.language.expressions.signatures import Parameter, function, text_parameter
from engine.language.static_types import ANY, NUMBER, OBJECT, STRING, Type, array_of, union
from engine.types import Json, JsonObject

_ORDERABLE = union(NUMBER, STRING)
_ALIKE = Parameter("values", array_of(_ORDERABLE), items_alike=True)
_LIST = Parameter("list", array_of(ANY))
_KEY = Parameter("key", _ORDERABLE, is_expression=True)

Key = Callable[[Json], Json]


def _same_list(arguments: Sequence[Type]) -> Type:
    return array_of(arguments[0].items or ANY) if arguments else array_of(ANY)


def _an_item(arguments: Sequence[Type]) -> Type:
    return (arguments[0].items or ANY).optional() if arguments else ANY


def _of_bodies(arguments: Sequence[Type]) -> Type:
    return array_of(arguments[0]) if arguments else array_of(ANY)


def _keyed(key: Key, kinds: set[str]) -> Key:
    """A key function that refuses what has no order. `kinds` collects what it met."""

    def checked(item: Json) -> Json:
        value = key(item)
        kind = kind_of(value)
        if kind not in {"number", "string"}:
            raise FunctionError(f"key must be a number or a string for every item, this is {kind}")
        kinds.add(kind)
        if len(kinds) > 1:
            raise FunctionError("key must be a number for every item, or a string for every item")
        return value

    return checked


@function(
    "length",
    [Parameter("value", union(STRING, array_of(ANY), OBJECT))],
    NUMBER,
    "The number of characters of a text, items of a list, or keys of an object.",
    examples=[
        ("length(req.messages)", {"req": {"messages": [{}, {}]}}, 2),
        ("length(v)", {"v": "héllo"}, 5),
        ("length(v)", {}, None),
    ],
)
def _length(value: Json) -> Json:
    return len(value)


@function(
    "max",
    [_ALIKE],
    _an_item,
    "The greatest of a list of numbers or of a list of texts; null of an empty list.",
    examples=[("max(v)", {"v": [1, 3, 2]}, 3), ("max(v)", {"v": []}, None)],
)
def _max(values: list[Json]) -> Json:
    return max(values) if values else None


@function(
    "min",
    [_ALIKE],
    _an_item,
    "The least of a list of numbers or of a list of texts; null of an empty list.",
    examples=[("min(v)", {"v": ["b", "a"]}, "a"), ("min(v)", {"v": []}, None)],
)
def _min(values: list[Json]) -> Json:
    return min(values) if values else None


@function(
    "sort",
    [_ALIKE],
    _same_list,
    "A list of numbers or of texts in order.",
    examples=[("sort(v)", {"v": [3, 1, 2]}, [1, 2, 3]), ("sort(v)", {"v": ["b", "A", "a"]}, ["A", "a", "b"])],
)
def _sort(values: list[Json]) -> Json:
    return sorted(values)


@function(
    "sort_by",
    [_LIST, _KEY],
    _same_list,
    "A list ordered by a key of its items; items with equal keys keep their order.",
    examples=[
        ("sort_by(v, &n)", {"v": [{"n": 2}, {"n": 1}]}, [{"n": 1}, {"n": 2}]),
        ("sort_by(v, &name)[].name", {"v": [{"name": "b"}, {"name": "a"}]}, ["a", "b"]),
    ],
)
def _sort_by(values: list[Json], key: Key) -> Json:
    return sorted(values, key=_keyed(key, set()))


@function(
    "max_by",
    [_LIST, _KEY],
    _an_item,
    "The item with the greatest key; null of an empty list.",
    examples=[
        ("max_by(v, &n).name", {"v": [{"n": 1, "name": "a"}, {"n": 2, "name": "b"}]}, "b"),
        ("max_by(v, &n)", {"v": []}, None),
    ],
)
def _max_by(values: list[Json], key: Key) -> Json:
    return max(values, key=_keyed(key, set())) if values else None


@function(
    "min_by",
    [_LIST, _KEY],
    _an_item,
    "The item with the least key; null of an empty list.",
    examples=[
        ("min_by(v, &n).name", {"v": [{"n": 1, "name": "a"}, {"n": 2, "name": "b"}]}, "a"),
        ("min_by(v, &n)", {"v": []}, None),
    ],
)
def _min_by(values: list[Json], key: Key) -> Json:
    return min(values, key=_keyed(key, set())) if values else None


@function(
    "map",
    [Parameter("body", ANY, is_expression=True), _LIST],
    _of_bodies,
    "The values of an expression for every item, nulls included (a projection leaves them out).",
    examples=[
        ("map(&name, v)", {"v": [{"name": "a"}, {}]}, ["a", None]),
        ("map(&[0], v)", {"v": [[1, 2], [3]]}, [1, 3]),
    ],
)
def _map(body: Key, values: list[Json]) -> Json:
    return [body(each) for each in values]


@function(
    "find",
    [_LIST, text_parameter("key"), Parameter("value", ANY)],
    _an_item,
    "The first object of a list whose key has this value, or null. Unlike [?…] it can compare with a name in scope.",
    examples=[
        (
            "find(req.messages[].tool_calls[], 'id', m.tool_call_id).function.name",
            {
                "req": {"messages": [{"tool_calls": [{"id": "c1", "function": {"name": "add"}}]}]},
                "m": {"tool_call_id": "c1"},
            },
            "add",
        ),
        ("find(v, 'id', 'x')", {"v": [{"id": "y"}, "x"]}, None),
    ],
)
def _find(values: list[Json], key: str, value: Json) -> Json:
    exact = type(value) not in NUMBERS and not isinstance(value, bool)
    for each in values:
        if isinstance(each, dict) and key in each:
            held = each[key]
            if held == value if exact else equals(held, value):
                return each
    return None


@function(
    "merge_deltas",
    [
        Parameter("list", array_of(OBJECT)),
        Parameter("deltas", array_of(OBJECT)),
        Parameter("joined", array_of(STRING)),
    ],
    array_of(OBJECT),
    "The list with pieces of its items added: items of one `index` are one. Texts under the keys `joined` are put "
    "together, of other values the latest stands.",
    examples=[
        (
            'merge_deltas(v, d, `["text"]`)',
            {"v": [{"index": 0, "type": "x", "text": "He"}], "d": [{"index": 0, "type": "x", "text": "y"}]},
            [{"index": 0, "type": "x", "text": "Hey"}],
        ),
        (
            'merge_deltas(v, d, `["text"]`)',
            {"v": [{"index": 0, "text": "a"}], "d": [{"index": 0, "text": None, "n": 2}, {"index": 1}, {"id": "b"}]},
            [{"index": 0, "text": "a", "n": 2}, {"index": 1}, {"id": "b"}],
        ),
        ('merge_deltas(v, d, `["text"]`)', {"v": [], "d": None}, None),
    ],
)
def _merge_deltas(items: list[JsonObject], deltas: list[JsonObject], joined: list[str]) -> Json:
    made = list(items)
    for delta in deltas:
        index = delta.get("index")
        place = next((at for at, each in enumerate(made) if index is not None and each.get("index") == index), None)
        if place is None:
            made.append(delta)
            continue
        known = made[place]
        new = {key: value for key, value in delta.items() if value is not None}
        texts = {key: known[key] + new[key] for key in joined if _are_texts(known.get(key), new.get(key))}
        made[place] = {**known, **new, **texts}
    return made


def _are_texts(known: Json, more: Json) -> bool:
    return isinstance(known, str) and isinstance(more, str)
