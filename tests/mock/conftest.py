"""A mock upstream with the shipped mocks, and a client for each endpoint that it stands for."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from mock_operations import GOOD_KEY, PATHS, Operation

from engine.language.catalog import Catalog
from engine.mock.server import MockServer


@pytest.fixture
def server(shipped: Catalog) -> Iterator[MockServer]:
    with MockServer() as running:
        running.start(plan for name, plan in shipped.mocks.items() if name.startswith("straico."))
        yield running


@pytest.fixture
def client(server: MockServer) -> Iterator[httpx.Client]:
    with httpx.Client(headers=GOOD_KEY, timeout=10, base_url=server.base_url) as made:
        yield made


@pytest.fixture(params=sorted(PATHS))
def operation(request: pytest.FixtureRequest, server: MockServer, client: httpx.Client) -> Operation:
    url = server.url_of(request.param)
    assert url is not None
    return Operation(request.param, url + PATHS[request.param], client)
