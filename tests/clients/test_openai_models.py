"""openai-python on every endpoint: the list of models, and one of them."""

from __future__ import annotations

import json

import openai
import pytest
from openai.types import Model

pytestmark = pytest.mark.clients

IDS = [
    "openai/gpt-4o-mini",
    "openai/gpt-4o-2024-11-20",
    "anthropic/claude-3-haiku:beta",
    "anthropic/claude-haiku-4.5",
    "meta-llama/llama-3.3-70b-instruct",
    "mistralai/mistral-large",
    "cohere/command-r-plus",
    "qwen/qwen-2.5-72b-instruct",
    "deepseek/deepseek-r1",
]


def test_the_list_holds_the_chat_models(client: openai.OpenAI) -> None:
    """Trap 57: only models that chat, each a model object of OpenAI's shape."""
    answer = client.models.with_raw_response.list()
    body = json.loads(answer.http_response.content)
    assert body["object"] == "list"
    assert [model["id"] for model in body["data"]] == IDS
    for model in body["data"]:
        Model.model_validate_json(json.dumps(model), strict=True)
        assert {"id", "object", "created", "owned_by"} <= set(model)
    assert [model.id for model in client.models.list()] == IDS


def test_models_carry_their_limits_and_price(client: openai.OpenAI) -> None:
    """More than OpenAI says: the price always, the rest where the upstream's list has it."""
    model = client.models.retrieve("openai/gpt-4o-mini")
    assert model.model_extra is not None
    assert model.model_extra["pricing"] == {"input": 0.4, "output": 0.4, "unit": "coins", "per": 100, "of": "words"}
    assert model.model_extra["max_output_tokens"] == 16384


@pytest.mark.parametrize("identifier", IDS)
def test_one_model_by_its_name(client: openai.OpenAI, identifier: str) -> None:
    """Slashes and colons in the name, escaped by the SDK."""
    model = client.models.retrieve(identifier)
    assert (model.id, model.object, model.owned_by) == (identifier, "model", identifier.split("/")[0])


def test_a_model_that_is_not_there(client: openai.OpenAI) -> None:
    """NotFoundError with the nearest name."""
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("openai/gpt-4o-minny")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    assert "openai/gpt-4o-mini" in caught.value.message
