"""Compiled expressions against the `jmespath` package: equal results, or a documented deviation.

The oracle is the package itself, given our two deviations as options: functions that are null in, null out, and an
ordering that is null where there is none. Whatever else differs fails the test.
PROPERTY_EXAMPLES=5000 runs it in full.
"""

from __future__ import annotations

import json
import math
import os
import string
from collections.abc import Callable, Iterable
from typing import Final

import jmespath
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jmespath.ast import literal
from jmespath.exceptions import JMESPathError, JMESPathTypeError
from jmespath.functions import Functions
from jmespath.visitor import TreeInterpreter

from engine.language.canonical import CANONICAL_REQUEST, CTX
from engine.language.expressions import FUNCTIONS, EvaluationError, ExpressionProblem, compile_expression
from engine.language.expressions.generation import generate
from engine.language.expressions.parsing import parse
from engine.language.expressions.runtime import kind_of
from engine.language.static_types import ANY
from engine.types import Json, Scope

EXAMPLES: Final = int(os.environ.get("PROPERTY_EXAMPLES", "200"))
TAKES_NULL: Final = {"not_null", "type"}
NAMES: Final = ("a", "b", "c", "foo", "x")
ROOTS: Final = ("r", "s")


class NullFunctions(Functions):
    """The package's functions, null in and null out (the first deviation)."""

    def call_function(self, function_name: str, resolved_args: Iterable[Json]) -> Json:
        """Call it unless an argument is null."""
        arguments = list(resolved_args)
        if function_name not in TAKES_NULL and any(each is None for each in arguments):
            return None
        if function_name == "merge" and not all(isinstance(each, dict) for each in arguments):
            # The package looks at the first argument only, and lets `merge(x, '')` pass.
            raise JMESPathTypeError(function_name, None, "other", ["object"])
        return super().call_function(function_name, arguments)


class Oracle(TreeInterpreter):
    """The package's interpreter, with null for the order of unlike values (the second deviation)."""

    def visit_comparator(self, node: Json, value: Json) -> Json:
        """Compare, where the package's TypeError is null."""
        # The sides first: a TypeError of theirs must come out.
        sides: Json = [literal(self.visit(child, value)) for child in node["children"]]
        try:
            return super().visit_comparator({"type": "comparator", "value": node["value"], "children": sides}, value)
        except TypeError:
            return None


def oracle(text: str, document: Json) -> Json:
    """What the package makes of an expression. Raises what the package raises."""
    options = jmespath.Options(custom_functions=NullFunctions())
    return Oracle(options).visit(jmespath.compile(text).parsed, document)


numbers = st.one_of(st.integers(-3, 3), st.sampled_from([0.0, 1.0, 0.5, -2.5, 2**63]))
scalars = st.one_of(st.none(), st.booleans(), numbers, st.sampled_from(["", "a", "b", "é", "1", "2.5"]))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)),
    max_leaves=20,
)
objects = st.dictionaries(st.sampled_from(NAMES), values, min_size=2, max_size=5)
documents = st.fixed_dictionaries(dict.fromkeys(ROOTS, st.one_of(objects, st.lists(objects, max_size=4), values)))
literals = st.one_of(
    values.map(lambda value: "`" + json.dumps(value).replace("`", "\\`") + "`"),
    st.sampled_from(["'a'", "''", "'é'"]),
)
indexes = st.integers(-3, 3)
bounds = st.one_of(st.just(""), indexes.map(str))
slices = st.tuples(bounds, bounds, st.sampled_from(["", ":", ":1", ":-1", ":2"])).map(
    lambda each: f"[{each[0]}:{each[1]}{each[2]}]"
)


def steps(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """What can follow a value, with inner expressions that read the item."""
    names = st.sampled_from(NAMES)
    return st.one_of(
        names.map(lambda name: f".{name}"),
        names.map(lambda name: f'."{name}"'),
        indexes.map(lambda index: f"[{index}]"),
        slices,
        st.sampled_from(["[]", "[*]", ".*"]),
        inner.map(lambda body: f"[?{body}]"),
        st.lists(inner, min_size=1, max_size=3).map(lambda each: f".[{', '.join(each)}]"),
        st.lists(st.tuples(names, inner), min_size=1, max_size=3).map(
            lambda each: ".{" + ", ".join(f"{key}: {body}" for key, body in each) + "}"
        ),
        inner.map(lambda body: f" | {body}"),
        calls(inner, inner).map(lambda call: f".{call}"),
    )


def calls(inner: st.SearchStrategy[str], body: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """A call of a standard function, now and then with arguments of the wrong type."""
    one = st.sampled_from(
        [
            "abs",
            "avg",
            "ceil",
            "floor",
            "keys",
            "length",
            "max",
            "min",
            "reverse",
            "sort",
            "sum",
            "to_number",
            "to_string",
            "type",
            "values",
            "not_null",
            "merge",
        ]
    )
    two = st.sampled_from(["contains", "ends_with", "starts_with", "join", "merge", "not_null"])
    by = st.sampled_from(["sort_by", "max_by", "min_by"])
    return st.one_of(
        st.tuples(one, inner).map(lambda each: f"{each[0]}({each[1]})"),
        st.tuples(two, inner, inner).map(lambda each: f"{each[0]}({each[1]}, {each[2]})"),
        st.tuples(by, inner, body).map(lambda each: f"{each[0]}({each[1]}, &{each[2]})"),
        st.tuples(body, inner).map(lambda each: f"map(&{each[0]}, {each[1]})"),
    )


def combined(inner: st.SearchStrategy[str], body: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Bigger expressions of smaller ones."""
    operators = st.sampled_from(["||", "&&", "==", "!=", "<", "<=", ">", ">="])
    walk = st.tuples(inner, steps(body)).map("".join)
    # Named more often, as they are in mappings: hypothesis takes the branches of one_of with equal chances.
    return st.one_of(
        walk,
        walk,
        st.tuples(walk, steps(body)).map("".join),
        st.tuples(walk, steps(body), steps(body)).map("".join),
        st.tuples(inner, operators, inner).map(" ".join),
        inner.map(lambda each: f"!({each})"),
        calls(inner, body),
    )


item_heads = st.sampled_from([*NAMES] * 3 + ["@", "'a'", "`1`", "`true`"]) | literals
items = st.recursive(item_heads, lambda inner: combined(inner, inner), max_leaves=4)
heads = st.sampled_from([*ROOTS] * 4 + ["`1`", "`[]`", "'a'"]) | literals
expressions = st.recursive(heads, lambda inner: combined(inner, items), max_leaves=6)


def same(ours: Json, theirs: Json) -> bool:
    """Equal with kinds: `1` is not `true`, and order of keys counts."""
    if isinstance(theirs, float) and math.isnan(theirs):
        return isinstance(ours, float)
    return json.dumps(ours) == json.dumps(theirs)


def unchecked(text: str) -> Callable[[Scope], Json]:
    """The expression compiled even where the static checks know that it can never be right."""
    tree = parse(text)
    assert not isinstance(tree, ExpressionProblem), tree
    return generate(tree, text, FUNCTIONS, auth=False)


@settings(max_examples=EXAMPLES, deadline=None)
@given(expressions, documents)
@example("r[?a == `1`].b | [0]", {"r": [{"a": True, "b": 1}, {"a": 1, "b": 2}], "s": None})
@example("length(r)", {"r": None, "s": None})
@example("r < s", {"r": "a", "s": 1})
@example("!(r | !(!(a))[:].a)", {"r": [], "s": None})
def test_results_are_those_of_the_package(text: str, document: Json) -> None:
    """Also for expressions that are refused at load, and the static type covers the result."""
    expression, problems = compile_expression(text, dict.fromkeys(ROOTS, ANY))
    assert all(each.code != "E101" for each in problems), problems
    evaluate = expression.evaluate if expression is not None else unchecked(text)
    try:
        theirs = oracle(text, document)
    except (JMESPathError, TypeError, ValueError, OverflowError):
        with pytest.raises(EvaluationError):
            evaluate(document)
        return
    ours = evaluate(document)
    assert same(ours, theirs)
    assert expression is None or kind_of(ours) in expression.result.kinds


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.one_of(
    st.text(max_size=40),
    st.text("req.messages[]{}()*&|!<>=@'\"`,:-01 \\\n" + string.ascii_lowercase[:4], max_size=30),
    st.lists(st.sampled_from([
        "req", ".", "messages", "[", "]", "[]", "[?", "*", "@", "&", "|", "||", "&&", "!", "==", "<", "(", ")", ",",
        "'a'",
        "`1`", "`", "'", '"', "length(", "map(", "{", "}", ":", "-1", "0", " ", "ctx", "sort_by(", "\\", "é", "\ud800",
    ]), max_size=14).map("".join),
))  # fmt: skip
@example("foo.")
@example("`\\")
@example("[:")
@example("f(-")
def test_any_text_compiles_or_has_problems_within_it(text: str) -> None:
    expression, problems = compile_expression(text, {"req": CANONICAL_REQUEST, "ctx": CTX})
    assert (expression is None) == any(each.is_error for each in problems)
    for each in problems:
        assert 0 <= each.offset <= each.offset + each.length <= len(text)
        assert each.message


@settings(max_examples=EXAMPLES // 2, deadline=None)
@given(expressions, documents)
def test_evaluation_changes_nothing_and_raises_nothing_else(text: str, document: Json) -> None:
    expression, _ = compile_expression(text, dict.fromkeys(ROOTS, ANY))
    if expression is None:
        return
    before = json.dumps(document)
    try:
        first = json.dumps(expression.evaluate(document))
        assert json.dumps(expression.evaluate(document)) == first
    except EvaluationError:
        pass
    assert json.dumps(document) == before


@settings(max_examples=EXAMPLES // 2, deadline=None)
@given(expressions, documents)
def test_what_is_outside_the_paths_does_not_matter(text: str, document: Json) -> None:
    """The paths are all that is read: other first-level fields of a root can go without changing the result."""
    expression, _ = compile_expression(text, dict.fromkeys(ROOTS, ANY))
    if expression is None:
        return
    cut: dict[str, Json] = {}
    for root, value in document.items():
        read = {path[1] if len(path) > 1 else "*" for path in expression.paths if path[0] == root}
        whole = "*" in read or not isinstance(value, dict)
        cut[root] = value if whole else {key: each for key, each in value.items() if key in read}
    try:
        result = json.dumps(expression.evaluate(document))
    except EvaluationError:
        return
    assert json.dumps(expression.evaluate(cut)) == result
