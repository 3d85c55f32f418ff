"""Every shipped toolformat shows how it reads each kind of text that models write, the old proxy's formats too."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from engine.language.cases import Case, cases_of
from engine.language.catalog import Catalog, read_catalog
from engine.types import Json, JsonObject


@functools.cache
def catalog() -> Catalog:
    return read_catalog()


FORMATS: Final = sorted(catalog().toolformats)


def calls(case: Case) -> list[JsonObject]:
    found: list[JsonObject] = case.expect["tool_calls"]
    return found


def content(case: Case) -> str:
    return case.expect["content"] or ""


def leaves(value: Json) -> Iterator[Json]:
    """A value and all that lies in it."""
    yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from leaves(inner)


def arguments(case: Case) -> list[Json]:
    return [each for call in calls(case) for each in leaves(call["arguments"])]


def is_around(case: Case) -> bool:
    words = content(case).split()
    text = case.given["text"]
    return len(calls(case)) > 0 and text.startswith(words[0]) and text.rstrip().endswith(words[-1])


def is_nested_and_typed(case: Case) -> bool:
    found = arguments(case)
    kinds = {type(each) for each in found}
    deep = any(isinstance(inner, dict | list) for each in found if isinstance(each, dict) for inner in each.values())
    return deep and {dict, list, int, float, bool, str} <= kinds


def holds_a_marker(case: Case) -> bool:
    plan = catalog().toolformats[case.mapping]
    marks = {*plan.markers, *plan.read.orphans, *(end for rule in plan.read.calls for end in rule.ends)}
    texts = [each for each in arguments(case) if isinstance(each, str)]
    return any(mark.strip() and mark in text for mark in marks for text in texts)


def is_malformed(case: Case) -> bool:
    """Not one good call: text as it was, or what is left of a call, said to be damaged."""
    if calls(case):
        return any(loss["action"] in ("damaged", "repaired") for loss in case.expect.get("losses") or ())
    return content(case) == case.given["text"]


def is_fenced(case: Case) -> bool:
    """A call in a fence; where the fence is the format's own marker, one that holds no call."""
    own = any(rule.close == (("```",),) for rule in catalog().toolformats[case.mapping].read.calls)
    return "```" in case.given["text"] and len(calls(case)) == (0 if own else 1)


CATEGORIES: Final[dict[str, Callable[[Case], bool]]] = {
    "one_call": lambda case: len(calls(case)) == 1,
    "several_calls": lambda case: len(calls(case)) > 1,
    "text_around": is_around,
    "nested_and_typed": is_nested_and_typed,
    "unicode": lambda case: any(isinstance(each, str) and not each.isascii() for each in arguments(case)),
    "markers_in_a_string": holds_a_marker,
    "no_arguments": lambda case: [each["arguments"] for each in calls(case)] == [{}],
    "truncated": lambda case: case.given.get("cut") is True,
    "fenced": is_fenced,
    "malformed": is_malformed,
    "mention_in_prose": lambda case: not calls(case) and content(case) == case.given["text"],
    "unknown_tool": lambda case: not calls(case),
}
"""The kinds of text by the name of the case that shows them, and what makes a case one of its kind."""


@pytest.mark.parametrize("name", FORMATS)
def test_each_kind_of_text_has_a_case(name: str) -> None:
    """By name, and true to it. Their results are tested with all inline cases (`engine test`)."""
    cases = {case.name: case for case in cases_of(catalog().resolved["toolformat", name])}
    wrong = [each for each, is_good in CATEGORIES.items() if each not in cases or not is_good(cases[each])]
    assert [] == wrong
    assert {"history", "results", "offer"} <= cases.keys()
