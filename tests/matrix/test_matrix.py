"""Each dialect over each endpoint: the same conversation sounds the same, whoever speaks and whoever answers.

`docs/reference/matrix.md` is the table of what these tests prove; `python docs/generate.py` writes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import httpx
import pytest

from engine.language.catalog import load_catalog
from engine.language.features import REFUSED, features_of
from tests.matrix.speakers import SPEAKERS, Heard, OpenAIChat, Turn
from tests.running import Running, serving

MODEL: Final = "openai/gpt-4o-mini"
ENDPOINTS: Final = (
    "straico.prompt.v0", "straico.prompt.v1", "straico.chat.v0", "straico.chat.v2", "openai.chat",
    "anthropic.messages", "google.generate_content", "cohere.chat.v2", "ollama.chat",
)  # fmt: skip
PAIRS: Final = [(dialect, endpoint) for dialect in SPEAKERS for endpoint in ENDPOINTS]
WHOLE: Final = "This is a mock answer."

every_pair = pytest.mark.parametrize(("dialect", "endpoint"), PAIRS)
both_ways = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One gateway with every endpoint as an upstream that a caller may choose."""
    folder: Path = tmp_path_factory.mktemp("matrix")
    upstreams = "".join(f"  {each.replace('.', '-')}: {{endpoint: {each}}}\n" for each in ENDPOINTS)
    (folder / "engine.yaml").write_text(
        f"mapping: gateway/1\nupstreams:\n{upstreams}routes: {{all: {{to: straico-chat-v0}}}}\n"
        "clients: {auth: keys, keys: [{name: tester, env: TESTER, choose: true}]}\n"
    )
    with serving("--config", "engine.yaml", "--mock", folder=folder, more={"TESTER": "tester"}) as server:
        yield server


def ask(gateway: Running, dialect: str, endpoint: str, turn: Turn, model: str = MODEL) -> Heard:
    return SPEAKERS[dialect].ask(gateway.origin, model, turn, endpoint.replace(".", "-"))


@cache
def plans() -> dict[str, dict[str, str]]:
    """What the docs say of each endpoint."""
    return {name: features_of(plan) for name, plan in load_catalog().endpoints.items()}


def can(dialect: str, what: str) -> None:
    if what not in SPEAKERS[dialect].does:
        pytest.skip(f"{dialect} has no word for {what}")


@every_pair
@both_ways
def test_text(gateway: Running, dialect: str, endpoint: str, stream: bool) -> None:
    """Text, one finish reason, the tokens, an end."""
    heard = ask(gateway, dialect, endpoint, Turn("Good morning.", stream))

    assert (200, WHOLE, "stop", True) == (heard.status, heard.text, heard.finish, heard.ended)
    assert (12, 6) == heard.usage


@every_pair
@both_ways
def test_tools(gateway: Running, dialect: str, endpoint: str, stream: bool) -> None:
    """Two calls at once with words before them, both answered, then the answer."""
    can(dialect, "tools")
    heard = ask(gateway, dialect, endpoint, Turn("What is the weather?", stream, tools=True))

    assert (200, "tool_calls", True) == (heard.status, heard.finish, heard.ended)
    assert "Let me look." == (heard.text or heard.reasoning).strip()
    assert [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Oslo"})] == [
        (each["name"], json.loads(each["arguments"])) for each in heard.calls
    ]
    ids = [each["id"] for each in heard.calls]
    assert len(set(ids)) == 2 or dialect == "ollama"
    assert all(len(each.partition("_kept1_")[0]) <= 40 for each in ids)
    said = Turn("What is the weather?", stream, tools=True, answered=heard.calls, said=heard.text)
    answer = ask(gateway, dialect, endpoint, said)
    assert (200, "It is 21 degrees.", "stop", []) == (answer.status, answer.text, answer.finish, answer.calls)


@every_pair
@both_ways
def test_reasoning(gateway: Running, dialect: str, endpoint: str, stream: bool) -> None:
    """Thoughts stand beside the text, never in it."""
    can(dialect, "reasoning")
    heard = ask(gateway, dialect, endpoint, Turn("Please think.", stream))

    assert ("Forty-two.", "A hard one.", "stop") == (heard.text, heard.reasoning, heard.finish)


@every_pair
@both_ways
def test_json(gateway: Running, dialect: str, endpoint: str, stream: bool) -> None:
    """A wish for JSON is met or emulated."""
    can(dialect, "json")
    heard = ask(gateway, dialect, endpoint, Turn("The weather as JSON, please.", stream, as_json=True))

    assert (200, {"city": "Paris", "degrees": 21}, "stop") == (heard.status, json.loads(heard.text), heard.finish)


@every_pair
def test_pictures(gateway: Running, dialect: str, endpoint: str) -> None:
    """A picture is sent, or refused by name; it is never dropped."""
    can(dialect, "picture")
    heard = ask(gateway, dialect, endpoint, Turn("ping", picture=True))

    if plans()[endpoint]["pictures"] == REFUSED:
        assert 400 == heard.status
        assert heard.error is not None
        assert "image" in heard.error["message"]
    else:
        assert (200, "pong") == (heard.status, heard.text)


ASKED: Final = {
    "files": {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="}},
    "audio": {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
}


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("feature", ASKED)
def test_other_parts(gateway: Running, endpoint: str, feature: str) -> None:
    """What the docs call refused is refused by name, all else is sent."""
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "ping"}, ASKED[feature]]}],
    }
    headers = {"authorization": "Bearer tester", "x-engine-upstream": endpoint.replace(".", "-")}
    answer = httpx.post(f"{gateway.base_url}/chat/completions", json=body, headers=headers, timeout=30)

    assert (400 if plans()[endpoint][feature] == REFUSED else 200) == answer.status_code, answer.text


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_call_that_must_come(gateway: Running, endpoint: str) -> None:
    """`required` is obeyed, or refused by name where the endpoint cannot force a call."""
    body = OpenAIChat().body(MODEL, Turn("What is the weather?", tools=True)) | {"tool_choice": "required"}
    headers = {"authorization": "Bearer tester", "x-engine-upstream": endpoint.replace(".", "-")}
    answer = httpx.post(f"{gateway.base_url}/chat/completions", json=body, headers=headers, timeout=30)

    refused = plans()[endpoint]["forced tools"] == REFUSED
    assert (400 if refused else 200) == answer.status_code, answer.text
    assert refused == ("tool_choice" in str(answer.json().get("error")))


@every_pair
@both_ways
def test_an_answer_that_was_cut(gateway: Running, dialect: str, endpoint: str, stream: bool) -> None:
    """The limit of tokens is told as such."""
    heard = ask(gateway, dialect, endpoint, Turn("mock:cut", stream))

    assert (200, "This is a mock", "length", True) == (heard.status, heard.text, heard.finish, heard.ended)


STATUSES: Final = {"rate_limited": 429, "no_quota": 429, "too_long": 400, "server_error": 502, "overloaded": 503}
STRAICO: Final = {"no_quota": "no_coins", "too_long": "context_overflow", "overloaded": "empty_503"}
UNTOLD: Final = {("ollama.chat", "too_long")}


@every_pair
@pytest.mark.parametrize("failure", STATUSES)
def test_failures(gateway: Running, dialect: str, endpoint: str, failure: str) -> None:
    """The same failure has the same status from every endpoint, in the dialect's own shape, streamed or not."""
    name = STRAICO.get(failure, failure) if endpoint.startswith("straico") else failure
    whole = ask(gateway, dialect, endpoint, Turn(f"mock:{name}"))
    streamed = ask(gateway, dialect, endpoint, Turn(f"mock:{name}", stream=True))

    wanted = STATUSES[failure]
    if dialect == "anthropic.messages" and failure == "overloaded":
        wanted = 529
    assert (wanted, wanted) == (whole.status, streamed.status), (whole.error, streamed.error)
    assert whole.error is not None
    assert whole.error["message"]
    assert "mock-secret" not in str(whole.error)


@every_pair
@pytest.mark.parametrize("fault", ["error_event", "broken_off"])
def test_a_stream_that_fails(gateway: Running, dialect: str, endpoint: str, fault: str) -> None:
    """What came stays, then an error in the dialect's own shape; never a finish reason (R13)."""
    if endpoint.startswith("straico"):
        pytest.skip("it does not stream; tests/streams has the faults of its mock's streams")
    heard = ask(gateway, dialect, endpoint, Turn(f"mock:{fault}", stream=True))

    assert heard.text != WHOLE
    assert WHOLE.startswith(heard.text)
    assert (200, None, True) == (heard.status, heard.finish, heard.error is not None)


@every_pair
def test_an_unknown_model(gateway: Running, dialect: str, endpoint: str) -> None:
    """404 in every dialect."""
    heard = ask(gateway, dialect, endpoint, Turn("hi"), model="no-such/model")

    assert 404 == heard.status
