"""The expression compiler: what it refuses and where, what it knows statically, and what expressions mean."""

from __future__ import annotations

import copy

import pytest

from engine.language.canonical import CANONICAL_REQUEST, CTX, ERR, MESSAGE, MODEL, PART, REPLY, REQUEST_TOOL_CALL
from engine.language.expressions import EvaluationError, Expression, ExpressionProblem, compile_expression
from engine.language.static_types import (
    ANY,
    BOOLEAN,
    NULL,
    NUMBER,
    STRING,
    Type,
    array_of,
    describe,
    enum_of,
    object_of,
    union,
)
from engine.types import Json, Scope

SCOPE = {
    "req": CANONICAL_REQUEST, "model": MODEL, "opt": ANY, "ctx": CTX, "res": ANY, "m": MESSAGE, "tc": REQUEST_TOOL_CALL,
    "p": PART, "v": ANY, "w": ANY, "i": NUMBER,
}  # fmt: skip
BODY = {name: SCOPE[name] for name in ("req", "model", "opt", "ctx")}


def compiled(text: str, scope: dict[str, Type] | None = None) -> Expression:
    """The expression, which must have no error."""
    expression, problems = compile_expression(text, scope or SCOPE)
    assert expression is not None, problems
    return expression


def run(text: str, scope: Scope) -> Json:
    """The value of an expression."""
    return compiled(text).evaluate(scope)


def problems_of(text: str, scope: dict[str, Type] | None = None) -> list[ExpressionProblem]:
    """All problems of an expression."""
    return compile_expression(text, scope or SCOPE)[1]


def only(text: str, scope: dict[str, Type] | None = None) -> ExpressionProblem:
    """The one problem of an expression."""
    problems = problems_of(text, scope)
    assert len(problems) == 1, problems
    return problems[0]


@pytest.mark.parametrize(
    ("text", "code", "marked"),
    [
        ("", "E101", ""),
        ("   ", "E101", "   "),
        ("req.", "E101", ""),
        ("req..model", "E101", "."),
        ("req.model)", "E101", ")"),
        ("req.messages[?role = 'user']", "E101", "="),
        ("req.messages[?role == 'user'", "E101", ""),
        ("req.n == `one`", "E101", "`one`"),
        ("req.n == `NaN`", "E101", "`NaN`"),
        ("req.user == 'it''s'", "E101", None),
        ("v[::0]", "E101", "[::0]"),
        ("length(v w)", "E101", "w"),
        ("length(v,)", "E101", ")"),
        ("&v", "E101", "&v"),
        ("request.model", "E102", "request"),
        ("@", "E102", "@"),
        ("to_json(@)", "E102", "@"),
        ("*.x", "E102", None),
        ("[0]", "E102", None),
        ("lenght(v)", "E103", "lenght"),
        ("length()", "E103", "length()"),
        ("length(v, v)", "E103", "length(v, v)"),
        ("not_null()", "E103", "not_null()"),
        ("length(`3`)", "E103", "`3`"),
        ("join(`1`, v)", "E103", "`1`"),
        ("join('', `[1]`)", "E103", "`[1]`"),
        ("length(req.n)", "E103", "req.n"),
        ("lower(req.messages)", "E103", "req.messages"),
        ("map(v, v)", "E103", "v"),
        ("length(&v)", "E103", "&v"),
        ("utc_date(i, 'iso')", "E103", "'iso'"),
        ("req.n == '1'", "E105", "req.n == '1'"),
        ("req.user != `1`", "E105", "req.user != `1`"),
        ("m.role == 'asistant'", "E105", "m.role == 'asistant'"),
        ("req.stream == 'true'", "E105", "req.stream == 'true'"),
        ("req.user > `1`", "E105", "req.user > `1`"),
        ("length(v) == req.user", "E105", "length(v) == req.user"),
        ("req.temprature", "E106", "temprature"),
        ("req.messages[].contnt", "E106", "contnt"),
        ("req.messages[?rol == 'user']", "E106", "rol"),
        ("req.messages.content", "E106", "content"),
        ("req.model.name", "E106", "name"),
        ("!req.tools", "E106", "!req.tools"),
        ("req.n[0]", "E106", "[0]"),
        ("req.n[?x == 'y']", "E106", "req.n"),
        ("req.model.*", "E106", "req.model"),
        ("v.tools[?name == m.name]", "E108", "m"),
        ("v.tools[?name == opt.tool]", "E108", "opt"),
        ("v.list[].[name, model]", "E108", "model"),
        ("v.list[].{a: model}", "E108", "model"),
        ("v | model.id", "E108", "model"),
        ("map(&add(n, i), v)", "E108", "i"),
        ("res.data[].add(n, i)", "E108", "i"),
        ("sha256(v)", "E109", "sha256"),
        ("jwt(v, m.text)", "E109", "jwt"),
        ("v[*].x[0]", "W111", "[0]"),
        ("v[].x.y[1]", "W111", "[1]"),
        ("{a: v}", "W112", "{a: v}"),
        (r"join('\n', v)", "W113", r"'\n'"),
        (r"v == 'a\tb'", "W113", r"'a\tb'"),
        ("v || 'x'", "W403", "v || 'x'"),
        ("(v || w) || `1`", "W403", None),
    ],
)
def test_problems_have_a_code_and_a_place(text: str, code: str, marked: str | None) -> None:
    problems = [each for each in problems_of(text) if each.code == code]
    assert problems, problems_of(text)
    if marked is not None:
        assert [text[each.offset : each.offset + each.length] for each in problems] == [marked]
    assert (compile_expression(text, SCOPE)[0] is None) == code.startswith("E")


def test_an_unknown_name_is_explained() -> None:
    """The first of the perfect messages (LANGUAGE 4b)."""
    assert only("request.temperature", BODY) == ExpressionProblem(
        "E102",
        'unknown name "request"',
        0,
        7,
        ("in scope here: ctx, model, opt, req", "did you mean =req.temperature ?"),
    )


def test_a_field_written_as_a_name_is_recognised() -> None:
    assert only("messages[0].role", BODY).help[1] == "did you mean =req.messages[0].role ?"


@pytest.mark.parametrize(
    ("text", "help_line"),
    [
        ("present(req.temprature)", "did you mean =present(req.temperature) ?"),
        ("ctx.stream && !req.tools", "did you mean =ctx.stream && !(req.tools) ?"),
        ("lenght(v)", "did you mean =length(v) ?"),
        ("m.role == 'asistant'", "did you mean 'assistant' ?"),
        ("v[*].x[0]", "did you mean =v[*].x | [0] ?"),
        ("v || 'x'", "if only absence is meant: not_null(v, 'x')"),
        ("length(v.a) > `1` && (v.a || `[]`)", "if only absence is meant: not_null(v.a, `[]`)"),
        ("req.user = 'a'", "equality is written =="),
        ("v.tools[?name == m.name]", "if the item's own field is meant write @.m"),
        ("req.messages.content", "=…[].content takes the field of every item"),
    ],
)
def test_help_says_what_would_be_right(text: str, help_line: str) -> None:
    assert help_line in [line for each in problems_of(text) for line in each.help]


def test_all_problems_are_found_at_once() -> None:
    codes = [each.code for each in problems_of("reqq.a == lenght(req.temprature) && req.n == '1'")]
    assert codes == ["E102", "E103", "E106", "E105"]


@pytest.mark.parametrize(
    "text",
    [
        "req.messages[?role == 'system' || role == 'developer'].text(content)",
        "join('', res.content[?type == 'text'].text)",
        "length(req.messages[].tool_calls[]) > `0`",
        "present(req.response_format) && req.response_format.type != 'text'",
        "join('', res.candidates[0].content.parts[?present(text) && !thought].text)",
        "as_object(from_json(text(m.content)))",
        'omit_deep(v, `["additionalProperties","$schema"]`)',
        "join('_', ['call', to_string(i)])",
        "values(res.data.completions)[0].completion.error.message",
        "find(req.messages[].tool_calls[], 'id', m.tool_call_id).function.name",
        "type(req.tool_choice)",
        "not_null(req.max_completion_tokens, req.max_tokens, opt.default)",
        "data_url(p.image_url.url).mime",
        "res.data[?@.model == 'x']",
        "res.data[].model",
        "[req.model, 'x']",
        "req.extra.anything.goes",
        'req.metadata."any key"',
        "m.content[0].text",
        "parts(m.content)[?type == 'image_url'].image_url.url",
    ],
)
def test_what_the_language_shows_compiles_without_a_word(text: str) -> None:
    assert problems_of(text) == []


@pytest.mark.parametrize(
    ("text", "words", "is_condition"),
    [
        ("req.stream", "true or false", True),
        ("ctx.stream", "true or false", True),
        ("req.temperature", "a number", False),
        ("req.tools", "a list", False),
        ("present(req.tools)", "true or false", True),
        ("length(req.tools) > `0`", "true or false", True),
        ("!(req.tools)", "true or false", True),
        ("req.stream && present(req.tools)", "true or false", True),
        ("req.stream || v == `1`", "true or false", True),
        ("req.stream && req.tools", "true or false or a list", False),
        ("req.messages[].role", "a list", False),
        ("req.messages[0].role", 'one of "assistant", "developer", "function", "system", "tool", "user"', False),
        ("req.messages[].tool_calls[].function.name | [0]", "a string", False),
        ("text(m.content)", "a string", False),
        ("req.stop", "a string or a list", False),
        ("res.anything", "any value", False),
        ("not_null(req.n, `1`)", "a number", False),
        ("not_null(req.user, `1`)", "a number or a string", False),
        ("values(ctx)", "a list", False),
        ("find(req.tools, 'type', 'function').function.strict", "true or false", True),
        ("`null`", "null", False),
    ],
)
def test_result_types(text: str, words: str, is_condition: bool) -> None:
    result = compiled(text).result
    assert (describe(result), result.is_condition) == (words, is_condition)


@pytest.mark.parametrize(
    ("text", "may_be_null"),
    [
        ("req.model", False),
        ("req.temperature", True),
        ("not_null(req.temperature, `1`)", False),
        ("length(req.messages)", False),
        ("length(req.tools)", True),
        ("req.messages[0]", True),
        ("req.messages[].content", False),
        ("req.temperature || `1`", False),
        ("length(req.messages) > `1`", False),
        ("req.n > `1`", True),
        ("list(req.stop)", False),
    ],
)
def test_what_can_be_absent(text: str, may_be_null: bool) -> None:
    assert compiled(text).result.may_be_null is may_be_null


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("req.extra.x", ["req.extra.x"]),
        ("req", ["req"]),
        ("req.messages", ["req.messages"]),
        ("req.messages[].content", ["req.messages.[].content"]),
        ("req.messages[*].content", ["req.messages.[].content"]),
        ("req.messages[0].content", ["req.messages.[].content"]),
        ("req.messages[-2:].content", ["req.messages.[].content"]),
        ("req.messages[?role == 'tool'].content", ["req.messages.[].content", "req.messages.[].role"]),
        ("req.messages[].tool_calls[].id", ["req.messages.[].tool_calls.[].id"]),
        ("req.messages | [0].role", ["req.messages.[].role"]),
        ("req.messages[?present(tool_calls)]", ["req.messages.[]", "req.messages.[].tool_calls"]),
        ("length(req.tools)", ["req.tools"]),
        ("req.user || req.extra.user", ["req.extra.user", "req.user"]),
        ("(req.extra || req).user", ["req.extra.user", "req.user"]),
        ("req.extra.*", ["req.extra"]),
        ("map(&content, req.messages)", ["req.messages", "req.messages.[].content"]),
        ("[req.model, ctx.now]", ["ctx.now", "req.model"]),
        ("values(req.extra)[0].x", ["req.extra"]),
        ("'literal'", []),
        ("!(req.stream)", ["req.stream"]),
    ],
)
def test_paths_are_what_is_read(text: str, paths: list[str]) -> None:
    assert sorted(".".join(path) for path in compiled(text).paths) == paths


def test_names_fields_and_constants_are_collected() -> None:
    expression = compiled("contains(req.messages[].content[].type, 'image_url') && ctx.stream")
    assert expression.roots == {"req", "ctx"}
    assert expression.fields == {"req", "messages", "content", "type", "ctx", "stream"}
    assert expression.constants == {"image_url"}


def test_the_clock_and_ids_come_from_the_scope() -> None:
    expression, problems = compile_expression("[now(), uuid()]", {"ctx": CTX}, auth=True)
    assert expression is not None, problems
    assert expression.roots == {"ctx"}
    assert expression.paths == {("ctx", "now"), ("ctx", "request_id")}
    scope = {"ctx": {"now": 5, "request_id": "r", "stream": False}}
    assert expression.evaluate(scope) == expression.evaluate(scope)
    assert compile_expression("now()", {"ctx": CTX}, auth=True)[0] is not None
    assert compile_expression("now()", {}, auth=True)[1][0].code == "E102"


DOCUMENT = {
    "v": {"a": {"b": [1, 2, {"c": "x"}]}, "n": 0, "s": "", "f": False, "l": [], "t": True, "o": {}},
    "w": [{"k": "a", "n": 1, "x": [1, 2]}, {"k": "b", "n": 2, "x": []}, {"n": 3}, None, "text"],
    "i": 3,
}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("v.a.b[0]", 1),
        ("v.a.b[-1].c", "x"),
        ("v.a.b[9]", None),
        ("v.a.b[-9]", None),
        ("v.a.missing.b.c", None),
        ("w[].k", ["a", "b"]),
        ("w[*]", [{"k": "a", "n": 1, "x": [1, 2]}, {"k": "b", "n": 2, "x": []}, {"n": 3}, "text"]),
        ("w[].x[]", [1, 2]),
        ("w[*].x[0]", [1]),
        ("w[*].x | [0]", [1, 2]),
        ("w[?n > `1`].n", [2, 3]),
        ("w[?k == 'a' || k == 'b'].n", [1, 2]),
        ("w[?!k].n", [3]),
        ("w[:2].n", [1, 2]),
        ("w[::-1].n", [3, 2, 1]),
        ("v.a.*", [[1, 2, {"c": "x"}]]),
        ("v.n || 'd'", 0),
        ("v.s || 'd'", "d"),
        ("v.f || v.l || v.o || v.missing || 'd'", "d"),
        ("v.t && v.n", 0),
        ("v.s && v.t", ""),
        ("!(v.n)", False),
        ("!(v.s)", True),
        ("v.n == v.f", False),
        ("v.t == `1`", False),
        ("v.n == `0.0`", True),
        ("v.a.b[:2] == `[1, 2]`", True),
        ("v.missing == `null`", True),
        ("v.s < `1`", None),
        ("v.t > v.f", None),
        ("'a' < 'b'", True),
        ("v.missing >= `1`", None),
        ("[v.n, v.missing]", [0, None]),
        ("{a: v.n, b: v.missing}", {"a": 0, "b": None}),
        ("v.missing.[a, b]", None),
        ("v.missing.not_null(@, 'x')", "x"),
        ("v | a.b | length(@)", 3),
        ("sort_by(w[:3], &n)[-1].n", 3),
        ("max_by(w[?n], &n).n", 3),
        ("map(&[n, i_], w[:2])", [[1, None], [2, None]]),
        ("`{\"a\": [1]}`", {"a": [1]}),
        ("`\"\\u00e9\"`", "é"),
        ("'\\''", "'"),
        ('"v"."a"."b"[0]', 1),
    ],
)  # fmt: skip
def test_meaning(text: str, result: Json) -> None:
    before = copy.deepcopy(DOCUMENT)
    value = run(text, DOCUMENT)
    assert (value, type(value)) == (result, type(result))
    assert before == DOCUMENT


def test_a_literal_cannot_be_changed_through_its_result() -> None:
    expression = compiled('not_null(v, `{"a": [1]}`)')
    expression.evaluate({})["a"].append(2)
    assert expression.evaluate({}) == {"a": [1]}


def test_field_names_are_data_and_never_source() -> None:
    name = "x') or __import__('os').system('true') or ('"
    expression = compiled(f'v."{name}"')
    assert expression.evaluate({"v": {name: 1}}) == 1
    assert compiled('v."é\\n\\""').evaluate({"v": {'é\n"': 2}}) == 2
    assert compiled('v."__class__"').evaluate({"v": []}) is None


def test_an_evaluation_error_carries_text_and_function_but_no_value() -> None:
    expression = compiled("join(', ', v.list)")
    with pytest.raises(EvaluationError) as caught:
        expression.evaluate({"v": {"list": ["s3cret", {}]}})
    assert (caught.value.expression, caught.value.function) == ("join(', ', v.list)", "join")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5_000 + "v" + ")" * 5_000,
        "!" * 3_000 + "v",
        "v" + " || v" * 1_000,
        "v" + "[0]" * 2_500,
        "v" + ".a[*]" * 900,
        "v" + "[?a" * 900 + "]" * 900,
        "v" + "[?@" * 18 + "]" * 18,
        "length(" * 900 + "v" + ")" * 900,
        "`" + "[" * 3_000 + "]" * 3_000 + "`",
        "v[" + "9" * 5_000 + "]",
        "v" * 9_000,
    ],
)  # fmt: skip
def test_no_text_can_exhaust_the_compiler(text: str) -> None:
    expression, problems = compile_expression(text, SCOPE)
    assert expression is not None or problems


def test_moderate_nesting_compiles() -> None:
    assert compiled("v" + ".a[0]" * 20).evaluate({"v": None}) is None
    assert compiled("v" + "[*]" * 12).evaluate({"v": [[[1]]]}) == [[[]]]
    assert run("not_null(" * 20 + "v" + ")" * 20, {"v": 1}) == 1
    assert run("v || " * 40 + "v", {"v": 1}) == 1


def test_types_join_and_are_described() -> None:
    both = union(object_of({"a": STRING}, {"b": NUMBER}), object_of({"a": NUMBER}), NULL)
    assert both.fields is not None
    assert both.fields["a"].kinds == {"string", "number"}
    assert both.fields["b"].may_be_null
    assert union(enum_of("a"), enum_of("b")) == enum_of("b", "a")
    assert union(enum_of("a"), STRING).values is None
    assert union(array_of(NUMBER), array_of(ANY)).items == ANY
    assert union(object_of({"a": STRING}), ANY).fields is None
    assert describe(union(BOOLEAN, NULL)) == "true or false"
    assert describe(enum_of("b", "a")) == 'one of "a", "b"'
    assert REPLY.fields is not None
    assert ERR.fields is not None
