"""A gateway and a mock upstream in one process, with all that a stream test turns: config, mock options, clients."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import openai

from engine.language.catalog import Catalog, load_catalog
from engine.language.gateway_binding import bind_config
from engine.language.gateway_config import load_config
from engine.mock.server import MockServer
from engine.server.run import EngineServer, bind, make_server

ENDPOINTS = ("straico.prompt.v0", "straico.prompt.v1", "straico.chat.v0", "straico.chat.v2")
CHATS = ENDPOINTS[2:]
MODEL = "openai/gpt-4o-mini"
ENVIRONMENT = {"STRAICO_API_KEY": "sk-upstream-secret-1234567890"}
PAGES = Path(__file__).parent


@cache
def catalog(folder: Path = PAGES / "mappings") -> Catalog:
    """The shipped catalog and the endpoints of a folder of tests, read once."""
    return load_catalog([folder])


@dataclass
class Stage:
    """A gateway that listens, in front of a mock."""

    origin: str
    server: EngineServer
    mock: MockServer | None = None

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v1"

    @property
    def stats(self) -> Any:
        """The counters of streamed answers."""
        return self.server._door.gateway.stats()["streams"]

    def sdk(self, **options: Any) -> openai.OpenAI:
        return openai.OpenAI(base_url=self.base_url, api_key="any", max_retries=0, timeout=30, **options)

    def async_sdk(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=self.base_url, api_key="any", max_retries=0, timeout=30)

    def body(self, text: str, **fields: Any) -> dict[str, Any]:
        return {"model": MODEL, "messages": [{"role": "user", "content": text}], "stream": True, **fields}

    def ask(self, text: str, **fields: Any) -> Heard:
        """Stream one chat to its end."""
        with httpx.stream("POST", f"{self.base_url}/chat/completions", json=self.body(text, **fields), timeout=30) as r:
            begun = time.monotonic()
            pieces: list[tuple[float, bytes]] = []
            with contextlib.suppress(httpx.RemoteProtocolError):
                pieces = [(time.monotonic() - begun, piece) for piece in _each(r)]
            return Heard(r.status_code, dict(r.headers), pieces)

    def wait_for(self, found: Any, deadline_s: float = 5) -> None:
        """Wait until `found()` is true."""
        end = time.monotonic() + deadline_s
        while not found():
            assert time.monotonic() < end
            time.sleep(0.01)


def _each(answer: httpx.Response) -> Iterator[bytes]:
    yield from answer.iter_raw()


@dataclass
class Heard:
    """What a client got, and when: pieces as they came off the wire."""

    status: int
    headers: dict[str, str]
    pieces: list[tuple[float, bytes]]

    @property
    def bytes(self) -> bytes:
        return b"".join(piece for _, piece in self.pieces)

    @property
    def json(self) -> Any:
        return json.loads(self.bytes)

    @property
    def error(self) -> Any:
        """The error of a whole answer."""
        return self.json["error"]

    @property
    def comments(self) -> list[str]:
        return [line for line in self.bytes.decode().split("\n") if line.startswith(":")]

    @property
    def data(self) -> list[Any]:
        """The data of every event; `[DONE]` as the word."""
        texts = [line[6:] for line in self.bytes.decode().split("\n") if line.startswith("data: ")]
        return [text if text == "[DONE]" else json.loads(text) for text in texts]

    @property
    def chunks(self) -> list[Any]:
        return [each for each in self.data if isinstance(each, dict) and "choices" in each]

    @property
    def text(self) -> str:
        return "".join(c["delta"].get("content") or "" for chunk in self.chunks for c in chunk["choices"])

    @property
    def finishes(self) -> list[str]:
        found = [c["finish_reason"] for chunk in self.chunks for c in chunk["choices"]]
        return [reason for reason in found if reason is not None]

    @property
    def failures(self) -> list[Any]:
        return [each["error"] for each in self.data if isinstance(each, dict) and "error" in each]


@contextlib.contextmanager
def staged(
    endpoint: str,
    *,
    options: Mapping[str, Any] | None = None,
    upstream: str = "",
    more: str = "",
    url: str | None = None,
    folder: Path,
    mappings: Path = PAGES / "mappings",
    environment: Mapping[str, str] = ENVIRONMENT,
) -> Iterator[Stage]:
    """Serve one endpoint over its mock (or over `url`). `upstream` and `more` are lines of the config."""
    plans = catalog(mappings)
    with contextlib.ExitStack() as stack:
        mock: MockServer | None = None
        if url is None:
            mock = stack.enter_context(MockServer())
            mock.start(plans.mocks.values(), options=options)
            url = mock.url_of(endpoint)
        file = folder / "engine.yaml"
        file.write_text(
            f"mapping: gateway/1\nupstreams:\n  main: {{endpoint: {endpoint}, url: '{url}'{upstream}}}\n"
            f"routes: {{all: {{models: ['*'], to: main}}}}\n{more}\n"
        )
        config = bind_config(load_config(file, environment=environment), plans.endpoints, environment=environment)
        listener = stack.enter_context(contextlib.closing(bind("127.0.0.1", 0)))
        server = make_server(config, plans)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        end = time.monotonic() + 10
        while not server.started:
            assert time.monotonic() < end
            time.sleep(0.01)
        try:
            yield Stage(f"http://127.0.0.1:{listener.getsockname()[1]}", server, mock)
        finally:
            server.should_exit = True
            thread.join(15)
            assert not thread.is_alive()


def raw_chat(stage: Stage, text: str, *, receive_buffer: int | None = None, **fields: Any) -> socket.socket:
    """A chat on a socket of its own, its answer unread."""
    host, port = stage.origin.removeprefix("http://").split(":")
    sock = socket.socket()
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(30)
    sock.connect((host, int(port)))
    body = json.dumps(stage.body(text, **fields)).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: "
    sock.sendall(f"{head}{len(body)}\r\n\r\n".encode() + body)
    return sock
