"""Properties of a whole translation: any client body either goes through or is refused, the same way each time."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

import json
from functools import cache
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.errors import EngineError, ErrorInfo
from engine.language.cases import json_codec, target_for
from engine.language.catalog import Catalog, load_catalog
from engine.translate.chat import chat_exchange
from engine.translate.client import read_client, write_error, write_reply
from engine.translate.losses import Losses
from engine.translate.wire import Context, HttpInput, Target, UpstreamReply
from engine.types import Json, Secret

KEY = "sk-live-9f8e7d6c5b4a"
CONTEXT = Context("req_0123456789abcdef01234567", 1_700_000_000)
CODEC = json_codec()

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
TEXT_PART = st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=9)})
IMAGE = st.fixed_dictionaries(
    {"type": st.just("image_url"), "image_url": st.fixed_dictionaries({"url": st.text(max_size=9)})}
)
CONTENT = st.text(max_size=12) | st.lists(TEXT_PART | IMAGE, max_size=3) | JSON
MESSAGE = st.fixed_dictionaries({"role": st.sampled_from(["system", "developer", "user", "assistant", "tool"]), "content": CONTENT},  # noqa: E501
                                optional={"name": st.text(max_size=4), "tool_calls": JSON, "tool_call_id": JSON})  # fmt: skip  # noqa: E501
FIELDS = {
    name: JSON | st.integers(1, 200) | st.floats(0, 1)
    for name in (
        "temperature",
        "top_p",
        "max_tokens",
        "stop",
        "n",
        "tools",
        "seed",
        "metadata",
        "stream",
        "odd",
        "response_format",
    )
}
MODELS = st.sampled_from(["m", "auto", "auto:quality", "auto:x", "anthropic/claude-3", "qwen/q-2", "a/../b"]) | st.text(
    max_size=6
)
BODIES = JSON | st.fixed_dictionaries(
    {"model": MODELS, "messages": st.lists(MESSAGE, min_size=1, max_size=4)}, optional=FIELDS
)
ENDPOINTS = ("straico.chat.v0", "straico.chat.v2", "straico.prompt.v0", "straico.prompt.v1")


@cache
def catalog() -> Catalog:
    """The shipped mappings."""
    return load_catalog()


def aim(name: str) -> Target:
    base = target_for(catalog().endpoints[name], {})
    return Target(name, base.plan, base.base_url, base.hosts, base.options, {"api_key": Secret(KEY)})


def translate(name: str, body: Json) -> tuple[Any, Any, Losses]:
    """The exchange and its first upstream request."""
    dialect, losses = catalog().dialects["openai.chat"], Losses()
    request = read_client(
        dialect, dialect.operations["chat"], body, HttpInput("POST", "/v1/chat/completions"), {}, losses
    )
    model = {"id": request["model"], "name": request["model"], "meta": None}
    exchange = chat_exchange(aim(name), request, model, CONTEXT, losses, CODEC)
    return exchange, next(exchange), losses


@given(st.sampled_from(ENDPOINTS), BODIES)
def test_any_json_is_translated_or_refused(name: str, body: Json) -> None:
    """An upstream request, or an engine error with info that the dialect can write; never a secret in sight."""
    dialect = catalog().dialects["openai.chat"]
    try:
        _, request, losses = translate(name, body)
    except EngineError as failure:
        info = getattr(failure, "info", None)
        assert isinstance(info, ErrorInfo)
        assert 400 <= info.status < 500
        assert {"message", "type", "param", "code"} == set(
            json.loads(write_error(dialect, info, None, CONTEXT.for_client(), CODEC).body)["error"]
        )
        shown = f"{failure} {failure!r} {info} {vars(failure)}"
    else:
        json.loads(request.body)
        assert request.url.startswith("https://api.straico.com/")
        shown = f"{request} {losses.header()} {request.body!r}"
    assert KEY not in shown


@given(st.sampled_from(ENDPOINTS), BODIES)
def test_equal_requests_give_equal_bytes(name: str, body: Json) -> None:
    """The same client bytes twice: the same upstream bytes and losses, the body untouched (trap 15)."""
    text = json.dumps(body)

    def once() -> tuple[Any, ...]:
        value = json.loads(text)
        try:
            _, request, losses = translate(name, value)
        except EngineError as failure:
            return (str(failure),)
        finally:
            assert text == json.dumps(value)
        return request.url, request.body, losses.header()

    assert once() == once()


KEPT = st.dictionaries(
    st.text(max_size=6), SCALARS | st.integers(2**53, 2**80) | st.sampled_from([1.0, -0.0, 1e22, 5e-324]), min_size=1
)


@given(KEPT)
def test_values_that_pass_keep_their_digits_and_their_order(kept: dict[str, Json]) -> None:
    """Big integers, 1.0 and the order of keys survive from a client's extra field to the upstream's body (P3)."""
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "replace_failed_models": kept}

    _, request, _ = translate("straico.chat.v2", body)

    assert json.dumps(kept, ensure_ascii=False, separators=(",", ":")) in request.body.decode()


@given(st.sampled_from(ENDPOINTS), st.sampled_from([200, 201, 400, 401, 429, 500, 503]),
       JSON | st.fixed_dictionaries({"choices": st.lists(st.fixed_dictionaries({"message": JSON | st.fixed_dictionaries({"content": JSON}),  # noqa: E501
                                                                                "finish_reason": JSON}), max_size=2)}, optional={"usage": JSON, "error": JSON, "data": JSON}))  # fmt: skip  # noqa: E501
def test_any_answer_becomes_a_reply_or_an_error(name: str, status: int, answer: Json) -> None:
    """Whatever JSON an upstream sends with whatever status, the client gets a whole completion or a true error."""
    exchange, _, _ = translate(name, {"model": "m", "messages": [{"role": "user", "content": "hi"}]})
    dialect = catalog().dialects["openai.chat"]
    try:
        exchange.send(UpstreamReply(status, {}, json.dumps(answer).encode()))
    except StopIteration as done:
        scope = {"req": {}, "in": {}, "out": done.value, "ctx": CONTEXT.as_json(), "opt": {}}
        reply = json.loads(write_reply(dialect, dialect.operations["chat"], scope, CODEC).body)
        assert {"id", "object", "created", "model", "choices"} <= set(reply)
        assert reply["choices"][0]["finish_reason"] in ("stop", "length", "tool_calls", "content_filter")
        assert status < 300
    except EngineError as failure:
        assert 400 <= failure.info.status < 600  # type: ignore[attr-defined]  # noqa: PT017
        assert KEY not in f"{failure!r} {vars(failure)}"  # noqa: PT017
