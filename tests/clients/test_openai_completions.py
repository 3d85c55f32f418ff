"""openai-python on the legacy completions: a prompt in, text out, whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from openai.types import Completion

from tests.clients.conftest import MODEL

pytestmark = pytest.mark.clients


@pytest.mark.parametrize("prompt", ["capital of France", ["capital of France"]])
def test_a_prompt_as_text_or_as_a_list_of_one(gpt: openai.OpenAI, prompt: Any) -> None:
    """Both forms, and the answer is exactly OpenAI's shape before the SDK reads it (trap 58)."""
    raw = gpt.completions.with_raw_response.create(model=MODEL, prompt=prompt)
    body = json.loads(raw.http_response.content)
    Completion.model_validate_json(json.dumps(body), strict=True)
    assert body["object"] == "text_completion"
    assert body["choices"] == [
        {"text": "The capital of France is Paris.", "index": 0, "logprobs": None, "finish_reason": "stop"}
    ]
    assert body["usage"]["total_tokens"] == 18


def test_a_stream_has_text_in_every_chunk(gpt: openai.OpenAI) -> None:
    """One id, no null text, one finish reason, usage in a chunk of its own."""
    options: Any = {"include_usage": True}
    chunks = list(gpt.completions.create(model=MODEL, prompt="capital of France", stream=True, stream_options=options))
    assert "".join(chunk.choices[0].text for chunk in chunks[:-1]) == "The capital of France is Paris."
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1] if chunk.choices[0].finish_reason] == ["stop"]
    assert (chunks[-1].choices, chunks[-1].usage.total_tokens if chunks[-1].usage else None) == ([], 18)


def test_a_cut_answer(gpt: openai.OpenAI) -> None:
    """`length`, as for chats."""
    assert gpt.completions.create(model=MODEL, prompt="mock:cut", max_tokens=3).choices[0].finish_reason == "length"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": [1, 2, 3]}, "prompt"),
        ({"prompt": [[1, 2], [3]]}, "prompt"),
        ({"prompt": ["one", "two"]}, "prompt"),
        ({"prompt": "a", "suffix": "b"}, "suffix"),
        ({"prompt": "a", "echo": True}, "echo"),
        ({"prompt": "a", "best_of": 3}, "best_of"),
    ],
)
def test_what_cannot_be_served_is_refused_by_name(gpt: openai.OpenAI, fields: dict[str, Any], param: str) -> None:
    """Token arrays and the like are a 400 that says so."""
    with pytest.raises(openai.BadRequestError) as caught:
        gpt.completions.create(model=MODEL, **fields)
    assert (caught.value.param, caught.value.code) == (param, "unsupported_feature")


def test_failures_are_the_sdks_classes(gpt: openai.OpenAI) -> None:
    """As for chats, whole or streamed."""
    for streams in (False, True):
        with pytest.raises(openai.RateLimitError):
            gpt.completions.create(model=MODEL, prompt="mock:rate_limited", stream=streams)  # type: ignore[call-overload]
        with pytest.raises(openai.InternalServerError):
            gpt.completions.create(model=MODEL, prompt="mock:html_502", stream=streams)  # type: ignore[call-overload]
