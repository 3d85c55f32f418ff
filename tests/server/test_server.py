"""The door from outside: a real server, a plain client, a scripted upstream."""

from __future__ import annotations

import json
import logging
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.fake_upstream import FakeUpstream, reply_json, slowly, then_silence
from tests.server.running import CHOOSER_KEY, CLIENT_KEY, KEY, Client, make_config, serving

HELLO = reply_json({"text": "hello"})

CONFIG = """
upstreams:
  main: {{endpoint: test.chat, url: "{url}", models: {{renamed: sent-name}}}}
  other: {{endpoint: test.chat, url: "{url}", options: {{flavour: sour}}}}
routes:
  tools: {{when: "=present(req.tools)", to: other}}
  default: {{to: main}}
aliases: {{nick: m}}
clients:
  auth: keys
  keys: [{{name: app, env: APP_KEY}}, {{name: chooser, env: CHOOSER_KEY, choose: true}}]
limits: {{body_bytes: 4096, headers_bytes: 4096, tools: 2}}
timeouts: {{receive_s: 0.5, headers_s: 0.5, first_byte_s: 5}}
cors: {{origins: ["https://app.example"]}}
drain_s: 3
"""


@pytest.fixture
def fake() -> Iterator[FakeUpstream]:
    with FakeUpstream(HELLO) as fake:
        yield fake


@pytest.fixture
def client(fake: FakeUpstream, tmp_path: Path) -> Iterator[Client]:
    with serving(make_config(CONFIG.format(url=fake.url), tmp_path)) as client:
        client.headers = {"authorization": f"Bearer {CLIENT_KEY}"}
        yield client


def test_chat(client: Client, fake: FakeUpstream) -> None:
    """A chat goes through, and headers say which way it went."""
    answer = client.chat()

    assert answer.status == 200, answer.body
    assert answer.json["choices"][0]["message"]["content"] == "hello"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-engine-upstream"] == "main"
    assert answer.headers["x-engine-endpoint"] == "test.chat"
    assert len(answer.headers["x-engine-generation"]) == 12
    assert answer.headers["x-request-id"].startswith("req_")
    assert fake.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert "server" not in answer.headers


def test_a_condition_routes(client: Client, fake: FakeUpstream) -> None:
    """`when` sees the canonical request; the refusal of tools comes from the upstream that it chose."""
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    answer = client.chat(tools=[tool])

    assert answer.headers["x-engine-upstream"] == "other"


def test_alias_and_renaming(client: Client, fake: FakeUpstream) -> None:
    """The upstream gets its own name; the client reads the name it asked for."""
    nick, renamed = client.chat(model="nick"), client.chat(model="renamed")

    assert [json.loads(seen.body)["model"] for seen in fake.requests] == ["m", "sent-name"]
    assert (nick.json["model"], renamed.json["model"]) == ("nick", "renamed")


def test_losses_are_told(client: Client) -> None:
    """What the endpoint cannot take is named in a header."""
    assert "top_p=dropped" in client.chat(top_p=0.5).headers["x-engine-losses"]


def test_models(client: Client, fake: FakeUpstream) -> None:
    """The list joins upstreams, renamed models and aliases, and is kept."""
    fake.script = [reply_json({"data": [{"id": "a/b"}, {"id": "m"}, {"id": "sent-name"}]})]
    first, second = client.send("GET", "/v1/models"), client.send("GET", "/v1/models")

    ids = [model["id"] for model in first.json["data"]]
    assert ids == ["a/b", "m", "sent-name", "renamed", "nick"]
    assert [model["id"] for model in second.json["data"]] == ids
    assert len(fake.requests) == 2, "one call for each upstream"


def test_a_stale_list_is_better_than_none(fake: FakeUpstream, tmp_path: Path) -> None:
    """When the upstream fails the last list stands in; without one the failure is told."""
    text = f'upstreams: {{main: {{endpoint: test.chat, url: "{fake.url}"}}}}\nmodels_cache_s: 0\n'
    fake.script = [reply_json({}, "500 No"), reply_json({"data": [{"id": "a"}]}), reply_json({}, "500 No")]
    with serving(make_config(text, tmp_path)) as client:
        answers = [client.send("GET", "/v1/models") for _ in range(3)]

    assert [answer.status for answer in answers] == [502, 200, 200]
    assert answers[2].json["data"][0]["id"] == "a"


@pytest.mark.parametrize("path", ["/v1/models/a/b", "/v1/models/a%2Fb", "/v1/models/a%2fb"])
def test_one_model_with_a_slash(client: Client, fake: FakeUpstream, path: str) -> None:
    """A slash in a model id may be escaped or not."""
    fake.script = [reply_json({"data": [{"id": "a/b"}]})]

    assert client.send("GET", path).json["id"] == "a/b"


def test_an_unknown_model(client: Client, fake: FakeUpstream) -> None:
    """404 in the dialect's words, with the nearest name."""
    fake.script = [reply_json({"data": [{"id": "model-one"}]})]
    answer = client.send("GET", "/v1/models/model-onne")

    assert (answer.status, answer.error["code"]) == (404, "model_not_found")
    assert "model-one" in answer.error["message"]


def test_head_is_get_without_a_body(client: Client, fake: FakeUpstream) -> None:
    """HEAD works wherever GET does."""
    fake.script = [reply_json({"data": []})]
    answer = client.send("HEAD", "/v1/models")

    assert (answer.status, answer.body) == (200, b"")


BAD_KEYS: list[tuple[str, dict[str, str]]] = [
    ("none", {}),
    ("wrong", {"authorization": "Bearer nonsense-key"}),
    ("prefix", {"authorization": f"Bearer {CLIENT_KEY[:-1]}"}),
    ("longer", {"authorization": f"Bearer {CLIENT_KEY}x"}),
    ("empty", {"authorization": "Bearer "}),
    ("basic", {"authorization": f"Basic {CLIENT_KEY}"}),
    ("bare", {"authorization": CLIENT_KEY}),
    ("two", {"authorization": f"Bearer {CLIENT_KEY}", "x-api-key": CHOOSER_KEY}),
    ("latin", {"x-api-key": "sch\u00fcssel"}),
]


@pytest.mark.parametrize("headers", [row[1] for row in BAD_KEYS], ids=[row[0] for row in BAD_KEYS])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/v1/models/x"])
def test_a_bad_key(client: Client, fake: FakeUpstream, headers: dict[str, str], path: str) -> None:
    """401 on every route, nothing quoted back, nothing sent on."""
    client.headers = {}
    answer = client.send("POST" if path.endswith("completions") else "GET", path, headers=headers)

    assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")
    assert answer.headers["x-should-retry"] == "false"
    for value in headers.values():
        quoted = value.removeprefix("Bearer").strip()
        assert not quoted or quoted not in answer.body.decode()
    assert not fake.requests


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": CLIENT_KEY},
        {"authorization": f"bearer {CLIENT_KEY}"},
        {"authorization": f"Bearer {CLIENT_KEY}", "x-api-key": CLIENT_KEY},
    ],
)
def test_a_good_key(client: Client, headers: dict[str, str]) -> None:
    """Either header will do, or both with the same key."""
    client.headers = {}

    assert client.chat(headers).status == 200


def test_choosing_the_upstream(client: Client) -> None:
    """Only a key that may choose is heard."""
    wanted = {"x-engine-upstream": "other"}
    refused = client.chat(wanted)
    client.headers = {"x-api-key": CHOOSER_KEY}
    chosen, unknown = client.chat(wanted), client.chat({"x-engine-upstream": "nope"})

    assert (refused.status, refused.error["code"]) == (403, "upstream_choice_denied")
    assert chosen.headers["x-engine-upstream"] == "other"
    assert (unknown.status, unknown.error["param"]) == (400, "x-engine-upstream")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("POST", "/v1/models", 405, "method_not_allowed"),
        ("TRACE", "/v1/models", 405, "method_not_allowed"),
        ("POST", "/v1/chat", 404, "unknown_url"),
        ("POST", "/v1/chat/completions/", 404, "unknown_url"),
        ("POST", "/v1/../v1/chat/completions", 404, "unknown_url"),
        ("POST", "/v1%2Fchat/completions", 404, "unknown_url"),
        ("GET", "/etc/passwd", 404, "unknown_url"),
        ("GET", "/v1/models/", 404, "unknown_url"),
    ],
)
def test_wrong_path_or_method(client: Client, method: str, path: str, status: int, code: str) -> None:
    """The dialect's own error object, and Allow where a method would do."""
    answer = client.send(method, path)

    assert (answer.status, answer.error["code"]) == (status, code)
    assert ("allow" in answer.headers) == (status == 405)


BAD_BODIES: list[tuple[str, bytes, str | None]] = [
    ("empty", b"", None),
    ("not JSON", b"{", None),
    ("array", b"[]", None),
    ("null", b"null", None),
    ("text", b'"hi"', None),
    ("NaN", b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "temperature": NaN}', None),
    ("overflow", b'{"model": "m", "temperature": 1e999}', None),
    ("duplicate", b'{"model": "a", "model": "b"}', "model"),
    ("surrogate", b'{"model": "\\ud800", "messages": []}', None),
    ("deep", b"[" * 1500 + b"]" * 1500, None),
    ("UTF-16", '{"model": "m"}'.encode("utf-16"), None),
    ("latin", '{"model": "\u00e4"}'.encode("latin-1"), None),
    ("no model", b'{"messages": [{"role": "user", "content": "x"}]}', "model"),
    ("no messages", b'{"model": "m"}', "messages"),
    ("long integer", b'{"model": "m", "seed": ' + b"9" * 3000 + b"}", None),
]


@pytest.mark.parametrize(("body", "param"), [row[1:] for row in BAD_BODIES], ids=[row[0] for row in BAD_BODIES])
def test_a_bad_body(client: Client, fake: FakeUpstream, body: bytes, param: str | None) -> None:
    """F49: always a 400 with the field named, never a 500."""
    answer = client.send("POST", "/v1/chat/completions", body)

    assert answer.status == 400, answer.body
    assert answer.error["type"] == "invalid_request_error"
    if param:
        assert answer.error["param"] == param
    assert not fake.requests


def test_too_many_tools(client: Client) -> None:
    """R8 counts, not only bytes."""
    tools = [{"type": "function", "function": {"name": f"f{n}", "parameters": {"type": "object"}}} for n in range(3)]
    answer = client.chat(tools=tools)

    assert (answer.status, answer.error["param"]) == (400, "tools")


def test_a_large_body_by_length(client: Client) -> None:
    """413 at once, before the body came."""
    answer = client.raw(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer " + CLIENT_KEY.encode() +
        b"\r\ncontent-length: 100000000\r\n\r\n"
    )  # fmt: skip

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer


def test_a_large_body_in_chunks(client: Client) -> None:
    """413 at the first byte over."""
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nx-api-key: "
    answer = client.raw(head + CLIENT_KEY.encode() + b"\r\n\r\n1388\r\n" + b" " * 5000 + b"\r\n")

    assert answer.startswith(b"HTTP/1.1 413 ")


def test_an_encoded_body(client: Client) -> None:
    """T8: no decompression of what clients send."""
    answer = client.send("POST", "/v1/chat/completions", b"x", {"content-encoding": "gzip"})

    assert (answer.status, answer.error["code"]) == (415, "unsupported_encoding")


def test_f47_a_body_that_does_not_arrive(client: Client) -> None:
    """408 after the deadline."""
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\nx-api-key: "
    answer = client.raw(head + CLIENT_KEY.encode() + b"\r\n\r\n{")

    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_head_that_does_not_arrive(client: Client) -> None:
    """T6: a head that stays open is closed after the deadline."""
    begun = time.monotonic()
    answer = client.raw(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n")

    assert answer == b""
    assert time.monotonic() - begun < 2


HOSTILE: list[tuple[str, bytes, bytes]] = [
    ("CL and TE", b"host: x\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n", b" 400 "),
    ("two lengths", b"host: x\r\ncontent-length: 2\r\ncontent-length: 3\r\n", b" 400 "),
    ("no host", b"", b" 400 "),
    ("two hosts", b"host: x\r\nhost: y\r\n", b" 400 "),
    ("host with a path", b"host: x/healthz?\r\n", b" 400 "),
    ("host with a space", b"host: a b\r\n", b" 400 "),
    ("large head", b"host: x\r\nx-big: " + b"a" * 5000 + b"\r\n", b" 431 "),
]


@pytest.mark.parametrize(("head", "status"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
def test_a_hostile_head(client: Client, fake: FakeUpstream, head: bytes, status: bytes) -> None:
    """F48, T24, T27: refused before anything is read, and the connection is closed."""
    key = b"x-api-key: " + CLIENT_KEY.encode() + b"\r\n"
    answer = client.raw(b"POST /v1/chat/completions HTTP/1.1\r\n" + head + key + b"\r\n")

    assert status in answer.split(b"\r\n")[0] + b" "
    assert b"connection: close" in answer.lower()
    assert not fake.requests


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"\x16\x03\x01\x00\xa5\x01\x00\x00", "This server speaks http://, and the client https://."),
        (b"BREW / HTTP/1.1\r\nhost: x\r\n\r\n", "This is not valid HTTP."),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "This is not valid HTTP."),
    ],
)
def test_what_is_no_http(client: Client, sent: bytes, said: str) -> None:
    """It is told in JSON, as every error is."""
    head, _, body = client.raw(sent).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 400 ")
    assert (json.loads(body)["error"]["message"], json.loads(body)["error"]["code"]) == (said, "invalid_http")


@pytest.mark.parametrize("wish", [b"h2c", b"websocket"])
def test_a_wish_for_another_protocol_is_passed_over(client: Client, wish: bytes) -> None:
    """The JDK's client asks for HTTP/2 by default; the body is this request's own, never a second one (T27)."""
    body = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: %b\r\n" % wish
    key = b"x-api-key: " + CLIENT_KEY.encode() + b"\r\nconnection: close\r\n"
    answer = client.raw(head + key + b"content-length: %d\r\n\r\n" % len(body) + body)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"invalid_json" in answer


def test_an_empty_line_before_a_request(client: Client) -> None:
    """RFC 9112 section 2.2."""
    answer = client.raw(b"\r\n\r\nGET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 200 ")


def test_a_head_without_end(client: Client) -> None:
    """A head that never ends is cut off."""
    answer = client.raw(b"POST / HTTP/1.1\r\nhost: x\r\n" + b"x-a: " + b"a" * 200_000)

    assert b"200 OK" not in answer


def test_f44_client_gone(client: Client, fake: FakeUpstream) -> None:
    """F44, R10: when the client leaves the upstream call ends within a second."""
    fake.script = [then_silence()]
    body = b'{"model":"m","messages":[{"role":"user","content":"x"}]}'
    with socket.create_connection(("127.0.0.1", client.port)) as sock:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: {CLIENT_KEY}\r\n"
        sock.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        deadline = time.monotonic() + 3
        while not fake.requests and time.monotonic() < deadline:
            time.sleep(0.01)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    assert fake.requests[0].gone.wait(1)


def _asks(times: int = 1) -> bytes:
    body = b'{"model":"m","messages":[{"role":"user","content":"x"}]}'
    key = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: {CLIENT_KEY}\r\n".encode()
    return (key + b"content-length: %d\r\n\r\n" % len(body) + body) * times


@pytest.mark.parametrize("times", [1, 2, 8])
def test_a_client_that_pipelines_and_leaves(client: Client, fake: FakeUpstream, times: int) -> None:
    """R10: the call that is under way ends, whatever waits behind it; what waits is not begun."""
    fake.script = [then_silence()]
    with socket.create_connection(("127.0.0.1", client.port)) as sock:
        sock.sendall(_asks())
        deadline = time.monotonic() + 3
        while not fake.requests and time.monotonic() < deadline:
            time.sleep(0.01)
        sock.sendall(_asks(times - 1))
        time.sleep(0.1)

    assert fake.requests[0].gone.wait(1)
    time.sleep(0.1)
    assert len(fake.requests) == 1


@pytest.mark.parametrize("more", [b"\r\n", b"POST /v1/chat"])
def test_the_next_head_cuts_no_answer(client: Client, fake: FakeUpstream, more: bytes) -> None:
    """A head has its time (`headers_s`, here 0.5 s) from the end of the answer before it."""
    fake.script = [slowly(1.2, HELLO)]
    with socket.create_connection(("127.0.0.1", client.port), timeout=5) as sock:
        sock.sendall(_asks())
        time.sleep(0.2)
        sock.sendall(more)
        answer = sock.recv(65536)

    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("upstream_status", "status", "code"),
    [("401 No", 502, "upstream_auth"), ("403 No", 502, "upstream_auth"), ("529 Busy", 503, "upstream_overloaded")],
)
def test_upstream_statuses(client: Client, fake: FakeUpstream, upstream_status: str, status: int, code: str) -> None:
    """F20, F22: what the upstream says about us is not what the client is told."""
    fake.script = [reply_json({"error": f"bad key {KEY}"}, upstream_status)]
    answer = client.chat()

    assert (answer.status, answer.error["code"]) == (status, code)
    assert KEY not in answer.body.decode()


def test_f15_an_html_page(client: Client, fake: FakeUpstream) -> None:
    """F15, F26: HTML never reaches the client."""
    fake.script = [reply_json("<html>secret 10.0.0.1</html>", "502 Bad Gateway", "content-type: text/html\r\n")]
    answer = client.chat()

    assert answer.status == 502
    assert b"html" not in answer.body


def test_probes_need_no_key(client: Client) -> None:
    """R25: alive and ready."""
    client.headers = {}

    assert client.send("GET", "/healthz").json == {"status": "ok"}
    assert client.send("GET", "/readyz").json["status"] == "ready"


def test_cors(client: Client) -> None:
    """Only the configured page may call, and may ask first without a key."""
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "authorization, x-stainless-os"}
    client.headers = {}
    good = client.send("OPTIONS", "/v1/chat/completions", headers={"origin": "https://app.example", **asks})
    bad = client.send("OPTIONS", "/v1/chat/completions", headers={"origin": "https://evil.example", **asks})
    call = client.chat({"origin": "https://app.example", "x-api-key": CLIENT_KEY})

    assert (good.status, good.headers["access-control-allow-origin"]) == (204, "https://app.example")
    assert good.headers["access-control-allow-headers"] == "authorization, x-stainless-os"
    assert "access-control-allow-origin" not in bad.headers
    assert call.headers["access-control-allow-origin"] == "https://app.example"


def test_an_internal_error_says_nothing(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """B7: a bug is a 500 in the dialect's shape with the request's id; no traceback leaves."""

    async def broken(call: Any, record: Any) -> Any:
        raise ZeroDivisionError(f"oops {KEY}")

    door = client.server.config.loaded_app.default
    monkeypatch.setattr(door.gateway, "answer", broken)
    monkeypatch.setattr(logging.getLogger("engine"), "disabled", True)
    answer = client.chat()

    assert (answer.status, answer.error["code"]) == (500, "internal_error")
    assert answer.headers["x-request-id"].startswith("req_")
    assert b"oops" not in answer.body
    assert b"Zero" not in answer.body


def test_draining(client: Client, fake: FakeUpstream) -> None:
    """R26: while draining probes say so and new work is refused, in the dialect's shape."""
    client.server.config.loaded_app.default.draining = True
    ready, chat = client.send("GET", "/readyz"), client.chat()

    assert ready.status == 503
    assert (chat.status, chat.error["code"]) == (503, "shutting_down")
    assert chat.headers["retry-after"] == "1"
    assert chat.headers["connection"] == "close"


def test_f51_requests_in_flight_finish(fake: FakeUpstream, tmp_path: Path) -> None:
    """F51: a stop lets what runs come to its end."""
    fake.script = [slowly(0.5, HELLO)]
    with serving(make_config(CONFIG.format(url=fake.url), tmp_path)) as client:
        client.headers = {"x-api-key": CLIENT_KEY}
        with socket.create_connection(("127.0.0.1", client.port), timeout=5) as sock:
            body = b'{"model":"m","messages":[{"role":"user","content":"x"}]}'
            head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: {CLIENT_KEY}\r\n"
            sock.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
            deadline = time.monotonic() + 3
            while not fake.requests and time.monotonic() < deadline:
                time.sleep(0.01)
            client.server.handle_exit(15, None)
            answer = sock.recv(65536)

    assert answer.startswith(b"HTTP/1.1 200 ")


def test_hidden_headers(fake: FakeUpstream, tmp_path: Path) -> None:
    """`expose.headers: false` leaves the request's id and nothing else of ours."""
    text = f'upstreams: {{main: {{endpoint: test.chat, url: "{fake.url}"}}}}\nexpose: {{headers: false}}\n'
    with serving(make_config(text, tmp_path)) as client:
        answer = client.chat(top_p=0.5)

    assert [name for name in answer.headers if name.startswith("x-")] == ["x-request-id"]


def test_pass_through(fake: FakeUpstream, tmp_path: Path) -> None:
    """The caller's key goes upstream, and an upstream's 401 is the caller's to see."""
    text = f'upstreams: {{main: {{endpoint: test.chat, url: "{fake.url}"}}}}\nclients: {{auth: pass_through}}\n'
    with serving(make_config(text, tmp_path)) as client:
        none = client.chat()
        good = client.chat({"authorization": "Bearer callers-own-key"})
        fake.script = [reply_json({"error": "no"}, "401 No")]
        bad = client.chat({"x-api-key": "callers-bad-key"})

    assert (none.status, good.status, bad.status) == (401, 200, 401)
    assert fake.requests[0].headers["authorization"] == "Bearer callers-own-key"
