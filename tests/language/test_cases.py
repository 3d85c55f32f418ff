"""Inline tests: what they compare, what a child inherits, and that a wrong case never breaks the run."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.language.catalog import read_catalog
from engine.language.comparison import differences
from engine.language.testing import run_tests
from engine.types import Json
from tests.conftest import DIALECT, ENDPOINT

Make = Callable[..., Any]
MESSAGES = [{"role": "user", "content": "hi"}]
REQUEST = {"model": "m", "messages": MESSAGES}
BODY = {"given": {"request": REQUEST}, "expect": {"body": REQUEST}}
REPLY = {"given": {"reply": {"body": {"text": "t"}}}, "expect": {"result": {"text": "t"}}}
CHILD = {"mapping": "endpoint/1", "id": "acme.child", "extends": "acme.chat"}


def lines(catalog: Any) -> list[str]:
    return [line for failure in run_tests(catalog).failed for line in failure.lines]


def one(case: Json, base: dict[str, Any] = ENDPOINT) -> dict[str, Any]:
    return {**base, "tests": {"one": case}}


def test_the_shipped_mappings_pass_their_own_tests() -> None:
    """All inline tests of the shipped files pass, on every mapping that they hold for."""
    # A catalog of its own: a run writes what it finds into the catalog's problems.
    report = run_tests(read_catalog())

    assert [] == [f"{each.case.mapping} {each.case.name}: {each.lines}" for each in report.failed]
    assert report.total > 100


@pytest.mark.parametrize(
    ("expected", "got", "count"),
    [
        ({"a": 1}, {"a": 1}, 0),
        ({"a": 1}, {"a": 1, "b": None}, 1),
        ({"a": 1, "b": None}, {"a": 1}, 1),
        ([1, 2], [1], 2),
        ([1], [2, 3], 4),
        ("1", 1, 1),
        (None, False, 1),
        ([], {}, 1),
        (1, 1.0, 0),
        ({"$any": "string"}, "x", 0),
        ({"$any": "string"}, 1, 1),
        ({"$any": "integer"}, 1.5, 1),
        ({"$any": "any"}, None, 0),
        ({"$any": "object"}, [], 1),
        ({"$any": "string", "b": 1}, "x", 1),
        (True, 1, 1),
        ({"$any": "number"}, True, 1),
        ({"$any": "strng"}, 1, 1),
    ],
)  # fmt: skip
def test_comparison_is_exact(expected: Json, got: Json, count: int) -> None:
    """Types, keys and lengths count; `{$any: kind}` takes any value of the kind."""
    assert count == len(list(differences(expected, got, "x")))


def test_a_failing_case_is_told_with_its_place_and_difference(write_mapping: Make) -> None:
    """E300 stands at the part of `expect`, with one line per difference."""
    case = {**BODY, "expect": {"body": {"model": "n", "messages": MESSAGES, "user": "u"}}}
    catalog = write_mapping(one(case))

    assert ['body.model: expected "n", got "m"', 'body.user: expected "u", but it is missing'] == lines(catalog)
    assert {"E300", "W401"} == {each.code for each in catalog.problems.items}


@pytest.mark.parametrize(
    "case",
    [
        BODY,
        REPLY,
        {"given": {"request": REQUEST}, "expect": {"wire": {"url": "https://api.acme.test/v9/chat", "headers": {}}}},
        {
            "given": {"request": {**REQUEST, "top_p": 1}},
            "expect": {"losses": [{"field": "top_p", "action": "dropped"}]},
        },
        {"given": {"request": REQUEST}, "expect": {"losses": []}},
        {"given": {"reply": {"status": 500, "body": {"error": "e"}}}, "expect": {"error": {"message": "e"}}},
        {
            "given": {"reply": {"status": 401, "body": {}}},
            "expect": {"error": {"status": 502, "code": "upstream_auth"}},
        },
        {"given": {"reply": {"body": "<html>"}}, "expect": {"error": {"code": "upstream_bad_response"}}},
        {"given": {"request": {**REQUEST, "n": 2}}, "expect": {"error": {"param": "n"}}},
    ],
)
def test_a_good_case_passes(write_mapping: Make, case: Json) -> None:
    """Bodies, wires, results, losses and errors can be expected."""
    assert [] == lines(write_mapping(one(case)))


@pytest.mark.parametrize(
    "case",
    [
        {"given": {"request": REQUEST}, "expect": {"error": {"status": 400}}},
        {"given": {"request": {**REQUEST, "n": 2}}, "expect": {"body": REQUEST}},
        {"given": {"request": {**REQUEST, "top_p": 1}}, "expect": {"losses": []}},
        {"given": {"request": {**REQUEST, "n": 2}}, "expect": {"losses": []}},
        {"given": {"reply": {"body": {}}}, "expect": {"result": {"text": "t"}}},
    ],
)
def test_a_case_that_does_not_hold_fails(write_mapping: Make, case: Json) -> None:
    """An error that was not expected, or one that did not come, fails the case."""
    assert 1 == len(run_tests(write_mapping(one(case))).failed)


def test_an_unknown_part_of_a_case_is_a_problem(write_mapping: Make) -> None:
    """`given` and `expect` have closed lists of keys (E022)."""
    catalog = write_mapping(one({"given": {"requst": REQUEST}, "expect": {"bdy": {}}}))

    run_tests(catalog)

    assert ["E022", "E022"] == [each.code for each in catalog.problems.errors]


BROKEN = {
    "request no object": {"given": {"request": 5}, "expect": {"body": {}}},
    "request without model": {"given": {"request": {"messages": MESSAGES}}, "expect": {"body": {}}},
    "request without messages": {"given": {"request": {"model": "m"}}, "expect": {"body": {}}},
    "request with a bad message": {"given": {"request": {"model": "m", "messages": [5]}}, "expect": {"body": {}}},
    "reply no object": {"given": {"reply": 5}, "expect": {"result": {}}},
    "status no number": {"given": {"reply": {"status": "bad"}}, "expect": {"result": {}}},
    "models no list": {"given": {"models": 5}, "expect": {"body": {}}},
    "options no object": {"given": {"options": 5}, "expect": {"body": {}}},
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_case_is_a_diagnostic(write_mapping: Make, name: str) -> None:
    """Whatever an author writes under `given`, `engine test` reports and goes on."""
    assert run_tests(write_mapping(one(BROKEN[name]))).failed


@pytest.mark.parametrize(
    "given",
    [{"client": REQUEST, "operation": "nope"}, {"client": REQUEST, "http": {"verb": "GET"}}, {"err": {"kind": "x"}},
     {"err": {"type": "odd", "message": "m"}}, {"out": 5}],
)  # fmt: skip
def test_a_broken_dialect_case_is_a_diagnostic(write_mapping: Make, given: Json) -> None:
    """The same for the cases of a dialect."""
    assert run_tests(write_mapping(one({"given": given, "expect": {"response": {"status": 1}}}, DIALECT))).failed


@pytest.mark.parametrize(
    ("case", "passes"),
    [
        ({"given": {"client": REQUEST}, "expect": {"request": REQUEST}}, True),
        ({"given": {"client": {**REQUEST, "odd": 1}}, "expect": {"request": {**REQUEST, "extra": {"odd": 1}}}}, True),
        ({"given": {"client": {"model": "m"}}, "expect": {"error": {"param": "messages", "status": 400}}}, True),
        ({"given": {"out": {"text": "t"}}, "expect": {"response": {"body": {"said": "t"}}}}, True),
        ({"given": {"err": {"type": "not_found", "message": "m"}}, "expect": {"response": {"status": 404}}}, True),
        ({"given": {"out": {"text": "t"}}, "expect": {"response": {"body": {}}}}, False),
    ],
)
def test_a_dialect_case(write_mapping: Make, case: Json, passes: bool) -> None:
    """Requests, answers and errors of a dialect; `response` may name only some keys, its body is whole."""
    assert passes is (run_tests(write_mapping(one(case, DIALECT))).failed == [])


# -- inheritance


@pytest.mark.parametrize(
    ("changes", "ran"),
    [
        ({}, 2),
        ({"request": {"path": "/v2"}}, 2),
        ({"request": {"headers": {"x-a": "1"}}}, 2),
        ({"request": {"body": {"user": "=req.user"}}}, 1),
        ({"response": {"reasoning": "=res.r"}}, 1),
        ({"params": {"top_k": {"unsupported": "reject"}}}, 1),
        ({"define": {"f": {"value": 1}}}, 2),
        ({"errors": {"early": {"status": 404, "raise": {}}}}, 1),
    ],
)
def test_a_child_runs_its_parents_cases_for_unchanged_parts(write_mapping: Make, changes: Json, ran: int) -> None:
    """A case holds for a child as long as the sections it exercises are the parent's (DECISIONS 2.3)."""
    parent = {**ENDPOINT, "tests": {"body": BODY, "reply": REPLY}}

    report = run_tests(write_mapping(parent, {**CHILD, **changes}))

    assert ({"endpoint:acme.chat": 2, "endpoint:acme.child": ran}, []) == (report.ran, report.failed)


def test_an_own_case_takes_the_place_of_an_inherited_one(write_mapping: Make) -> None:
    """A case of the same name is the child's own."""
    parent = {**ENDPOINT, "tests": {"body": BODY}}
    child = {**CHILD, "tests": {"body": {**BODY, "expect": {"body": {}}}}}

    assert ["acme.child"] == [each.case.mapping for each in run_tests(write_mapping(parent, child)).failed]


def test_an_inherited_failure_points_at_the_parents_case(write_mapping: Make) -> None:
    """Where a child's plan fails a parent's case, the message names both."""
    parent = {**ENDPOINT, "abstract": True, "tests": {"body": {**BODY, "expect": {"body": {}}}}}
    catalog = write_mapping(parent, CHILD)

    run_tests(catalog)

    problem = next(each for each in catalog.problems.items if each.code == "E300")
    assert ("m0.yaml", True) == (problem.mark.file[-7:], "inherited by acme.child" in problem.message)


def test_an_endpoint_without_tests_is_warned_about(write_mapping: Make) -> None:
    """W401 for a missing request case and for a missing reply case; `only` picks mappings by id or file."""
    catalog = write_mapping(one(BODY), {**ENDPOINT, "id": "acme.bare"})

    run_tests(catalog, only=["acme.bare"])
    assert ["W401", "W401"] == [each.code for each in catalog.problems.items]
    run_tests(catalog, only=["acme.chat"])
    assert 3 == len(catalog.problems.items)


def test_an_overlay_does_not_fail_its_targets_cases(write_mapping: Make) -> None:
    """A user's overlay changes a section on purpose: cases of that section are the target's, not the overlay's."""
    overlay = {
        "mapping": "overlay/1",
        "target": "endpoint:acme.chat",
        "request": {"body": {"$add": {"user": "=req.user"}}},
    }
    request = {**REQUEST, "user": "u"}
    base = one({"given": {"request": request}, "expect": {"body": REQUEST}})

    assert [] == lines(write_mapping(base, overlay))


@pytest.mark.parametrize(
    ("changed", "ran"), [({"base_url": "https://other.test"}, 2), ({"response": {"text": "=res.t"}}, 1), ({}, 2)]
)
def test_an_overlay_keeps_the_cases_of_what_it_leaves_alone(write_mapping: Make, changed: Json, ran: int) -> None:
    """Under an overlay the target's cases run for the sections that the overlay does not change."""
    overlay = {"mapping": "overlay/1", "target": "endpoint:acme.chat", **changed}

    report = run_tests(write_mapping({**ENDPOINT, "tests": {"body": BODY, "reply": REPLY}}, overlay))

    assert ({"endpoint:acme.chat": ran}, []) == (report.ran, report.failed)


def test_a_second_run_says_the_same_once(write_mapping: Make) -> None:
    """A report holds its own problems; the catalog's do not grow when the same tests run again."""
    catalog = write_mapping(one({**BODY, "expect": {"body": {}}}))

    first, second = run_tests(catalog), run_tests(catalog)

    assert first.problems.items == second.problems.items == catalog.problems.items


def test_the_reason_of_a_broken_case_is_told(write_mapping: Make) -> None:
    """The author reads which part of `given` is wrong, at its place."""
    catalog = write_mapping(one({"given": {"request": {"model": "m", "messages": [5]}}, "expect": {"body": {}}}))

    assert "given.request: " in lines(catalog)[0]
    assert "messages[0]" in lines(catalog)[0]
    assert ["given.options must be an object"] == lines(
        write_mapping(one({"given": {"options": 5}, "expect": {"body": {}}}), folder="two")
    )
