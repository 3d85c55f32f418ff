"""`extends` and overlays: how a child, or a user's overlay, changes a mapping (LANGUAGE 3.6, P16)."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.language.reader import to_json
from tests.conftest import ENDPOINT

Make = Callable[..., Any]

PARENT = {**ENDPOINT, "id": "acme.base", "title": "Parent", "abstract": True,
          "params": {"temperature": {"min": 0, "max": 1, "unsupported": "drop"}},
          "response": {"text": {"$switch": "=res.kind", "cases": {"a": "A", "b": "B"}, "default": "=res.text"}}}  # fmt: skip  # noqa: E501
CHILD = {"mapping": "endpoint/1", "id": "acme.chat", "extends": "acme.base"}
OVERLAY = {"mapping": "overlay/1", "target": "endpoint:acme.chat"}


def merged(catalog: Any, name: str = "acme.chat") -> Any:
    return to_json(catalog.resolved["endpoint", name].root)


def found(catalog: Any) -> list[str]:
    return [each.code for each in catalog.problems.items]


def test_a_child_takes_everything_but_what_names_its_parent(write_mapping: Make) -> None:
    """All sections are inherited; id, title, abstract and tests are the child's own."""
    catalog = write_mapping(PARENT, CHILD)

    whole = merged(catalog)
    assert [] == found(catalog)
    assert PARENT["request"] == whole["request"]
    assert {"title", "abstract"} & set(whole) == set()
    assert ["acme.chat"] == list(catalog.endpoints)
    assert ["acme.base"] == [each.id for each in catalog.resolved["endpoint", "acme.chat"].lineage]


def test_maps_merge_by_key_and_everything_else_is_replaced(write_mapping: Make) -> None:
    """A child's key joins the parent's map in its place; lists and scalars replace; null is data."""
    parent = {
        **PARENT,
        "request": {"path": "/chat", "body": {"a": [1, 2], "b": {"c": 1, "d": 2}, "m": "=req.messages"}},
    }
    child = {**CHILD, "request": {"body": {"b": {"d": None, "e": 3}, "a": [9]}}}

    body = merged(write_mapping(parent, child))["request"]["body"]

    assert {"a": [9], "b": {"c": 1, "d": None, "e": 3}, "m": "=req.messages"} == body
    assert ["a", "b", "m"] == list(body)


def test_a_child_adds_a_case_to_its_parents_operator(write_mapping: Make) -> None:
    """The same operator merges by key."""
    child = {**CHILD, "response": {"text": {"$switch": "=res.kind", "cases": {"c": "C", "a": "AA"}}}}

    catalog = write_mapping(PARENT, child)

    assert [] == found(catalog)
    assert {"a": "AA", "b": "B", "c": "C"} == merged(catalog)["response"]["text"]["cases"]


@pytest.mark.parametrize("overlay", [False, True])
def test_an_error_rule_of_its_own_is_asked_before_the_parents(write_mapping: Make, overlay: bool) -> None:
    """The parent's last rule takes every failure: behind it a new one would be dead."""
    busy = {"status": 529, "raise": {"type": "overloaded", "message": "Busy."}}
    over = {**OVERLAY, "errors": {"$add": {"busy": busy}}}
    own = {**CHILD, "errors": {"busy": busy}}

    catalog = write_mapping(PARENT, CHILD, over) if overlay else write_mapping(PARENT, own)

    assert [] == found(catalog)
    assert ["busy", *PARENT["errors"]] == list(merged(catalog)["errors"])


def test_replace_and_remove(write_mapping: Make) -> None:
    """`$replace` takes the place of a map or operator; `$remove` deletes."""
    child = {**CHILD, "response": {"text": {"$replace": {"$first": ["=res.a", "x"]}}}, "params": {"$remove": True}}

    catalog = write_mapping(PARENT, child)

    assert [] == found(catalog)
    assert {"text": {"$first": ["=res.a", "x"]}} == merged(catalog)["response"]
    assert "params" not in merged(catalog)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"extends": "acme.bas"}, "E030"),
        ({"extends": "acme.chat"}, "E030"),
        ({"request": {"body": {"modl": {"$remove": True}}}}, "E031"),
        ({"response": {"text": {"plain": "map"}}}, "E033"),
        ({"request": {"body": {"$merge": [{"a": 1}]}}}, "E033"),
        ({"response": {"text": {"$if": True, "then": "x"}}}, "E033"),
    ],
)
def test_a_wrong_change_is_refused(write_mapping: Make, changes: Any, code: str) -> None:
    """Missing parents, circles, removals that hit nothing, and a map over an operator: with its code first."""
    assert code == found(write_mapping(PARENT, {**CHILD, **changes}))[0]


def test_a_circle_of_parents_is_told_once_per_member(write_mapping: Make) -> None:
    """a -> b -> a is E030 and serves neither, without recursion."""
    one, two = {**ENDPOINT, "id": "a.a", "extends": "b.b"}, {**ENDPOINT, "id": "b.b", "extends": "a.a"}

    catalog = write_mapping(one, two)

    assert {"E030"} == set(found(catalog))
    assert {} == dict(catalog.endpoints)


@pytest.mark.parametrize("word", ["$replace", "$remove", "$add"])
def test_merge_words_need_a_parent(write_mapping: Make, word: str) -> None:
    """`$replace`, `$remove` and `$add` in a file that extends nothing are E031 at their place."""
    text = (
        "mapping: endpoint/1\nid: acme.chat\nbase_url: https://a.test\n"
        f"request: {{path: /c, body: {{m: =req.messages, x: {{{word}: true}}}}}}\n"
        "response: {text: =res.text}\nerrors: {any: {status: [4xx, 5xx], raise: {message: =res.error}}}\n"
    )

    problem = write_mapping(text).problems.items[0]

    assert ("E031", 4, 50) == (problem.code, problem.mark.line, problem.mark.column)


def test_a_problem_in_an_inherited_line_points_at_the_parent(write_mapping: Make) -> None:
    """Every node keeps the mark of its file; a shared error is shown once, and serves no child."""
    parent = {**PARENT, "response": {"text": "=result.text"}}

    catalog = write_mapping(parent, CHILD, {**CHILD, "id": "acme.other"})

    assert ["E102"] == found(catalog)
    assert catalog.problems.items[0].mark.file.endswith("m0.yaml")
    assert {} == dict(catalog.endpoints)


def test_a_grandchild_sees_the_whole_line(write_mapping: Make) -> None:
    """Lineage names the parents, nearest first."""
    catalog = write_mapping(PARENT, CHILD, {"mapping": "endpoint/1", "id": "acme.third", "extends": "acme.chat"})

    assert ["acme.chat", "acme.base"] == [each.id for each in catalog.resolved["endpoint", "acme.third"].lineage]
    assert [] == found(catalog)


def test_an_overlay_changes_its_target_alone(write_mapping: Make) -> None:
    """Existing keys change, `$add` adds, `$remove` deletes; a child of the target does not inherit the change."""
    overlay = {
        **OVERLAY,
        "request": {"path": "/other", "body": {"model": {"$remove": True}, "$add": {"user": "=req.user"}}},
    }

    catalog = write_mapping(ENDPOINT, overlay, {"mapping": "endpoint/1", "id": "acme.child", "extends": "acme.chat"})

    assert [] == found(catalog)
    assert {"path": "/other", "body": {"messages": "=req.messages", "user": "=req.user"}} == merged(catalog)["request"]
    assert "/chat" == merged(catalog, "acme.child")["request"]["path"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"target": "endpoint:acme.chatt"}, "E032"),
        ({"target": "dialect:acme.chat"}, "E032"),
        ({"target": "acme.chat"}, "E021"),
        ({"requests": {"path": "/x"}}, "E031"),
        ({"request": {"body": {"modle": 1}}}, "E031"),
        ({"request": {"body": {"modle": {"$remove": True}}}}, "E031"),
        ({"request": {"body": {"$add": {"model": 1}}}}, "E031"),
        ({"request": {"body": {"$add": [1]}}}, "E023"),
    ],
)
def test_an_overlay_that_misses_is_refused(write_mapping: Make, changes: Any, code: str) -> None:
    """A typo in an overlay never becomes a new field."""
    assert [code] == found(write_mapping(ENDPOINT, {**OVERLAY, **changes}))


def test_an_overlay_on_an_abstract_parent_is_not_without_effect_in_silence(write_mapping: Make) -> None:
    """An overlay whose target is never served either reaches the children or is told about (P16)."""
    catalog = write_mapping(PARENT, CHILD, {**OVERLAY, "target": "endpoint:acme.base", "base_url": "https://new.test"})

    assert found(catalog) or "https://new.test" == catalog.endpoints["acme.chat"].base_url


def test_remove_takes_true_only(write_mapping: Make) -> None:
    """`$remove` is written `true`; anything else is an error."""
    assert [] != found(write_mapping(PARENT, {**CHILD, "params": {"$remove": False}}))


EDITED = {**PARENT, "wire": "acme", "edits": {"request": {"set": {"model": "=model.name"}}}}


@pytest.mark.parametrize(
    ("own", "keeps"),
    [
        ({}, True),
        ({"base_url": "https://other.example"}, True),
        ({"request": {"body": {"extra": 1}}}, False),
        ({"response": {"$replace": {"text": "=res.t"}}}, False),
        ({"request": {"body": {"extra": 1}}, "edits": {"request": {"set": {"extra": 1}}}}, True),
    ],
)
def test_edits_go_with_the_request_they_stand_for(write_mapping: Make, own: Any, keeps: bool) -> None:
    """A child that changes the request has edits of its own or none: else its change would miss bodies that pass."""
    assert keeps is ("edits" in merged(write_mapping(EDITED, {**CHILD, **own})))


def test_an_overlay_that_changes_the_request_takes_the_edits_away(write_mapping: Make) -> None:
    """So a field that an operator adds reaches the upstream for every client."""
    overlay = {**OVERLAY, "request": {"body": {"$add": {"extra": 1}}}}

    assert "edits" not in merged(write_mapping(EDITED, CHILD, overlay))
