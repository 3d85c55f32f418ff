"""Expressions: JMESPath, checked against static types and compiled to Python source at load.

The door is `compile_expression`. Grammar and meaning are those of the `jmespath` package, with two deviations:

1. A function with a null argument gives null, where the package raises or gives a value; the exceptions, which take
   null as any other value, are `present type not_null list text parts`.
2. The order of two values that have none (`'a' < 1`) is null.

Null means absent: an expression never tells a null from a missing key, and its caller makes null absent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Final

from engine.language.expressions.checking import Checker
from engine.language.expressions.functions import FUNCTIONS
from engine.language.expressions.generation import can_nest, generate
from engine.language.expressions.parsing import Node, parse
from engine.language.expressions.problems import EvaluationError, ExpressionProblem
from engine.language.static_types import Type
from engine.types import Json, Scope

__all__ = ["FUNCTIONS", "EvaluationError", "Expression", "ExpressionProblem", "compile_expression"]


_WORD: Final = re.compile(r"\w+")


@dataclass(frozen=True)
class Expression:
    """A compiled expression.

    `evaluate` takes the scope, a plain dict of names to JSON values (plain dicts and lists all the way down), and gives
    a JSON value, None for null; it raises EvaluationError only, and never changes the scope. The value may share parts
    with the scope.
    `paths` are all static paths that it reads, from a root: a step through a list is `"[]"`, and a path ends where what
    follows is not static; `("req",)` alone means that the root is used whole.
    """

    text: str
    result: Type
    roots: frozenset[str]
    paths: frozenset[tuple[str, ...]]
    fields: frozenset[str]
    constants: frozenset[str]
    tree: Node
    auth: bool = False

    @cached_property
    def evaluate(self) -> Callable[[Scope], Json]:
        """The expression as a function, made when it is first asked for: trees write `tree` into their own."""
        return generate(self.tree, self.text, FUNCTIONS, auth=self.auth)


def compile_expression(
    text: str, scope: Mapping[str, Type], *, auth: bool = False
) -> tuple[Expression | None, list[ExpressionProblem]]:
    """Compile one expression (without its leading `=`) for a scope of names and their types.

    Gives the expression, or None if a problem is an error, and all problems in the order of the text. Any text at all
    gives an answer; nothing is raised. `auth` opens the functions for signing, and lets arguments be secrets.

    A sound expression is remembered by the types of the names that it mentions: inherited mappings and fragments hold
    the same ones many times.
    """
    types = tuple((name, scope[name]) for name in _names(text) if name in scope)
    key = (text, auth, *((name, id(each)) for name, each in types))
    known = _SOUND.get(key)
    if known is not None:
        return known[0], []
    compiled, problems = _compile(text, scope, auth=auth)
    if compiled is not None and not problems:
        if len(_SOUND) >= _REMEMBERED:
            _SOUND.clear()
        _SOUND[key] = (compiled, types)
    return compiled, problems


_REMEMBERED: Final = 20_000
_SOUND: Final[dict[tuple[Json, ...], tuple[Expression, tuple[tuple[str, Type], ...]]]] = {}
"""Sound expressions. The types are kept, so that their identities stay their own."""


@cache
def _names(text: str) -> tuple[str, ...]:
    """Every word of the text that could be a name of the scope; and `ctx`, which functions read without naming it."""
    return tuple(dict.fromkeys((*_WORD.findall(text), "ctx")))


def _compile(text: str, scope: Mapping[str, Type], *, auth: bool) -> tuple[Expression | None, list[ExpressionProblem]]:
    tree = parse(text)
    if isinstance(tree, ExpressionProblem):
        return None, [tree]
    checker = Checker(text, scope, FUNCTIONS, auth=auth)
    result = checker.run(tree)
    problems = sorted(set(checker.problems), key=lambda each: (each.offset, each.code, each.message))
    if any(problem.is_error for problem in problems):
        return None, problems
    if not can_nest(tree, FUNCTIONS, auth=auth):
        return None, [*problems, ExpressionProblem("E101", "the expression is nested too deeply", 0, len(text))]
    compiled = Expression(
        text,
        result,
        frozenset(checker.roots),
        frozenset(checker.paths),
        frozenset(checker.fields),
        frozenset(checker.constants),
        tree,
        auth,
    )
    return compiled, problems
