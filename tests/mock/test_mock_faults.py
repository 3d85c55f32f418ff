"""Faults seen from a raw socket, since a client library would hide what exactly is broken."""

from __future__ import annotations

import json
import socket
import time
from urllib.parse import urlsplit

import pytest
from mock_operations import PATHS

from engine.mock.server import MockServer

BODY = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}


def send(server: MockServer, fault: str) -> socket.socket:
    parts = urlsplit(server.base_url)
    peer = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=5)
    body = json.dumps(BODY).encode()
    head = (
        f"POST {PATHS['straico.chat.v0']} HTTP/1.1\r\nhost: mock\r\nauthorization: Bearer k\r\nx-mock: {fault}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    peer.sendall(head.encode() + body)
    return peer


def read_answer(peer: socket.socket, *, quiet_s: float = 0.3) -> tuple[dict[str, str], bytes, bool]:
    """Headers, what came behind them, and whether the peer closed."""
    data, closed = b"", False
    peer.settimeout(quiet_s)
    try:
        while not closed:
            piece = peer.recv(65536)
            data, closed = data + piece, not piece
    except TimeoutError:
        pass
    head, _, rest = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")[1:]
    return dict(line.split(": ", 1) for line in lines), rest, closed


def test_reset_gives_no_byte_and_a_reset(server: MockServer) -> None:
    """The caller sees ECONNRESET, not a clean end."""
    with send(server, "reset") as peer, pytest.raises(ConnectionResetError):
        peer.recv(1)


def test_half_body_ends_clean_in_the_middle(server: MockServer) -> None:
    """The head promises twice of what comes before the end."""
    with send(server, "half_body") as peer:
        headers, rest, closed = read_answer(peer)

    assert closed
    assert int(headers["content-length"]) // 2 == len(rest)


def test_silence_is_silent_until_the_caller_leaves(server: MockServer) -> None:
    """Nothing comes; the call is open, then cancelled."""
    with send(server, "silence") as peer:
        headers, rest, closed = read_answer(peer)
        assert (headers, rest, closed) == ({}, b"", False)
        assert server.state() == {"open": 1, "cancelled": 0, "served": 0}

    wait_for(server, {"open": 0, "cancelled": 1, "served": 0})


def test_bad_json_is_framed_well(server: MockServer) -> None:
    """The length is right, the JSON is cut."""
    with send(server, "bad_json") as peer:
        headers, rest, closed = read_answer(peer)

    assert not closed
    assert int(headers["content-length"]) == len(rest)
    with pytest.raises(ValueError, match="Unterminated"):
        json.loads(rest)


def test_wrong_length_has_more_than_it_says(server: MockServer) -> None:
    """What is too much stands where the next answer would begin."""
    with send(server, "wrong_length") as peer:
        headers, rest, _ = read_answer(peer)

    assert int(headers["content-length"]) < len(rest)
    assert json.loads(rest)["choices"]


def wait_for(server: MockServer, state: dict[str, int]) -> None:
    """Wait until the server's counts are these: the end of a connection takes a moment to arrive."""
    deadline = time.monotonic() + 5
    while server.state() != state and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.state() == state
