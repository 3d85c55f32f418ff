"""`engine validate`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.desk import ENDPOINT, Cli

BROKEN = ENDPOINT.replace("=model.name", "=model.nam")


def test_without_paths_own_and_shipped_mappings_are_checked(cli: Cli, desk: Path) -> None:
    """The own folder is found by its name; the tests of all mappings run."""
    done = cli("validate")

    assert (done.code, done.err) == (0, "")
    assert "error[" not in done.out


def test_a_mistake_is_shown_with_its_place_and_exits_1(cli: Cli, desk: Path) -> None:
    """The message names the file as it was given."""
    (desk / "mappings" / "chat.yaml").write_text(BROKEN)

    done = cli("validate", "mappings/chat.yaml")

    assert done.code == 1
    assert "error[E106]" in done.out
    assert "mappings/chat.yaml:12:" in done.out


def test_a_single_file_finds_its_parent_among_the_shipped(cli: Cli, desk: Path) -> None:
    """A child of a shipped mapping is checked alone."""
    (desk / "child.yaml").write_text("mapping: endpoint/1\nid: my.child\nextends: acme.shipped\n")

    done = cli("validate", "child.yaml")

    assert done.code == 0
    assert "checked 1 file" in done.out


def test_a_single_file_finds_its_parent_beside_it(cli: Cli, desk: Path) -> None:
    """A parent in the same folder is read, and not reported on."""
    (desk / "parent.yaml").write_text(ENDPOINT.replace("id: acme.chat", "id: acme.old\nunknown_key: 1"))
    (desk / "child.yaml").write_text("mapping: endpoint/1\nid: my.child\nextends: acme.old\n")

    done = cli("validate", "child.yaml")

    assert "E030" not in done.out
    assert "unknown_key" in done.out


def test_problems_of_other_shipped_files_are_left_out(cli: Cli, desk: Path) -> None:
    """Only what the user asked about is shown."""
    done = cli("validate", "mappings/api.yaml")

    assert "checked 1 file" in done.out


def test_a_failing_inline_test_is_a_problem(cli: Cli, desk: Path) -> None:
    """`validate` runs the tests too."""
    (desk / "mappings" / "chat.yaml").write_text(ENDPOINT.replace("{result: {text: hello}}", "{result: {text: hullo}}"))

    done = cli("validate", "mappings/chat.yaml")

    assert done.code == 1
    assert "error[E300]" in done.out


def test_warnings_count_with_release_only(cli: Cli, desk: Path) -> None:
    """A mapping without tests is a warning."""
    (desk / "mappings" / "chat.yaml").write_text(ENDPOINT.split("tests:")[0])

    assert cli("validate", "mappings/chat.yaml").code == 0
    assert cli("validate", "mappings/chat.yaml", "--release").code == 1


def test_globs_and_dots_name_files(cli: Cli, desk: Path) -> None:
    """`dir/...` is a folder with all below it."""
    assert "checked 1 file" in cli("validate", "mappings/*pi.yaml").out
    assert "checked 3 files" in cli("validate", "mappings/...").out
    assert "checked 3 files" in cli("validate", "mappings").out


def test_a_path_without_mappings_is_wrong_usage(cli: Cli, desk: Path) -> None:
    """Nothing checked must not look like success."""
    (desk / "empty").mkdir()

    for path in ("nowhere", "empty", "no*.yaml"):
        done = cli("validate", path)
        assert done.code == 2
        assert path in done.err


def test_json_is_an_array(cli: Cli, desk: Path) -> None:
    """One object per problem, and an empty array for none."""
    (desk / "broken.yaml").write_text(BROKEN)

    assert cli("validate", "mappings", "--format", "json").json == []
    assert [each["code"] for each in cli("validate", "broken.yaml", "--format", "json").json] == ["E106"]


def test_sarif_is_valid_json_with_rules(cli: Cli, desk: Path) -> None:
    """Every result points at a rule of the run."""
    (desk / "broken.yaml").write_text(BROKEN)

    run = cli("validate", "broken.yaml", "--format", "sarif").json["runs"][0]

    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["E106"]
    assert [each["ruleId"] for each in run["results"]] == ["E106"]


def test_github_prints_a_command_per_problem(cli: Cli, desk: Path) -> None:
    """An annotation on the file's line."""
    (desk / "broken.yaml").write_text(BROKEN)

    done = cli("validate", "broken.yaml", "--format", "github")

    assert done.out.startswith("::error file=broken.yaml,line=12,col=")


def test_a_gateway_file_is_checked_without_its_secrets(cli: Cli, desk: Path) -> None:
    """A config can be validated where the keys are not."""
    text = "mapping: gateway/1\nupstreams: {main: {endpoint: acme.chat}}\nroutes: {default: {to: main}}\n"
    (desk / "good.yaml").write_text(text + "mappings: [./mappings]\n")
    (desk / "bad.yaml").write_text(text.replace("to: main", "to: mian"))

    assert cli("validate", "good.yaml").code == 0
    bad = cli("validate", "bad.yaml")
    assert bad.code == 1
    assert "error[E250]" in bad.out


def test_a_gateway_file_is_checked_with_the_mappings_it_uses(cli: Cli, desk: Path) -> None:
    """What `serve` would refuse, `validate` tells: once, also where the mappings were asked about as well."""
    text = "mapping: gateway/1\nupstreams: {main: {endpoint: acme.chat}}\nroutes: {default: {to: main}}\n"
    (desk / "engine.yaml").write_text(text + "mappings: [./mappings]\n")
    (desk / "mappings" / "other.yaml").write_text(BROKEN.replace("acme.chat", "acme.other"))

    for paths in (["engine.yaml"], ["engine.yaml", "mappings"]):
        found = json.loads(cli("validate", *paths, "--format", "json").out)
        assert [("other.yaml", "E106")] == [(Path(each["file"]).name, each["code"]) for each in found]
    assert "12 |     model: =model.nam" in cli("validate", "engine.yaml").out


def test_all_problems_of_all_files_are_shown_at_once(cli: Cli, desk: Path) -> None:
    """Nobody should have to run it twice."""
    (desk / "one.yaml").write_text(BROKEN)
    (desk / "two.yaml").write_text(BROKEN.replace("acme.chat", "acme.two").replace("=res.text", "=rez.text"))

    found = json.loads(cli("validate", "one.yaml", "two.yaml", "--format", "json").out)

    assert [(each["file"], each["code"]) for each in found] == [
        ("one.yaml", "E106"),
        ("two.yaml", "E106"),
        ("two.yaml", "E102"),
    ]


def test_a_gateway_file_says_what_is_not_served(cli: Cli, desk: Path) -> None:
    """What a dialect can ask for and an upstream refuses, before the first request; it is no problem of the file."""
    text = "mapping: gateway/1\nupstreams: {main: {endpoint: acme.chat}}\nroutes: {default: {to: main}}\n"
    (desk / "good.yaml").write_text(text + "mappings: [./mappings]\n")
    files = "present(req.messages[].content[] | [?type == 'file'] | [0])"
    refusal = f'refuse: {{parts: {{when: "={files}", raise: {{message: no files}}}}}}\n'
    endpoint = desk / "mappings" / "chat.yaml"
    endpoint.write_text(endpoint.read_text() + refusal)

    done = cli("validate", "good.yaml")

    assert done.code == 0
    assert "good.yaml: not served, and refused by name before anything is sent:" in done.out
    assert "  acme.api over main (acme.chat): files\n" in done.out
