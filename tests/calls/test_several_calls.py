"""Endpoints of several calls, tokens, signatures and keys in bodies: mappings of invented APIs over real HTTP."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import httpx
import pytest

from engine.language.cases import json_codec, target_for
from engine.translate.calls import build_call
from engine.translate.exchange import request_scope
from engine.translate.failures import NO_TOKEN
from engine.translate.wire import Context
from engine.types import Secret
from tests.gateway.fake_upstream import FakeUpstream, Seen, Wire, reply, reply_json
from tests.running import run_engine
from tests.streams.stage import Stage, catalog, raw_chat, staged

MAPPINGS = Path(__file__).parent / "mappings"
ENVIRONMENT = {
    "ACME_CLIENT": "client-one:very-secret-word",
    "ACME_AWS": "{}",
    "ACME_ACCOUNT": "account-7:key-of-account",
}
PICTURE = "data:image/png;base64,aGVsbG8gcGljdHVyZQ=="

Answer = Callable[[Seen], tuple[int, Any]]


@contextlib.contextmanager
def acme(
    folder: Path, answer: Answer, endpoint: str = "acme.jobs", *, more: str = "", environment: Any = ENVIRONMENT
) -> Iterator[tuple[Stage, FakeUpstream]]:
    """The gateway before an upstream that answers as the function says; its files lie on the same origin."""

    async def play(wire: Wire, seen: Seen) -> bool:
        status, body = answer(seen)
        return await reply_json(body, f"{status} X")(wire, seen)

    with FakeUpstream(play) as upstream:
        hosts = f", hosts: {{files: '{upstream.url}/files'}}" if endpoint == "acme.jobs" else ""
        with staged(
            endpoint, url=f"{upstream.url}/api", upstream=hosts, more=more, folder=folder, mappings=MAPPINGS,
            environment=environment,
        ) as stage:  # fmt: skip
            yield stage, upstream


class Jobs:
    """The upstream's side: a job runs for some polls, then its result lies among the files."""

    def __init__(self, polls: int = 2, lasts: float = 3600) -> None:
        self.polls = polls
        self.lasts = lasts
        self.tokens = 0
        self.good: set[str] = set()
        self.url = ""
        self.deleted = threading.Event()

    def __call__(self, seen: Seen) -> tuple[int, Any]:
        path = seen.target.split("?")[0]
        if path == "/api/oauth/token":
            self.tokens += 1
            self.good = {f"token-{self.tokens}"}
            return 200, {"access_token": f"token-{self.tokens}", "expires_in": self.lasts}
        if seen.headers.get("authorization", "").removeprefix("Bearer ") not in self.good:
            return 401, {"error": "bad token"}
        if path == "/files/v1/upload":
            return 200, {"url": "https://files.acme.example/picture-1"}
        if seen.method == "DELETE":
            self.deleted.set()
            return 200, {}
        if path == "/api/jobs":
            return 201, {"id": "job/1"}
        if path == "/api/jobs/job%2F1":
            self.polls -= 1
            state = "running" if self.polls > 0 else "done"
            return 200, {"state": state, "result_url": f"{self.url}/files/out?sig=a%2Fb"}
        assert unquote(seen.target) == "/files/out?sig=a/b", seen.target
        return 200, {"output": "The answer."}


def ask(stage: Stage, content: Any = "hi", *, key: str | None = None, **fields: Any) -> httpx.Response:
    body = {"model": "m", "messages": [{"role": "user", "content": content}], **fields}
    headers = {"x-api-key": key} if key is not None else {}
    return httpx.post(f"{stage.base_url}/chat/completions", json=body, headers=headers, timeout=20)


def paths(upstream: FakeUpstream) -> list[str]:
    return [f"{seen.method} {seen.target.split('?')[0]}" for seen in upstream.requests]


def test_several_calls_make_one_answer(tmp_path: Path) -> None:
    """A token, an upload for each picture, a job, polls until it is done, the result by the URL that the job gave."""
    jobs = Jobs(polls=3)
    with acme(tmp_path, jobs) as (stage, upstream):
        jobs.url = upstream.url
        parts = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": PICTURE}}]
        answer = ask(stage, parts)

    assert "The answer." == answer.json()["choices"][0]["message"]["content"]
    assert [
        "POST /api/oauth/token", "POST /files/v1/upload", "POST /api/jobs", *["GET /api/jobs/job%2F1"] * 3,
        "GET /files/out",
    ] == paths(upstream)  # fmt: skip
    token, upload, create = upstream.requests[:3]
    assert {
        "grant_type": ["client_credentials"],
        "client_id": ["client-one"],
        "client_secret": ["very-secret-word"],
    } == (parse_qs(token.body.decode()))
    assert b"hello picture" in upload.body
    assert b'filename="picture"\r\ncontent-type: image/png' in upload.body
    assert upload.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert {"prompt": "look", "files": ["https://files.acme.example/picture-1"]} == json.loads(create.body)


def test_a_stream_of_an_endpoint_of_several_calls(tmp_path: Path) -> None:
    """It is emulated like any other; the wait is the client's to see as silence or signs of life."""
    jobs = Jobs()
    with acme(tmp_path, jobs) as (stage, upstream):
        jobs.url = upstream.url
        heard = stage.ask("hi")

    assert (200, "The answer.", ["stop"]) == (heard.status, heard.text, heard.finishes)


def test_a_token_is_kept(tmp_path: Path) -> None:
    """Many chats at once, one token; and it is masked wherever it could be printed."""
    jobs = Jobs(polls=1)
    with acme(tmp_path, jobs) as (stage, upstream):
        jobs.url = upstream.url
        threads = [threading.Thread(target=ask, args=(stage,)) for _ in range(5)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(20)
        assert 200 == ask(stage).status_code
        scrubber = stage.server._door.gateway.scrubber

    assert 1 == jobs.tokens
    assert "***" == scrubber.scrub("token-1")


@pytest.mark.parametrize(("lasts", "tokens"), [(30, 1), (0.001, 3)])
def test_a_token_that_ends_is_replaced_in_time(tmp_path: Path, lasts: float, tokens: int) -> None:
    """A minute before its end, but no more than a tenth of its life: one that lives for 30 s serves all three calls."""
    jobs = Jobs(polls=1, lasts=lasts)
    with acme(tmp_path, jobs) as (stage, upstream):
        jobs.url = upstream.url
        assert 200 == ask(stage).status_code

    assert tokens == jobs.tokens == paths(upstream).count("POST /api/oauth/token")


def test_a_refused_token_is_replaced_once(tmp_path: Path) -> None:
    """The upstream forgot it: one new token, one new try, and the client sees nothing of it."""
    jobs = Jobs(polls=1)
    with acme(tmp_path, jobs) as (stage, upstream):
        jobs.url = upstream.url
        ask(stage)
        jobs.good = set()
        again = ask(stage)
        jobs.__class__ = _NeverGood
        refused = ask(stage)

    assert (200, 2) == (again.status_code, 2)
    assert (502, "upstream_auth") == (refused.status_code, refused.json()["error"]["code"])


class _NeverGood(Jobs):
    def __call__(self, seen: Seen) -> tuple[int, Any]:
        status, body = super().__call__(seen)
        self.good = set()
        return status, body


@pytest.mark.parametrize("body", [{"error": "who are you?"}, {}, {"access_token": ""}, ["x"]])
def test_no_token_no_call(tmp_path: Path, body: Any) -> None:
    """Nothing is sent without it, and the client learns no more than that."""
    with acme(tmp_path, lambda seen: (200, body)) as (stage, upstream):
        answer = ask(stage)

    assert (502, "upstream_auth") == (answer.status_code, answer.json()["error"]["code"])
    assert ["POST /api/oauth/token"] == paths(upstream)


def test_a_callers_own_key_of_two_parts(tmp_path: Path) -> None:
    """It falls into its parts like any other; a colon in the second part stays."""
    jobs = Jobs(polls=1)
    with acme(tmp_path, jobs, more="clients: {auth: pass_through}") as (stage, upstream):
        jobs.url = upstream.url
        answer = ask(stage, key="caller:one:two")

    assert 200 == answer.status_code
    sent = parse_qs(upstream.requests[0].body.decode())
    assert (["caller"], ["one:two"]) == (sent["client_id"], sent["client_secret"])


@pytest.mark.parametrize("key", ["caller", "caller:"])
def test_a_callers_own_key_that_lacks_a_part(tmp_path: Path, key: str) -> None:
    """Nothing is sent, and the caller learns what is wrong with the key."""
    with acme(tmp_path, Jobs(), more="clients: {auth: pass_through}") as (stage, upstream):
        answer = ask(stage, key=key)

    assert (401, "invalid_api_key") == (answer.status_code, answer.json()["error"]["code"])
    assert "parts" in answer.json()["error"]["message"]
    assert [] == upstream.requests


def test_a_credential_that_lacks_a_part(tmp_path: Path) -> None:
    """The gateway's own: no token call goes out without id and secret."""
    with acme(tmp_path, Jobs(), environment={**ENVIRONMENT, "ACME_CLIENT": "alone"}) as (stage, upstream):
        answer = ask(stage)

    assert (500, "mapping_request_error") == (answer.status_code, answer.json()["error"]["code"])
    assert [] == upstream.requests


class Queue:
    """The upstream's side of a queue: a ticket is served after so many looks, and each look has its time."""

    def __init__(self, waits_ms: list[Any], *, more_s: float = 0) -> None:
        self.waits_ms = waits_ms
        self.more_s = more_s
        self.looks: list[float] = []
        self.early = 0
        self.next = 0.0
        self.deleted = threading.Event()
        self.plate: tuple[int, Any] = (200, {"text": "Soup."})

    def __call__(self, seen: Seen) -> tuple[int, Any]:
        now = time.monotonic()
        if seen.method == "DELETE":
            self.deleted.set()
            return 200, {}
        if seen.target.endswith("/plates/t1"):
            return self.plate
        if seen.method == "GET":
            self.looks.append(now)
            if now < self.next:
                self.early += 1
                return 429, {"fault": "too early", "wait_ms": (self.next - now) * 1000 + 1}
        told = self.waits_ms.pop(0) if self.waits_ms else None
        self.next = now + (told / 1000 if isinstance(told, int) else 0) + (self.more_s if seen.method == "POST" else 0)
        state = {"state": "cooking" if told is not None else "served"} if seen.method == "GET" else {"id": "t1"}
        return 200, {**state, "wait_ms": told}


def test_waiting_as_long_as_the_answers_say(tmp_path: Path) -> None:
    """Before the first look and between two: never early, and not much later than told."""
    queue = Queue([300, 150, 50])
    with acme(tmp_path, queue, "acme.queue") as (stage, _):
        begun = time.monotonic()
        answer = ask(stage)

    assert "Soup." == answer.json()["choices"][0]["message"]["content"]
    assert (0, 3) == (queue.early, len(queue.looks))
    assert 0.3 <= queue.looks[0] - begun
    assert 0.15 <= queue.looks[1] - queue.looks[0]


def test_an_unknown_model_behind_a_wait(tmp_path: Path) -> None:
    """The failure is explained with what the upstream lists, though the endpoint waits before it calls."""

    def answer(seen: Seen) -> tuple[int, Any]:
        return (200, {"birds": ["mm"]}) if seen.target.endswith("/birds") else (404, {"fault": "no such bird"})

    with acme(tmp_path, answer, "acme.patient") as (stage, _):
        told = ask(stage)

    assert (404, "no such bird; it has mm") == (told.status_code, told.json()["error"]["message"])


def test_a_look_that_came_too_early_is_made_again(tmp_path: Path) -> None:
    """The upstream wants more time than it told: the refusal is passed over, and what it says of the time holds."""
    queue = Queue([50], more_s=0.2)
    with acme(tmp_path, queue, "acme.queue") as (stage, _):
        answer = ask(stage)

    assert 200 == answer.status_code
    assert (1, 2) == (queue.early, len(queue.looks))
    assert 0.2 <= queue.looks[1] - queue.looks[0] + 0.05


@pytest.mark.parametrize(("told", "looks"), [(999_999_999, 1), (-5, 40)])
def test_an_interval_has_bounds(tmp_path: Path, told: Any, looks: int) -> None:
    """Whatever an answer says: `for_s` ends it, no storm comes of it, and the job is stopped."""
    queue = Queue([0, *[told] * 1000], more_s=-99)
    with acme(tmp_path, queue, "acme.queue") as (stage, _):
        begun = time.monotonic()
        answer = ask(stage)
        took = time.monotonic() - begun

    assert (504, "upstream_poll_timeout") == (answer.status_code, answer.json()["error"]["code"])
    assert 1.9 < took < 4
    assert 0 < len(queue.looks) <= looks
    assert queue.deleted.is_set()


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (429, {"error": "slow down"}, (429, "rate_limit_exceeded", "slow down", "7")),
        (503, {"error": "later"}, (503, "upstream_overloaded", "later", "7")),
        (500, {"error": "oops"}, (502, "upstream_error", "oops", None)),
        (400, {"error": "bad client"}, (502, "upstream_auth", NO_TOKEN, None)),
        (401, {"error": "bad client"}, (502, "upstream_auth", NO_TOKEN, None)),
        (404, {"error": "nothing here"}, (502, "upstream_auth", NO_TOKEN, None)),
        (200, {"state": "failed", "reason": "closed"}, (502, "upstream_auth", NO_TOKEN, None)),
    ],
)
def test_a_token_call_that_fails(tmp_path: Path, status: int, body: Any, told: tuple[Any, ...]) -> None:
    """The error rules hold for it; only where they say nothing else is it the gateway's key that does not do."""

    async def play(wire: Wire, seen: Seen) -> bool:
        return await reply_json(body, f"{status} X", "content-type: application/json\r\nretry-after: 7\r\n")(wire, seen)

    with FakeUpstream(play) as upstream, staged(
        "acme.jobs", url=upstream.url, folder=tmp_path, mappings=MAPPINGS, environment=ENVIRONMENT
    ) as stage:  # fmt: skip
        answer = ask(stage)

    error = answer.json()["error"]
    assert told == (answer.status_code, error["code"], error["message"], answer.headers.get("retry-after"))
    assert ["POST /oauth/token"] == paths(upstream)


def test_a_callers_key_that_gets_no_token(tmp_path: Path) -> None:
    """The caller is told: it is not the gateway's key."""
    with acme(tmp_path, lambda seen: (400, {"error": "bad client"}), more="clients: {auth: pass_through}") as (
        stage,
        _,
    ):
        answer = ask(stage, key="caller:wrong")

    error = answer.json()["error"]
    assert (401, "invalid_api_key", "bad client") == (answer.status_code, error["code"], error["message"])


def test_polling_gives_up(tmp_path: Path) -> None:
    """After `for_s` the job is stopped upstream, and the client gets a timeout."""
    jobs = Jobs(polls=10_000)
    with acme(tmp_path, jobs) as (stage, upstream):
        begun = time.monotonic()
        answer = ask(stage)
        took = time.monotonic() - begun

    assert (504, "upstream_poll_timeout") == (answer.status_code, answer.json()["error"]["code"])
    assert 0.9 < took < 3
    assert "DELETE /api/jobs/job%2F1" == paths(upstream)[-1]


@pytest.mark.parametrize(("plate", "deleted"), [((200, {"text": "Soup."}), False), ((500, {"fault": "no"}), True)])
@pytest.mark.parametrize("stream", [False, True])
def test_a_job_whose_answer_fails_is_stopped(
    tmp_path: Path, plate: tuple[int, Any], deleted: bool, stream: bool
) -> None:
    """A later call fails: what was begun is stopped, once; it is not when all goes well."""
    queue = Queue([0])
    queue.plate = plate
    with acme(tmp_path, queue, "acme.queue") as (stage, upstream):
        answer = ask(stage, stream=stream)

    assert (502 if deleted else 200) == answer.status_code
    assert (1 if deleted else 0) == paths(upstream).count("DELETE /api/tickets/t1")


@pytest.mark.parametrize(
    ("live", "deleted"),
    [
        ([(200, '{"kind": "word", "t": "so"}\n{"kind": "done"}\n')], 0),
        ([(200, '{"kind": "word", "t": "so"}\n{"kind": "fire", "t": "help"}\n')], 1),
        ([(500, '{"fault": "no"}')], 1),
    ],
)
def test_a_job_whose_stream_fails_is_stopped(tmp_path: Path, live: list[tuple[int, str]], deleted: int) -> None:
    """A native stream behind another call: it breaks, or is not opened at all."""

    async def play(wire: Wire, seen: Seen) -> bool:
        status, body = live[0] if seen.target.endswith("/live") else (200, '{"id": "t1"}')
        kind = "application/x-ndjson" if body.endswith("\n") else "application/json"
        return await reply(body.encode(), f"{status} X", f"content-type: {kind}\r\n")(wire, seen)

    with FakeUpstream(play) as upstream, staged(
        "acme.kitchen", url=upstream.url, folder=tmp_path, mappings=MAPPINGS, environment=ENVIRONMENT
    ) as stage:  # fmt: skip
        stage.ask("hi")

    assert deleted == paths(upstream).count("DELETE /tickets/t1")


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_stops_the_job(tmp_path: Path, stream: bool) -> None:
    """Whole or streamed: what was begun for it is stopped upstream."""
    jobs = Jobs(polls=10_000)
    with acme(tmp_path, jobs) as (stage, upstream):
        sock = raw_chat(stage, "hi", stream=stream)
        stage.wait_for(lambda: len(upstream.requests) > 4)
        sock.close()
        assert jobs.deleted.wait(2)
        count = len(upstream.requests)
        time.sleep(0.3)
        assert count == len(upstream.requests)


def test_a_failed_job_is_the_clients_to_see(tmp_path: Path) -> None:
    """The error rules hold for every call of them."""
    jobs = Jobs()

    def answer(seen: Seen) -> tuple[int, Any]:
        return (200, {"state": "failed", "reason": "no luck"}) if seen.method == "GET" else jobs(seen)

    with acme(tmp_path, answer) as (stage, _):
        failed = ask(stage)

    assert (502, "no luck") == (failed.status_code, failed.json()["error"]["message"])


def test_an_address_of_somebody_else_is_not_followed(tmp_path: Path) -> None:
    """A result URL may lie on the endpoint's own origins only: the token goes nowhere else (R1)."""
    jobs = Jobs(polls=1)
    jobs.url = "https://evil.example"
    with acme(tmp_path, jobs) as (stage, _):
        answer = ask(stage)

    assert (502, "upstream_bad_response") == (answer.status_code, answer.json()["error"]["code"])


def test_a_key_in_the_body(tmp_path: Path) -> None:
    """A secret of two parts goes into the form, and no print shows it."""
    with acme(tmp_path, lambda seen: (200, {"text": "ho"}), "acme.keyed") as (stage, upstream):
        answer = ask(stage, "a&b")

    assert "ho" == answer.json()["choices"][0]["message"]["content"]
    sent = parse_qs(upstream.requests[0].body.decode())
    assert {"q": ["a&b"], "account": ["account-7"], "key": ["key-of-account"]} == sent


def test_explain_shows_what_is_sealed(tmp_path: Path) -> None:
    """The desk finishes a request as the sender does: credentials in their places, masked."""
    (tmp_path / "ask.json").write_text('{"model": "m", "messages": [{"role": "user", "content": "hi"}]}')
    where = ["--dialect", "openai.chat", "--endpoint", "acme.signed", "--mappings", str(MAPPINGS), "ask.json", "--json"]
    shown = json.loads(run_engine(["explain", *where], tmp_path).stdout)

    assert {"$.prompt": "hi"} == {row["path"]: row["value"] for row in shown["upstream body"]}
    assert "auth.authorization" in [row["path"] for row in shown["upstream request"]]


def test_an_unused_holder_leaves_nothing(tmp_path: Path) -> None:
    """Callers whose token cannot be had leave no trace in the gateway: strangers cannot make it grow."""
    with acme(tmp_path, lambda seen: (401, {})) as (stage, _):
        for _ in range(3):
            assert 502 == ask(stage).status_code
        tokens = stage.server._door.gateway.senders.tokens

    assert (0, 0) == (len(tokens._known), len(tokens._fetching))


def test_a_signature_of_known_bytes() -> None:
    """The test vector `get-vanilla` of AWS Signature Version 4, out of a recipe in YAML."""
    plan = catalog(MAPPINGS).endpoints["acme.signed"]
    keys = {"access_key": Secret("AKIDEXAMPLE"), "secret_key": Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")}
    target = target_for(plan, {})
    target.secrets["aws"].update(keys)
    scope = request_scope(target, {"model": "m", "messages": []}, {"id": "m"}, Context("req_1", 0))
    assert plan.models is not None

    request = build_call(target, plan.models.call, scope, json_codec())

    assert request.seal is not None
    headers = dict(request.seal.finish(None, 1440938160).headers)
    assert "20150830T123600Z" == headers["x-amz-date"]
    assert (
        headers["authorization"]
        .reveal()
        .endswith("Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")
    )
