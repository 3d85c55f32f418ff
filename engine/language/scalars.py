"""What a plain (unquoted) YAML scalar means: the YAML 1.2 core rules, narrowed to JSON (LANGUAGE 3.1, pain P4).

Only `true`, `false`, `null`, `~`, nothing at all and JSON-like numbers are typed. Everything else is text:
dates, `017`, `1_000`, `yes`, `12:30`. Where a YAML 1.1 tool would read another type, `reads_differently` says so.
"""

from __future__ import annotations

import re
from typing import Final

MAX_DIGITS: Final = 100
"""A number with more characters is refused: nobody writes one, and CPython's own limit is an exception."""

_WORDS: Final[dict[str, bool | None]] = {"true": True, "false": False, "null": None, "~": None, "": None}
_FIRST: Final = frozenset("-+.0123456789~tfnyoTFNYO")
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)")
_FLOAT: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_FLOAT_OF_1_1: Final = re.compile(r"-?[0-9]+\.[0-9]+(?:[eE][-+][0-9]+)?")
_OTHER_TYPE_IN_1_1: Final = re.compile(
    r"""
      (?i: yes | no | on | off | true | false | null )
    | [-+]? (?: 0o[0-7_]+ | 0b[01_]+ | 0x[0-9a-fA-F_]+ | [0-9][0-9_]* )
    | [-+]? [0-9][0-9_]* (?: :[0-5]?[0-9] )+ (?: \.[0-9_]* )?
    | [-+]? (?: [0-9][0-9_]* \.[0-9_]* | \.[0-9][0-9_]* ) (?: [eE][-+]?[0-9]+ )?
    | [-+]? \. (?: inf | Inf | INF ) | \. (?: nan | NaN | NAN )
    | [0-9]{4}-[0-9]{1,2}-[0-9]{1,2}
      (?: (?: [Tt] | [ \t]+ ) [0-9]{1,2}:[0-9]{2}:[0-9]{2} (?: \.[0-9]* )? [ \t]* (?: Z | [-+][0-9:]{1,5} )? )?
    """,
    re.VERBOSE,
)


class NumberRangeError(ValueError):
    """A number that is infinite as a float, or longer than `MAX_DIGITS`."""


def resolve_plain(text: str) -> float | str | None:
    """The value of a plain scalar: bool, int, float, str or None. Raises NumberRangeError."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "-0123456789":
        return text
    if _INTEGER.fullmatch(text):
        return int(_bounded(text))
    if not _FLOAT.fullmatch(text):
        return text
    value = float(_bounded(text))
    if value in (float("inf"), float("-inf")):
        raise NumberRangeError(text[:20])
    return value


def _bounded(text: str) -> str:
    if len(text) > MAX_DIGITS:
        raise NumberRangeError(text[:20])
    return text


def reads_differently(text: str, value: float | str | None) -> bool:
    """Whether a YAML 1.1 tool gives the plain scalar `text` another type than `value`, which is ours."""
    if not text or text[0] not in _FIRST:
        return False
    if isinstance(value, str):
        return _OTHER_TYPE_IN_1_1.fullmatch(text) is not None
    return isinstance(value, float) and _FLOAT_OF_1_1.fullmatch(text) is None
