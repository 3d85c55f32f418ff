"""Static types: what the compiler knows of a value before any request has come.

A type is a set of JSON kinds, with detail where it is known: the fields of a closed object, the items of a list, the
values of an enum. Provider JSON of which nothing is known is `ANY`. A field that may be missing has `null` among its
kinds, since an expression cannot tell missing from null (LANGUAGE 2, P5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final

from engine.types import Json

KINDS: Final = ("null", "boolean", "number", "string", "array", "object")
"""The six kinds of JSON value, in the order in which messages list them."""


@dataclass(frozen=True, slots=True)
class Type:
    """What a value can be.

    `kinds` is a subset of `KINDS`. `fields` closes an object (None: any field may exist), `items` is the type of a
    list's items (None: anything), `values` closes a string to an enum (None: any text).
    """

    kinds: frozenset[str]
    fields: Mapping[str, Type] | None = None
    items: Type | None = None
    values: frozenset[str] | None = None

    @property
    def is_condition(self) -> bool:
        """Whether the value is a boolean or null, and so may stand as a condition (rule E104)."""
        return "boolean" in self.kinds and self.kinds <= {"boolean", "null"}

    @property
    def may_be_null(self) -> bool:
        """Whether the value can be null, which a leaf turns into absent."""
        return "null" in self.kinds

    @property
    def known(self) -> frozenset[str]:
        """The kinds without null."""
        return self.kinds - {"null"}

    def optional(self) -> Type:
        """The same type, or null."""
        return self if "null" in self.kinds else self._with(self.kinds | {"null"})

    def required(self) -> Type:
        """The same type without null (null itself stays null)."""
        known = self.known
        return self if not known or known == self.kinds else self._with(known)

    def _with(self, kinds: frozenset[str]) -> Type:
        if self.fields is None and self.items is None and self.values is None:
            return _plain(kinds)
        return Type(kinds, self.fields, self.items, self.values)


@cache
def _plain(kinds: frozenset[str]) -> Type:
    """The type of which no more than its kinds is known: one object, since expressions are remembered by identity."""
    return Type(kinds)


def _kind(*kinds: str) -> Type:
    return _plain(frozenset(kinds))


ANY: Final = _kind(*KINDS)
NULL: Final = _kind("null")
BOOLEAN: Final = _kind("boolean")
NUMBER: Final = _kind("number")
STRING: Final = _kind("string")
ARRAY: Final = _kind("array")
OBJECT: Final = _kind("object")


def object_of(required: Mapping[str, Type] | None = None, optional: Mapping[str, Type] | None = None) -> Type:
    """A closed object: the `required` fields are never null by themselves, the `optional` ones may be."""
    fields = dict(required or {})
    fields.update({name: each.optional() for name, each in (optional or {}).items()})
    return Type(frozenset({"object"}), MappingProxyType(fields))


def array_of(items: Type) -> Type:
    """A list whose items all have one type."""
    return Type(frozenset({"array"}), None, items)


def enum_of(*values: str) -> Type:
    """A string out of a closed set."""
    return Type(frozenset({"string"}), None, None, frozenset(values))


def _union_fields(left: Type, right: Type) -> Mapping[str, Type] | None:
    objects = [each for each in (left, right) if "object" in each.kinds]
    if len(objects) < 2:
        return objects[0].fields if objects else None
    if left.fields is None or right.fields is None:
        return None
    names = list(left.fields) + [name for name in right.fields if name not in left.fields]
    return MappingProxyType({name: union(left.fields.get(name, NULL), right.fields.get(name, NULL)) for name in names})


def _union_items(left: Type, right: Type) -> Type | None:
    arrays = [each for each in (left, right) if "array" in each.kinds]
    if len(arrays) < 2:
        return arrays[0].items if arrays else None
    if left.items is None or right.items is None:
        return None
    return union(left.items, right.items)


def _union_values(left: Type, right: Type) -> frozenset[str] | None:
    strings = [each for each in (left, right) if "string" in each.kinds]
    if len(strings) < 2:
        return strings[0].values if strings else None
    if left.values is None or right.values is None:
        return None
    return left.values | right.values


def union(*types: Type) -> Type:
    """What a value can be that has one of these types; without types it is null."""
    if not types:
        return NULL
    result = types[0]
    for each in types[1:]:
        result = Type(
            result.kinds | each.kinds,
            _union_fields(result, each),
            _union_items(result, each),
            _union_values(result, each),
        )
    return result


def field_of(base: Type, name: str) -> Type | None:
    """The type of `base.name`, or None where no such field can exist (rule E106)."""
    if "object" not in base.kinds:
        return NULL if base.kinds == {"null"} else None
    if base.fields is None:
        return ANY
    found = base.fields.get(name)
    if found is None:
        return None
    return found if base.kinds == {"object"} else found.optional()


def item_of(base: Type) -> Type | None:
    """The type of an item of `base`, or None where `base` can never be a list (rule E106)."""
    if "array" not in base.kinds:
        return NULL if base.kinds == {"null"} else None
    return base.items or ANY


def literal_type(value: Json) -> Type:
    """The type of one JSON value. A string is an enum of itself, an object is closed."""
    if isinstance(value, str):
        return enum_of(value)
    if isinstance(value, list):
        return array_of(union(*map(literal_type, value))) if value else ARRAY
    if isinstance(value, dict):
        return object_of({key: literal_type(each) for key, each in value.items()})
    if isinstance(value, bool):
        return BOOLEAN
    return NULL if value is None else NUMBER


_WORDS: Final = {
    "null": "null",
    "boolean": "true or false",
    "number": "a number",
    "string": "a string",
    "array": "a list",
    "object": "an object",
}


def describe(of: Type) -> str:
    """The type in words for a message: `a number`, `a string or a list`, `one of "auto", "low"`.

    Null is named only where nothing else is possible.
    """
    kinds = [kind for kind in KINDS if kind in (of.known or of.kinds)]
    if len(kinds) == len(KINDS) - 1:
        return "any value"
    if kinds == ["string"] and of.values is not None and 0 < len(of.values) <= 12:
        listed = ", ".join(f'"{value}"' for value in sorted(of.values))
        return f"the string {listed}" if len(of.values) == 1 else f"one of {listed}"
    return " or ".join(_WORDS[kind] for kind in kinds)
