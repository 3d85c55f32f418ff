"""`engine try`: one live call through the whole engine, what it shows, and the case that it saves."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.desk import ENDPOINT, Cli
from tests.gateway.fake_upstream import FakeUpstream, reply, reply_json

KEY = "verysecret-0123456789"
CALLERS = "callers-own-9876543210"
STREAMS = """stream:
  framing: sse
  done: "=ev.data == '[DONE]'"
  emit: {text: =ev.json.t, finish_reason: =ev.json.f, usage: {prompt_tokens: =ev.json.n}}
"""
FRAMES = b'data: {"t":"He"}\n\ndata: {"t":"llo","f":"stop","n":3}\n\ndata: [DONE]\n\n'


@pytest.fixture
def mine(desk: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mapping file of one's own, with comments, and the key in the environment."""
    monkeypatch.setenv("ACME_API_KEY", KEY)
    file = desk / "mappings" / "chat.yaml"
    text = ENDPOINT.replace("tests:\n", "# The cases.\ntests:\n").replace("mapping:", "# Mine.\nmapping:", 1)
    file.write_text(text.replace("response:\n", f"{STREAMS}response:\n") + "\n# The end.\n")
    return file


def test_a_call_to_the_mock(cli: Cli, desk: Path) -> None:
    """The request with its secrets masked, the answer's text and what is known of it."""
    done = cli("try", "acme.chat", "hi", "--mock", "--model", "m", "--option", "tone=dry")

    assert (0, "") == (done.code, done.err)
    assert "> POST http://127.0.0.1:" in done.out
    assert "authorization: ***" in done.out
    assert '"tone": "dry"' in done.out
    assert "text      hello\n" in done.out
    assert "losses    none\n" in done.out


def test_a_live_call_is_saved_as_a_case(cli: Cli, mine: Path) -> None:
    """The case stands behind the others, the rest of the file is as it was, and the case passes."""
    before = mine.read_text()
    with FakeUpstream(reply_json({"text": f"Hello, {KEY}: yes", "more": [1, "=x"]})) as upstream:
        done = cli("try", "acme.chat", "it's # me", "--model", "m",
                   "--option", f"base_url={upstream.url}", "--save-case", "says-hello")  # fmt: skip

    after = mine.read_text()
    assert (0, "") == (done.code, done.err)
    assert KEY.encode() in upstream.requests[0].headers["authorization"].encode()
    assert KEY not in done.out + after
    assert before.split("\n# The end.")[0].rstrip() == after.split("\n  says-hello:")[0].rstrip()
    assert after.endswith("\n\n# The end.\n")
    assert "ran 3 tests: no problems" in cli("validate", mine).out
    again = cli("try", "acme.chat", "hi", "--mock", "--model", "m", "--save-case", "says-hello")
    assert (2, True) == (again.code, "has a case 'says-hello' already" in again.err)


def test_a_stream_is_shown_and_saved(cli: Cli, mine: Path) -> None:
    """`--stream` asks for one; its bytes become the case's sample."""
    with FakeUpstream(reply(FRAMES, headers="content-type: text/event-stream\r\n")) as upstream:
        done = cli("try", "acme.chat", "hi", "--model", "m", "--stream", "--option", f"base_url={upstream.url}",
                   "--save-case", "streams")  # fmt: skip

    assert f"a stream of {len(FRAMES)} bytes" in done.out
    assert "text      Hello\n" in done.out
    assert "usage     prompt 3, total 3" in done.out
    assert "ran 3 tests: no problems" in cli("validate", mine).out


def test_a_failure_is_told_and_saved(cli: Cli, mine: Path) -> None:
    """What the client would be told, which rule said so, and the head of the answer; the exit code is 1."""
    script = reply_json({"error": "Too many.", "key": KEY}, "429 No", "content-type: application/json\r\n")
    with FakeUpstream(script) as upstream:
        done = cli("try", "acme.chat", "hi", "--model", "m", "--option", f"base_url={upstream.url}",
                   "--save-case", "busy")  # fmt: skip

    assert 1 == done.code
    assert "failed: Too many.\n  type rate_limit, status 429, code rate_limit_exceeded\n" in done.err
    assert "rule errors.failed" in done.err
    assert 'the answer began:\n  {"error": "Too many."' in done.err
    assert KEY not in done.err + done.out + mine.read_text()
    assert "ran 3 tests: no problems" in cli("validate", mine).out


def test_a_config_names_the_upstream(cli: Cli, mine: Path) -> None:
    """Its URL, renamed models and options hold; an endpoint that it does not have is wrong usage."""
    with FakeUpstream(reply_json({"text": "yes"})) as upstream:
        (mine.parent.parent / "gateway.yaml").write_text(
            "mapping: gateway/1\nroutes: {all: {models: ['*'], to: main}}\n"
            f"upstreams: {{main: {{endpoint: acme.chat, url: '{upstream.url}', models: {{big: b-1}}}}}}\n"
        )
        done = cli("try", "acme.chat", "hi", "--config", "gateway.yaml", "--model", "big", "--option", "tone=dry")
        other = cli("try", "acme.shipped", "hi", "--config", "gateway.yaml", "--model", "big")

    assert 0 == done.code
    assert b'"model":"b-1"' in upstream.requests[0].body
    assert b'"tone":"dry"' in upstream.requests[0].body
    assert (2, True) == (
        other.code,
        "no upstream has the endpoint 'acme.shipped' (config: ./gateway.yaml); there are: main" in other.err,
    )


def test_the_callers_key_is_given_by_its_variable(cli: Cli, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ./engine.yaml passes callers' keys on the message names it and the flag; the key is never shown."""
    monkeypatch.setenv("MY_KEY", CALLERS)
    with FakeUpstream(reply_json({"text": f"Hello, {CALLERS}"}), reply_json({"error": "no"}, "500 No")) as upstream:
        (mine.parent.parent / "engine.yaml").write_text(
            "mapping: gateway/1\nroutes: {all: {to: main}}\nclients: {auth: pass_through}\n"
            "upstreams: {main: {endpoint: acme.chat}}\n"
        )
        ask = ("try", "acme.chat", "hi", "--model", "m", "--option", f"base_url={upstream.url}")
        without, unset = cli(*ask), cli(*ask, "--caller-key-env", "NOT_SET")
        done = cli(*ask, "--caller-key-env", "MY_KEY", "--save-case", "mine")
        failed = cli(*ask, "--caller-key-env", "MY_KEY")

    assert (2, True, True) == (
        without.code,
        "(config: ./engine.yaml)" in without.err,
        "--caller-key-env NAME" in without.err,
    )
    assert (2, True) == (unset.code, "the variable NOT_SET is not set" in unset.err)
    assert 0 == done.code
    assert f"Bearer {CALLERS}" == upstream.requests[0].headers["authorization"]
    assert CALLERS not in done.out + mine.read_text()
    assert (1, True) == (failed.code, "failed: no (config: ./engine.yaml)\n" in failed.err)
    listed = cli("models")
    assert (2, True) == (listed.code, "(config: ./engine.yaml); say which variable holds one" in listed.err)


def test_a_saved_case_is_the_mappings_own(cli: Cli, mine: Path) -> None:
    """A local base URL, also where it stands in the answer, becomes the mapping's."""
    with FakeUpstream(reply_json({"text": "see BASE/more"})) as upstream:
        upstream.script[0] = reply_json({"text": f"see {upstream.url}/more"})
        done = cli("try", "acme.chat", "hi", "--model", "m", "--option", f"base_url={upstream.url}", "--option",
                   "tone=dry", "--save-case", "own")  # fmt: skip

    assert 0 == done.code
    assert upstream.url not in mine.read_text()
    assert "options: {tone: dry}" in mine.read_text()
    assert "see https://api.acme.example/v1/more" in mine.read_text()
    assert "ran 3 tests: no problems" in cli("validate", mine).out


def test_what_cannot_be_tried_is_wrong_usage(cli: Cli, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No model to ask, no stream section, no key, no such endpoint: each says what to do."""
    monkeypatch.delenv("ACME_API_KEY", raising=False)

    assert "say --model NAME" in cli("try", "acme.chat", "hi", "--mock").err
    assert "has no `stream` section" in cli("try", "acme.chat", "hi", "--mock", "--model", "m", "--stream").err
    assert "ACME_API_KEY" in cli("try", "acme.chat", "hi", "--model", "m").err
    assert "acme.chat" in cli("try", "acme.chatt", "hi", "--model", "m").err


def test_cases_on_one_line_are_not_touched(cli: Cli, mine: Path) -> None:
    """A file whose `tests` is one flow mapping cannot be appended to, and says so before anything is sent."""
    text = mine.read_text().split("# The cases.")[0] + "tests: {a: {given: {}, expect: {}}}\n"
    mine.write_text(text)
    done = cli("try", "acme.chat", "hi", "--mock", "--model", "m", "--save-case", "b")

    assert (2, True) == (done.code, "stands on one line" in done.err)
    assert text == mine.read_text()


def test_the_last_case_keeps_the_end_of_its_text(cli: Cli, mine: Path) -> None:
    """A text may end in blank lines (`|+`): the new case stands behind them."""
    text = mine.read_text().split("# The cases.")[0]
    case = "tests:\n  a:\n    given: {reply: {body: {text: ho}}}\n    expect: {result: {text: ho}}\n"
    case += "    doc: |+\n      Two.\n\n"
    mine.write_text(text + case)
    done = cli("try", "acme.chat", "hi", "--mock", "--model", "m", "--save-case", "b")

    assert 0 == done.code
    assert mine.read_text().startswith(text + case + "  b:\n")
    assert "ran 2 tests: no problems" in cli("validate", mine).out


def test_a_shipped_file_is_not_written_to(cli: Cli, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An update would take the case away; the files of a checkout are one's own there."""
    folder = desk / "mappings"
    ask = ("try", "acme.chat", "hi", "--mappings", folder, "--mock", "--model", "m", "--save-case")
    monkeypatch.setattr("engine.cli.saved_case.MAPPINGS", folder)
    assert 0 == cli(*ask, "here").code

    monkeypatch.chdir(desk.parent / desk.name / "shipped")
    done = cli(*ask, "elsewhere")

    assert (2, True) == (done.code, "is a shipped mapping" in done.err)


def test_a_file_without_cases_gets_some(cli: Cli, mine: Path) -> None:
    """The section is begun at the end of the file."""
    mine.write_text(mine.read_text().split("# The cases.")[0])
    done = cli("try", "acme.chat", "hi", "--mock", "--model", "m", "--save-case", "first")

    assert 0 == done.code
    assert "\ntests:\n  first:\n" in mine.read_text()
    assert "ran 1 test: no problems" in cli("validate", mine).out
