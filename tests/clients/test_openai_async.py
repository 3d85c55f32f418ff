"""openai-python, asynchronous: the same answers, and many at once."""

from __future__ import annotations

import asyncio
from functools import partial

import openai
import pytest

from tests.clients.conftest import MODEL

pytestmark = pytest.mark.clients

MakeClient = partial[openai.AsyncOpenAI]


def test_chat_and_models(make_async_client: MakeClient) -> None:
    """A chat and the models through the asynchronous client."""

    async def talk() -> None:
        async with make_async_client() as client:
            messages = [{"role": "user", "content": [{"type": "text", "text": "capital of France"}]}]
            answer = await client.chat.completions.create(model=MODEL, messages=messages)
            assert answer.choices[0].message.content == "The capital of France is Paris."
            assert MODEL in [model.id async for model in client.models.list()]
            assert (await client.models.retrieve(MODEL)).id == MODEL

    asyncio.run(talk())


def test_failures_are_the_same_classes(make_async_client: MakeClient) -> None:
    """Exceptions do not depend on the client's colour."""

    async def talk() -> None:
        async with make_async_client() as client:
            expected = {
                "mock:rate_limited": openai.RateLimitError,
                "mock:context_overflow": openai.BadRequestError,
                "mock:html_502": openai.InternalServerError,
            }
            for text, kind in expected.items():
                with pytest.raises(kind):
                    await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": text}])

    asyncio.run(talk())


def test_many_at_once_do_not_mix(make_async_client: MakeClient) -> None:
    """Forty questions at a time: each gets its own answer, under an id of its own."""

    async def talk() -> None:
        async with make_async_client() as client:

            async def one(number: int) -> tuple[str | None, str]:
                answer = await client.chat.completions.create(
                    model=MODEL, messages=[{"role": "user", "content": f"echo: number {number}"}]
                )
                return answer.choices[0].message.content, answer.id

            heard = await asyncio.gather(*(one(number) for number in range(40)))
        assert [text for text, _ in heard] == [f"number {number}" for number in range(40)]
        assert len({identifier for _, identifier in heard}) == 40

    asyncio.run(talk())


def test_a_client_that_leaves_ends_its_call(make_async_client: MakeClient) -> None:
    """A timeout of the client is a timeout, and the server goes on serving."""

    async def talk() -> None:
        async with make_async_client() as client:
            slow = [{"role": "user", "content": "mock:slow"}]
            with pytest.raises(openai.APITimeoutError):
                await client.chat.completions.create(model=MODEL, messages=slow, timeout=0.3)
            again = await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "ping"}])
            assert again.choices[0].message.content == "pong"

    asyncio.run(talk())
