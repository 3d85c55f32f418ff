"""`engine try` of an endpoint of several calls behind a token: what it shows of them, and the case that it saves."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.desk import Cli
from tests.gateway.fake_upstream import FakeUpstream, Seen, Wire, reply_json

KEY = "id-of-client:very-secret-word"
ENDPOINT = """mapping: endpoint/1
id: acme.jobs
base_url: https://jobs.acme.example
secrets: {client: {env: ACME_CLIENT, parse: "split(':')"}}
auth:
  bearer: =token
  token:
    request: {path: /token, encode: form, body: {id: "=secret.client[0]", secret: "=secret.client[1]"}}
    value: =res.token
steps:
  create: {request: {path: /jobs, body: {prompt: "=req.messages[-1].text(content)"}}}
  look:
    request: {method: GET, path: /jobs/1}
    until: "=http.headers.x-state == 'done'"
    every_s: 0.05
    for_s: 5
request: {method: GET, path: /jobs/1/text}
response: {text: =res.text}
errors: {any: {status: [4xx, 5xx], raise: {message: =res.error}}}
tests:
  reply: {given: {reply: {body: {text: ho}}}, expect: {result: {text: ho}}}
  request: {given: {replies: []}, expect: {calls: {create: {body: {prompt: hi}}}}}
""".replace("headers.x-state", 'headers.\\"x-state\\"')


@pytest.fixture
def jobs(desk: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mapping file of one's own, and the credentials in the environment."""
    monkeypatch.setenv("ACME_CLIENT", KEY)
    file = desk / "mappings" / "jobs.yaml"
    file.write_text(ENDPOINT)
    return file


class Upstream:
    """A job that is done at the second look, which only a header says."""

    def __init__(self, token: tuple[int, Any] = (200, {"token": "token-4711"})) -> None:
        self.token = token
        self.looks = 0

    async def __call__(self, wire: Wire, seen: Seen) -> bool:
        if seen.target == "/token":
            return await reply_json(self.token[1], f"{self.token[0]} X")(wire, seen)
        if seen.target == "/jobs/1":
            self.looks += 1
        state = "done" if self.looks > 1 else "running"
        head = f"content-type: application/json\r\nx-state: {state}\r\nx-other: no\r\n"
        return await reply_json({"text": "Hello."}, "200 OK", head)(wire, seen)


def test_the_token_call_is_shown_and_the_headers_that_are_read_are_saved(cli: Cli, jobs: Path) -> None:
    """Masked, before the calls that it is for; the case has what the mapping reads, and passes."""
    with FakeUpstream(Upstream()) as upstream:
        done = cli("try", "acme.jobs", "hi", "--model", "m", "--option", f"base_url={upstream.url}",
                   "--save-case", "says-hi")  # fmt: skip

    after = jobs.read_text()
    assert (0, "") == (done.code, done.err)
    assert done.out.startswith(f"> POST {upstream.url}/token\n")
    assert "id=***&secret=***" in done.out
    assert "< 200, the call for a token\n" in done.out
    assert "x-state: running" in after
    assert "x-other" not in after
    assert not {"very-secret-word", "token-4711"} & set((done.out + after).replace("=", " ").split())
    assert "ran 3 tests: no problems" in cli("validate", jobs).out


def test_a_token_call_that_fails_is_all_that_is_shown(cli: Cli, jobs: Path) -> None:
    """What was never sent is not shown as sent, and the answer of the token call is."""
    with FakeUpstream(Upstream((401, {"error": "bad client"}))) as upstream:
        done = cli("try", "acme.jobs", "hi", "--model", "m", "--option", f"base_url={upstream.url}")

    assert 1 == done.code
    assert "/jobs" not in done.out
    assert "auth.token: upstream status 401, rule errors.any" in done.err
    assert 'the answer began:\n  {"error": "bad client"' in done.err


def test_what_cannot_be_a_case_says_so(cli: Cli, jobs: Path) -> None:
    """A job that was never done: no single answer shows why the call failed."""
    jobs.write_text(ENDPOINT.replace("for_s: 5", "for_s: 0.1").replace("'done'", "'never'"))
    with FakeUpstream(Upstream()) as upstream:
        done = cli("try", "acme.jobs", "hi", "--model", "m", "--option", f"base_url={upstream.url}",
                   "--save-case", "late")  # fmt: skip

    assert 2 == done.code
    assert "the exchange cannot be a case" in done.err
    assert "late" not in jobs.read_text()
