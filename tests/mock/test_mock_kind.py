"""`mock/1`: what a file may say, and what its author sees when it is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.language.catalog import Catalog
from engine.language.kinds.mock_shape import MOCK
from engine.language.shapes import json_schema
from engine.translate.mock_plan import FAULTS

Write = Callable[..., Catalog]
ACME: dict[str, Any] = {
    "mapping": "endpoint/1",
    "id": "acme.chat",
    "base_url": "https://api.acme.test",
    "request": {"path": "/chat", "body": {"model": "=model.name", "messages": "=req.messages"}},
    "response": {"text": "=res.text"},
    "errors": {"any": {"status": ["4xx", "5xx"], "raise": {"message": "=res.error"}}},
}
FLAT = """mapping: mock/1
id: acme.chat
serves: acme.chat
path: /chat
behaviours:
  default: {reply: {body: {text: hello}}}
"""


@pytest.fixture
def write(write_mapping: Write) -> Callable[[str], Catalog]:
    return lambda text: write_mapping(ACME, **{"mock.yaml": text})


def test_a_mock_with_one_route_is_written_flat(write: Callable[[str], Catalog]) -> None:
    """Five lines are a mock."""
    catalog = write(FLAT)

    assert catalog.problems.items == []
    plan = catalog.mocks["acme.chat"]
    assert (plan.serves, [each.name for each in plan.routes], plan.routes[0].route.method) == (
        ("acme.chat",),
        ["main"],
        "POST",
    )


def test_the_open_behaviour_is_last_so_that_a_child_can_add(write_mapping: Write) -> None:
    """A child's behaviours come before its parent's default."""
    parent = FLAT.replace("id: acme.chat", "id: acme.base\nabstract: true").replace("serves: acme.chat\n", "")
    child = """mapping: mock/1
id: acme.chat
extends: acme.base
serves: [acme.chat]
behaviours:
  ping: {when: "=in.text == 'ping'", reply: {body: {text: pong}}}
"""
    catalog = write_mapping(ACME, **{"a.mock.yaml": parent, "b.mock.yaml": child})

    assert catalog.problems.items == []
    assert [each.name for each in catalog.mocks["acme.chat"].routes[0].behaviours] == ["ping", "default"]


@pytest.mark.parametrize(
    ("old", "new", "code", "says"),
    [
        ("serves: acme.chat", "serves: acme.chatt", "E021", "acme.chat"),
        ("serves: acme.chat\n", "", "E024", "serves"),
        ("path: /chat\n", "", "E024", "path"),
        ("path: /chat", "path: chat", "E023", "path"),
        ("path: /chat", "pathh: /chat", "E022", "path"),
        ("default: {reply: {body: {text: hello}}}", "default: {}", "E024", "neither"),
        ("default: {", "default: {when: false, ", "E201", "default"),
        ("default: {reply", "other: {reply: {}}\n  default: {reply", "E200", "when"),
        ("default: {", "default: {fault: rest, ", "E023", "reset"),
        ("default: {reply: {body: {text: hello}}}", "default: {fault: half_body}", "E024", "needs a reply"),
        ("default: {reply: {body", "default: {reply: {bdy", "E022", "body"),
        ("default: {reply: {", "default: {reply: {status: fine, ", "E107", "number"),
        ("default: {", "default: {delay_s: soon, ", "E107", "number"),
        ("default: {", "Default: {", "E023", "mock:NAME"),
        ("text: hello", "text: =inn.text", "E102", "in"),
        ("path: /chat", "path: /chat\nstep: =n", "E102", "n"),
        ("path: /chat", "path: /chat\nscripts: {two: [defautl]}", "E023", "default"),
        ("path: /chat", "path: /chat\nscripts: {two: []}", "E023", "at least 1"),
        ("path: /chat", "path: /chat\nrefuse: {all: {reply: {}}}", "E024", "when"),
        ("path: /chat", "path: /chat\naccept: {body: {type: strin}, else: {}}", "E023", "JSON Schema"),
        ("path: /chat", "path: /chat\naccept: {body: {$ref: 'https://acme.test/x'}, else: {}}", "E023", "JSON Schema"),
        ("path: /chat", "path: /chat\naccept: {body: {pattern: '('}, else: {}}", "E023", "JSON Schema"),
        ("path: /chat\nbehaviours:\n  default: {reply: {body: {text: hello}}}", "title: x", "E024", "routes"),
    ],
)  # fmt: skip
def test_what_an_author_gets_wrong(write: Callable[[str], Catalog], old: str, new: str, code: str, says: str) -> None:
    """Each mistake has its code, a place in the file, and words that help."""
    assert old in FLAT
    catalog = write(FLAT.replace(old, new))

    found = [each for each in catalog.problems.items if each.code == code]
    assert found, catalog.problems.items
    told = " ".join([found[0].message, *found[0].help, found[0].label])
    assert says in told
    assert found[0].mark.file.endswith("mock.yaml")
    assert "acme.chat" not in catalog.mocks


def test_a_bad_schema_is_marked_where_it_is_bad(write: Callable[[str], Catalog]) -> None:
    """The mark is on the wrong value inside the schema."""
    schema = "accept:\n  else: {}\n  body:\n    type: object\n    properties:\n      a: {type: 7}\n"
    (problem,) = write(FLAT + schema).problems.items

    assert (problem.code, problem.mark.line) == ("E023", 12)


def test_the_schema_for_editors_knows_every_key_and_fault() -> None:
    """The table behind the check is the table behind the schema."""
    schema = json_schema(MOCK, "mock/1")
    behaviour = schema["properties"]["behaviours"]["additionalProperties"]

    assert set(FAULTS) == set(behaviour["properties"]["fault"]["enum"])
    assert {"serves", "refuse", "step", "routes", "scripts"} <= set(schema["properties"])
