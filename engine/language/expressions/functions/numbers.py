"""Numbers. Whole numbers stay whole and exact as long as the arithmetic allows; a result is never NaN or infinite."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Decimal

from engine.language.expressions.runtime import FunctionError
from engine.language.expressions.signatures import Parameter, function
from engine.language.static_types import NUMBER, STRING, array_of
from engine.types import Json

_VALUE = Parameter("value", NUMBER)
_LIST = Parameter("numbers", array_of(NUMBER))


def _finite(value: Json) -> Json:
    if isinstance(value, float) and not math.isfinite(value):
        raise FunctionError("the result is too large for a number")
    return value


@function(
    "abs",
    [_VALUE],
    NUMBER,
    "The number without its sign.",
    examples=[("abs(v)", {"v": -3}, 3), ("abs(v)", {"v": 2.5}, 2.5)],
)
def _abs(value: Json) -> Json:
    return abs(value)


@function(
    "avg",
    [_LIST],
    NUMBER.optional(),
    "The mean of a list of numbers; null of an empty list.",
    examples=[("avg(v)", {"v": [1, 2]}, 1.5), ("avg(v)", {"v": []}, None)],
)
def _avg(numbers: Json) -> Json:
    return _finite(sum(numbers) / len(numbers)) if numbers else None


@function(
    "sum",
    [_LIST],
    NUMBER,
    "The sum of a list of numbers; 0 of an empty list.",
    examples=[
        ("sum(res.usage[].tokens)", {"res": {"usage": [{"tokens": 2}, {"tokens": 3}]}}, 5),
        ("sum(v)", {"v": []}, 0),
    ],
)
def _sum(numbers: Json) -> Json:
    return _finite(sum(numbers))


@function(
    "ceil",
    [_VALUE],
    NUMBER,
    "The least whole number that is not smaller.",
    examples=[("ceil(v)", {"v": 1.2}, 2), ("ceil(v)", {"v": -1.2}, -1)],
)
def _ceil(value: Json) -> Json:
    return math.ceil(value)


@function(
    "floor",
    [_VALUE],
    NUMBER,
    "The greatest whole number that is not larger.",
    examples=[("floor(v)", {"v": 1.8}, 1), ("floor(v)", {"v": -1.2}, -2)],
)
def _floor(value: Json) -> Json:
    return math.floor(value)


@function(
    "round",
    [_VALUE, Parameter("digits", NUMBER)],
    NUMBER,
    "The number rounded to so many decimal digits, halves away from zero; without digits a whole number.",
    examples=[
        ("round(v)", {"v": 2.5}, 3),
        ("round(v, `2`)", {"v": 0.125}, 0.13),
        ("round(v, `1`)", {"v": 7}, 7),
    ],
    optional=1,
)
def _round(value: Json, digits: Json = 0) -> Json:
    if isinstance(value, int):
        return value
    if not 0 <= digits <= 15:
        raise FunctionError("digits must be from 0 to 15")
    # Through the shortest decimal spelling, so that 1.005 rounds as it reads.
    places = int(digits)
    exact = Decimal(repr(value)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP) if abs(value) < 1e12 else value
    return float(exact) if places else int(exact)


@function(
    "fixed",
    [_VALUE, Parameter("digits", NUMBER)],
    STRING,
    "The number as text with so many decimal digits, halves away from zero: for APIs that take numbers as text.",
    examples=[
        ("fixed(req.temperature, `2`)", {"req": {"temperature": 0.7}}, "0.70"),
        ("fixed(v, `0`)", {"v": 12.5}, "13"),
        ("fixed(v, `2`)", {"v": 3}, "3.00"),
        ("fixed(v, `2`)", {}, None),
    ],
)
def _fixed(value: Json, digits: Json) -> Json:
    if digits not in range(16):
        raise FunctionError("digits must be from 0 to 15")
    if abs(value) >= 1e12:
        raise FunctionError("the number is too large")
    return f"{Decimal(repr(value)).quantize(Decimal(1).scaleb(-int(digits)), ROUND_HALF_UP):f}"


@function(
    "add",
    [_VALUE, Parameter("more", NUMBER)],
    NUMBER,
    "The sum of the arguments.",
    examples=[
        ("add(a, b)", {"a": 2, "b": 3}, 5),
        ("add(a, b, `0.5`)", {"a": 1, "b": 1}, 2.5),
        ("add(a, b)", {"a": 1}, None),
    ],
    variadic=True,
)
def _add(*values: Json) -> Json:
    return _finite(sum(values))


@function(
    "sub",
    [_VALUE, Parameter("less", NUMBER)],
    NUMBER,
    "The first number less the second.",
    examples=[("sub(a, b)", {"a": 5, "b": 3}, 2), ("sub(a, b)", {"a": 1, "b": 2.5}, -1.5)],
)
def _sub(value: Json, less: Json) -> Json:
    return _finite(value - less)


@function(
    "mul",
    [_VALUE, Parameter("more", NUMBER)],
    NUMBER,
    "The product of the arguments.",
    examples=[("mul(a, `1000`)", {"a": 3}, 3000), ("mul(a, `2`, `0.5`)", {"a": 3}, 3.0)],
    variadic=True,
)
def _mul(*values: Json) -> Json:
    return _finite(math.prod(values))


@function(
    "div",
    [_VALUE, Parameter("by", NUMBER)],
    NUMBER.optional(),
    "The first number divided by the second: whole if both are whole and it comes out even; null when dividing by 0.",
    examples=[
        ("div(ms, `1000`)", {"ms": 3000}, 3),
        ("div(ms, `1000`)", {"ms": 2500}, 2.5),
        ("div(a, `0`)", {"a": 1}, None),
    ],
)
def _div(value: Json, by: Json) -> Json:
    if by == 0:
        return None
    if isinstance(value, int) and isinstance(by, int) and value % by == 0:
        return value // by
    return _finite(value / by)


@function(
    "clamp",
    [_VALUE, Parameter("least", NUMBER), Parameter("greatest", NUMBER)],
    NUMBER,
    "The number, held between two bounds.",
    examples=[
        ("clamp(req.temperature, `0`, `1`)", {"req": {"temperature": 1.7}}, 1),
        ("clamp(req.temperature, `0`, `1`)", {"req": {"temperature": 0.3}}, 0.3),
        ("clamp(req.temperature, `0`, `1`)", {"req": {}}, None),
    ],
)
def _clamp(value: Json, least: Json, greatest: Json) -> Json:
    return max(least, min(value, greatest))
