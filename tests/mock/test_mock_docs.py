"""The page `docs/reference/mock.md` is true: its example answers as its table says, its tables are complete."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from engine.language.catalog import Catalog
from engine.language.kinds.mock_shape import BEHAVIOUR, MOCK, STREAM
from engine.mock.server import MockServer
from engine.translate.mock_plan import FAULTS, STREAM_FAULTS, STREAM_FRAMINGS

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "mock.md").read_text(encoding="utf-8")
KEY = {"authorization": "Bearer good-key"}


@pytest.fixture
def example(write_mapping: Callable[..., Catalog]) -> Iterator[tuple[MockServer, str]]:
    catalog = write_mapping(*re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
    assert catalog.problems.items == []
    with MockServer() as server:
        server.start(catalog.mocks.values())
        yield server, f"{server.url_of('acme.chat')}/chat"


def say(url: str, *texts: str, **headers: str) -> httpx.Response:
    messages = [{"role": ("user", "assistant")[index % 2], "content": text} for index, text in enumerate(texts)]
    return httpx.post(url, json={"model": "m", "messages": messages}, headers=KEY | headers)


def test_the_example_answers_as_the_table_says(example: tuple[MockServer, str]) -> None:
    """Row by row."""
    server, url = example
    refused = httpx.post(url, json={"model": "m"}, headers=KEY)
    talk = ["script:storm", "a", "go on", "b", "go on"]

    assert (httpx.post(url, json={}).status_code, httpx.post(url, json={}).json()) == (401, {"error": "bad key"})
    assert refused.status_code == 422
    assert "messages" in refused.json()["error"]
    assert say(url, "What is the weather?").json() == {"text": "It rains."}
    assert say(url, "Hello.").json() == {"text": "Turn 0."}
    limited = say(url, "Hello mock:limited")
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "7")
    with pytest.raises(httpx.ReadError):
        say(url, "Hello.", **{"x-mock": "gone"})
    assert [say(url, *talk[:n]).status_code for n in (1, 3, 5)] == [200, 200, 429]
    assert say(url, *talk[:3]).json() == {"text": "It pours."}
    assert say(url, "Hello.", "Turn 0.", "Again.").json() == {"text": "Turn 1."}
    assert server.state()["cancelled"] == 0


def test_the_example_streams(example: tuple[MockServer, str]) -> None:
    """The streaming mock of the page: words, a finish, the terminator; cut where its fault says so."""
    server, _ = example
    url = f"{server.base_url}/acme.chat.streaming/chat"
    whole, cut = (
        httpx.post(url, json={"stream": True}, headers={"x-mock": name}).text.split("\n\n")
        for name in ("default", "cut")
    )

    assert ['data: {"delta":"one"}', 'data: {"delta":"two"}'] == whole[:2]
    assert ['data: {"finish":"stop"}', "data: [DONE]", ""] == whole[-3:]
    assert [*whole[:2], ""] == cut
    assert {"text": "one two three"} == httpx.post(url, json={}).json()


def test_the_page_names_every_key_and_fault() -> None:
    """What the shape has, the page explains."""
    keys = set(MOCK.fields) - {"mapping", "id", "title", "doc"} | set(BEHAVIOUR.fields) | set(FAULTS)
    keys |= set(STREAM.fields) | set(STREAM_FAULTS) | set(STREAM_FRAMINGS)

    assert (
        sorted(key for key in keys if f"`{key}" not in PAGE and f"{key}`" not in PAGE and f", {key}," not in PAGE) == []
    )
