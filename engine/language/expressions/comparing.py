"""Static checks of a comparison: can the two sides ever be equal, or have an order (rule E105)?"""

from __future__ import annotations

from typing import Final

from engine.language.expressions.problems import closest
from engine.language.static_types import Type

OPERATOR_TEXT: Final = {"eq": "==", "ne": "!=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
"""The comparators as they are written, by their name in the syntax tree."""

_ORDERED: Final = frozenset({"number", "string"})


def never_equal(left: Type, right: Type) -> bool:
    """Whether no value can have both types; two values that are both missing do not count as equal here."""
    common = left.kinds & right.kinds
    if not common:
        return True
    if common == {"null"}:
        return bool(left.known and right.known)
    if common - {"null"} != {"string"} or left.values is None or right.values is None:
        return False
    return not left.values & right.values


def never_ordered(left: Type, right: Type) -> bool:
    """Whether the two can never be both numbers or both strings."""
    return not left.kinds & right.kinds & _ORDERED


def near_value(left: Type, right: Type) -> list[str]:
    """A suggestion for a misspelt value of an enum."""
    few, many = sorted((left.values or frozenset(), right.values or frozenset()), key=len)
    near = closest(next(iter(few)), many) if len(few) == 1 else None
    return [f"did you mean '{near}' ?"] if near else []
