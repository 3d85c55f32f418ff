"""`engine test`."""

from __future__ import annotations

from pathlib import Path

from tests.cli.desk import ENDPOINT, Cli


def test_counts_are_printed_per_mapping(cli: Cli, desk: Path) -> None:
    """One line for each mapping, the sum at the end."""
    done = cli("test", "mappings")

    assert done.code == 0
    assert "endpoint:acme.chat  2 passed" in done.out
    assert done.out.endswith("2 passed\n")


def test_verbose_names_the_cases(cli: Cli, desk: Path) -> None:
    """Inherited cases are marked."""
    (desk / "mappings" / "child.yaml").write_text("mapping: endpoint/1\nid: acme.child\nextends: acme.chat\n")

    done = cli("test", "mappings", "-v")

    assert "ok   request\n" in done.out
    assert "ok   reply (inherited)" in done.out


def test_one_mapping_is_chosen(cli: Cli, desk: Path) -> None:
    """--mapping takes an id; a wrong one is answered with the nearest."""
    assert cli("test", "--mapping", "acme.chat").out.endswith("2 passed\n")
    wrong = cli("test", "--mapping", "acme.chad")
    assert wrong.code == 2
    assert "did you mean `acme.chat`?" in wrong.err


def test_a_failure_is_shown_and_exits_1(cli: Cli, desk: Path) -> None:
    """The difference is printed, not only the name."""
    (desk / "mappings" / "chat.yaml").write_text(ENDPOINT.replace("model: m,", "model: other,"))

    done = cli("test", "mappings")

    assert done.code == 1
    assert "1 passed, 1 failed" in done.out
    assert 'body.model: expected "other", got "m"' in done.out


def test_a_list_of_another_length_shows_its_items(cli: Cli, desk: Path) -> None:
    """Which losses are missing and which came is said, not only how many."""
    case = """
  lossy:
    given: {request: {model: m, messages: [{role: user, content: hi}], temperature: 3, top_p: 1}}
    expect: {losses: [{field: seed, action: dropped}, {field: temperature, action: clamped}, {field: n, action: x}]}
"""
    (desk / "mappings" / "chat.yaml").write_text(ENDPOINT + case)

    out = cli("test", "mappings").out

    assert "losses: expected 3 items, got 2\n" in out
    assert 'losses[0]: expected {"field": "seed", "action": "dropped"}, but it is missing\n' in out
    assert "losses[1]" not in out
    assert 'losses: not expected, got {"field": "top_p", "action": "dropped"}\n' in out


def test_usage_without_a_count_is_no_usage(cli: Cli, desk: Path) -> None:
    """What the client is not told of need not stand in the case."""
    more = "  usage: {prompt_tokens: =res.meter.read}\nerrors:"
    (desk / "mappings" / "chat.yaml").write_text(ENDPOINT.replace("errors:", more, 1))

    assert 0 == cli("test", "mappings").code


def test_nothing_to_run_is_no_success(cli: Cli, desk: Path) -> None:
    """A green run that ran nothing would lie."""
    done = cli("test", "mappings/api.yaml")

    assert done.code == 2
    assert "no case ran" in done.err
