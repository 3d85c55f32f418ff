"""A real server on loopback: uvicorn in a thread, the test mapping in front of a scripted upstream."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.config import GatewayConfig
from engine.language.catalog import Catalog, load_catalog
from engine.language.gateway_binding import bind_config
from engine.language.gateway_config import load_config
from engine.server.run import EngineServer, bind, make_server

MAPPINGS = Path(__file__).parent.parent / "gateway" / "mappings"
KEY = "sk-upstream-secret-1234567890"
CLIENT_KEY = "client-key-abcdef-1234"
CHOOSER_KEY = "chooser-key-abcdef-1234"
ENVIRONMENT = {"TEST_API_KEY": KEY, "APP_KEY": CLIENT_KEY, "CHOOSER_KEY": CHOOSER_KEY}

_CATALOG: list[Catalog] = []


def catalog() -> Catalog:
    """The shipped catalog and the test endpoint, loaded once."""
    if not _CATALOG:
        _CATALOG.append(load_catalog([MAPPINGS]))
    return _CATALOG[0]


def make_config(text: str, folder: Path, environment: Mapping[str, str] | None = None) -> GatewayConfig:
    """A bound config from the text of a file."""
    file = folder / "engine.yaml"
    file.write_text("mapping: gateway/1\n" + text)
    variables = {**ENVIRONMENT, **(environment or {})}
    config = load_config(file, environment=variables)
    return bind_config(config, catalog().endpoints, environment=variables)


@dataclass
class Answer:
    """What a client got."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        error = self.json["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return error


@dataclass
class Client:
    """A plain HTTP client that sends what it is told."""

    port: int
    server: EngineServer
    headers: dict[str, str] = field(default_factory=dict)

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body=body, headers={**self.headers, **(headers or {})})
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    def chat(self, headers: Mapping[str, str] | None = None, **fields: Any) -> Answer:
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
        return self.send("POST", "/v1/chat/completions", json.dumps(body).encode(), headers)

    def raw(self, data: bytes, wait_s: float = 5) -> bytes:
        """Send bytes on a socket of their own and read until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait_s) as sock:
            sock.sendall(data)
            received = b""
            with contextlib.suppress(TimeoutError, ConnectionError):
                while piece := sock.recv(65536):
                    received += piece
            return received


@contextlib.contextmanager
def serving(config: GatewayConfig) -> Iterator[Client]:
    """Serve a config until the block ends."""
    listener = bind("127.0.0.1", 0)
    server = make_server(config, catalog())
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    try:
        yield Client(listener.getsockname()[1], server)
    finally:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()
