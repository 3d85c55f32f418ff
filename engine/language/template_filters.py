"""The filters and tests of templates, and what a value looks like when it is printed.

All are pure and bounded: none makes more than `MAX_TEXT_CHARS` characters, whatever its arguments (rule R23).
Null follows pain P5, null is missing: `default` replaces it, `is defined` is false for it, text filters pass it on.
Messages name types, never values.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from jinja2 import Undefined
from jinja2.exceptions import TemplateRuntimeError

from engine.types import Json

MAX_TEXT_CHARS: Final = 4 << 20
MAX_INDENT: Final = 40
_MAX_JSON_INDENT: Final = 8

_KINDS: Final[Mapping[type, str]] = {
    str: "text",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    dict: "an object",
    list: "a list",
    tuple: "a list",
    type(None): "null",
}


def kind_of(value: object) -> str:
    """The type of a value in words."""
    return _KINDS.get(type(value), "not data")


def present(value: Json) -> Json:
    """The value itself. Raises UndefinedError, which names what was missing, if it has none."""
    if isinstance(value, Undefined):
        str(value)  # a strict undefined raises here
    return value


def printed(value: Json) -> str:
    """What `{{ value }}` writes: text as it is, null as nothing, numbers and booleans as JSON.

    Raises TemplateRuntimeError for lists and objects: Python's notation has no place in a prompt.
    """
    if type(value) is str:
        return value
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, str | Undefined):
        return str(value)  # raises for a missing value; an `if` without `else` prints nothing
    raise TemplateRuntimeError(f"cannot print {kind_of(value)}: use `text`, `tojson` or `join`")


def _bounded(chars: int) -> None:
    if chars > MAX_TEXT_CHARS:
        raise TemplateRuntimeError(f"text grows beyond {MAX_TEXT_CHARS} characters")


def _text_or_null(value: Json, name: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(present(value), bool | int | float):
        return printed(value)
    raise TemplateRuntimeError(f"`{name}` takes text, not {kind_of(value)}")


def text(value: Json) -> str:
    """Message content as text: text itself, the texts of content parts joined, null as ""."""
    if isinstance(value, list):
        return "".join(map(_part_text, value))
    if isinstance(value, dict):
        return _part_text(value)
    return printed(value)


def _part_text(part: Json) -> str:
    if isinstance(part, str):
        return part
    found = part.get("text") if isinstance(part, dict) else None
    return found if isinstance(found, str) else ""


def tojson(value: Json, indent: int | None = None) -> str:
    """The value as JSON text: key order kept, UTF-8, nothing escaped for HTML, compact unless `indent` is given."""
    _check_weight(present(value))
    if indent is None:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if type(indent) is not int or not 0 <= indent <= _MAX_JSON_INDENT:
        raise TemplateRuntimeError(f"`tojson` indents by 0 to {_MAX_JSON_INDENT}")
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)


def _check_weight(value: Json) -> None:
    """Refuse a value whose JSON would be huge: expressions can share one part a million times (rule T20)."""
    weight = 0
    stack = [value]
    while stack:
        item = stack.pop()
        weight += 1
        if isinstance(item, str):
            weight += len(item)
        elif isinstance(item, dict):
            stack.extend(item.values())
            weight += sum(map(len, item))
        elif isinstance(item, list | tuple):
            stack.extend(item)
        if weight > MAX_TEXT_CHARS:
            _bounded(weight)


def default(value: Json, fallback: Json = "", boolean: bool = False) -> Json:
    """The value, or `fallback` if it is missing or null; with `boolean`, also if it is empty, 0 or false."""
    if value is None or isinstance(value, Undefined) or (boolean and not value):
        return fallback
    return value


def trim(value: Json, chars: str | None = None) -> str | None:
    """The text without white space (or `chars`) at both ends."""
    found = _text_or_null(value, "trim")
    return None if found is None else found.strip(chars)


def lower(value: Json) -> str | None:
    """The text in lower case."""
    found = _text_or_null(value, "lower")
    return None if found is None else found.lower()


def upper(value: Json) -> str | None:
    """The text in upper case."""
    found = _text_or_null(value, "upper")
    return None if found is None else found.upper()


def join(value: Json, separator: str = "") -> str:
    """The items of a list as one text; null items are left out."""
    if value is None:
        return ""
    if not isinstance(present(value), list | tuple):
        raise TemplateRuntimeError(f"`join` takes a list, not {kind_of(value)}")
    pieces = [printed(item) for item in value if item is not None]
    between = printed(separator)
    _bounded(sum(map(len, pieces)) + len(between) * len(pieces))
    return between.join(pieces)


def joined(values: Sequence[Json]) -> str:
    """What `a ~ b` makes: its operands as they print, one after the other."""
    pieces = [printed(value) for value in values]
    _bounded(sum(map(len, pieces)))
    return "".join(pieces)


def length(value: Json) -> int:
    """The number of characters, items or keys; 0 for null."""
    if value is None:
        return 0
    if isinstance(present(value), str | list | tuple | dict):
        return len(value)
    raise TemplateRuntimeError(f"`length` takes text, a list or an object, not {kind_of(value)}")


def replace(value: Json, old: str, new: str) -> str | None:
    """The text with every `old` replaced by `new`."""
    found = _text_or_null(value, "replace")
    if found is None:
        return None
    before, after = printed(old), printed(new)
    if not before:
        raise TemplateRuntimeError("`replace` needs a text to look for")
    if len(after) > len(before):
        _bounded(len(found) + found.count(before) * (len(after) - len(before)))
    return found.replace(before, after)


def items(value: Json) -> list[tuple[str, Json]]:
    """The pairs of key and value of an object, in its order; none for null."""
    if value is None:
        return []
    if not isinstance(present(value), dict):
        raise TemplateRuntimeError(f"`items` takes an object, not {kind_of(value)}")
    return list(value.items())


def _end(value: Json, name: str, index: int) -> Json:
    if value is None:
        return None
    if not isinstance(present(value), str | list | tuple):
        raise TemplateRuntimeError(f"`{name}` takes a list or text, not {kind_of(value)}")
    return value[index] if value else None


def first(value: Json) -> Json:
    """The first item or character, or null."""
    return _end(value, "first", 0)


def last(value: Json) -> Json:
    """The last item or character, or null."""
    return _end(value, "last", -1)


def indent(value: Json, width: int = 4, first: bool = False, blank: bool = False) -> str | None:
    """The text with each line moved right by `width` blanks (at most 40); blank lines and the first only if asked."""
    found = _text_or_null(value, "indent")
    if found is None:
        return None
    if type(width) is not int or not 0 <= width <= MAX_INDENT:
        raise TemplateRuntimeError(f"`indent` moves by 0 to {MAX_INDENT}")
    lines = found.split("\n")
    _bounded(len(found) + width * len(lines))
    lead = " " * width
    moved = [lead + line if blank or line else line for line in lines]
    return "\n".join(moved if first else [lines[0], *moved[1:]])


FILTERS: Final[Mapping[str, Callable[..., Json]]] = {
    function.__name__: function
    for function in (text, tojson, default, trim, lower, upper, join, length, replace, items, first, last, indent)
}
"""The filters that a template may name (DECISIONS 2.19)."""


def _is_missing(value: Json) -> bool:
    return value is None or isinstance(value, Undefined)


TESTS: Final[Mapping[str, Callable[[Json], bool]]] = {
    "string": lambda value: isinstance(present(value), str),
    "number": lambda value: isinstance(present(value), int | float) and not isinstance(value, bool),
    "mapping": lambda value: isinstance(present(value), dict),
    "sequence": lambda value: isinstance(present(value), list | tuple),
    "defined": lambda value: not _is_missing(value),
    "none": _is_missing,
}
"""The tests that a template may name. `sequence` is a list, never text; `none` is the opposite of `defined`."""
