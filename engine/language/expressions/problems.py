"""What can be wrong with an expression, and the one exception that evaluating it can raise."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from engine.errors import EngineError


@dataclass(frozen=True, slots=True)
class ExpressionProblem:
    """One finding of the compiler.

    `code` is E1xx for an error, W1xx or W4xx for a warning (LANGUAGE 4a); `offset` and `length` count characters of the
    expression's text. `help` lines say what would be right.
    """

    code: str
    message: str
    offset: int
    length: int
    help: tuple[str, ...] = ()

    @property
    def is_error(self) -> bool:
        """Whether the expression cannot be used."""
        return self.code.startswith("E")


class EvaluationError(EngineError):
    """An expression met a value of a type that it cannot work with.

    The message names types and never values; `expression` is the text of the mapping, `function` the function that
    refused, or "".
    """

    def __init__(self, message: str, expression: str = "", function: str = "") -> None:
        super().__init__(message, code="R002")
        self.expression = expression
        self.function = function


def closest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that looks most like `name`, or None if none is near."""
    found = difflib.get_close_matches(name, sorted(candidates), 1, 0.6)
    return found[0] if found else None
