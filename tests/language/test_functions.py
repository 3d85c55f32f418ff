"""The function library: every function is declared whole, its examples hold, and the reference is up to date."""

from __future__ import annotations

import json
from pathlib import Path

import jmespath.functions
import pytest

from engine.language.expressions import FUNCTIONS, EvaluationError, compile_expression
from engine.language.expressions.reference import reference_markdown
from engine.language.expressions.signatures import Example, Function
from engine.language.static_types import ANY
from engine.types import Json, Scope, Secret

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "functions.md"

PROMISED = [
    "abs",
    "avg",
    "ceil",
    "contains",
    "ends_with",
    "fixed",
    "floor",
    "join",
    "keys",
    "length",
    "map",
    "max",
    "max_by",
    "merge",
    "merge_deltas",
    "min",
    "min_by",
    "not_null",
    "reverse",
    "sort",
    "sort_by",
    "starts_with",
    "sum",
    "to_array",
    "to_number",
    "to_string",
    "type",
    "values",
    "present",
    "find",
    "from_json",
    "to_json",
    "list",
    "text",
    "parts",
    "data_url",
    "as_object",
    "as_string",
    "items",
    "pick",
    "omit",
    "omit_deep",
    "add",
    "sub",
    "mul",
    "div",
    "round",
    "clamp",
    "split",
    "replace",
    "trim",
    "lower",
    "upper",
    "substr_after",
    "url_encode",
    "base64",
    "base64_decode",
    "hex",
    "sha256",
    "hmac_sha256",
    "jwt",
    "uuid",
    "now",
    "iso_time",
    "epoch",
    "utc_date",
    "nearest",
    "estimate_tokens",
]

EXAMPLES = [(function, example) for function in FUNCTIONS.values() for example in function.examples]


def evaluate(text: str, scope: Scope, *, auth: bool = False) -> Json:
    """Compile and run an expression with every name of the scope (and `v`, `ctx` …) known as any value."""
    names = {*scope, "v", "a", "b", "c", "m", "req", "model", "res"}
    expression, problems = compile_expression(text, dict.fromkeys(names, ANY), auth=auth)
    assert expression is not None, problems
    return expression.evaluate(scope)


def refusal(text: str, scope: Scope, *, auth: bool = False) -> EvaluationError | None:
    """The error of an expression that refuses its values; None if it gives JSON."""
    try:
        json.dumps(evaluate(text, scope, auth=auth))
    except EvaluationError as error:
        return error
    return None


def test_the_library_is_what_the_language_promises() -> None:
    assert sorted(FUNCTIONS) == sorted(PROMISED)
    assert set(jmespath.functions.Functions.FUNCTION_TABLE) <= set(FUNCTIONS)


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=lambda each: each.name)
def test_every_function_has_a_sentence_and_two_examples(function: Function) -> None:
    assert function.doc.endswith(".")
    assert len(function.examples) >= 2
    assert all(f"{function.name}(" in example.expression for example in function.examples)


@pytest.mark.parametrize(("function", "example"), EXAMPLES, ids=[f"{f.name}-{e.expression}" for f, e in EXAMPLES])
def test_examples_hold(function: Function, example: Example) -> None:
    result = evaluate(example.expression, example.scope, auth=function.auth_only)
    assert (result, type(result)) == (example.result, type(example.result))


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=lambda each: each.name)
def test_null_in_null_out(function: Function) -> None:
    arguments = ["&@" if each.is_expression else "v" for each in function.parameters]
    text = f"{function.name}({', '.join(arguments)})"
    expression, problems = compile_expression(text, {"v": ANY, "ctx": ANY}, auth=function.auth_only)
    assert expression is not None, problems
    if function.takes_null or not function.parameters:
        assert function.name in {"present", "type", "not_null", "list", "text", "parts", "now"}
    else:
        assert expression.evaluate({"v": None, "ctx": {"now": 1, "request_id": "r"}}) is None


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=lambda each: each.name)
@pytest.mark.parametrize(
    "value", ["s3cret", 31337, True, [[31337]], {"a": "s3cret"}], ids=["text", "number", "boolean", "list", "object"]
)
def test_a_wrong_type_is_an_evaluation_error_that_shows_no_value(function: Function, value: Json) -> None:
    arguments = ["&@" if each.is_expression else "v" for each in function.parameters]
    text = f"{function.name}({', '.join(arguments)})"
    error = refusal(text, {"v": value, "ctx": {"now": 1, "request_id": "r"}}, auth=function.auth_only)
    if error is not None:
        assert (error.function, error.expression, error.__cause__) == (function.name, text, None)
        assert "s3cret" not in error.message
        assert "31337" not in error.message


@pytest.mark.parametrize(
    ("text", "scope", "message"),
    [
        ("join(', ', v)", {"v": ["a", 1]}, "join(): texts must be a list of strings, this is a list of number, string"),
        (
            "sort(v)",
            {"v": ["a", 1]},
            "sort(): values must be a list of numbers or of strings, this is a list of number, string",
        ),
        (
            "sort_by(v, &n)",
            {"v": [{"n": 1}, {}]},
            "sort_by(): key must be a number or a string for every item, this is null",
        ),
        ("length(v)", {"v": 3}, "length(): value must be a string or a list or an object, this is number"),
        ("map(&length(@), v)", {"v": [1]}, "length(): value must be a string or a list or an object, this is number"),
        ("mul(v, v)", {"v": 1e200}, "mul(): the result is too large for a number"),
        ("add(v, `0.5`)", {"v": 10**400}, "add(): a number is too large"),
        ("split(v, '')", {"v": "a"}, "split(): the separator is empty"),
        ("base64(v)", {"v": "\ud800"}, "base64(): a text holds half of a surrogate pair"),
        ("iso_time(v)", {"v": 10**18}, "iso_time(): seconds is out of the range of dates"),
        ("contains(v, `1`)", {"v": "a1"}, "contains(): a text can only contain a string"),
    ],
)
def test_run_time_refusals(text: str, scope: Scope, message: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        evaluate(text, scope)
    assert caught.value.message == message


def test_replace_cannot_multiply_a_text() -> None:
    with pytest.raises(EvaluationError, match="too long"):
        evaluate("replace(v, 'a', b)", {"v": "a" * 10_000, "b": "b" * 10_000})


def test_deep_data_is_an_evaluation_error() -> None:
    deep: Json = []
    for _ in range(100_000):
        deep = [deep]
    for text in ("to_json(v)", "omit_deep(v, `[]`)", "v == b"):
        other: Json = []
        for _ in range(100_000):
            other = [other]
        with pytest.raises(EvaluationError):
            evaluate(text, {"v": deep, "b": other})
    assert evaluate("from_json(v)", {"v": "[" * 100_000}) is None


@pytest.mark.parametrize(
    "text", ['{"a":NaN}', "Infinity", '{"a":1,"a":1}', "1e999", '"\\ud800"', "", "nul", "[1,]", "01"]
)
def test_from_json_is_strict(text: str) -> None:
    assert evaluate("from_json(v)", {"v": text}) is None


def test_json_keeps_order_and_large_numbers() -> None:
    text = '{"z":9223372036854775807,"a":[18446744073709551617,"é\\u2028"]}'
    assert evaluate("to_json(from_json(v))", {"v": text}) == text.replace("\\u2028", "\u2028")


def test_text_of_content_is_the_same_as_string_and_as_parts() -> None:
    """Trap 3 of facts/traps.md."""
    for content in (
        "Hi",
        [{"type": "text", "text": "Hi"}],
        [{"type": "text", "text": "H"}, {"type": "text", "text": "i"}],
    ):
        assert evaluate("text(v)", {"v": content}) == "Hi"


def test_a_secret_stays_a_secret_through_functions() -> None:
    scope = {"secret": {"key": Secret("k3y"), "pair": Secret("a.b")}, "v": 1}
    joined = evaluate("join('', ['Bearer ', secret.key])", scope, auth=True)
    assert (str(joined), joined.reveal()) == ("***", "Bearer k3y")
    assert evaluate("split(secret.pair, '.')[1]", scope, auth=True).reveal() == "b"
    assert evaluate("present(secret.key)", scope, auth=True) is True
    assert evaluate("type(secret.key)", scope, auth=True).reveal() == "string"
    assert evaluate("to_string(v)", scope, auth=True) == "1"
    with pytest.raises(EvaluationError) as caught:
        evaluate("abs(secret.key)", scope, auth=True)
    assert "k3y" not in str(caught.value)


def test_digests_can_be_chained() -> None:
    """The signing key of the well-known four-step scheme (example of its public documentation)."""
    text = "hmac_sha256(v, '20120215')"
    for step in ("us-east-1", "iam", "aws4_request"):
        text = f"hmac_sha256({text}, '{step}', 'hex', 'hex')"
    key = "AWS4wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    assert evaluate(text, {"v": key}, auth=True) == "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d"


def test_the_reference_is_up_to_date() -> None:
    assert REFERENCE.read_text("utf-8") == reference_markdown()
