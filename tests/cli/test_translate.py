"""`engine translate` and `engine explain`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.desk import Cli

WHO = ("--dialect", "acme.api", "--endpoint", "acme.chat")


def test_the_upstream_request_is_printed_with_masked_secrets(cli: Cli, desk: Path) -> None:
    """Method, URL, headers and body; losses on standard error."""
    done = cli("translate", *WHO, "request.json")

    assert done.code == 0
    assert done.json["url"] == "https://api.acme.example/v1/chat"
    assert done.json["headers"]["authorization"] == "***"
    assert done.json["headers"]["x-depth"] == "1"
    assert done.json["body"] == {"model": "m", "messages": [{"role": "user", "content": "hi"}], "temperature": 1}
    assert "loss: temperature clamped (acme.chat.params.temperature)" in done.err
    assert "loss: colour unread" in done.err


def test_options_change_the_request(cli: Cli, desk: Path) -> None:
    """Options are typed as the mapping declares them; an unknown one is refused."""
    good = cli("translate", *WHO, "--option", "tone=7", "--option", "depth=4", "--option", "base_url=https://x.example",
               "request.json")  # fmt: skip
    bad = cli("translate", *WHO, "--option", "tune=7", "request.json")

    assert (good.json["body"]["tone"], good.json["url"]) == ("7", "https://x.example/chat")
    assert bad.code == 2
    assert "did you mean `tone`?" in bad.err


def test_standard_input_is_a_file_too(cli: Cli, desk: Path) -> None:
    """`-` reads the client's body from standard input."""
    done = cli("translate", *WHO, "-", stdin=(desk / "request.json").read_bytes())

    assert done.json["body"]["model"] == "m"


def test_a_reply_becomes_the_clients_answer(cli: Cli, desk: Path) -> None:
    """Back to the dialect's own shape."""
    done = cli("translate", *WHO, "request.json", "--reply", "reply.json")

    assert (done.code, done.json["body"]) == (0, {"answer": "hello"})


def test_an_upstream_error_is_translated_too(cli: Cli, desk: Path) -> None:
    """A failed reply gives the client's error answer, and that is a success of the translation."""
    (desk / "reply.json").write_text('{"error": "it broke"}')

    done = cli("translate", *WHO, "request.json", "--reply", "reply.json", "--status", "500")

    assert (done.code, done.json["status"], done.json["body"]) == (0, 502, {"error": "it broke"})
    assert "rule errors.failed" in done.err


def test_a_refused_request_prints_what_the_client_would_get(cli: Cli, desk: Path) -> None:
    """The exit code says that nothing would have been sent."""
    done = cli("translate", *WHO, "-", stdin=b'{"model": "m"}')

    assert (done.code, done.json["status"]) == (1, 400)
    assert "messages" in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--dialect", "acme.apy", "--endpoint", "acme.chat"), "did you mean `acme.api`?"),
        (("--dialect", "acme.api", "--endpoint", "acme.chad"), "did you mean `acme.chat`?"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(
    cli: Cli, desk: Path, arguments: tuple[str, ...], said: str
) -> None:
    """Wrong usage, exit code 2."""
    done = cli("translate", *arguments, "request.json")

    assert done.code == 2
    assert said in done.err


def test_a_broken_mapping_shows_its_diagnostics(cli: Cli, desk: Path) -> None:
    """What `validate` would say, exit code 1."""
    path = desk / "mappings" / "chat.yaml"
    path.write_text(path.read_text().replace("=res.text", "=rez.text"))

    done = cli("translate", *WHO, "request.json")

    assert done.code == 1
    assert "error[E102]" in done.err


def test_explain_names_the_line_behind_each_value(cli: Cli, desk: Path) -> None:
    """Present values, URL, headers, losses; how many were left out, and with -v which."""
    done = cli("explain", *WHO, "request.json")

    assert done.code == 0
    assert re.search(r'base_url += "https://api.acme.example/v1"\n +mappings/chat.yaml:3:1', done.out)
    assert re.search(r'\$\.model += "m"\n +mappings/chat.yaml:12:12   model: =model.name', done.out)
    assert "$.tone" not in done.out
    assert "  (1 left out, since their lines gave nothing; -v shows them)\n" in done.out
    assert re.search(r"\$\.tone +- \(left out", cli("explain", *WHO, "request.json", "-v").out)
    assert "temperature clamped (acme.chat.params.temperature)" in done.out
    assert "headers.x-depth" in done.out


def test_explain_goes_on_to_the_answer(cli: Cli, desk: Path) -> None:
    """The canonical reply and the client's answer, as JSON."""
    done = cli("explain", *WHO, "request.json", "--reply", "reply.json", "--json")

    assert [row["value"] for row in done.json["canonical reply"]] == ["hello"]
    assert done.json["client's answer"] == [
        {"path": "$.answer", "origin": "mappings/api.yaml:6:18", "line": "body: {answer: =out.text}", "value": "hello"}
    ]
    assert {"field": "colour", "action": "unread", "stage": "request"} in done.json["losses"]


def test_explain_and_translate_agree(cli: Cli, desk: Path) -> None:
    """Compiling with origins changes nothing in the result."""
    sent = cli("translate", *WHO, "request.json").json["body"]
    rows = cli("explain", *WHO, "request.json", "--json").json["upstream body"]

    assert {key for key in sent if key != "messages"} <= {row["path"][2:] for row in rows if "value" in row}
    assert json.dumps(sent["temperature"]) in [json.dumps(row.get("value")) for row in rows]
