"""The commands that show something: eval, list, schema, flatten, config, init."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema_rs
import pytest

from engine.cli.flatten import flattened
from engine.cli.schema import SHAPES, schema_of
from engine.language.catalog import read_catalog
from engine.language.problems import Problems
from engine.language.reader import read_document, to_json
from engine.language.tree import OPERATORS
from tests.cli.desk import ENDPOINT, Cli


def test_eval_runs_an_expression_on_a_reply(cli: Cli, desk: Path) -> None:
    """With or without the equals sign."""
    assert cli("eval", "res.text", "--reply", "reply.json").json == "hello"
    assert cli("eval", "=length(res.text)", "--reply", "reply.json").json == 5


def test_eval_knows_the_scope_of_each_slot(cli: Cli, desk: Path) -> None:
    """A name of another slot is refused as the compiler would."""
    assert cli("eval", "length(req.messages)", "--slot", "request", "--request", "request.json").json == 1
    assert cli("eval", "in.colour", "--slot", "dialect-request", "--request", "request.json").json == "red"
    wrong = cli("eval", "res.text", "--slot", "request")
    assert wrong.code == 1
    assert 'error[E102]: unknown name "res"' in wrong.err
    assert "EXPR:1:1" in wrong.err


def test_eval_renders_a_template(cli: Cli, desk: Path) -> None:
    """A wrong name in a template is reported with its line."""
    (desk / "good.j2").write_text("{% for m in req.messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}")
    (desk / "bad.j2").write_text("\n{{ rec.model }}")

    assert cli("eval", "--template", "good.j2", "--slot", "request", "--request", "request.json").out == "user: hi\n"
    bad = cli("eval", "--template", "bad.j2", "--slot", "request")
    assert bad.code == 1
    assert "bad.j2:2:" in bad.err


def test_eval_reports_what_data_makes_fail(cli: Cli, desk: Path) -> None:
    """A function that meets another type is no traceback."""
    done = cli("eval", "lower(res)", "--reply", "reply.json")

    assert done.code == 1
    assert "error[R002]" in done.err


def test_eval_lists_the_names_with_their_types(cli: Cli) -> None:
    """What can be written in a slot."""
    done = cli("eval", "--scope", "--slot", "request")

    assert "req    an object" in done.out
    assert ".temperature: a number" in done.out


def test_eval_needs_something_to_do(cli: Cli) -> None:
    """Neither or both of expression and template is wrong usage."""
    assert cli("eval").code == 2


def test_list_shows_kind_id_tests_digest_and_file(cli: Cli, desk: Path) -> None:
    """A table for people, JSON for programs."""
    (desk / "mappings" / "two.yaml").write_text(ENDPOINT.replace("id: acme.chat", "id: acme.two\nabstract: true"))
    rows = {(row["kind"], row["id"]): row for row in cli("list", "--json").json}

    assert rows["endpoint", "acme.chat"]["file"] == "mappings/chat.yaml"
    assert rows["endpoint", "acme.chat"]["tests"] == 2
    assert len(rows["endpoint", "acme.chat"]["digest"]) >= 12
    assert rows["endpoint", "acme.two"]["digest"] is None
    assert "mappings/chat.yaml" in cli("list").out


@pytest.mark.parametrize("kind", SHAPES)
def test_a_schema_describes_the_kind(kind: str, cli: Cli) -> None:
    """Valid JSON Schema, with every operator described."""
    schema = cli("schema", kind).json

    jsonschema_rs.validator_for(schema)
    assert schema["title"] == f"{kind}/1"
    for operator in OPERATORS.values():
        assert operator.example in schema["$defs"][f"operator.{operator.name[1:]}"]["markdownDescription"]


def test_shipped_mappings_fit_their_schemas() -> None:
    """An editor shows no false alarm on a file that the engine takes; what it cannot see are parents' keys."""
    validators = {kind: jsonschema_rs.validator_for(schema_of(kind)) for kind in SHAPES}
    whole = [each for each in read_catalog().resolved.values() if not each.document.flag("abstract")]

    for resolved in whole:
        root = {key: value for key, value in to_json(resolved.root).items() if key != "extends"}
        errors = [error.message for error in validators[resolved.document.kind].iter_errors(root)]
        assert errors == [], resolved.id


def test_a_misspelled_key_does_not_fit_the_schema() -> None:
    """The editor marks what the engine refuses."""
    node = read_document(ENDPOINT.replace("response:", "responce:").encode(), "x.yaml", Problems())
    assert node is not None

    assert not jsonschema_rs.validator_for(schema_of("endpoint")).is_valid(to_json(node))


def test_flatten_gives_a_file_that_means_the_same() -> None:
    """Every shipped mapping, merged and read again, is the merged tree."""
    for (_, identifier), resolved in read_catalog().resolved.items():
        problems = Problems()
        node = read_document("\n".join([*flattened(resolved), ""]).encode(), "flat.yaml", problems)

        assert node is not None
        assert problems.items == []
        merged = to_json(resolved.root)
        merged.pop("extends", None)
        assert merged == to_json(node), identifier


def test_flatten_names_the_file_of_each_line(cli: Cli, desk: Path) -> None:
    """A child's own lines and its parent's."""
    child = "mapping: endpoint/1\nid: acme.child\nextends: acme.chat\nrequest: {path: /other}\n"
    (desk / "mappings" / "child.yaml").write_text(child)

    out = cli("flatten", "acme.child").out

    assert "path: /other  # child.yaml:4" in out
    assert "temperature: =req.temperature  # chat.yaml:14" in out
    assert cli("flatten", "acme.chld").code == 2


def test_init_writes_a_file_once(cli: Cli, desk: Path) -> None:
    """It does not overwrite without --force, and what it writes is a valid config."""
    nothing = cli("init", "--endpoint", "acme.chatt")
    assert (nothing.code, "acme.chat" in nothing.err.partition(";")[2]) == (2, True)
    assert cli("init").code == 0
    assert cli("validate", "engine.yaml").code == 0
    refused = cli("init")
    assert refused.code == 2
    assert "--force" in refused.err
    assert cli("init", "--force", "--endpoint", "acme.chat").code == 0
    assert cli("validate", "engine.yaml").code == 0


def test_config_tells_where_a_value_came_from(cli: Cli, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Environment over file over default."""
    (desk / "engine.yaml").write_text(
        "mapping: gateway/1\nupstreams: {main: {endpoint: acme.chat}}\nroutes: {default: {to: main}}\n"
        "listen: {host: localhost, port: 9000}\n"
    )
    monkeypatch.setenv("ENGINE_PORT", "9001")

    values = cli("config", "--json").json

    assert values["listen.port"] == {"value": 9001, "origin": "environment ENGINE_PORT"}
    assert values["listen.host"] == {"value": "localhost", "origin": "engine.yaml:4:16"}
    assert values["workers"]["origin"] == "default"
    assert json.dumps(values).count("ACME_API_KEY") == 0
