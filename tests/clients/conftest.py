"""One real server per endpoint, with the bundled mock behind it, and the SDKs' clients in front."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import anthropic
import httpx
import ollama
import openai
import pytest

from tests.running import Running, serving

ENDPOINTS = ("straico.prompt.v0", "straico.prompt.v1", "straico.chat.v0", "straico.chat.v2")
TWO_ENDPOINTS = ("straico.chat.v2", "straico.prompt.v1")
"""Messages and a single text: what is said of a dialect is said over both."""
MODEL = "openai/gpt-4o-mini"


class Servers:
    """The servers by endpoint, each started when it is first asked for."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._running: dict[str, Running] = {}
        self._failed: dict[str, str] = {}

    def __getitem__(self, endpoint: str) -> Running:
        if endpoint in self._failed:
            pytest.fail(self._failed[endpoint])
        if endpoint not in self._running:
            try:
                self._running[endpoint] = self._stack.enter_context(serving("--mock", "--endpoint", endpoint))
            except AssertionError as problem:
                self._failed[endpoint] = f"no server for {endpoint}: {problem}"
                raise
        return self._running[endpoint]


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """All four servers, for suites that compare them."""
    with ExitStack() as stack:
        yield Servers(stack)


@pytest.fixture(params=ENDPOINTS)
def server(request: pytest.FixtureRequest, servers: Servers) -> Running:
    """The server of one endpoint; a test that asks for it runs once per endpoint."""
    return servers[request.param]


@pytest.fixture(scope="session")
def http() -> Iterator[httpx.Client]:
    """A plain HTTP client; making one costs more than a request, so all tests share it."""
    with httpx.Client(timeout=30) as made:
        yield made


@pytest.fixture
def client(server: Running, http: httpx.Client) -> openai.OpenAI:
    """The SDK's client, without retries of its own."""
    return openai.OpenAI(base_url=server.base_url, api_key="any", max_retries=0, timeout=30, http_client=http)


@pytest.fixture
def make_async_client(server: Running) -> partial[openai.AsyncOpenAI]:
    """Makes the SDK's asynchronous client; it belongs into the test's own event loop."""
    return partial(openai.AsyncOpenAI, base_url=server.base_url, api_key="any", max_retries=0, timeout=30)


@pytest.fixture(params=TWO_ENDPOINTS)
def one_of_two(request: pytest.FixtureRequest, servers: Servers) -> Running:
    """The server of one of two endpoints, one with messages and one with a single text."""
    return servers[request.param]


@pytest.fixture
def claude(one_of_two: Running) -> Iterator[anthropic.Anthropic]:
    """Anthropic's client, without retries of its own."""
    with anthropic.Anthropic(base_url=one_of_two.origin, api_key="any", max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture
def llama(one_of_two: Running) -> Iterator[ollama.Client]:
    """Ollama's client."""
    with ollama.Client(one_of_two.origin) as client:
        yield client


@pytest.fixture
def gpt(one_of_two: Running, http: httpx.Client) -> openai.OpenAI:
    """OpenAI's client, over two endpoints instead of all."""
    return openai.OpenAI(base_url=one_of_two.base_url, api_key="any", max_retries=0, timeout=30, http_client=http)
