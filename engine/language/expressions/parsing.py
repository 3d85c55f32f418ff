"""Expression text to a syntax tree with positions.

The grammar is the `jmespath` package's own parser; this module adds what it does not keep: where each node stands
(`start` and `end`, character offsets, beside the package's `type`, `value` and `children`), and strict bounds, so that
no text can make the compiler run out of stack. Two laxities are refused: a literal in backticks that is not JSON
(deprecated since JEP-12), and two arguments without a comma between them, which the package reads as if one were there.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Final, NoReturn

from jmespath.exceptions import IncompleteExpressionError, LexerError, ParseError
from jmespath.lexer import Lexer
from jmespath.parser import Parser

from engine.language.expressions.problems import ExpressionProblem
from engine.types import Json, JsonObject

Node = JsonObject
"""A node of the syntax tree: `type`, `children`, perhaps `value`, and `start`, `end`; the root has its `levels`."""

MAX_CHARACTERS: Final = 8_000
MAX_DEPTH: Final = 60
_INDEX: Final = vars(Parser)["_parse_index_expression"]
_OPERATORS: Final = {"or_expression": "||", "and_expression": "&&"}
_BARE_NUMBER: Final = re.compile(r"(?:[=!<>]=|[<>])\s*(-?[0-9]+(?:\.[0-9]+)?)(?![0-9`])")


class _RefusedError(Exception):
    def __init__(self, message: str, offset: int, length: int = 1, hint: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.length = length
        self.hint = hint


def _refuse_constant(name: str) -> Json:
    raise ValueError(name)


class _StrictLexer(Lexer):
    _position: int
    _current: str | None
    _consume_until: Callable[[str], str]

    def _consume_literal(self) -> JsonObject:
        """A literal in backticks: JSON, or refused. `NaN` and lone surrogates are not JSON either."""
        start = self._position
        lexeme = self._consume_until("`").replace("\\`", "`")
        length = self._position - start + (self._current is None)
        try:
            value = json.loads(lexeme, parse_constant=_refuse_constant)
            json.dumps(value, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            quoted = "'" + lexeme.strip().strip('"') + "'"
            raise _RefusedError(
                "what stands between backticks is not JSON", start, length, (f"text is written {quoted}",)
            ) from None
        return {"type": "literal", "value": value, "start": start, "end": length}


class _Parser(Parser):
    """The package's parser, keeping positions. One instance parses one text."""

    _tokens: list[JsonObject]
    _current_token: Callable[[], str]
    _lookahead_token: Callable[[int], JsonObject]
    _advance: Callable[[], None]
    _match: Callable[[str], None]
    _error_nud_token: Callable[[JsonObject], NoReturn]
    _error_led_token: Callable[[JsonObject], NoReturn]

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0

    def read(self, text: str) -> Node:
        """The tree of one whole text. Raises what the package raises, and `_Refused`."""
        self._tokens = _positioned([dict(token) for token in _StrictLexer().tokenize(text)], text)
        self._index = 0
        node = self._expression(0)
        if self._current_token() != "eof":
            token = self._lookahead_token(0)
            raise ParseError(token["start"], token["value"], token["type"], "unexpected token")
        return node

    def _expression(self, binding_power: int = 0) -> Node:
        """The package's loop, written again to note where each node begins and ends."""
        self._depth += 1
        token = self._lookahead_token(0)
        if self._depth > MAX_DEPTH:
            raise _RefusedError("the expression is nested too deeply", token["start"])
        self._advance()
        left: Node = getattr(self, f"_token_nud_{token['type']}", self._error_nud_token)(token)
        self._mark(left, token["start"], keep=token["type"] == "lparen")
        while binding_power < self.BINDING_POWER[self._current_token()]:
            led = getattr(self, f"_token_led_{self._current_token()}", None)
            if led is None:
                self._error_led_token(self._lookahead_token(0))
            self._advance()
            left = led(left)
            self._mark(left, token["start"])
        self._depth -= 1
        return left

    def _mark(self, node: Node, start: int, *, keep: bool = False) -> None:
        if not (keep and "start" in node):
            node["start"] = start
            node["end"] = self._tokens[self._index - 1]["end"]

    def _parse_index_expression(self) -> Node:
        start = self._lookahead_token(-1)["start"]
        node: Node = _INDEX(self)
        self._mark(node, start)
        if node["type"] == "slice" and node["children"][2] == 0:
            raise _RefusedError("the step of a slice cannot be 0", start, node["end"] - start)
        return node

    def _token_led_lparen(self, left: Node) -> Node:
        """A call. The package would also take `f(a b)` and `f(a,)`."""
        if left["type"] != "field":
            token = self._lookahead_token(-2)
            raise ParseError(token["start"], token["value"], token["type"], "not a function name")
        arguments = []
        if self._current_token() != "rparen":
            arguments.append(self._expression())
            while self._current_token() == "comma":
                self._match("comma")
                arguments.append(self._expression())
        self._match("rparen")
        name, start, end = left["value"], left["start"], left["end"]
        return {"type": "function_expression", "value": name, "children": arguments, "name": (start, end - start)}


def _positioned(tokens: list[JsonObject], text: str) -> list[JsonObject]:
    """Give every token a true `end`: the package's own is a length for some, and one short for others."""
    for token, following in pairwise(tokens):
        token["end"] = token["start"] + len(text[token["start"] : following["start"]].rstrip(" \t\r\n"))
    return tokens


@lru_cache(maxsize=4096)
def parse(text: str) -> Node | ExpressionProblem:
    """The syntax tree of an expression, or the problem (E101) that keeps it from being one."""
    if not text.strip():
        return ExpressionProblem("E101", "the expression is empty", 0, len(text))
    if len(text) > MAX_CHARACTERS:
        return ExpressionProblem("E101", f"the expression is longer than {MAX_CHARACTERS} characters", 0, len(text))
    try:
        return _bounded(_read(text), text)
    except _RefusedError as refused:
        return _problem(text, refused.message, refused.offset, refused.length, refused.hint)
    except ParseError as error:
        return _from_package(text, error)
    except (ValueError, IndexError, KeyError, RecursionError):
        # The package lets these through for a few broken texts, such as a number of 5,000 digits.
        return ExpressionProblem("E101", "the expression cannot be parsed", 0, len(text))


def _read(text: str) -> Node:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _Parser().read(text)


def _from_package(text: str, error: ParseError) -> ExpressionProblem:
    if isinstance(error, LexerError):
        message = error.message[:1].lower() + error.message[1:]
        return _problem(text, message, error.lexer_position, len(str(error.lexer_value or " ")), _lexed(error))
    if isinstance(error, IncompleteExpressionError) or not error.token_value:
        return _problem(
            text, "the expression ends too early", len(text), 1, _number(text) or _quote(text) or _unclosed(text)
        )
    spelling, place = str(error.token_value), error.lex_position or 0
    hint = _number(text) or _elsewhere(spelling) or _elsewhere(text[:place].split(" ")[-2:][0]) or _comma(text, place)
    return _problem(text, f"unexpected {spelling!r}", place, len(spelling), hint)


def _number(text: str) -> tuple[str, ...]:
    """Advice for a bare number after a comparison, the commonest slip of all."""
    found = _BARE_NUMBER.search(text)
    return (f"numbers are written in backticks: `{found[1]}`",) if found else ()


def _quote(text: str) -> tuple[str, ...]:
    return ("a quote inside '…' is written \\'",) if "'''" in text else ()


def _unclosed(text: str) -> tuple[str, ...]:
    pairs = [pair for pair in ("()", "[]", "{}") if text.count(pair[0]) > text.count(pair[1])]
    return (f"`{pairs[0][0]}` is never closed",) if pairs else ()


_ELSEWHERE: Final = {
    "=": "equality is written ==",
    "+": "numbers are added with add(a, b), texts joined with join('', [a, b])",
    "-": 'numbers are subtracted with sub(a, b); a key with a hyphen is written in double quotes: res."a-b"',
    "/": "numbers are divided with div(a, b)",
    "?": "a choice is written in YAML: {$if: =condition, then: …, else: …}, or as  condition && a || b",
    "and": "and is written &&",
    "or": "or is written ||",
    "not": "not is written !",
}
"""What is written otherwise in other languages."""


def _elsewhere(spelling: str) -> tuple[str, ...]:
    return (_ELSEWHERE[spelling],) if spelling in _ELSEWHERE else ()


def _lexed(error: LexerError) -> tuple[str, ...]:
    unclosed = ("the quote is never closed",) if error.message.lower().startswith("unclosed") else ()
    return unclosed or _elsewhere(str(error.lexer_value))


def _comma(text: str, place: int) -> tuple[str, ...]:
    inside = text[:place].count("(") > text[:place].count(")")
    return ("arguments are parted by a comma",) if inside and text[:place].endswith((" ", "'", "`")) else ()


def _problem(text: str, message: str, offset: int, length: int, hint: tuple[str, ...] = ()) -> ExpressionProblem:
    offset = min(max(offset, 0), len(text))
    return ExpressionProblem("E101", message, offset, max(0, min(length, len(text) - offset)), hint)


def _bounded(tree: Node, text: str) -> Node | ExpressionProblem:
    """Refuse trees deeper than the bound: chains such as `a || b || …` are parsed by a loop, not by recursion."""
    level = [tree]
    for levels in range(1, MAX_DEPTH + 1):
        level = [child for node in level for child in node["children"] if isinstance(child, dict)]
        if not level:
            _fill_spans(tree, len(text))
            tree["levels"] = levels
            return tree
    return ExpressionProblem("E101", "the expression is nested too deeply", 0, len(text))


def _fill_spans(node: Node, place: int) -> None:
    """Give the nodes that the package makes on the side (identities, bases of slices) the span of their children."""
    children = [child for child in node["children"] if isinstance(child, dict)]
    for child in children:
        _fill_spans(child, node.get("end", place))
    if "start" not in node:
        node["start"] = min((child["start"] for child in children), default=place)
    if "end" not in node:
        node["end"] = max((child["end"] for child in children), default=place)


def operator_offset(node: Node, text: str) -> int:
    """Where the operator of a binary node stands, given the spans of its operands."""
    left, right = node["children"]
    operator = _OPERATORS.get(node["type"], "")
    found = text.find(operator, left["end"], right["start"]) if operator else -1
    return int(left["end"] if found < 0 else found)
