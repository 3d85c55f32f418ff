"""openai-python, synchronous, on every endpoint: what a chat gives, to the letter of OpenAI's own types."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion

from tests.clients.conftest import MODEL
from tests.running import Running

pytestmark = pytest.mark.clients

HI = [{"role": "user", "content": "What is the capital of France?"}]
PARIS = "The capital of France is Paris."


def ask(client: openai.OpenAI, text: str = "hi", **fields: Any) -> ChatCompletion:
    """One turn of a user."""
    return client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": text}], **fields)


def raw_body(client: openai.OpenAI, text: str = "hi", **fields: Any) -> Any:
    """The answer as the JSON that was sent, not as the SDK reads it."""
    messages = [{"role": "user", "content": text}]
    answer = client.chat.completions.with_raw_response.create(model=MODEL, messages=messages, **fields)
    return json.loads(answer.http_response.content)


def test_a_question_as_a_string_is_answered(client: openai.OpenAI) -> None:
    """String content: one choice with the text, finished, under the name that was asked for."""
    answer = client.chat.completions.create(model=MODEL, messages=HI)
    assert len(answer.choices) == 1
    choice = answer.choices[0]
    assert (choice.index, choice.message.role, choice.message.content) == (0, "assistant", PARIS)
    assert (choice.finish_reason, answer.model, answer.object) == ("stop", MODEL, "chat.completion")


def test_a_question_as_parts_gets_the_same_answer(client: openai.OpenAI) -> None:
    """Array content: text parts are one question, as a string is."""
    parts = [{"type": "text", "text": "What is the capital "}, {"type": "text", "text": "of France?"}]
    asked = [{"role": "user", "content": [{"type": "text", "text": "What is the capital of France?"}]}]
    assert client.chat.completions.create(model=MODEL, messages=asked).choices[0].message.content == PARIS
    two = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": parts}])
    assert two.choices[0].message.content


@pytest.mark.parametrize("role", ["system", "developer"])
@pytest.mark.parametrize("as_parts", [False, True])
def test_the_model_hears_the_system(client: openai.OpenAI, role: str, as_parts: bool) -> None:
    """System and developer messages reach the model, as a string or as parts."""
    text = "echo: heard the instruction\n"
    content = [{"type": "text", "text": text}] if as_parts else text
    messages = [{"role": role, "content": content}, {"role": "user", "content": "hi"}]
    answer = client.chat.completions.create(model=MODEL, messages=messages)
    assert answer.choices[0].message.content == "heard the instruction"


def test_a_conversation_goes_on(client: openai.OpenAI) -> None:
    """The history is sent: the mock's script answers by the number of turns it sees."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": "script:three"}]
    heard = []
    for _ in range(3):
        answer = client.chat.completions.create(model=MODEL, messages=messages).choices[0].message.content
        heard.append(answer)
        messages += [{"role": "assistant", "content": answer}, {"role": "user", "content": "and then?"}]
    assert heard == ["The first answer.", "The second answer.", "The third answer."]


def test_text_comes_back_unchanged(client: openai.OpenAI) -> None:
    """No trimming, no re-encoding: the bytes of a text survive both ways."""
    text = "x = -1/3 \\n é 日本 🎉 \u2028 <b>&amp;</b> {{ no }} {% template %} 007"
    assert ask(client, f"echo: {text}").choices[0].message.content == text


def test_the_answer_is_exactly_openais_shape(client: openai.OpenAI) -> None:
    """Traps 40 to 43: every key that OpenAI always sends is there, before the SDK fills anything in."""
    body = raw_body(client)
    ChatCompletion.model_validate_json(json.dumps(body), strict=True)
    assert {"id", "object", "created", "model", "choices"} <= set(body)
    assert body["object"] == "chat.completion"
    assert isinstance(body["id"], str)
    assert body["id"]
    assert type(body["created"]) is int
    choice = body["choices"][0]
    assert set(choice) == {"index", "message", "finish_reason", "logprobs"}
    assert choice["logprobs"] is None
    assert set(choice["message"]) == {"role", "content", "refusal"}
    assert choice["message"]["refusal"] is None
    assert choice["finish_reason"] in {"stop", "length", "tool_calls", "content_filter"}


def test_every_answer_has_an_id_of_its_own(client: openai.OpenAI) -> None:
    """Ids are ours, not the upstream's: the mock sends the same one each time."""
    assert ask(client).id != ask(client).id


def test_usage_adds_up(client: openai.OpenAI) -> None:
    """Traps 50 and 51: prompt and completion make the total; details lie inside them."""
    usage = ask(client).usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (12, 6, 18)
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens_details.cached_tokens == 0


def test_without_counts_there_is_no_usage(client: openai.OpenAI) -> None:
    """Trap 52: zeros that look real are never made up."""
    assert ask(client, "mock:missing_usage").usage is None


def test_the_cost_is_told(client: openai.OpenAI) -> None:
    """The price stands in `usage.cost` and in a header."""
    answer = client.chat.completions.with_raw_response.create(model=MODEL, messages=HI)
    assert answer.headers["x-engine-cost"] == "0.14 coins"
    usage = answer.parse().usage
    assert usage is not None
    assert usage.model_extra is not None
    assert usage.model_extra["cost"] == {"amount": 0.14, "unit": "coins"}


def test_headers_say_what_happened(client: openai.OpenAI, server: Running) -> None:
    """The request's id is the one the SDK shows and the log holds."""
    answer = client.chat.completions.with_raw_response.create(model=MODEL, messages=HI)
    request_id = answer.headers["x-request-id"]
    assert re.fullmatch(r"req_[0-9a-f]{24}", request_id)
    assert answer.parse()._request_id == request_id
    assert answer.headers["x-engine-endpoint"].startswith("straico.")
    assert re.fullmatch(r"[0-9a-f]{12}", answer.headers["x-engine-generation"])
    server.wait_for(request_id)


def test_what_the_upstream_cannot_take_is_told_as_a_loss(client: openai.OpenAI) -> None:
    """A dropped and a clamped parameter are named in a header; the answer comes all the same."""
    answer = client.chat.completions.with_raw_response.create(
        model=MODEL, messages=HI, top_p=0.5, temperature=5, extra_body={"unheard_of": 1}
    )
    losses = answer.headers["x-engine-losses"].split(", ")
    assert {"top_p=dropped", "temperature=clamped", "unheard_of=unread"} == set(losses)
    assert "x-engine-losses" not in client.chat.completions.with_raw_response.create(model=MODEL, messages=HI).headers


def test_fields_of_the_provider_pass_through_extra_body(client: openai.OpenAI) -> None:
    """`extra_body` reaches a mapping that reads it, without a loss."""
    answer = client.chat.completions.with_raw_response.create(
        model=MODEL, messages=HI, extra_body={"replace_failed_models": True}
    )
    assert "x-engine-losses" not in answer.headers


@pytest.mark.parametrize("model", ["auto", "auto:quality", "auto:balance", "auto:budget"])
def test_the_selector_is_a_model(client: openai.OpenAI, model: str) -> None:
    """The upstream's own choice of a model is asked for by a model name, and the answer keeps that name."""
    answer = client.chat.completions.create(model=model, messages=HI)
    assert (answer.model, answer.choices[0].message.content) == (model, PARIS)


def test_null_and_absent_are_the_same_to_optional_fields(client: openai.OpenAI) -> None:
    """Clients that send explicit nulls are served."""
    nothing: Any = None
    answer = ask(client, "ping", temperature=nothing, max_tokens=nothing, stop=nothing, tools=nothing, stream=False)
    assert answer.choices[0].message.content == "pong"


def test_an_assistant_without_content_is_taken(client: openai.OpenAI) -> None:
    """Null content of an assistant is legal in OpenAI's API."""
    messages: list[dict[str, Any]] = [*HI, {"role": "assistant", "content": None}, {"role": "user", "content": "ping"}]
    assert client.chat.completions.create(model=MODEL, messages=messages).choices[0].finish_reason == "stop"


def test_a_model_that_refuses_system_messages_is_served(client: openai.OpenAI) -> None:
    """The mock refuses the role for this model; the engine folds the text into the user's."""
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "capital of France"}]
    answer = client.chat.completions.create(model="anthropic/claude-haiku-4.5", messages=messages)
    assert answer.choices[0].message.content == PARIS


@pytest.mark.parametrize(
    ("behaviour", "finish_reason", "content"),
    [
        ("cut", "length", "This is a mock"),
        ("end_turn", "stop", "This is a mock answer."),
        ("null_finish", "stop", "This is a mock answer."),
        ("dict_content", "stop", "This is a mock answer."),
        ("list_content", "stop", "This is a mock answer."),
        ("vendor_model_name", "stop", "This is a mock answer."),
    ],
)
def test_odd_answers_become_plain_ones(client: openai.OpenAI, behaviour: str, finish_reason: str, content: str) -> None:
    """Traps 43 to 46 and 53: only OpenAI's finish reasons, text as a string, the model's name as it was asked."""
    answer = ask(client, f"mock:{behaviour}")
    choice = answer.choices[0]
    assert (choice.finish_reason, choice.message.content, answer.model) == (finish_reason, content, MODEL)


def test_thoughts_stand_beside_the_text(client: openai.OpenAI) -> None:
    """Reasoning is `reasoning_content`, where clients look for it."""
    message = ask(client, "mock:reasoning").choices[0].message
    assert message.content == "42."
    assert message.model_extra == {"reasoning_content": "I thought about it."}


def test_a_slow_answer_arrives(client: openai.OpenAI) -> None:
    """Two seconds of silence are no failure."""
    begun = time.monotonic()
    assert ask(client, "mock:slow").choices[0].message.content == "This is a mock answer."
    assert time.monotonic() - begun > 1.9


@pytest.mark.parametrize(("fields", "param"), [({"n": 2}, "n"), ({"modalities": ["audio"]}, "modalities")])
def test_what_the_endpoint_cannot_do_is_refused_by_name(
    client: openai.OpenAI, fields: dict[str, Any], param: str
) -> None:
    """What would change the meaning of the answer answers 400, never silence."""
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, **fields)
    assert (caught.value.code, caught.value.param) == ("unsupported_feature", param)


def test_an_answer_streams_from_an_upstream_that_cannot(client: openai.OpenAI) -> None:
    """One id, the role first, one finish reason, the usage last and only when it was asked for."""
    stream = client.chat.completions.create(
        model=MODEL, messages=HI, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert len({chunk.id for chunk in chunks}) == 1
    assert {chunk.model for chunk in chunks} == {MODEL}
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(each.choices[0].delta.content or "" for each in chunks if each.choices) == PARIS
    assert [each.choices[0].finish_reason for each in chunks if each.choices and each.choices[0].finish_reason] == [
        "stop"
    ]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 18


def test_a_streamed_failure_keeps_its_status(client: openai.OpenAI) -> None:
    """Before the first byte a failure is a true status, whether the client streams or not."""
    messages = [{"role": "user", "content": "mock:rate_limited"}]
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model=MODEL, messages=messages, stream=True)
    assert caught.value.response.headers["retry-after"] == "7"
