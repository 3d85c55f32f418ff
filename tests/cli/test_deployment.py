"""The commands that run something: serve, models, mock."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.desk import Cli

ROOT = Path(__file__).parent.parent.parent


@contextmanager
def running(*arguments: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """`engine` in a process of its own, stopped at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "engine", *arguments],
        cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


def _post(url: str, body: object) -> object:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as reply:
        return json.load(reply)


def test_serve_with_mocks_needs_no_key_and_no_network(desk: Path) -> None:
    """One command, and a client gets an answer; SIGTERM ends it with 0."""
    with running("serve", "--mock", "--endpoint", "acme.chat", "--port", "0", cwd=desk) as process:
        assert process.stderr is not None
        base = re.search(r"http://127.0.0.1:\d+", process.stderr.readline())
        assert base is not None
        answer = _post(f"{base[0]}/chat", {"model": "m", "messages": [{"role": "user", "content": "hi"}]})

    assert answer == {"answer": "hello"}
    assert process.returncode == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="workers are forked")
def test_every_worker_reaches_the_mock(desk: Path) -> None:
    """The mock lives in the parent: each worker alone, the other one held, gives an answer."""
    chat = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    with running("serve", "--mock", "--endpoint", "acme.chat", "--port", "0", "--workers", "2", cwd=desk) as process:
        assert process.stderr is not None
        base = re.search(r"http://127.0.0.1:\d+", process.stderr.readline())
        assert base is not None
        assert _post(f"{base[0]}/chat", chat) == {"answer": "hello"}
        found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, check=False)
        workers = [int(each) for each in found.stdout.split()]
        answers = [_while_held(worker, lambda: _post(f"{base[0]}/chat", chat)) for worker in workers]

    assert answers == [{"answer": "hello"}] * 2
    assert process.returncode == 0


def _while_held(worker: int, act: Callable[[], object]) -> object:
    os.kill(worker, signal.SIGSTOP)
    try:
        return act()
    finally:
        os.kill(worker, signal.SIGCONT)


def test_mock_prints_where_each_endpoint_is(desk: Path) -> None:
    """The printed base URL answers."""
    with running("mock", "--endpoint", "acme.chat", cwd=desk) as process:
        assert process.stdout is not None
        endpoint, url = process.stdout.readline().split()
        assert (endpoint, _post(f"{url}/chat", {"model": "m"})) == ("acme.chat", {"text": "hello"})

    assert process.returncode == 0


def test_mock_refuses_what_has_none(cli: Cli, desk: Path) -> None:
    """The message lists what there is."""
    done = cli("mock", "--endpoint", "acme.other")

    assert done.code == 2
    assert "acme.chat" in done.err


def test_serve_with_mocks_says_which_endpoints_have_none(cli: Cli, desk: Path) -> None:
    """An endpoint without a mock, nor a parent with one."""
    (desk / "mappings" / "chat.mock.yaml").unlink()

    done = cli("serve", "--mock", "--endpoint", "acme.chat", "--port", "0")

    assert done.code == 2
    assert "there is no mock for 'acme.chat'" in done.err
    assert "see docs/reference/mock.md" in done.err


def test_serve_refuses_a_broken_mapping_with_its_message(cli: Cli, desk: Path) -> None:
    """Nothing starts half."""
    path = desk / "mappings" / "chat.yaml"
    path.write_text(path.read_text().replace("=res.text", "=rez.text"))

    done = cli("serve", "--mock", "--endpoint", "acme.chat", "--port", "0")

    assert done.code == 1
    assert "error[E102]" in done.err


def test_serve_needs_an_upstream(cli: Cli, desk: Path) -> None:
    """Without a file and without --endpoint the message says what to do."""
    done = cli("serve", "--mock")

    assert done.code == 1
    assert "engine serve --endpoint" in done.err


def test_serve_names_a_missing_secret(cli: Cli, desk: Path) -> None:
    """The variable is named, and nothing is served without it."""
    done = cli("serve", "--endpoint", "acme.chat", "--port", "0")

    assert done.code == 1
    assert "ACME_API_KEY is not set" in done.err


def test_models_are_listed_through_the_mock(cli: Cli, shipped_endpoint: str) -> None:
    """The whole way: config, mock, HTTP, mapping, table."""
    rows = cli("models", "--endpoint", shipped_endpoint, "--mock", "--json").json

    assert rows
    assert all(row["id"] and row.get("kind", "chat") == "chat" for row in rows)
    assert rows[0]["id"] in cli("models", "--endpoint", shipped_endpoint, "--mock").out
