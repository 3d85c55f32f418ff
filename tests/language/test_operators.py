"""Each operator: what it yields, what absence does to it, and what is refused at load (LANGUAGE 3.2)."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import EngineError, RequestError, UpstreamError
from engine.language import canonical
from engine.language.problems import Problems
from engine.language.reader import MappingNode, read_document
from engine.language.static_types import ANY, BOOLEAN, OBJECT, STRING, array_of, enum_of, object_of
from engine.language.tree import Env, TreeCompiler, Usage
from engine.types import ABSENT, Json

Make = Callable[..., Any]


@pytest.mark.parametrize(
    ("text", "x", "expected"),
    [
        # $if
        ("{$if: =present(x), then: yes, else: no}", 1, "yes"),
        ("{$if: =present(x), then: yes, else: no}", None, "no"),
        ("{$if: =present(x), then: yes}", None, ABSENT),
        ("{$if: =present(x), then: =x.gone, else: no}", 1, ABSENT),
        ("{$if: true, then: 1}", None, 1),
        ("{$if: false, then: 1, else: null}", None, None),
        ("{$if: '=x == `1`', then: 1, else: 2}", 1.0, 1),
        # $switch
        ("{$switch: =x, cases: {a: 1, b: =x}, default: 3}", "b", "b"),
        ("{$switch: =x, cases: {a: 1}, default: 3}", "z", 3),
        ("{$switch: =x, cases: {'true': t, '1': one, '1.5': half, 'null': nothing}}", True, "t"),
        ("{$switch: =x, cases: {'true': t, '1': one, '1.5': half, 'null': nothing}}", 1, "one"),
        ("{$switch: =x, cases: {'true': t, '1': one, '1.5': half, 'null': nothing}}", 1.5, "half"),
        ("{$switch: =x, cases: {'true': t, '1': one, '1.5': half, 'null': nothing}}", None, "nothing"),
        ("{$switch: =x, cases: {a: 1}, default: {$omit: true}}", [], ABSENT),
        ("{$switch: =x, cases: {a: 1}, default: 3}", {"a": 1}, 3),
        # $match
        ("{$match: =x, cases: {'*LLAMA*': l, 'gpt-?': g, '*': other}}", "meta/Llama-3", "l"),
        ("{$match: =x, cases: {'*LLAMA*': l, 'gpt-?': g, '*': other}}", "GPT-4", "g"),
        ("{$match: =x, cases: {'*LLAMA*': l, 'gpt-?': g, '*': other}}", "gpt-4o", "other"),
        ("{$match: =x, cases: {'a': 1, '*': 2}}", None, 2),
        ("{$match: =x, cases: {'a': 1, '*': 2}}", 7, 2),
        # $first
        ("{$first: [=x, 2]}", None, 2),
        ("{$first: [=x, 2]}", False, False),
        ("{$first: [=x, null]}", None, None),
        ("{$first: [=x, =x.y]}", None, ABSENT),
        # $each
        ("{$each: =x, as: i, do: =i}", [1, None, 2], [1, 2]),
        ("{$each: =x, as: i, do: =i}", [], []),
        ("{$each: =x, as: i, do: =i}", None, ABSENT),
        ("{$each: =x, as: i, where: '=i > `1`', do: {v: =i}}", [1, 2, 3], [{"v": 2}, {"v": 3}]),
        ("{$each: =x, as: i, where: '=i.on == `true`', do: =i.n}", [{"n": 1}, {"n": 2, "on": True}], [2]),
        ("{$each: =x, as: i, index: n, do: [=n, =i]}", ["a", "b"], [[0, "a"], [1, "b"]]),
        ("{$each: =x, as: i, index: n, where: '=i != `0`', do: =n}", [0, 7], [1]),
        ("{$each: =x, as: i, flat: true, do: =i}", [[1], 2, [], [[3]]], [1, 2, [3]]),
        ("{$each: =x, as: i, do: {$each: =i, as: j, do: [=i, =j]}}", [[1]], [[[[1], 1]]]),
        ("{$each: =x, as: i, do: null}", [1, 2], [None, None]),
        # $object
        ("{$object: =x, as: i, key: =i.k, value: =i.v}", [{"k": "a", "v": 1}, {"k": "a", "v": 2}], {"a": 2}),
        ("{$object: =x, as: i, key: =i.k, value: =i.v}", [{"k": 1, "v": 1}, {"v": 1}, {"k": "b"}], {}),
        ("{$object: =x, as: i, key: =i.k, value: =i.v}", None, ABSENT),
        ("{$object: =x, as: i, key: =i, value: null}", ["a"], {"a": None}),
        # $concat
        ("{$concat: [=x, 3, [4], =x.gone]}", [1, 2], [1, 2, 3, 4]),
        ("{$concat: [=x]}", None, []),
        ("{$concat: [=x, [[1]]]}", {"a": 1}, [{"a": 1}, [1]]),
        ("{$concat: [null, =x]}", 1, [None, 1]),
        # $merge
        ("{$merge: [{a: 1, b: 1}, =x, {c: =x.none}]}", {"b": 2}, {"a": 1, "b": 2}),
        ("{$merge: [=x]}", None, {}),
        # $nonempty
        ("{$nonempty: =x}", "", ABSENT),
        ("{$nonempty: =x}", [], ABSENT),
        ("{$nonempty: {a: =x}}", None, ABSENT),
        ("{$nonempty: =x}", 0, 0),
        ("{$nonempty: =x}", False, False),
        ("{$nonempty: =x}", " ", " "),
        # $let
        ("{$let: {a: =x.y, b: =a.z}, in: [=a, =b]}", {"y": {"z": 1}}, [{"z": 1}, 1]),
        ("{$let: {a: =x}, in: {v: =a}}", None, {}),
        ("{$let: {a: {$omit: true}}, in: {v: =present(a)}}", 1, {"v": False}),
        ("{$let: {a: null}, in: {v: =a, p: =present(a), t: {$template: '[{{ a }}]'}}}", 1, {"p": False, "t": "[]"}),
        ("{$let: {a: {b: null}, l: [null]}, in: [=a, =a.b, =length(l), '=l[0]']}", 1, [{"b": None}, 1]),
        ("[{$let: {a: 1}, in: =a}, {$let: {a: 2}, in: =a}]", 1, [1, 2]),
        # literal nulls through operators
        ("{$nonempty: null}", 1, None),
        ("{$merge: [{a: null}, =x]}", {"b": None}, {"a": None, "b": None}),
        ("{$first: [{$if: =present(x), then: null}, 2]}", 1, None),
        ("{$first: [{$if: =present(x), then: null}, 2]}", None, 2),
        ("{$match: =x, cases: {'*': null}}", "a", None),
        ("[{$each: [null, 1], as: i, do: {v: =i}}]", 1, [[{}, {"v": 1}]]),
        # one name in several places stands for several things
        (
            "[{$each: =x.p, as: i, do: =i.v}, {$each: =x.q, as: i, do: =i.v}]",
            {"p": [{"v": 1}], "q": [{"v": 2}]},
            [[1], [2]],
        ),
        ("[{$if: =present(x.n), then: =x.n.v}, =x.n.v, =x.m.v]", {"m": {"v": 1}}, [1]),
        (
            "{$each: =x, as: i, do: {$let: {j: =i.v}, in: {$each: =j, as: k, do: [=i.n, =k]}}}",
            [{"n": 1, "v": ["a"]}, {"n": 2, "v": ["b", "c"]}],
            [[[1, "a"]], [[2, "b"], [2, "c"]]],
        ),
        # $require, $literal, $template
        ("{$require: =x}", 0, 0),
        ("{$literal: {$schema: =x, a: ['{{ b }}']}}", 1, {"$schema": "=x", "a": ["{{ b }}"]}),
        ("{$template: '{{ x }}'}", 5, "5"),
        ("{$template: '[{{ x }}]'}", "1, 2", "[1, 2]"),
    ],
)
def test_what_an_operator_yields(compile_tree: Make, text: str, x: Json, expected: Json) -> None:
    """The value of each operator for present, null and odd inputs, types kept."""
    tried = compile_tree(text)

    assert [] == [each.message for each in tried.found if each.severity == "error"]
    made = tried.run({"x": x, "y": None})
    assert expected == made
    assert type(expected) is type(made)


def test_join_runs_merges_equal_neighbours(compile_tree: Make) -> None:
    """Neighbours with an equal `by` become one: texts by a blank line, lists end to end; the input is not touched."""
    turns = [
        {"r": "u", "c": "a"},
        {"r": "u", "c": "b"},
        {"r": "m", "c": [1]},
        {"r": "m", "c": [2]},
        {"r": "u", "c": ""},
    ]
    tried = compile_tree("{$join_runs: =x, by: =it.r, concat: [c]}")

    expected = [{"r": "u", "c": "a\n\nb"}, {"r": "m", "c": [1, 2]}, {"r": "u", "c": ""}]
    assert expected == tried.run({"x": turns})
    assert {"r": "u", "c": "a"} == turns[0]


def test_join_runs_never_merges_null(compile_tree: Make) -> None:
    """Items whose `by` is null stay apart; an absent list is absent."""
    tried = compile_tree("{$join_runs: =x, by: =it.r, concat: [c]}")

    assert [{"c": "a"}, {"c": "b"}] == tried.run({"x": [{"c": "a"}, {"c": "b"}]})
    assert ABSENT is tried.run({"x": None})


def test_join_runs_keeps_a_text_beside_a_list(compile_tree: Make) -> None:
    """A message with text content and a neighbour with parts (both legal) lose nothing when they are merged."""
    turns = [{"r": "u", "c": "first"}, {"r": "u", "c": [{"type": "text", "text": "second"}]}]

    made = str(compile_tree("{$join_runs: =x, by: =it.r, concat: [c]}").run({"x": turns}))

    assert (True, True) == ("first" in made, "second" in made)


def test_raise_is_the_clients_fault_on_a_request_path(compile_tree: Make) -> None:
    """`$raise` on a request path is 400 and not worth a retry, with what the mapping says."""
    tried = compile_tree("{$raise: {message: No., param: 'messages[1]', code: odd}}")

    with pytest.raises(RequestError) as failure:
        tried.run({"x": None})

    info = failure.value.info
    assert ("invalid_request", 400, "No.", "messages[1]", "odd", False) == (
        info.type, info.status, info.message, info.param, info.code, info.retryable,
    )  # fmt: skip


@pytest.mark.parametrize(("side", "kind", "status"), [("request", RequestError, 400), ("reply", UpstreamError, 502)])
def test_require_blames_the_side_it_stands_on(compile_tree: Make, side: str, kind: Any, status: int) -> None:
    """A missing required value is 400 on the request path, 502 on the reply path, also where it is a written null."""
    for text in ("{$require: =x}", "{$require: null, message: gone}", "{$require: {$omit: true}}"):
        with pytest.raises(kind) as failure:
            compile_tree(text, side=side).run({"x": None})
        assert status == failure.value.info.status


def test_a_case_without_default_fails_loudly(compile_tree: Make) -> None:
    """A `$switch` that has no case for a value says so, with its place and without the value (R004)."""
    with pytest.raises(EngineError) as failure:
        compile_tree("{$switch: =x, cases: {a: 1}}").run({"x": "sesame"})

    assert ("R004", True, False) == (
        failure.value.code, "t.yaml:1:2" in str(failure.value), "sesame" in str(failure.value),
    )  # fmt: skip


@pytest.mark.parametrize("text", ["{$each: =x, as: i, do: =i}", "{$object: =x, as: i, key: =i, value: 1}",
                                  "{$join_runs: =x, by: =it, concat: []}"])  # fmt: skip
@pytest.mark.parametrize("x", ["text", 7, {"a": 1}, True])
def test_a_loop_over_no_list_is_a_located_error(compile_tree: Make, text: str, x: Json) -> None:
    """What is no list fails as an engine error with a place."""
    with pytest.raises(EngineError) as failure:
        compile_tree(text).run({"x": x})

    assert "t.yaml:1:" in str(failure.value)


@pytest.mark.parametrize("text", ["{$switch: =length(x), cases: {a: 1}, default: 2}",
                                  "{$match: =lower(x), cases: {'*': 2}}",
                                  "{$if: '=starts_with(x, ''a'')', then: 2}"])  # fmt: skip
def test_the_subject_of_a_choice_fails_with_its_place(compile_tree: Make, text: str) -> None:
    """An expression that an operator chooses by fails as a leaf does: with file, line and column."""
    with pytest.raises(EngineError) as failure:
        compile_tree(text).run({"x": 7})

    assert "t.yaml:1:" in str(failure.value)


def test_an_empty_case_is_not_the_case_of_a_list(compile_tree: Make) -> None:
    """Lists and objects select no case, also where one is named by the empty text."""
    tried = compile_tree("{$switch: =x, cases: {'': empty}, default: other}")

    assert ("empty", "other", "other") == (tried.run({"x": ""}), tried.run({"x": []}), tried.run({"x": {}}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{$if: =req.tools, then: 1}", ["E104 1:7"]),
        ("{$if: yes it is, then: 1}", ["E104 1:7"]),
        ("{$if: =x, then: 1}", ["E104 1:7"]),
        ("{$each: =x, as: i, where: =i, do: =i}", ["E104 1:27"]),
        ("{$template: '{{ nope }}'}", ["E141 1:17"]),
        ("{$template: 3}", ["E133 1:13"]),
        ("{$template: {text: a}}", ["E133 1:13"]),
        ("{$if: true, $switch: =x}", ["E130 1:13"]),
        ("{$swich: =x, cases: {a: 1}}", ["E131 1:2"]),
        ("{$if: true, then: 1, otherwise: 2}", ["E132 1:22"]),
        ("{$if: true}", ["E132 1:2"]),
        ("{$each: =x, as: i}", ["E132 1:2"]),
        ("{$omit: true, with: 1}", ["E132 1:15"]),
        ("{$switch: x, cases: {a: 1}}", ["E133 1:11"]),
        ("{$switch: =x, cases: [a]}", ["E133 1:22"]),
        ("{$switch: =x, cases: {}}", ["E133 1:22"]),
        ("{$first: [1]}", ["E133 1:10"]),
        ("{$first: {a: 1}}", ["E133 1:10"]),
        ("{$concat: {a: 1}}", ["E133 1:11"]),
        ("{$merge: {a: 1}}", ["E133 1:10"]),
        ("{$let: [1], in: 1}", ["E133 1:8"]),
        ("{$let: {a-b: 1}, in: 1}", ["E133 1:9", "W137 1:9"]),
        ("{$omit: false}", ["E133 1:9"]),
        ("{$each: =x, as: 'a b', do: 1}", ["E133 1:17", "W137 1:17"]),
        ("{$each: =x, as: i, flat: maybe, do: =i}", ["E133 1:26"]),
        ("{$first: [1, =x]}", ["E134 1:14"]),
        ("{$first: [=x, null, 2]}", ["E134 1:21"]),
        ("{$match: =x, cases: {'*': 1, a: 2}}", ["E134 1:30"]),
        ("{$match: =x, cases: {a: 2}}", ["E135 1:21"]),
        ("{$each: =x, as: req, do: =req}", ["E136 1:17"]),
        ("{$each: =x, as: i, index: y, do: [=i, =y]}", ["E136 1:27"]),
        ("{$each: =x, as: i, do: 1}", ["W137 1:17"]),
        ("{$each: =x, as: i, index: n, do: =i}", ["W137 1:27"]),
        ("{$let: {a: 1}, in: 2}", ["W137 1:9"]),
        ("{$merge: [{a: 1}, {a: 2}]}", ["W138 1:20"]),
        ("{$use: nothing}", ["E150 1:8"]),
    ],
)
def test_a_wrong_operator_is_reported_at_its_place(compile_tree: Make, text: str, expected: list[str]) -> None:
    """Every compile error of an operator: code, line and column, once."""
    assert expected == compile_tree(text).lines


def test_a_template_is_refused_where_the_slot_forbids_it(compile_tree: Make) -> None:
    """Paths, queries, headers and conditions take no template (E121)."""
    assert ["E121 1:5"] == compile_tree("a: {$template: x}", templates=False).lines


def test_a_switch_over_a_known_enum_must_cover_it(compile_tree: Make) -> None:
    """Over a closed list of words an impossible case and a missing one are errors (E135)."""
    words = object_of({"k": enum_of("a", "b")})

    assert ["E135 1:31"] == compile_tree("{$switch: =req.k, cases: {a: 1, c: 2}, default: 3}", req=words).lines or [
        "E135 1:33"
    ] == compile_tree("{$switch: =req.k, cases: {a: 1, c: 2}, default: 3}", req=words).lines
    assert ["E135 1:26"] == compile_tree("{$switch: =req.k, cases: {a: 1}}", req=words).lines
    assert [] == compile_tree("{$switch: =req.k, cases: {a: 1, b: 2}}", req=words).lines


def test_join_runs_knows_the_keys_of_its_items(compile_tree: Make) -> None:
    """`concat` names keys that the items have (E133)."""
    items = array_of(canonical.MESSAGE)

    tried = compile_tree("{$join_runs: =l, by: =it.role, concat: [contents]}", l=items)

    assert ["E133 1:41"] == tried.lines
    assert "content" in tried.found[0].help[0]


@pytest.mark.parametrize(
    "text",
    [
        "{$each: =x, as: i, index: i, do: =i}",
        "{$let: {req: =x}, in: =req}",
    ],
)  # fmt: skip
def test_no_name_hides_another(compile_tree: Make, text: str) -> None:
    """`as`, `index` and `$let` give new names only (E136)."""
    assert ["E136"] == [each.code for each in compile_tree(text).found]


def test_join_runs_takes_an_expression_only(compile_tree: Make) -> None:
    """A `by` without `=` is refused (E133), else all items would be one run."""
    assert ["E133"] == [each.code for each in compile_tree("{$join_runs: =x, by: role, concat: [c]}").found]


def test_merge_takes_objects_only(compile_tree: Make) -> None:
    """A list or text in `$merge` is refused at load (E107)."""
    assert ["E107 1:11"] == compile_tree("{$merge: [words]}").lines
    assert ["E107 1:11"] == compile_tree("{$merge: [[1]]}").lines


def test_an_unknown_key_of_a_closed_object_is_refused_inside_operators(compile_tree: Make) -> None:
    """What an operator's branches build is checked against the slot too, with the nearest name."""
    closed = object_of({}, {"text": STRING, "live": BOOLEAN})

    tried = compile_tree("{$if: true, then: {txt: a}, else: {live: 1}}", expected=closed)

    assert ["E191 1:20", "E107 1:42"] == tried.lines
    assert ("did you mean `text`?",) == tried.found[0].help


def test_a_merge_in_a_closed_slot_is_checked(compile_tree: Make) -> None:
    """`$merge` passes the slot's keys on to its entries."""
    assert ["E191 1:12"] == compile_tree("{$merge: [{txt: a}]}", expected=object_of({}, {"text": STRING})).lines
    assert [] == compile_tree("{$merge: [{txt: a}]}", expected=OBJECT).lines


# -- fragments: they need a file with `define`


def define(value: Json, *args: str) -> dict[str, Any]:
    return {"f": {"args": list(args), "value": value}}


def body(tree: Json) -> dict[str, Any]:
    return {"path": "/chat", "body": {"messages": "=req.messages", "made": tree}}


def test_a_fragment_sees_its_arguments_and_options_only(codes: Make, endpoint: Make) -> None:
    """Inside `define` the root names of the caller are unknown (E102)."""
    use = body({"$use": "f", "with": {"a": "=req.user"}})

    assert ["E102"] == codes(define=define({"v": "=a", "w": "=req.user"}, "a"), request=use)
    plan = endpoint(define=define({"v": "=a", "t": "=ctx.now"}, "a"), request=use)
    made = plan.call.body({"req": {"user": "u", "messages": []}, "ctx": {"now": 5}, "opt": {}})
    assert {"messages": [], "made": {"v": "u", "t": 5}} == made


@pytest.mark.parametrize(
    ("fragments", "use", "expected"),
    [
        (define("=a", "a"), {"$use": "f"}, ["E151"]),
        (define("=a", "a"), {"$use": "f", "with": {"a": 1, "b": 2}}, ["E151"]),
        (define({"$use": "f", "with": {"a": "=a"}}, "a"), {"$use": "f", "with": {"a": 1}}, ["E152"]),
        ({"f": {"value": {"$use": "g"}}, "g": {"value": {"$use": "f"}}}, {"$use": "f"}, ["E152"]),
        (define("=a", "a"), 1, ["W153"]),
        (define(1), {"$use": "F"}, ["E150", "W153"]),
    ],
)
def test_a_wrong_use_is_reported(codes: Make, fragments: Any, use: Json, expected: list[str]) -> None:
    """Unknown fragments, wrong arguments, circles and unused fragments each have their code."""
    assert expected == codes(define=fragments, request=body(use))


def test_every_use_of_a_fragment_is_checked_against_its_slot(codes: Make) -> None:
    """A fragment that fits its first place and not its second is E107 there."""
    found = codes(
        define=define("words"),
        response={"text": {"$use": "f"}, "usage": {"prompt_tokens": {"$use": "f"}}},
    )

    assert ["E107"] == found


def test_a_require_in_a_fragment_blames_the_side_of_its_use(endpoint: Make) -> None:
    """A fragment used in request and response blames the upstream when the reply lacks the value."""
    plan = endpoint(
        define=define({"$require": "=a"}, "a"),
        request=body({"$use": "f", "with": {"a": "=req.user"}}),
        response={"text": {"$use": "f", "with": {"a": "=res.text"}}},
    )

    with pytest.raises(UpstreamError):
        plan.response({"res": {}, "req": {}, "ctx": {}, "opt": {}})


def test_a_template_in_a_fragment_is_refused_in_every_forbidden_slot(codes: Make) -> None:
    """A fragment with a template, used in the body first, is still refused in a header (E121)."""
    request = {"path": "/chat", "body": {"m": "=req.messages", "v": {"$use": "f"}}, "headers": {"x-v": {"$use": "f"}}}
    ahead = {"path": "/chat", "headers": {"x-v": {"$use": "f"}}, "body": {"m": "=req.messages", "v": {"$use": "f"}}}
    errors = {"any": {"status": ["4xx", "5xx"], "raise": {"message": {"$use": "f"}}}}

    found = [codes(define=define({"$template": "t"}), request=each, errors=errors) for each in (request, ahead)]

    assert [["E121"], ["E121"]] == found


def test_a_raise_of_an_unknown_type_is_refused_at_load(codes: Make) -> None:
    """`type` is one of the closed list of error types (E200, E107): a typo is found at load."""
    assert [] != codes(request=body({"$raise": {"type": "rate_limitt", "message": "m"}}))


def test_a_raise_of_a_computed_unknown_type_is_still_an_engine_error(compile_tree: Make) -> None:
    """A `type` out of data that is none of ours never becomes a bare Python error."""
    with pytest.raises(EngineError):
        compile_tree("{$raise: {type: =x, message: m}}").run({"x": "odd"})


def test_the_code_of_a_raise_is_text(compile_tree: Make) -> None:
    """The client's `code` is a string or null, also where the mapping writes a number."""
    with pytest.raises(RequestError) as failure:
        compile_tree("{$raise: {code: 1004, message: m}}").run({})

    assert "1004" == failure.value.info.code


@pytest.mark.parametrize("status", ["429", 200, 20, 99999])
def test_the_status_of_a_raise_is_that_of_a_failure(compile_tree: Make, status: Json) -> None:
    """A status that no HTTP error has does not reach a client."""
    with pytest.raises(RequestError) as failure:
        compile_tree("{$raise: {status: =x, message: m}}").run({"x": status})

    assert isinstance(failure.value.info.status, int)
    assert 400 <= failure.value.info.status < 600


# -- the compiler against a plain reading of the same trees

PATHS = {"=x": lambda s: s["x"], "=x.a": lambda s: field(s["x"], "a"), "=y": lambda s: s["y"], "=x.a.b": lambda s:
         field(field(s["x"], "a"), "b"), "=i": lambda s: s.get("i"), "=i.a": lambda s: field(s.get("i"), "a")}  # fmt: skip  # noqa: E501
LEAVES = st.sampled_from([*PATHS, None, 0, 1.0, True, "", "t"])


def field(value: Json, name: str) -> Json:
    """`value.name`, null where there is none."""
    return value.get(name) if isinstance(value, dict) else None


def grown(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    """Trees one level deeper."""
    path = st.sampled_from([each for each in PATHS if "i" not in each])
    return st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from("pqr"), inner, max_size=3),
        st.builds(lambda p, a, b: {"$if": f"=present({p[1:]})", "then": a, "else": b}, path, inner, inner),
        st.builds(lambda p, a: {"$if": f"=present({p[1:]})", "then": a}, path, inner),
        st.builds(
            lambda p, a, b, c: {"$switch": p, "cases": {"t": a, "1": b, "null": a}, "default": c},
            path,
            inner,
            inner,
            inner,
        ),
        st.builds(lambda p, a: {"$first": [p, a]}, path, inner),
        st.builds(lambda a: {"$nonempty": a}, inner),
        st.builds(lambda a, b: {"$concat": [a, b]}, inner, inner),
        st.builds(
            lambda p, a, flat: {"$each": {"$concat": [p, p]}, "as": "i", "flat": flat, "do": a},
            path,
            inner,
            st.booleans(),
        ),
        st.builds(lambda p, a: {"$let": {"i": p}, "in": a}, inner, inner),
    )


def plain(tree: Json, scope: dict[str, Json]) -> Any:
    """What LANGUAGE 3.1 and 3.2 say that a tree yields."""
    if isinstance(tree, str) and tree in PATHS:
        value = PATHS[tree](scope)
        return ABSENT if value is None else value
    if isinstance(tree, list):
        return [value for each in tree if (value := plain(each, scope)) is not ABSENT]
    if not isinstance(tree, dict) or not tree or not next(iter(tree)).startswith("$"):
        pairs = ((key, plain(each, scope)) for key, each in tree.items()) if isinstance(tree, dict) else ()
        return {key: value for key, value in pairs if value is not ABSENT} if isinstance(tree, dict) else tree
    return OPERATIONS[next(iter(tree))](tree, scope)


def joined(values: list[Any], *, flat: bool) -> list[Json]:
    """Values in a list, absent ones left out, lists opened."""
    made: list[Json] = []
    for value in values:
        made += value if flat and isinstance(value, list) else [] if value is ABSENT else [value]
    return made


def choose(tree: dict[str, Json], scope: dict[str, Json]) -> Any:
    value = PATHS[tree["$switch"]](scope)
    key = {None: "null", True: "true", False: "false"}.get(value, value) if isinstance(value, bool | None) else value
    key = str(key) if isinstance(key, int | float) else key
    return plain(tree["cases"].get(key, tree["default"]) if isinstance(key, str) else tree["default"], scope)


OPERATIONS: dict[str, Callable[..., Any]] = {
    "$if": lambda t, s: (
        plain(t["then"], s)
        if PATHS["=" + t["$if"][9:-1]](s) is not None
        else plain(t["else"], s)
        if "else" in t
        else ABSENT
    ),
    "$switch": choose,
    "$first": lambda t, s: next((v for each in t["$first"] if (v := plain(each, s)) is not ABSENT), ABSENT),
    "$nonempty": lambda t, s: (
        ABSENT if (v := plain(t["$nonempty"], s)) in ("", [], {}) and not isinstance(v, bool) else v
    ),
    "$concat": lambda t, s: joined([plain(each, s) for each in t["$concat"]], flat=True),
    "$each": lambda t, s: joined([plain(t["do"], {**s, "i": each}) for each in plain(t["$each"], s)], flat=t["flat"]),
    "$let": lambda t, s: plain(t["in"], {**s, "i": None if (v := plain(t["$let"]["i"], s)) is ABSENT else v}),
}
DATA = st.recursive(st.sampled_from([None, 0, 1, 1.0, True, "", "t"]),
                    lambda inner: st.lists(inner, max_size=3) | st.fixed_dictionaries({"a": inner}, optional={"b": inner}), max_leaves=6)  # fmt: skip  # noqa: E501


@given(st.recursive(LEAVES, grown, max_leaves=9), DATA, DATA)
def test_the_compiled_tree_yields_what_the_language_says(tree: Json, x: Json, y: Json) -> None:
    """Compiled code and a plain interpreter agree, in values, types and order, for trees that compile cleanly."""
    problems = Problems()
    node = read_document(yaml.safe_dump({"v": tree}, sort_keys=False).encode(), "t.yaml", problems)
    assert isinstance(node, MappingNode)
    env = Env({"x": ANY, "y": ANY}, "the test", "request", Usage())
    build = TreeCompiler(problems, lambda name, mark: None).function(node.entries["v"].value, env)
    if problems.has_errors():
        return
    expected, made = plain(tree, {"x": x, "y": y}), build({"x": x, "y": y})
    assert repr(expected) == repr(made)


def test_an_argument_may_be_called_like_a_root(endpoint: Make, codes: Make) -> None:
    """In a fragment `args` and `$let` may reuse root names, and the nearest one counts (DECISIONS 2.14)."""
    use = body({"$use": "f", "with": {"opt": "=req.user"}})

    made = endpoint(define=define({"v": "=opt"}, "opt"), request=use).call.body(
        {"req": {"user": "u", "messages": []}, "ctx": {}, "opt": {"a": 1}}
    )

    assert {"v": "u"} == made["made"]
    assert [] == codes(define=define({"$let": {"ctx": "=a"}, "in": "=ctx"}, "a"),
                       request=body({"$use": "f", "with": {"a": "=req.user"}}))  # fmt: skip
    assert ["E136"] == codes(define=define({"$let": {"a": 1}, "in": "=a"}, "a"),
                             request=body({"$use": "f", "with": {"a": "=req.user"}}))  # fmt: skip


def test_what_a_fragment_passes_on_counts_as_read(endpoint: Make) -> None:
    """Messages that go through a fragment as they are keep all their parts; others are not known by it."""
    whole = endpoint(define=define({"m": "=a"}, "a"), request=body({"$use": "f", "with": {"a": "=req.messages"}}))
    plain = endpoint(
        define=define({"m": "=text(a[0].content)"}, "a"),
        request={"path": "/c", "body": {"$use": "f", "with": {"a": "=req.messages"}}},
    )

    assert "file" in whole.reads.parts
    assert "file" not in plain.reads.parts


@pytest.mark.parametrize(
    ("tree", "code"),
    [
        ("{$each: =x, as: i, do: '=i.('}", "E101"),
        ("{$each: =x, as: i, do: {$template: {file: none.j2}}}", None),
        ("{$let: {a: 1}, in: {$swich: =a}}", "E131"),
        ("{$let: {a: 1}, in: '=nope.b'}", "E102"),
    ],
)
def test_one_mistake_is_told_once(compile_tree: Make, tree: str, code: str | None) -> None:
    """A name that a broken tree does not read is not called unused (W137)."""
    assert [code] * (code is not None) == [each.code for each in compile_tree(tree).found]


@pytest.mark.parametrize("value", [[1], {"a": 1}, 7, True])
def test_odd_data_in_a_raise_is_an_engine_error(compile_tree: Make, value: Json) -> None:
    """Whatever stands where a `$raise` looks, an engine error comes out, of types that clients know."""
    for key in ("type", "code", "param", "retryable", "retry_after_s", "status"):
        with pytest.raises(EngineError) as failure:
            compile_tree(f"{{$raise: {{{key}: =x, message: m}}}}").run({"x": value})
        info = getattr(failure.value, "info", None)
        assert info is None or isinstance(info.code, str | None)
