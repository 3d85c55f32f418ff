"""`dialect/1`: operations, routes, and errors in the dialect's own shape."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.language.kinds.dialect import parse_route
from engine.types import Json
from tests.conftest import DIALECT

Make = Callable[..., Any]
CHAT = DIALECT["operations"]["chat"]


def chat(**changes: Json) -> dict[str, Json]:
    return {"operations": {"chat": {key: value for key, value in {**CHAT, **changes}.items() if value is not None}}}


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({}, []),
        ({"operations": None}, ["E024"]),
        ({"operations": {}}, ["E024"]),
        ({"errors": None}, ["E024"]),
        ({"errors": {}}, ["E201"]),
        ({"errors": {"a": {"when": "=err.status == `429`", "body": {}}}}, ["E201"]),
        ({"errors": {"a": {"body": {"m": "=err.mesage"}}}}, ["E106"]),
        ({"errors": {"a": {"status": "many", "body": {}}}}, ["E107"]),
        (chat(route=None), ["E024"]),
        (chat(route={"path": "talk"}), ["E023"]),
        (chat(route={"path": []}), ["E023"]),
        (chat(route=[]), ["E023"]),
        (chat(route=[{"path": "/a"}, {"path": "/b", "header": "x-version"}]), []),
        (chat(route={"path": "/a", "header": "X-Version"}), ["E023"]),
        ({"base_path": "v1"}, ["E023"]),
        (chat(kind="talk"), ["E023"]),
        (chat(answers={"a": {"when": "=in.a == `1`", "body": {"b": "=ctx.now"}}}), []),
        (chat(answers={"a": {"body": 1}}), ["E024"]),
        (chat(answers={"a": {"when": "=in.a", "body": 1}}), ["E104"]),
        (chat(answers={"a": {"when": "=in.a == `1`", "body": "=out.text"}}), ["E102"]),
        (chat(kind="answer", answers={"a": {"when": "=in.a == `1`", "body": 1}}, response={"body": 1}), ["E022"]),
        (chat(response=None), ["E024"]),
        (chat(response={"status": 200}), ["E024"]),
        (chat(response={"status": 99, "body": {}}), ["E023"]),
        (chat(response={"body": "=in.model"}), []),
        (chat(response={"body": "=http.method"}), ["E102"]),
        (chat(response={"body": "=out.txt"}), ["E106"]),
        (chat(request={"model": "=in.model", "mesages": "=in.messages"}), ["E106"]),
        (chat(request={"model": "=in.model", "messages": "text"}), ["E107"]),
        (chat(request={"model": "=req.model"}), ["E102"]),
        ({"refuse": {"r": {"when": "=present(in.x)", "raise": {"message": "no"}}}}, []),
        ({"refuse": {"r": {"when": "=in.x", "raise": {"message": "no"}}}}, ["E104"]),
        ({"opertions": {}}, ["E022"]),
    ],
)
def test_what_a_dialect_may_say(write_mapping: Make, sections: dict[str, Json], expected: list[str]) -> None:
    """One mistake, its code; a good dialect, none."""
    content = {key: value for key, value in {**DIALECT, **sections}.items() if value is not None}

    assert expected == [each.code for each in write_mapping(content).problems.items]


def test_one_operation_may_be_written_flat(write_mapping: Make) -> None:
    """route, request and response at the top are the operation `main`."""
    flat = {**{key: value for key, value in DIALECT.items() if key != "operations"}, **CHAT}

    plan = write_mapping(flat).dialects["acme.talk"]

    assert {"main": ("chat", 200)} == {
        name: (each.kind, each.response.status) for name, each in plan.operations.items()
    }


def test_a_flat_dialect_without_response_is_a_diagnostic(write_mapping: Make) -> None:
    """A missing section is E024 also where the operation is written flat."""
    flat = {**{key: value for key, value in DIALECT.items() if key != "operations"}, **CHAT}
    del flat["response"]

    codes: Any = None
    try:
        codes = [each.code for each in write_mapping(flat).problems.items]
    finally:
        assert ["E024"] == codes


def test_what_the_request_reads_of_the_client(write_mapping: Make) -> None:
    """Top-level keys are derived from the expressions; an operation without `request` takes the whole body."""
    plan = write_mapping({**DIALECT, "operations": {**DIALECT["operations"], "raw": {
        "route": {"path": "/raw"}, "response": {"body": 1}}}}).dialects["acme.talk"]  # fmt: skip

    assert {"model", "messages"} == plan.operations["chat"].reads
    assert {"*"} == plan.operations["raw"].reads


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/", ()),
        ("/v1/models", ("v1", "models")),
        ("/v1/models/{id}", ("v1", "models", ("id", False))),
        ("/v1/models/{id+}", ("v1", "models", ("id", True))),
        ("/a/{b}/c", ("a", ("b", False), "c")),
    ],
)
def test_a_route_is_split_into_segments(text: str, expected: Any) -> None:
    """Literals and placeholders; `{id+}` takes slashes."""
    assert expected == parse_route(text)


def test_an_error_is_written_by_the_first_shape_that_fits(write_mapping: Make) -> None:
    """`errors` are tried in order; the status is the error's own unless the shape says another."""
    errors = {
        "busy": {
            "when": "=err.type == 'overloaded'",
            "status": 529,
            "headers": {"X-Why": "=err.code"},
            "body": {"b": 1},
        },
        "rest": {"body": {"e": "=err.message"}},
    }
    plan = write_mapping({**DIALECT, "errors": errors}).dialects["acme.talk"]

    assert (529, {"X-Why": "c"}, {"b": 1}) == plan.errors({"err": {"type": "overloaded", "status": 503, "code": "c"}})
    assert (404, {}, {"e": "m"}) == plan.errors({"err": {"type": "not_found", "status": 404, "message": "m"}})
