"""LangChain and pydantic-ai in front of the gateway. Opt-in: each test is skipped where its package is not installed.

pip install langchain-openai langchain-anthropic langchain-ollama "pydantic-ai-slim[openai,anthropic]"
"""

from __future__ import annotations

import asyncio
import gc
import importlib
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from tests.clients.conftest import MODEL, Servers
from tests.running import Running

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]

PARIS = "The capital of France is Paris."
LAST = "It is 21 degrees in Paris and 9 in Oslo."
CITIES = ["Paris", "Oslo", "Oslo"]


class Weather(BaseModel):
    """The weather of a city."""

    city: str
    degrees: int


@pytest.fixture(autouse=True)
def sockets_of_frameworks() -> Iterator[None]:
    """They leave connections to the garbage collector; it runs here, where warnings are ignored."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def engine(servers: Servers) -> Running:
    """The server of the endpoint whose messages the mock reads best."""
    return servers["straico.chat.v2"]


def _chain(name: str, engine: Running) -> Any:
    """A LangChain chat model in one of the dialects."""
    if name == "ollama":
        return pytest.importorskip("langchain_ollama").ChatOllama(model=MODEL, base_url=engine.origin)
    if name == "anthropic":
        make = pytest.importorskip("langchain_anthropic").ChatAnthropic
        return make(model=MODEL, base_url=engine.origin, api_key="any", max_retries=0)
    make = pytest.importorskip("langchain_openai").ChatOpenAI
    responses = name == "openai responses"
    return make(model=MODEL, base_url=engine.base_url, api_key="any", max_retries=0, use_responses_api=responses)


@pytest.fixture(params=["openai", "openai responses", "anthropic", "ollama"])
def chain(request: pytest.FixtureRequest, engine: Running) -> Any:
    """A LangChain chat model per dialect."""
    return _chain(request.param, engine)


def test_langchain_asks_and_streams(chain: Any) -> None:
    """The same text, whole and in pieces, with the tokens counted."""
    answer = chain.invoke("capital of France")
    assert answer.text == PARIS
    assert (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]) == (12, 6)
    assert "".join(piece.text for piece in chain.stream("capital of France")) == PARIS


@pytest.mark.parametrize("streams", [False, True])
def test_a_langchain_loop(chain: Any, streams: bool) -> None:
    """bind_tools, results back, the last answer; streamed chunks add up to the same calls."""
    tools = importlib.import_module("langchain_core.tools")
    messages = importlib.import_module("langchain_core.messages")

    @tools.tool
    def get_weather(city: str, days: int) -> str:
        """The weather of a city."""
        return "21"

    bound = chain.bind_tools([get_weather])
    said: list[Any] = [messages.HumanMessage("script:agent weather")]
    called: list[str] = []
    for _ in range(4):
        if streams:
            chunks = list(bound.stream(said))
            answer = chunks[0]
            for chunk in chunks[1:]:
                answer += chunk
        else:
            answer = bound.invoke(said)
        said.append(answer)
        called += [call["args"]["city"] for call in answer.tool_calls]
        said += [get_weather.invoke(call) for call in answer.tool_calls]
        if not answer.tool_calls:
            break
    assert (called, answer.text) == (CITIES, LAST)


def test_langchain_structured_output(chain: Any) -> None:
    """`with_structured_output` by a JSON Schema."""
    structured = chain.with_structured_output(Weather, method="json_schema")
    assert structured.invoke("script:fenced weather") == Weather(city="Paris", degrees=21)


@pytest.fixture(params=["chat", "responses", "anthropic"])
def agent_model(request: pytest.FixtureRequest, engine: Running) -> Any:
    """A pydantic-ai model per dialect."""
    pytest.importorskip("pydantic_ai")
    if request.param == "anthropic":
        sdk = importlib.import_module("anthropic").AsyncAnthropic(base_url=engine.origin, api_key="any", max_retries=0)
        provider = importlib.import_module("pydantic_ai.providers.anthropic").AnthropicProvider(anthropic_client=sdk)
        return importlib.import_module("pydantic_ai.models.anthropic").AnthropicModel(MODEL, provider=provider)
    own = importlib.import_module("openai").AsyncOpenAI(base_url=engine.base_url, api_key="any", max_retries=0)
    provider = importlib.import_module("pydantic_ai.providers.openai").OpenAIProvider(openai_client=own)
    models = importlib.import_module("pydantic_ai.models.openai")
    kind = models.OpenAIChatModel if request.param == "chat" else models.OpenAIResponsesModel
    return kind(MODEL, provider=provider)


def test_pydantic_ai_runs_streams_and_parses(agent_model: Any) -> None:
    """An agent's plain run, a stream of text, an output by a model after a first try that was no JSON."""
    ai = importlib.import_module("pydantic_ai")

    async def work() -> tuple[str, str, Any]:
        agent = ai.Agent(agent_model)
        whole = (await agent.run("capital of France")).output
        async with agent.run_stream("capital of France") as stream:
            streamed = "".join([piece async for piece in stream.stream_text(delta=True)])
        parsing = ai.Agent(agent_model, output_type=ai.PromptedOutput(Weather))
        parsed = (await parsing.run("script:stubborn weather")).output
        await agent_model.client.close()
        return whole, streamed, parsed

    assert asyncio.run(work()) == (PARIS, PARIS, Weather(city="Paris", degrees=21))


def test_a_pydantic_ai_agent_uses_its_tools(agent_model: Any) -> None:
    """Its loop, with tool_choice and results in its own manner."""
    agent = importlib.import_module("pydantic_ai").Agent(agent_model)
    called: list[str] = []

    @agent.tool_plain  # type: ignore[untyped-decorator]
    def get_weather(city: str, days: int) -> str:
        called.append(city)
        return "21"

    async def work() -> str:
        output: str = (await agent.run("script:agent weather")).output
        await agent_model.client.close()
        return output

    assert (asyncio.run(work()), called) == (LAST, CITIES)
