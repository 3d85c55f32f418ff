"""ollama-python over endpoints that know nothing of it: chat, generate, tools without ids, the lists, the errors."""

from __future__ import annotations

import json
from typing import Any

import httpx
import ollama
import pytest
from ollama import ChatResponse, GenerateResponse, ListResponse, ShowResponse
from pydantic import BaseModel

from tests.clients.conftest import MODEL
from tests.running import Running

pytestmark = pytest.mark.clients

FRANCE = [{"role": "user", "content": "What is the capital of France?"}]
PARIS = "The capital of France is Paris."


def get_weather(city: str, days: int) -> str:
    """The weather of a city.

    Args:
        city: where
        days: for how long
    """
    return f"21 degrees in {city} for {days}"


def test_an_answer_is_exactly_of_the_sdks_type(one_of_two: Running, http: httpx.Client) -> None:
    """What was sent is a valid ChatResponse, and tells how long it took."""
    body = {"model": MODEL, "messages": FRANCE, "stream": False}
    sent = http.post(f"{one_of_two.origin}/api/chat", json=body).json()
    answer = ChatResponse.model_validate(sent)
    assert (answer.message.role, answer.message.content, answer.done, answer.done_reason) == (
        "assistant",
        PARIS,
        True,
        "stop",
    )
    assert (answer.model, answer.prompt_eval_count, answer.eval_count) == (MODEL, 12, 6)
    assert answer.total_duration is not None
    assert 0 < answer.total_duration < 10_000_000_000


def test_a_stream_adds_up_and_ends_once(llama: ollama.Client) -> None:
    """Only the last line is done; the pieces make the whole answer."""
    lines = list(llama.chat(MODEL, FRANCE, stream=True))
    assert "".join(line.message.content or "" for line in lines) == PARIS
    assert [bool(line.done) for line in lines] == [False] * (len(lines) - 1) + [True]
    assert (lines[-1].done_reason, lines[-1].eval_count) == ("stop", 6)
    assert (lines[-1].total_duration or 0) > 0


def test_streaming_is_the_default_of_the_wire(one_of_two: Running, http: httpx.Client) -> None:
    """A body that does not speak of streaming gets NDJSON; one without a content type is read all the same."""
    body = json.dumps({"model": MODEL, "messages": FRANCE}).encode()
    request = http.build_request("POST", f"{one_of_two.origin}/api/chat", content=body)
    assert "content-type" not in request.headers
    answer = http.send(request)
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert json.loads(answer.text.splitlines()[-1])["done"] is True


def test_no_line_end_hides_in_a_line(one_of_two: Running, http: httpx.Client) -> None:
    """The Python client splits with `splitlines`, which breaks at U+2028, U+2029 and U+0085 (they come escaped)."""
    text = "a\u2028b\u2029c\u0085d"
    body = {"model": MODEL, "messages": [{"role": "user", "content": f"echo: {text}"}]}
    lines = http.post(f"{one_of_two.origin}/api/chat", json=body).text.splitlines()
    assert "".join(json.loads(line)["message"]["content"] for line in lines) == text


@pytest.mark.parametrize("streams", [False, True])
def test_tools_given_as_functions_without_ids(llama: ollama.Client, streams: bool) -> None:
    """The SDK's own loop: calls with parsed arguments, results by `tool_name` only, an answer at the end."""
    messages: list[Any] = [{"role": "user", "content": "script:agent weather"}]
    called = []
    for _ in range(4):
        if streams:
            lines = list(llama.chat(MODEL, messages, tools=[get_weather], stream=True))
            calls = [call for line in lines for call in line.message.tool_calls or []]
            text = "".join(line.message.content or "" for line in lines)
            messages.append({"role": "assistant", "content": text, "tool_calls": calls})
        else:
            message = llama.chat(MODEL, messages, tools=[get_weather]).message
            calls, text = list(message.tool_calls or []), message.content or ""
            messages.append(message)
        called += [dict(call.function.arguments) for call in calls]
        for call in calls:
            result = get_weather(**call.function.arguments)
            messages.append({"role": "tool", "tool_name": call.function.name, "content": result})
        if not calls:
            break
    assert called == [{"city": "Paris", "days": 2}, {"city": "Oslo", "days": 1}, {"city": "Oslo", "days": 3}]
    assert text == "It is 21 degrees in Paris and 9 in Oslo."


def test_an_answer_by_a_schema(llama: ollama.Client) -> None:
    """`format` as a JSON Schema, as the SDK's users give it."""

    class Weather(BaseModel):
        city: str
        degrees: int

    asked = [{"role": "user", "content": "script:stubborn weather"}]
    answer = llama.chat(MODEL, asked, format=Weather.model_json_schema(), options={"temperature": 0})
    assert Weather.model_validate_json(answer.message.content or "") == Weather(city="Paris", degrees=21)
    fenced = [{"role": "user", "content": "script:fenced weather"}]
    assert json.loads(llama.chat(MODEL, fenced, format="json").message.content or "")["city"] == "Paris"


def test_generate_whole_and_streamed(llama: ollama.Client) -> None:
    """A prompt with a system text in, text out."""
    whole = llama.generate(MODEL, "ping", system="Be brief.", options={"num_predict": 20})
    assert GenerateResponse.model_validate(whole.model_dump()).response == "pong"
    lines = list(llama.generate(MODEL, "ping", stream=True))
    assert ("".join(line.response for line in lines), lines[-1].done) == ("pong", True)


def test_thinking_is_a_field_of_its_own(llama: ollama.Client) -> None:
    """Reasoning is told apart from the answer, whole and streamed, and may come back."""
    asked: list[Any] = [{"role": "user", "content": "mock:reasoning"}]
    message = llama.chat(MODEL, asked, think=True).message
    assert (message.content, message.thinking) == ("42.", "I thought about it.")
    lines = list(llama.chat(MODEL, asked, think=True, stream=True))
    assert "".join(line.message.thinking or "" for line in lines) == "I thought about it."
    again = llama.chat(MODEL, [*asked, message, {"role": "user", "content": "ping"}])
    assert again.done


def test_the_lists(llama: ollama.Client, one_of_two: Running, http: httpx.Client) -> None:
    """tags, show, ps and version: what a client asks before it chats."""
    listed: ListResponse = llama.list()
    assert MODEL in [model.model for model in listed.models]
    shown: ShowResponse = llama.show(MODEL)
    assert {"completion", "tools"} <= set(shown.capabilities or [])
    assert shown.details is not None
    assert shown.details.family == "openai"
    assert llama.ps().models == []
    assert http.get(f"{one_of_two.origin}/api/version").json()["version"]
    named = http.post(f"{one_of_two.origin}/api/show", content=json.dumps({"name": f"{MODEL}:latest"}))
    assert named.status_code == 200


def test_the_greeting(one_of_two: Running, http: httpx.Client) -> None:
    """`GET /` and `HEAD /` are how clients look whether Ollama runs."""
    greeting = http.get(f"{one_of_two.origin}/")
    assert (greeting.status_code, greeting.text) == (200, "Ollama is running")
    head = http.head(f"{one_of_two.origin}/")
    assert (head.status_code, head.content, head.headers["content-type"]) == (200, b"", "text/plain; charset=utf-8")


def test_latest_is_no_part_of_a_name(llama: ollama.Client) -> None:
    """`:latest`, which clients add by themselves."""
    assert llama.chat(f"{MODEL}:latest", FRANCE).message.content == PARIS


def test_loading_a_model_is_answered_without_a_call(one_of_two: Running, http: httpx.Client) -> None:
    """No messages, or no prompt, means: load (or with `keep_alive: 0` unload) the model."""
    for path, body, reason in (
        ("chat", {"messages": []}, "load"),
        ("chat", {"messages": [], "keep_alive": 0}, "unload"),
        ("generate", {}, "load"),
        ("generate", {"prompt": "", "keep_alive": "0"}, "unload"),
    ):
        answer = http.post(f"{one_of_two.origin}/api/{path}", json={"model": MODEL, **body})
        assert (answer.status_code, answer.json()["done"], answer.json()["done_reason"]) == (200, True, reason)
        assert "x-engine-upstream" not in answer.headers


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("mock:rate_limited", 429, "Too many requests"),
        ("mock:error_string", 400, "The request is not valid"),
        ("mock:html_502", 502, ""),
        ("mock:empty_503", 503, ""),
    ],
)
def test_an_upstreams_failure_is_a_response_error(
    llama: ollama.Client, text: str, status: int, said: str, streams: bool
) -> None:
    """The error is a string under `error`, with the true status."""
    with pytest.raises(ollama.ResponseError) as caught:
        list(llama.chat(MODEL, [{"role": "user", "content": text}], stream=streams))  # type: ignore[call-overload]
    assert caught.value.status_code == status
    assert said in caught.value.error


def test_what_is_not_served(llama: ollama.Client, one_of_two: Running, http: httpx.Client) -> None:
    """Unknown models, unknown routes, wrong values: always `{"error": "…"}`."""
    with pytest.raises(ollama.ResponseError, match="does not exist"):
        llama.show("nope")
    for call in (lambda: llama.embed(MODEL, "hi"), lambda: llama.pull(MODEL), lambda: llama.delete(MODEL)):
        with pytest.raises(ollama.ResponseError, match="There is nothing at"):
            call()
    for path, body in (("chat", {"messages": FRANCE}), ("chat", {"model": MODEL, "messages": FRANCE, "think": "hard"})):
        answer = http.post(f"{one_of_two.origin}/api/{path}", json=body)
        assert (answer.status_code, [type(each) for each in answer.json().values()]) == (400, [str])
