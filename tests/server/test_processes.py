"""The server as a process: signals, exit statuses, several workers, the banner."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.gateway.fake_upstream import FakeUpstream, closed_port, reply_json, slowly
from tests.running import serving
from tests.server.running import ENVIRONMENT, MAPPINGS

ROOT = Path(__file__).parent.parent.parent
HELLO = reply_json({"text": "hello"})

PROGRAM = """
import os, sys
from pathlib import Path
from engine.language.catalog import load_catalog
from engine.language.gateway_binding import bind_config
from engine.language.gateway_config import load_config
from engine.server.run import run
config = load_config(Path(sys.argv[1]), environment=os.environ)
catalog = load_catalog(config.mappings)
sys.exit(run(bind_config(config, catalog.endpoints, environment=os.environ), catalog))
"""


@contextlib.contextmanager
def process(folder: Path, url: str, port: int, more: str = "") -> Iterator[subprocess.Popen[str]]:
    file = folder / "engine.yaml"
    file.write_text(
        f"mapping: gateway/1\nmappings: [{MAPPINGS}]\nlisten: {{port: {port}}}\n"
        f'upstreams: {{main: {{endpoint: test.chat, url: "{url}"}}}}\n{more}'
    )
    running = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM, str(file)],
        cwd=ROOT, env={**os.environ, **ENVIRONMENT}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield running
    finally:
        if running.poll() is None:
            running.send_signal(signal.SIGTERM)
            try:
                running.wait(10)
            except subprocess.TimeoutExpired:
                running.kill()
        running.wait()
        if running.stderr is not None:
            running.stderr.close()


def wait_ready(port: int) -> None:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                connection.close()
                return
        time.sleep(0.05)
    raise AssertionError("the server did not start")


def begin_chat(port: int) -> socket.socket:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}]}).encode()
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    return sock


def read_all(sock: socket.socket) -> bytes:
    received = b""
    while piece := sock.recv(65536):
        received += piece
    return received


def wait_for_call(fake: FakeUpstream) -> None:
    deadline = time.monotonic() + 5
    while not fake.requests and time.monotonic() < deadline:
        time.sleep(0.01)
    assert fake.requests


def test_f51_a_stop_lets_requests_finish_and_exits_0(tmp_path: Path) -> None:
    """F51: the answer in flight arrives whole; the banner has said where to point a client."""
    port = closed_port()
    with FakeUpstream(slowly(1, HELLO)) as fake, process(tmp_path, fake.url, port) as running:
        wait_ready(port)
        with begin_chat(port) as sock:
            wait_for_call(fake)
            running.send_signal(signal.SIGTERM)
            assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert running.wait(10) == 0
        assert running.stderr is not None
        text = running.stderr.read()

    assert f'base_url="http://127.0.0.1:{port}/v1"' in text
    assert f"every model -> main (test.chat) at {fake.url}" in text
    assert "Traceback" not in text
    assert ENVIRONMENT["TEST_API_KEY"] not in text


def test_f51_after_the_deadline_a_true_status(tmp_path: Path) -> None:
    """F51: what has not ended by then gets a 503, not silence."""
    port = closed_port()
    with FakeUpstream(slowly(30, HELLO)) as fake, process(tmp_path, fake.url, port, "drain_s: 1\n") as running:
        wait_ready(port)
        with begin_chat(port) as sock:
            wait_for_call(fake)
            running.send_signal(signal.SIGTERM)
            answer = read_all(sock)
        assert running.wait(10) == 0
        assert running.stderr is not None
        log = running.stderr.read()

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"shutting_down" in answer
    assert "status=503 code=shutting_down" in log
    assert "Traceback" not in log


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_f52_a_second_signal_ends_at_once(tmp_path: Path, second: signal.Signals) -> None:
    """F52: nobody waits any more."""
    port = closed_port()
    with FakeUpstream(slowly(30, HELLO)) as fake, process(tmp_path, fake.url, port) as running:
        wait_ready(port)
        with begin_chat(port):
            wait_for_call(fake)
            running.send_signal(signal.SIGTERM)
            time.sleep(0.4)
            begun = time.monotonic()
            running.send_signal(second)
            running.wait(10)

    assert time.monotonic() - begun < 3


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    """A server that would lose its whole log does not start."""
    with process(tmp_path, "http://127.0.0.1:1", 0, "log: {file: /nowhere/at/all.log}\n") as running:
        assert 1 == running.wait(15)
        assert running.stderr is not None
        text = running.stderr.read()

    assert "engine: cannot write to log.file /nowhere/at/all.log: No such file or directory\n" == text


def test_f60_a_port_in_use(tmp_path: Path) -> None:
    """F60: one line, exit 1."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with process(tmp_path, "http://127.0.0.1:1", port) as running:
            assert running.wait(15) == 1
            assert running.stderr is not None
            text = running.stderr.read()

    assert text == f"engine: cannot listen on 127.0.0.1:{port}: Address already in use\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="workers are forked")
def test_f67_workers_are_replaced_and_stop_together(tmp_path: Path) -> None:
    """F67: a killed worker is replaced; a signal to the parent ends all with exit 0."""
    port = closed_port()
    with FakeUpstream(HELLO) as fake, process(tmp_path, fake.url, port, "workers: 2\n") as running:
        wait_ready(port)
        time.sleep(0.3)
        first = children(running.pid)
        os.kill(first[0], signal.SIGKILL)
        deadline = time.monotonic() + 8
        while time.monotonic() < deadline and not set(children(running.pid)) - set(first):
            time.sleep(0.05)
        second = children(running.pid)
        with begin_chat(port) as sock:
            assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")
        running.send_signal(signal.SIGTERM)
        assert running.wait(15) == 0

    assert (len(first), len(second)) == (2, 2)
    assert first[0] not in second


def children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def test_a_callers_key_is_not_in_the_log(tmp_path: Path) -> None:
    """With pass-through the upstream gets it, and may quote it; no line and no printed message has it (T25)."""
    key = "sk-of-the-caller-1234567890"
    quoted = reply_json({"success": False, "error": f"Invalid API key {key}."}, status="422 Unprocessable Entity")
    with FakeUpstream(quoted) as upstream:
        (tmp_path / "engine.yaml").write_text(
            "mapping: gateway/1\n"
            f"upstreams: {{main: {{endpoint: straico.chat.v2, url: '{upstream.url}', secrets: "
            "{api_key: {client: key}}}}\n"
            "routes: {all: {models: ['*'], to: main}}\n"
            "log: {print: [client_request, upstream_request, upstream_reply, client_reply]}\n"
        )
        with serving("--config", str(tmp_path / "engine.yaml"), folder=tmp_path) as server:
            body = {"model": "m", "messages": [{"role": "user", "content": f"my key is {key}"}]}
            answer = httpx.post(
                f"{server.base_url}/chat/completions", json=body, headers={"authorization": f"Bearer {key}"}
            )
            log = server.wait_for("Invalid API key", 2)

    assert answer.status_code == 400, answer.text
    assert f"Bearer {key}" in upstream.requests[0].headers["authorization"]
    assert key not in log
    assert "Invalid API key ***" in log
