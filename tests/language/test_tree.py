"""The five rules of leaves (LANGUAGE 3.1), and what containers do with absence."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.errors import EngineError
from engine.language import canonical
from engine.language.static_types import NUMBER
from engine.types import ABSENT

Make = Callable[..., Any]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", 7),
        ("1.0", 1.0),
        ("true", True),
        ("null", None),
        ("~", None),
        ("9223372036854775807", 9223372036854775807),
        ("100000000000000000000001", 100000000000000000000001),
        ("2023-06-01", "2023-06-01"),
        ("plain words", "plain words"),
        ("' =x'", " =x"),
        ("''", ""),
        ("[1, [null], {a: []}]", [1, [None], {"a": []}]),
    ],
)
def test_a_literal_is_itself(compile_tree: Make, text: str, expected: Any) -> None:
    """A scalar without `=` is its own value, in type and digits; null is a value."""
    made = compile_tree(text).run({})

    assert expected == made
    assert type(expected) is type(made)


def test_an_expression_keeps_the_type_of_its_value(compile_tree: Make) -> None:
    """`=x` yields what x is: big integers, floats, objects, unchanged."""
    value = {"big": 2**70, "one": 1.0, "list": [None, True]}

    assert value == compile_tree("=x").run({"x": value})


def test_a_null_expression_is_absent_and_a_literal_null_is_sent(compile_tree: Make) -> None:
    """Absence drops the key; a written null stays; nulls inside a copied value stay."""
    tried = compile_tree("{gone: =x, there: null, inside: =y}")

    assert {"there": None, "inside": {"z": None}} == tried.run({"x": None, "y": {"z": None}})


def test_false_zero_and_empty_values_are_present(compile_tree: Make) -> None:
    """Only null is absent: false, 0, "" and [] are values."""
    assert {"a": False, "b": 0, "c": "", "d": []} == compile_tree("{a: =x.a, b: =x.b, c: =x.c, d: =x.d}").run(
        {"x": {"a": False, "b": 0, "c": "", "d": []}}
    )


def test_absent_items_leave_a_list(compile_tree: Make) -> None:
    """An absent item takes no place; a literal null keeps its own."""
    assert [1, None, 2] == compile_tree("[1, =x, null, {$omit: true}, 2]").run({"x": None})


def test_an_object_of_absent_members_is_an_empty_object(compile_tree: Make) -> None:
    """Absence does not climb: the object around it stays, empty."""
    assert {"a": {"b": {}}} == compile_tree("{a: {b: {c: =x}}}").run({"x": None})


def test_a_tree_that_is_only_an_absent_leaf_is_absent(compile_tree: Make) -> None:
    """A bare null expression yields ABSENT, not null."""
    assert ABSENT is compile_tree("=x").run({"x": None})


def test_the_order_of_keys_is_the_order_of_the_file(compile_tree: Make) -> None:
    """Keys stand in the result as they stand in the file, computed or not."""
    assert ["z", "a", "m"] == list(compile_tree("{z: =x, a: 1, m: =x}").run({"x": 1}))


def test_a_failing_expression_says_where_it_stands_and_not_what_it_met(compile_tree: Make) -> None:
    """The run-time error of a leaf carries file, line and column, and no value."""
    tried = compile_tree("a:\n  b: =length(x)")

    with pytest.raises(EngineError) as failure:
        tried.run({"x": 12345678})

    assert "t.yaml:2:6" in str(failure.value)
    assert "12345678" not in str(failure.value)


def test_two_runs_share_no_mutable_state(compile_tree: Make) -> None:
    """What one request does to its result does not reach the next."""
    tried = compile_tree("{a: =x, b: [=x, 2]}")
    tried.run({"x": 1})["b"].append(3)

    assert [1, 2] == tried.run({"x": 1})["b"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: hello {{ x }}", ["E120 1:10"]),
        ("a: 'is {% if x %}'", ["E120 1:8"]),
        ("a: |\n  one\n  two {{ x }}", ["E120 3:7"]),
        ("a: x.name", ["W122 1:4"]),
        ("a: other.name", []),
        ("a: {$literal: 'hello {{ x }}'}", []),
        ("a: =foo.bar", ["E102 1:5"]),
        ("a: '=x[?'", ["E101 1:9"]),
        ("a: =nope(x)", ["E103 1:5"]),
        ("a: {$nope: 1}", ["E131 1:5"]),
        ("a: {$omit: true, $literal: 1}", ["E130 1:18"]),
    ],
)
def test_a_wrong_leaf_is_reported_at_its_place(compile_tree: Make, text: str, expected: list[str]) -> None:
    """Markers in text, forgotten `=`, unknown names and operators: code, line and column."""
    assert expected == compile_tree(text).lines


@pytest.mark.parametrize("text", ["seven", "'7'", "[7]", "{a: 7}", "true", "{$template: '{{ x }}'}", "{$merge: [{}]}"])
def test_a_value_of_another_type_than_the_slot_takes_is_refused(compile_tree: Make, text: str) -> None:
    """A slot of numbers refuses what can only be something else (E107)."""
    assert "E107" in {line[:4] for line in compile_tree(text, expected=NUMBER).lines}


def test_a_value_of_unknown_type_is_left_to_run_time(compile_tree: Make) -> None:
    """Provider JSON may be anything: no E107 for it, nor for null."""
    assert [] == compile_tree("[=x, null, {$omit: true}]").lines
    assert [] == compile_tree("=x", expected=NUMBER).lines


def test_a_literal_outside_a_closed_list_is_refused(compile_tree: Make) -> None:
    """A slot that is an enum refuses a literal that is none of its values (E107)."""
    assert ["E107 1:1"] == compile_tree("stopped", expected=canonical.FINISH_REASON).lines
