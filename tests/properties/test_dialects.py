"""Properties of the dialects: every stream is in its dialect's legal order, and every event and answer is of the SDK's
own type, whatever an upstream says and wherever it fails.

Exchanges are generated: text, reasoning, refusals, parallel calls whose pieces interleave, heartbeats anywhere, an end
or an error at any point. The SDKs' own accumulators put the events together again, and what they hold must be what was
said.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, get_args

import anthropic.types as claude
import pytest
from anthropic.lib.streaming._messages import accumulate_event
from hypothesis import given, settings
from hypothesis import strategies as st
from ollama import ChatResponse, GenerateResponse
from openai import omit
from openai.lib.streaming.chat._completions import ChatCompletionStreamState
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from engine.errors import EngineError, ErrorInfo, UpstreamError
from engine.language.cases import json_codec
from engine.language.catalog import load_catalog
from engine.translate.client import write_reply
from engine.translate.lifecycle import Lifecycle
from engine.translate.losses import Losses
from engine.translate.plan import DialectPlan
from engine.translate.reply import build_reply
from engine.translate.streaming import ClientStream, Translation
from engine.translate.wire import Context

CODEC = json_codec()
CONTEXT = Context("req_0123456789abcdef01234567", 1_700_000_000)
START = {"id": "0123456789abcdef01234567", "model": "m", "created": 1_700_000_000}
REQUEST: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "user", "content": "hi"}],
    "stream": True,
    "stream_options": {"include_usage": True},
}
CUSTOM = "now"
"""The tool that the Responses API's client gave as a custom one."""
BODY: dict[str, Any] = {"tools": [{"type": "custom", "name": CUSTOM}]}
USAGE = {"prompt_tokens": 3, "completion_tokens": 5, "cached_tokens": 1}
BEAT: dict[str, Any] = {"heartbeat": True}

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6) | st.sampled_from(
    ["\u2028", "a\u0085", "\n\n", "data: "]
)
ARGUMENTS = st.dictionaries(st.sampled_from(["a", "b"]), st.integers() | TEXTS, max_size=2).map(json.dumps)


@st.composite
def rounds_of_calls(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Up to three calls whose pieces come in any order among one another; each begins with its id and name."""
    queues: list[list[dict[str, Any]]] = []
    for key in range(draw(st.integers(1, 3))):
        whole = draw(ARGUMENTS | st.just(""))
        cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=2)))
        edges = [0, *cuts, len(whole)]
        pieces = [whole[a:b] for a, b in itertools.pairwise(edges)]
        head = {"key": key, "id": f"call_{key}", "name": draw(st.sampled_from(["add", "now"]))}
        queues.append([{"tool_call": {**head, "arguments": pieces[0]}}])
        queues[-1] += [{"tool_call": {"key": key, "arguments": piece}} for piece in pieces[1:]]
    mixed = []
    while any(queues):
        queue = draw(st.sampled_from([each for each in queues if each]))
        mixed.append(queue.pop(0))
    return mixed


REFUSALS = TEXTS.map(lambda text: {"refusal": text})
BLOCKS = st.lists(
    TEXTS.map(lambda text: {"text": text}) | TEXTS.map(lambda text: {"reasoning": text}) | REFUSALS | st.just(BEAT),
    max_size=6,
)


@st.composite
def exchanges(draw: st.DrawFn) -> tuple[list[dict[str, Any]], ErrorInfo | None]:
    """What an upstream says, and the failure that it ends in, if any."""
    pieces = draw(BLOCKS)
    calls = draw(st.none() | rounds_of_calls())
    pieces += calls or ([] if any("text" in each for each in pieces) else [{"text": "Hi."}])
    reason = draw(st.sampled_from(["stop", "length", "content_filter"]))
    pieces.append({"finish_reason": "tool_calls" if calls else reason, "usage": draw(st.sampled_from([USAGE, None]))})
    if not draw(st.booleans()):
        return pieces, None
    kind = draw(st.sampled_from(["rate_limit", "overloaded", "upstream", "context_length", "timeout", "internal"]))
    return pieces[: draw(st.integers(0, len(pieces)))], ErrorInfo(kind, "It broke.")


@cache
def dialects() -> dict[str, DialectPlan]:
    """The shipped dialects, read once."""
    return dict(load_catalog().dialects)


def streamed(dialect: str, operation: str, pieces: Iterable[dict[str, Any]], failure: ErrorInfo | None) -> bytes:
    """The bytes that a client gets, with signs of life where the exchange has them."""
    plan = dialects()[dialect].operations[operation].stream
    assert plan is not None
    life = Lifecycle(START, serial=plan.serial, keeps_text=plan.keeps_text)
    scope = {"req": REQUEST, "in": BODY, "ctx": CONTEXT.for_client(), "opt": {"version": "1"}}
    answer = Translation(life, ClientStream(plan, scope, life.out, CODEC))
    data = answer.open()
    try:
        for piece in pieces:
            data += answer.heartbeat(None if len(data) % 2 else "") if piece is BEAT else answer.take([piece])
        return data + (answer.fail(failure) if failure else answer.end())
    except UpstreamError as broken:
        return data + answer.fail(broken.info)


def events(data: bytes) -> list[tuple[str | None, Any]]:
    """SSE as a strict reader sees it; comments are skipped, text that is no JSON stays text."""
    found: list[tuple[str | None, Any]] = []
    text = data.decode()
    assert text.endswith("\n\n")
    for block in text[:-2].split("\n\n"):
        lines = block.splitlines()
        assert len(lines) == len(block.split("\n"))
        if lines[0].startswith(":"):
            continue
        name = lines[0].removeprefix("event: ") if lines[0].startswith("event: ") else None
        assert lines[-1].startswith("data: ")
        payload = lines[-1].removeprefix("data: ")
        found.append((name, payload if payload == "[DONE]" else json.loads(payload)))
    return found


def said(pieces: list[dict[str, Any]], key: str) -> str:
    return "".join(piece[key] for piece in pieces if key in piece)


def called(pieces: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    """Names and parsed arguments, in the order in which the calls began."""
    calls: dict[int, list[str]] = {}
    for piece in (each["tool_call"] for each in pieces if "tool_call" in each):
        calls.setdefault(piece["key"], [piece.get("name", ""), ""])[1] += piece["arguments"]
    return [(name, json.loads(arguments or "{}")) for name, arguments in calls.values()]


@cache
def kinds_of_events(union: Any) -> dict[str, TypeAdapter[Any]]:
    """The classes of an SDK's union of events by their `type`: validating against the whole union is slow and mute."""
    classes = get_args(get_args(union)[0])
    return {get_args(each.model_fields["type"].annotation)[0]: TypeAdapter(each) for each in classes}


OUTSIDE_THE_LIST = ("context_length_exceeded", "insufficient_quota")
"""Codes of `response.failed` that agents look for and OpenAI sends, though its published list lacks them."""


def response_event(each: Any) -> Any:
    """An event of the Responses API as the SDK's own object."""
    checked = json.loads(json.dumps(each))
    if checked["type"] == "response.failed" and checked["response"]["error"]["code"] in OUTSIDE_THE_LIST:
        checked["response"]["error"]["code"] = "server_error"
    return kinds_of_events(ResponseStreamEvent)[each["type"]].validate_json(json.dumps(checked))


Heard = tuple[str, str, list[tuple[str, Any]]]


def hear_chat(data: bytes, failed: bool) -> Heard | None:
    """Traps 59 to 71."""
    found = [each for _, each in events(data)]
    assert found[-1] == "[DONE]"
    assert found.count("[DONE]") == 1
    if failed:
        assert set(found[-2]) == {"error"}
    chunks = [each for each in found[:-1] if "error" not in each]
    assert len(chunks) >= len(found) - 2
    state = ChatCompletionStreamState(input_tools=omit, response_format=omit)
    for chunk in chunks:
        state.handle_chunk(ChatCompletionChunk.model_validate_json(json.dumps(chunk), strict=True))
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert len({(each["id"], each["created"], each["model"], each["object"]) for each in chunks}) == 1
    begun: list[int] = []
    for call in (
        call for chunk in chunks for choice in chunk["choices"] for call in choice["delta"].get("tool_calls", [])
    ):
        assert ("id" in call) == ("name" in call["function"]) == (call["index"] not in begun)
        begun += [call["index"]] if call["index"] not in begun else []
    assert begun == list(range(len(begun)))
    finishes = [index for index, each in enumerate(chunks) if each["choices"] and each["choices"][0]["finish_reason"]]
    if failed:
        assert finishes == []
        return None
    assert len(finishes) == 1
    assert all(not each["choices"] for each in chunks[finishes[0] + 1 :])
    message = state.current_completion_snapshot.choices[0].message
    thought = "".join(choice["delta"].get("reasoning_content") or "" for chunk in chunks for choice in chunk["choices"])
    calls = [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or []]  # type: ignore[union-attr]
    return message.content or "", thought, calls


def hear_completions(data: bytes, failed: bool) -> Heard | None:
    """Text in every choice, never null; one finish reason; the terminator once."""
    found = [each for _, each in events(data)]
    assert found[-1] == "[DONE]"
    chunks = [each for each in found[:-1] if "error" not in each]
    for chunk in chunks:
        Completion.model_validate_json(json.dumps({**chunk, "choices": []}), strict=True)
        assert all(isinstance(choice["text"], str) for choice in chunk["choices"])
    finishes = [each for each in chunks if each["choices"] and each["choices"][0]["finish_reason"]]
    assert len(finishes) == (0 if failed else 1)
    return None if failed else ("".join(each["choices"][0]["text"] for each in chunks if each["choices"]), "", [])


def hear_responses(data: bytes, failed: bool) -> Heard | None:
    """Traps 95 to 97; OpenAI's own state machine takes every event."""
    found = events(data)
    assert [each["sequence_number"] for _, each in found] == list(range(len(found)))
    assert all(name == each["type"] for name, each in found)
    state: Any = ResponseStreamState(input_tools=omit, text_format=omit)
    kinds = [each["type"] for _, each in found]
    open_item: str | None = None
    for _, each in found:
        if each["type"] == "error":
            continue
        state.handle_event(response_event(each))
        if each["type"] == "response.output_item.added":
            assert open_item is None
            open_item = each["item"]["id"]
        elif each["type"] == "response.output_item.done":
            assert open_item == each["item"]["id"]
            open_item = None
        elif "item_id" in each:
            assert each["item_id"] == open_item
    assert kinds[:2] == ["response.created", "response.in_progress"]
    if failed:
        assert kinds[-2:] == ["error", "response.failed"]
        return None
    assert kinds[-1] in ("response.completed", "response.incomplete")
    assert open_item is None
    final = Response.model_validate_json(json.dumps(found[-1][1]["response"]))
    done = [each["item"] for _, each in found if each["type"] == "response.output_item.done"]
    assert found[-1][1]["response"]["output"] == done
    thought = "".join(part.text for item in final.output if item.type == "reasoning" for part in item.summary)
    calls: list[Any] = []
    for item in final.output:
        if item.type == "function_call":
            assert item.name != CUSTOM
            calls.append((item.name, json.loads(item.arguments)))
        elif item.type == "custom_tool_call":
            assert item.name == CUSTOM
            calls.append((item.name, json.loads(item.input)))
    return final.output_text, thought, calls


def hear_claude(data: bytes, failed: bool) -> Heard | None:
    """Traps 85 to 91; Anthropic's own accumulator takes every event."""
    found = [(name, each) for name, each in events(data) if each["type"] != "ping"]
    assert all(name == each["type"] for name, each in found)
    kinds = [each["type"] for _, each in found]
    assert (kinds[0], kinds.count("message_start")) == ("message_start", 1)
    if failed:
        assert (kinds[-1], kinds.count("error")) == ("error", 1)
        assert "message_stop" not in kinds
        found = found[:-1]
    else:
        assert kinds[-2:] == ["message_delta", "message_stop"]
    message: Any = None
    open_block, buffers = None, dict[int, bytes]()
    for _, each in found:
        parsed = kinds_of_events(claude.RawMessageStreamEvent)[each["type"]].validate_json(json.dumps(each))
        if each["type"] == "content_block_start":
            assert open_block is None
            open_block = each["index"]
            assert open_block == len(message.content)
            assert each["content_block"].get("input", {}) == {}
        elif each["type"] == "content_block_delta":
            assert each["index"] == open_block
            fits = {
                "text": {"text_delta"},
                "thinking": {"thinking_delta", "signature_delta"},
                "tool_use": {"input_json_delta"},
            }
            assert each["delta"]["type"] in fits[message.content[open_block].type]
        elif each["type"] == "content_block_stop":
            assert each["index"] == open_block
            open_block = None
        message = accumulate_event(event=parsed, current_snapshot=message, json_bufs=buffers)
    if failed:
        return None
    assert open_block is None
    text = "".join(block.text for block in message.content if block.type == "text")
    thought = "".join(block.thinking for block in message.content if block.type == "thinking")
    return text, thought, [(block.name, block.input) for block in message.content if block.type == "tool_use"]


def _lines(data: bytes) -> list[Any]:
    text = data.decode()
    assert len(text.splitlines()) == text.count("\n")
    return [json.loads(line) for line in text.splitlines()]


def hear_ollama(data: bytes, failed: bool) -> Heard | None:
    """One line each; `done` once and last, or an error as a string."""
    lines = _lines(data)
    if failed:
        assert lines[-1] == {"error": lines[-1]["error"]}
        assert isinstance(lines[-1]["error"], str)
        lines = lines[:-1]
    answers = [ChatResponse.model_validate(line) for line in lines]
    assert [bool(each.done) for each in answers] == [
        not failed and index == len(lines) - 1 for index in range(len(lines))
    ]
    if failed:
        return None
    calls = [call.function for each in answers for call in each.message.tool_calls or []]
    return (
        "".join(each.message.content or "" for each in answers),
        "".join(each.message.thinking or "" for each in answers),
        [(each.name, dict(each.arguments)) for each in calls],
    )


def hear_generate(data: bytes, failed: bool) -> Heard | None:
    """As a chat's lines, with the text under `response`."""
    lines = _lines(data)
    answers = [GenerateResponse.model_validate(line) for line in (lines[:-1] if failed else lines)]
    assert [bool(each.done) for each in answers[:-1]] == [False] * (len(answers) - 1 if answers else 0)
    if failed:
        return None
    return "".join(each.response for each in answers), "".join(each.thinking or "" for each in answers), []


HEARERS: dict[tuple[str, str], Callable[[bytes, bool], Heard | None]] = {
    ("openai.chat", "chat"): hear_chat,
    ("openai.completions", "completions"): hear_completions,
    ("openai.responses", "responses"): hear_responses,
    ("anthropic.messages", "messages"): hear_claude,
    ("ollama", "chat"): hear_ollama,
    ("ollama", "generate"): hear_generate,
}


def test_every_stream_of_a_dialect_is_heard() -> None:
    """A dialect that is added has its legal order written down here."""
    streams = {(plan.id, name) for plan in dialects().values() for name, each in plan.operations.items() if each.stream}

    assert streams == set(HEARERS)


@pytest.mark.parametrize("dialect", HEARERS, ids="-".join)
@settings(max_examples=80)
@given(exchange=exchanges())
def test_streams_are_in_their_dialects_order(
    dialect: tuple[str, str], exchange: tuple[list[dict[str, Any]], ErrorInfo | None]
) -> None:
    """Legal, typed, ended as it must be, and nothing of what was said is lost."""
    pieces, failure = exchange

    heard = HEARERS[dialect](streamed(*dialect, pieces, failure), failure is not None)

    if heard is None:
        return
    text, thought, calls = heard
    if not said(pieces, "refusal"):  # each dialect has its own place for one
        assert text == said(pieces, "text")
    if dialect[0] != "openai.completions":
        assert thought == said(pieces, "reasoning")
    if dialect[1] not in ("completions", "generate"):
        assert calls == called(pieces)


WHOLE: dict[tuple[str, str], Any] = {
    ("openai.chat", "chat"): ChatCompletion,
    ("openai.completions", "completions"): Completion,
    ("openai.responses", "responses"): Response,
    ("anthropic.messages", "messages"): claude.Message,
    ("ollama", "chat"): ChatResponse,
    ("ollama", "generate"): GenerateResponse,
}
ANSWERS = st.fixed_dictionaries(
    {},
    optional={
        "text": TEXTS | st.just(""),
        "reasoning": TEXTS,
        "refusal": TEXTS,
        "tool_calls": st.lists(st.fixed_dictionaries({"name": st.just("add"), "arguments": ARGUMENTS}), max_size=3),
        "finish_reason": st.sampled_from(["stop", "length", "tool_calls", "content_filter"]),
        "usage": st.just(USAGE),
        "stop_sequence": TEXTS,
    },
)


@pytest.mark.parametrize("dialect", WHOLE, ids="-".join)
@settings(max_examples=60)
@given(emitted=ANSWERS)
def test_whole_answers_are_of_the_sdks_types(dialect: tuple[str, str], emitted: dict[str, Any]) -> None:
    """Whatever an endpoint emits, the answer is one that the SDK's own model takes as it is."""
    plan = dialects()[dialect[0]]
    try:
        out = build_reply(emitted, endpoint="e", model="m", context=CONTEXT, losses=Losses(), codec=CODEC)
    except EngineError:
        return
    scope = {"req": REQUEST, "in": BODY, "out": out, "ctx": CONTEXT.for_client(), "opt": {"version": "1"}}

    body = write_reply(plan, plan.operations[dialect[1]], scope, CODEC).body

    answer = WHOLE[dialect].model_validate_json(body)
    assert answer.model_dump(mode="json", exclude_unset=True, by_alias=True).keys() >= json.loads(body).keys()
