"""Starting and stopping a mock upstream: inside a running event loop, or in a thread of its own for tests.

with MockServer() as server:
    base_url = server.start(catalog.mocks.values())
    ...
    assert server.state()["cancelled"] == 1
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from types import TracebackType

from engine.mock.choosing import Chooser
from engine.mock.connection import MockConnection
from engine.mock.ledger import Ledger
from engine.translate.mock_plan import MockPlan
from engine.types import Json, JsonObject


class RunningMock:
    """A mock upstream that listens. `base_url` is its origin, such as `http://127.0.0.1:41234`."""

    def __init__(
        self, server: asyncio.Server, chooser: Chooser, ledger: Ledger, connections: set[MockConnection]
    ) -> None:
        self._server = server
        self._chooser = chooser
        self._connections = connections
        self.ledger = ledger
        self.base_url = _origin(server)

    def url_of(self, endpoint: str) -> str | None:
        """The base URL that stands in for an endpoint's own; None when no mock serves the endpoint."""
        return mock_url(self.base_url, self._chooser.plans.values(), endpoint)

    async def wait_closed(self) -> None:
        """Wait until the mock is closed (for a command that does nothing else)."""
        await self._server.wait_closed()

    async def close(self) -> None:
        """Stop listening and end every connection."""
        self._server.close()
        for connection in list(self._connections):
            connection.close()
        # A turn of the loop lets the sockets go before it may end.
        await asyncio.sleep(0)


async def serve_mock(
    plans: Iterable[MockPlan], host: str = "127.0.0.1", port: int = 0, options: Mapping[str, Json] | None = None
) -> RunningMock:
    """Serve mocks in the running loop until `close()`. Port 0 takes a free one. Raises OSError if it is taken.

    `options` are values for the mocks that declare them.
    """
    chooser, ledger = Chooser(plans, options), Ledger()
    connections: set[MockConnection] = set()
    server = await asyncio.get_running_loop().create_server(
        lambda: MockConnection(chooser, ledger, connections), host, port, backlog=512
    )
    return RunningMock(server, chooser, ledger, connections)


def mock_url(base_url: str, plans: Iterable[MockPlan], endpoint: str) -> str | None:
    """Where below `base_url` the mock of an endpoint is: a path of its own, so that several mocks share a port."""
    found = next((plan.id for plan in plans if endpoint in plan.serves), None)
    return None if found is None else f"{base_url}/{found}"


def _origin(server: asyncio.Server) -> str:
    host, port = server.sockets[0].getsockname()[:2]
    named = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{named}:{port}"


class MockServer:
    """A mock upstream in a thread with a loop of its own; a context manager that stops it."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._running: RunningMock

    def start(
        self,
        plans: Iterable[MockPlan],
        host: str = "127.0.0.1",
        port: int = 0,
        options: Mapping[str, Json] | None = None,
    ) -> str:
        """Start serving and return the base URL. Raises OSError if the port is taken."""
        if self._thread is not None:
            raise RuntimeError("this mock server runs already")
        ready: Future[RunningMock] = Future()
        wanted, given = tuple(plans), dict(options or {})
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(wanted, host, port, given, ready)), name="mock-upstream", daemon=True
        )
        self._thread.start()
        try:
            self._running = ready.result()
        except OSError:
            self._join()
            raise
        return self._running.base_url

    async def _serve(
        self,
        plans: tuple[MockPlan, ...],
        host: str,
        port: int,
        options: Mapping[str, Json],
        ready: Future[RunningMock],
    ) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            running = await serve_mock(plans, host, port, options)
        except OSError as problem:
            ready.set_exception(problem)
            return
        ready.set_result(running)
        await self._stop.wait()
        await running.close()

    def stop(self) -> None:
        """Stop serving; a server that does not run is left alone."""
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._join()

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    @property
    def base_url(self) -> str:
        """The origin of the running server."""
        return self._running.base_url

    def url_of(self, endpoint: str) -> str | None:
        """The base URL that stands in for an endpoint's own; None when no mock serves it."""
        return self._running.url_of(endpoint)

    def requests(self) -> list[JsonObject]:
        """The last requests, oldest first; see `Ledger`."""
        return self._running.ledger.requests()

    def state(self) -> dict[str, int]:
        """`{open, cancelled, served}`."""
        return self._running.ledger.state()

    def clear(self) -> None:
        """Forget the requests and the counts."""
        self._running.ledger.clear()

    def __enter__(self) -> MockServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
