"""What compiled expressions call while they run: comparison, flattening, and how a failure becomes an EvaluationError.

Equality, truth and ordering are those of JMESPath, quirks included (`1` is not `true`, `0` is true), but for the second
documented deviation: the order of two values that have none is null, where the package lets Python's TypeError out.
"""

from __future__ import annotations

from types import TracebackType
from typing import Final

from engine.language.expressions.problems import EvaluationError
from engine.types import Json, Secret

NUMBERS: Final = frozenset({int, float})

KIND_OF_CLASS: Final[dict[type, str]] = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
    Secret: "string",
}
"""Python class to JSON kind. A secret counts as the string that it hides."""

FAILURES: Final = (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError)
"""What library functions and comparisons may let out; nothing else can reach the compiled code's edge."""


class FunctionError(Exception):
    """A library function refuses its arguments. The message names no value; the edge adds expression and function."""


def kind_of(value: Json) -> str:
    """The JSON kind of a value, for messages; anything else is `unknown`."""
    return KIND_OF_CLASS.get(type(value), "unknown")


def equals(left: Json, right: Json) -> bool:
    """JMESPath's `==`: deep, without Python's `1 == True`."""
    if type(left) in NUMBERS and left in (0, 1):
        return not isinstance(right, bool) and bool(left == right)
    if type(right) in NUMBERS and right in (0, 1):
        return not isinstance(left, bool) and bool(left == right)
    return bool(left == right)


def _ordered(left: Json, right: Json) -> bool:
    """Whether two values have an order: both numbers or both strings."""
    if type(left) in NUMBERS:
        return type(right) in NUMBERS
    return type(left) is str and type(right) is str


def less(left: Json, right: Json) -> bool | None:
    """`<`; null if the two have no order."""
    return left < right if _ordered(left, right) else None


def less_or_equal(left: Json, right: Json) -> bool | None:
    """`<=`; null if the two have no order."""
    return left <= right if _ordered(left, right) else None


def greater(left: Json, right: Json) -> bool | None:
    """`>`; null if the two have no order."""
    return left > right if _ordered(left, right) else None


def greater_or_equal(left: Json, right: Json) -> bool | None:
    """`>=`; null if the two have no order."""
    return left >= right if _ordered(left, right) else None


def flatten(value: Json) -> Json:
    """`[]`: one level of nesting less; null if it is no list."""
    if not isinstance(value, list):
        return None
    merged: list[Json] = []
    for each in value:
        if isinstance(each, list):
            merged.extend(each)
        else:
            merged.append(each)
    return merged


def fresh(value: Json) -> Json:
    """A copy of a literal, so that nobody can change the compiled expression through its result."""
    if isinstance(value, dict):
        return {key: fresh(each) for key, each in value.items()}
    if isinstance(value, list):
        return [fresh(each) for each in value]
    return value


_WORDS: Final = (
    (RecursionError | MemoryError, "the value is too deeply nested or too large"),
    (OverflowError, "a number is too large"),
    (UnicodeError, "a text holds half of a surrogate pair"),
)


def failure(error: BaseException, text: str, calls: dict[int, str], filename: str) -> EvaluationError:
    """The EvaluationError for what a run let out. `calls` names the function called on each line of the source."""
    function = calls.get(line_in(error.__traceback__, filename), "")
    message = "the values cannot be used together"
    if isinstance(error, FunctionError):
        message = str(error)
    else:
        message = next((words for kinds, words in _WORDS if isinstance(error, kinds)), message)
    return EvaluationError(f"{function}(): {message}" if function else message, text, function)


def line_in(trace: TracebackType | None, filename: str) -> int:
    """The line of the generated source in which a failure happened, 0 if it was in none."""
    line = 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == filename:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def reveal(value: Json) -> tuple[Json, bool]:
    """The value with the secrets in it opened, and whether there was one."""
    if isinstance(value, Secret):
        return value.reveal(), True
    if isinstance(value, list):
        opened = [reveal(each) for each in value]
        return [each for each, _ in opened], any(found for _, found in opened)
    if isinstance(value, dict):
        pairs = {key: reveal(each) for key, each in value.items()}
        return {key: each for key, (each, _) in pairs.items()}, any(found for _, found in pairs.values())
    return value, False


def conceal(value: Json) -> Json:
    """The value with every text in it made a secret: what is derived from a secret is one."""
    if isinstance(value, str):
        return Secret(value)
    if isinstance(value, list):
        return [conceal(each) for each in value]
    if isinstance(value, dict):
        return {key: conceal(each) for key, each in value.items()}
    return value
