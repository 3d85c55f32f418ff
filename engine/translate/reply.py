"""The canonical reply: what `out` holds, made from what a mapping's `response` gives (DECISIONS.md section 1).

A mapping may write the short keys (`text`, `tool_calls` …), `choices` for several answers, or `blocks` in order; each
form is completed to the same object here, once, so that ids, indexes, totals and finish reasons never depend on a
mapping.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from engine.errors import ErrorInfo, TranslationError, UpstreamError
from engine.translate.losses import Losses
from engine.translate.plan import Codec
from engine.translate.wire import Context
from engine.types import ABSENT, Json, JsonObject

_ID_CHARS: Final = 28
"""So that `call_`, the id and a position stay within 40 characters."""

FINISH_REASONS: Final = frozenset({"stop", "length", "tool_calls", "content_filter"})
_TEXTS: Final = ("text", "reasoning", "refusal")
_CHOICE_KEYS: Final = (*_TEXTS, "tool_calls", "finish_reason", "stop_sequence", "logprobs", "blocks")
_COUNTS: Final = (
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)


def reply_id(context: Context) -> str:
    """The reply's own id, from the request's: a stream must say it before the upstream has spoken (DECISIONS 1)."""
    return context.request_id.rpartition("_")[2][:_ID_CHARS]


def build_reply(
    emitted: Json, *, endpoint: str, model: str, context: Context, losses: Losses, codec: Codec
) -> JsonObject:
    """Complete what `response` gave to the canonical reply `out`.

    Raises UpstreamError (502 `upstream_empty`) when there is no answer in it at all, TranslationError (502
    `mapping_response_error`) when a value is of a type that the canonical form does not have.
    """
    if emitted is ABSENT or not isinstance(emitted, dict):
        raise _empty(endpoint)
    own_id = reply_id(context)
    many = emitted.get("choices")
    sources = many if isinstance(many, list) and many else [emitted]
    choices: list[JsonObject] = []
    calls = 0
    for index, source in enumerate(sources):
        choice = _choice(source, index, endpoint, f"call_{own_id}", calls, codec)
        calls += len(choice["tool_calls"])
        choices.append(choice)
    created = emitted.get("created")
    out: JsonObject = {
        "id": own_id,
        "upstream_id": emitted.get("id"),
        "model": model,
        "upstream_model": emitted.get("model"),
        "created": context.now if not _is_count(created) else int(created or 0),
        "choices": choices,
        "usage": complete_usage(emitted.get("usage")),
        "cost": emitted.get("cost"),
        "meta": emitted.get("meta"),
        "losses": losses.as_json(),
    }
    out.update((key, choices[0][key]) for key in _CHOICE_KEYS)
    return out


def _empty(endpoint: str) -> UpstreamError:
    return UpstreamError(
        ErrorInfo("upstream", "The upstream answered without any content.", code="upstream_empty"),
        detail=f"the response section of {endpoint} gave no text, reasoning, refusal or tool call",
    )


def _choice(source: Json, index: int, endpoint: str, id_stem: str, calls_before: int, codec: Codec) -> JsonObject:
    if not isinstance(source, dict):
        raise _unfit(endpoint, "choices", source)
    choice: JsonObject = {"index": index}
    if source.get("blocks"):
        source = {**_of_blocks(source["blocks"], endpoint), **source}
    for key in _TEXTS:
        value = source.get(key)
        if value is not None and not isinstance(value, str):
            raise _unfit(endpoint, key, value)
        choice[key] = value
    calls = source.get("tool_calls") or []
    if not isinstance(calls, list):
        raise _unfit(endpoint, "tool_calls", calls)
    choice["tool_calls"] = [
        _call(call, position, f"{id_stem}_{calls_before + position}", endpoint, codec)
        for position, call in enumerate(calls)
    ]
    seen: set[str] = set()
    for position, call in enumerate(choice["tool_calls"]):
        if call["id"] in seen:  # a client tells calls apart by their ids, whatever an upstream does (trap 48)
            call["id"] = f"{id_stem}_{calls_before + position}"
        seen.add(call["id"])
    if all(choice[key] is None for key in _TEXTS) and not choice["tool_calls"]:
        raise _empty(endpoint)
    choice["finish_reason"] = _finish(source.get("finish_reason"), choice, endpoint)
    choice["stop_sequence"] = source.get("stop_sequence")
    choice["logprobs"] = source.get("logprobs")
    choice["blocks"] = _blocks(choice, source.get("blocks") or ())
    return choice


def _of_blocks(blocks: Json, endpoint: str) -> JsonObject:
    """The short keys as views of the blocks that a mapping wrote in order (DECISIONS 1)."""
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise _unfit(endpoint, "blocks", blocks)
    views: JsonObject = {}
    for kind in _TEXTS:
        texts = [block.get("text") or "" for block in blocks if block.get("kind") == kind]
        if texts:
            views[kind] = "".join(str(text) for text in texts)
    calls = [block.get("call") for block in blocks if block.get("kind") == "tool_call"]
    return {**views, **({"tool_calls": calls} if calls else {})}


def _unfit(endpoint: str, key: str, value: Json) -> TranslationError:
    return TranslationError(
        ErrorInfo(
            "upstream",
            f"The mapping {endpoint} could not read the upstream's answer ('{key}').",
            code="mapping_response_error",
        ),
        detail=f"{key} of {endpoint} is a {type(value).__name__}",
    )


def _call(call: Json, position: int, generated_id: str, endpoint: str, codec: Codec) -> JsonObject:
    name = call.get("name") if isinstance(call, dict) else None
    if not isinstance(name, str) or not name:
        raise _unfit(endpoint, f"tool_calls[{position}].name", name)
    arguments = call.get("arguments")
    if arguments is None or (isinstance(arguments, str) and arguments.strip() in ("", "null")):
        arguments = "{}"
    elif not isinstance(arguments, str):
        arguments = codec.dumps(arguments).decode()
    call_id = call.get("id")
    return {
        "id": call_id if isinstance(call_id, str) and call_id else generated_id,
        "name": name,
        "arguments": arguments,
        "index": position,
    }


def with_fitted_calls(piece: JsonObject, endpoint: str, codec: Codec) -> JsonObject:
    """A piece of a stream whose calls have the canonical form: arguments may be an object, and become JSON text.

    Raises TranslationError, as for an answer that came whole.
    """
    if piece.get("tool_calls"):
        calls = piece["tool_calls"]
        if not isinstance(calls, list):
            raise _unfit(endpoint, "tool_calls", calls)
        piece = {**piece, "tool_calls": [_call(call, at, "", endpoint, codec) for at, call in enumerate(calls)]}
    if piece.get("tool_call"):
        piece = {**piece, "tool_call": _call_piece(piece["tool_call"], endpoint, codec)}
    return piece


def _call_piece(call: Json, endpoint: str, codec: Codec) -> JsonObject:
    if not isinstance(call, dict):
        raise _unfit(endpoint, "tool_call", call)
    arguments = call.get("arguments")
    if arguments is None or isinstance(arguments, str):
        return call
    return {**call, "arguments": codec.dumps(arguments).decode()}


def _finish(value: Json, choice: JsonObject, endpoint: str) -> str:
    """Calls decide over what the upstream said (trap 44), but a cut answer stays cut (trap 45)."""
    if value is not None and (not isinstance(value, str) or value not in FINISH_REASONS):
        raise _unfit(endpoint, "finish_reason", value)
    if choice["tool_calls"] and value in (None, "stop"):
        return "tool_calls"
    return "stop" if value is None or (value == "tool_calls" and not choice["tool_calls"]) else value


def _blocks(choice: JsonObject, written: Iterable[JsonObject]) -> list[JsonObject]:
    """The blocks in the mapping's own order, else thoughts, refusal, text, calls; numbered."""
    calls = iter(choice["tool_calls"])
    own = [
        {**block, "call": next(calls, None)} if block.get("kind") == "tool_call" else dict(block) for block in written
    ]
    return [{**block, "index": index} for index, block in enumerate(own)] if own else ordered_blocks(choice)


def ordered_blocks(choice: JsonObject) -> list[JsonObject]:
    """The blocks of a choice that was given by its short keys: thoughts, refusal, text, calls."""
    blocks: list[JsonObject] = [
        {"kind": kind, "text": choice[kind]} for kind in ("reasoning", "refusal", "text") if choice.get(kind)
    ]
    blocks += [{"kind": "tool_call", "id": call["id"], "call": call} for call in choice["tool_calls"]]
    return [{**block, "index": index} for index, block in enumerate(blocks)]


def _is_count(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def complete_usage(value: Json) -> JsonObject | None:
    """Whole non-negative counts; the total is synthesized; without both counts there is no usage (trap 52)."""
    if not isinstance(value, dict):
        return None
    counts: JsonObject = {key: int(value[key]) if _is_count(value.get(key)) else None for key in _COUNTS}
    if counts["prompt_tokens"] is None and counts["completion_tokens"] is None:
        return None
    for key in ("prompt_tokens", "completion_tokens"):
        counts[key] = counts[key] or 0
    counts["total_tokens"] = counts["prompt_tokens"] + counts["completion_tokens"]
    counts["estimated"] = bool(value.get("estimated"))
    return counts
