"""Running the server: one socket, one banner, one or more processes, an orderly end.

Stop     the first SIGTERM or SIGINT: readiness off, no new connection, requests in flight finish within `drain_s`,
         exit 0 (R26, F51). The second: at once (F52).
Raises   nothing for a port that is taken: one line on standard error and exit status 1 (F60).
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from types import FrameType

import orjson
import uvicorn

from engine.config import GatewayConfig
from engine.gateway.gateway import Plans
from engine.gateway.log import LogWriter
from engine.gateway.scrubbing import Scrubber
from engine.gateway.targets import configured_secrets
from engine.language.json_schema import violation
from engine.server.app import Door, create_app
from engine.server.banner import banner
from engine.server.protocol import make_protocol
from engine.server.supervisor import Supervisor
from engine.translate.plan import Codec
from engine.types import Json

BACKLOG = 2048


def json_codec() -> Codec:
    """The engine's JSON for everything but client bodies: orjson, compact, keys in their order."""
    return Codec(loads=orjson.loads, dumps=_dumps, violation=violation)


def _dumps(value: Json) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:
        # orjson refuses integers above 64 bits; a client may send them, and they must arrive as they are (P3).
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


class EngineServer(uvicorn.Server):
    """uvicorn's server with our way to stop: the door drains first, and the exit status stays 0."""

    def __init__(self, config: uvicorn.Config, door: Door) -> None:
        super().__init__(config)
        self._door = door

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal begins to drain, the second ends it."""
        if self._door.draining:
            self.force_exit = True
        self._door.draining = True
        self.should_exit = True


def run(config: GatewayConfig, catalog: Plans) -> int:
    """Serve until a signal stops it. `config` must be bound to the catalog. Returns the process's exit status."""
    try:
        listener = bind(config.listen.host, config.listen.port)
    except OSError as problem:
        place = f"{config.listen.host}:{config.listen.port}"
        sys.stderr.write(f"engine: cannot listen on {place}: {problem.strerror or problem}\n")
        return 1
    if config.log.file:
        try:
            Path(config.log.file).open("a", encoding="utf-8").close()
        except OSError as problem:
            listener.close()
            sys.stderr.write(f"engine: cannot write to log.file {config.log.file}: {problem.strerror or problem}\n")
            return 1
    sys.stderr.write(banner(config, catalog, listener.getsockname()[1]) + "\n")
    if config.workers == 1:
        return serve(config, catalog, listener)
    return Supervisor(config.workers, lambda: serve(config, catalog, listener)).run()


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def serve(config: GatewayConfig, catalog: Plans, listener: socket.socket) -> int:
    """Serve on a listening socket in this process until a signal comes."""
    scrubber = Scrubber(configured_secrets(config.upstreams))
    writer = LogWriter(config.log, scrubber)
    writer.start()
    try:
        make_server(config, catalog, scrubber).run(sockets=[listener])
    finally:
        writer.stop()
    return 0


def make_server(config: GatewayConfig, catalog: Plans, scrubber: Scrubber | None = None) -> EngineServer:
    """The server object, not yet running; a test runs it in a thread and sets `should_exit`.

    `scrubber` is the one of the log: what the gateway learns must not be written there either.
    """
    app, door = create_app(config, catalog, json_codec(), scrubber)
    settings = uvicorn.Config(
        app,
        loop="uvloop",
        http=make_protocol(config),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=max(1, round(config.timeouts.keep_alive_s)),
        timeout_graceful_shutdown=round(config.drain_s),
        backlog=BACKLOG,
    )
    return EngineServer(settings, door)
