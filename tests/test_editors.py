"""What an editor with a YAML language server is told: a schema for every shipped file, and no false alarm in any."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from engine.cli.schema import schema_of
from engine.language.gateway_example import annotated_example
from engine.language.problems import Problems
from engine.language.reader import read_document, to_json
from tests.conftest import ENDPOINT
from tests.running import ROOT

SHIPPED = sorted((ROOT / "mappings").rglob("*.yaml"))
MODELINE = "# yaml-language-server: $schema="
CHILD = "mapping: endpoint/1\nid: acme.child\nextends: acme.chat\n"


@cache
def validator(kind: str) -> Any:
    return jsonschema_rs.validator_for(schema_of(kind))


def complaints(text: str) -> list[str]:
    """What an editor underlines in a file."""
    data = to_json(read_document(text.encode(), "x.yaml", Problems()))  # type: ignore[arg-type]  # it can be read
    kind = data["mapping"].removesuffix("/1")
    return [f"{error.instance_path}: {error.message[:200]}" for error in validator(kind).iter_errors(data)]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [*SHIPPED, ROOT / "examples" / "gateway.yaml"], ids=name_of)
def test_a_file_names_its_schema_and_fits_it(path: Path) -> None:
    """The first line of a shipped file leads to the schema of its kind, which takes the file as it is written."""
    text = path.read_text(encoding="utf-8")
    first = text.partition("\n")[0]
    kind = next(line for line in text.splitlines() if line.startswith("mapping: ")).split()[1].removesuffix("/1")

    assert first.startswith(MODELINE)
    assert ROOT / "mappings" / "schemas" / f"{kind}.json" == (path.parent / first.removeprefix(MODELINE)).resolve()
    assert (ROOT / "mappings" / "schemas" / f"{kind}.json").is_file()
    assert [] == complaints(text)


def test_a_file_of_engine_init_fits_the_schema() -> None:
    """It says how an editor gets the schema, for no path is right everywhere."""
    text = annotated_example("straico.chat.v0")

    assert "engine schema gateway" in text
    assert MODELINE + "gateway.schema.json" in text
    assert [] == complaints(text)


def test_a_child_says_only_what_it_changes() -> None:
    """What a parent brings may be missing, removed or replaced: sections, keys and the arguments of operators."""
    assert [] == complaints(CHILD + "request: {body: {top_p: {$remove: true}}}")
    assert [] == complaints(CHILD + "auth: {$replace: {header: {name: x-key, value: =secret.key}}}")
    assert [] == complaints(CHILD + "params: {top_p: {$remove: true}}\nstream: {$remove: true}")
    assert [] == complaints(CHILD + "request: {body: {messages: {$each: =req.messages, do: {a: {$replace: {b: c}}}}}}")


@pytest.mark.parametrize(
    "wrong",
    [
        "reqest: {path: /v2}",
        "request: {path: 7}",
        "request: {pth: /v2}",
        "request: {body: {a: {$remove: false}}}",
        "request: {body: {a: {$replace: 1, $remove: true}}}",
        "request: {body: {a: {$each: =req.messages, das: m}}}",
        "id: {$remove: true}",
    ],
)
def test_a_child_is_checked_where_it_speaks(wrong: str) -> None:
    """An unknown key, a value of the wrong type, an argument that an operator has not, a half change."""
    head = CHILD.replace("id: acme.child\n", "") if wrong.startswith("id:") else CHILD

    assert [] != complaints(head + wrong)


@pytest.mark.parametrize(
    "request_section",
    [
        {"body": {"model": "=model.name"}},
        {"path": "/chat", "body": {"$remove": True}},
        {"path": "/chat", "body": {"$each": "=req.messages", "do": 1}},
    ],
)
def test_a_file_that_stands_alone_must_be_whole(request_section: dict[str, Any]) -> None:
    """Without a parent, a key or argument that is needed must be there, and there is nothing to remove."""
    assert [] == complaints(json.dumps(ENDPOINT))
    assert [] != complaints(json.dumps({**ENDPOINT, "request": request_section}))
