"""The canonical vocabulary as static types: the one form in the middle (DECISIONS section 1, LANGUAGE 3.5).

The request is the chat-completions JSON plus a closed list of additions; reply, stream events and errors have words of
their own. Every object here is closed, so that a misspelt path is found at load; `ext`, `extra`, `metadata`, JSON
Schemas and other carried values stay open.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from engine.errors import ERROR_TYPES
from engine.language.static_types import (
    ANY,
    ARRAY,
    BOOLEAN,
    NULL,
    NUMBER,
    OBJECT,
    STRING,
    Type,
    array_of,
    enum_of,
    object_of,
    union,
)

ROLE: Final = enum_of("system", "developer", "user", "assistant", "tool", "function")
"""Who speaks in a message."""

PART_TYPE: Final = enum_of("text", "image_url", "input_audio", "file", "refusal")
"""The kinds of content part."""

FINISH_REASON: Final = enum_of("stop", "length", "tool_calls", "content_filter")
"""Why an answer ended; the key is `finish_reason` everywhere (DECISIONS 1)."""

PART: Final = object_of(
    {"type": PART_TYPE},
    {
        "text": STRING,
        "refusal": STRING,
        "image_url": object_of({"url": STRING}, {"detail": STRING}),
        "input_audio": object_of({"data": STRING}, {"format": STRING}),
        "file": object_of({}, {"file_id": STRING, "filename": STRING, "file_data": STRING}),
        "prompt_cache_breakpoint": OBJECT,
        "ext": OBJECT,
    },
)
"""One content part: the fields of its type, and `ext`."""

REQUEST_TOOL_CALL: Final = object_of(
    {"id": STRING, "type": enum_of("function", "custom")},
    {
        "function": object_of({"name": STRING, "arguments": STRING}),
        "custom": object_of({"name": STRING, "input": STRING}),
        "index": NUMBER,
        "ext": OBJECT,
    },
)
"""A call in the history. `arguments` is JSON text that may be invalid."""

MESSAGE: Final = object_of(
    {"role": ROLE},
    {
        "content": union(STRING, array_of(PART)),
        "name": STRING,
        "refusal": STRING,
        "tool_calls": array_of(REQUEST_TOOL_CALL),
        "tool_call_id": STRING,
        "is_error": BOOLEAN,
        "reasoning": array_of(object_of({}, {"text": STRING, "state": ANY, "ext": OBJECT})),
        "audio": object_of({}, {"id": STRING}),
        "function_call": object_of({"name": STRING, "arguments": STRING}),
        "ext": OBJECT,
    },
)
"""One message of the history."""

TOOL: Final = object_of(
    {"type": enum_of("function", "custom")},
    {
        "function": object_of({"name": STRING}, {"description": STRING, "parameters": OBJECT, "strict": BOOLEAN}),
        "custom": object_of({"name": STRING}, {"description": STRING, "format": OBJECT}),
        "ext": OBJECT,
    },
)
"""A tool that the client offers."""

_RESPONSE_FORMAT: Final = object_of(
    {"type": enum_of("text", "json_object", "json_schema")},
    {
        "json_schema": object_of(
            {}, {"name": STRING, "description": STRING, "schema": union(OBJECT, BOOLEAN), "strict": BOOLEAN}
        )
    },
)

_REQUEST_FIELDS: Final[Mapping[str, Type]] = {
    "max_completion_tokens": NUMBER,
    "max_tokens": NUMBER,
    "temperature": NUMBER,
    "top_p": NUMBER,
    "top_k": NUMBER,
    "min_p": NUMBER,
    "n": NUMBER,
    "stop": union(STRING, array_of(STRING)),
    "frequency_penalty": NUMBER,
    "presence_penalty": NUMBER,
    "logit_bias": OBJECT,
    "logprobs": BOOLEAN,
    "top_logprobs": NUMBER,
    "seed": NUMBER,
    "stream": BOOLEAN,
    "stream_options": object_of({}, {"include_usage": BOOLEAN, "include_obfuscation": BOOLEAN}),
    "response_format": _RESPONSE_FORMAT,
    "tools": array_of(TOOL),
    "tool_choice": ANY,
    "parallel_tool_calls": BOOLEAN,
    "reasoning_effort": enum_of("none", "minimal", "low", "medium", "high", "xhigh", "max"),
    "verbosity": enum_of("low", "medium", "high"),
    "modalities": array_of(STRING),
    "audio": object_of({}, {"voice": union(STRING, OBJECT), "format": STRING}),
    "prediction": object_of({}, {"type": STRING, "content": union(STRING, array_of(PART))}),
    "web_search_options": object_of({}, {"search_context_size": STRING, "user_location": OBJECT}),
    "store": BOOLEAN,
    "metadata": OBJECT,
    "service_tier": STRING,
    "user": STRING,
    "safety_identifier": STRING,
    "prompt_cache_key": STRING,
    "prompt_cache_retention": STRING,
    "prompt_cache_options": object_of({}, {"ttl": STRING, "mode": STRING}),
    "moderation": object_of({}, {"model": STRING, "policy": ANY}),
    "functions": array_of(object_of({"name": STRING}, {"description": STRING, "parameters": OBJECT})),
    "function_call": union(STRING, object_of({"name": STRING})),
    "ext": OBJECT,
    "extra": OBJECT,
}

CANONICAL_REQUEST: Final = object_of({"model": STRING, "messages": array_of(MESSAGE)}, _REQUEST_FIELDS)
"""`req`: what a client asks, whatever dialect it spoke."""

CALL: Final = object_of({"id": STRING, "name": STRING, "arguments": STRING}, {"index": NUMBER})
"""A tool call of a reply; `arguments` is JSON text."""

USAGE: Final = object_of(
    {},
    {
        "prompt_tokens": NUMBER,
        "completion_tokens": NUMBER,
        "total_tokens": NUMBER,
        "cached_tokens": NUMBER,
        "cache_write_tokens": NUMBER,
        "reasoning_tokens": NUMBER,
        "estimated": BOOLEAN,
    },
)
"""Token counts. Cached tokens lie inside `prompt_tokens`, reasoning tokens inside `completion_tokens`."""

COST: Final = object_of({"amount": NUMBER}, {"unit": STRING})
"""What the answer cost, in the upstream's own unit."""

BLOCK: Final = object_of(
    {"kind": enum_of("text", "reasoning", "tool_call", "refusal", "image"), "index": NUMBER},
    {"id": STRING, "text": STRING, "state": ANY, "call": CALL, "url": STRING},
)
"""One block of a reply, in order."""

_CHOICE_FIELDS: Final[Mapping[str, Type]] = {
    "index": NUMBER,
    "blocks": array_of(BLOCK),
    "text": STRING,
    "reasoning": STRING,
    "refusal": STRING,
    "tool_calls": array_of(CALL),
    "finish_reason": FINISH_REASON,
    "stop_sequence": STRING,
    "logprobs": ANY,
}

CHOICE: Final = object_of({}, _CHOICE_FIELDS)
"""One answer; the short keys are views of its blocks."""

LOSS: Final = object_of(
    {
        "field": STRING,
        "action": enum_of("dropped", "clamped", "emulated", "merged", "damaged", "unread"),
        "stage": enum_of("request", "reply"),
    },
    {"rule": STRING},
)
"""One thing that a translation could not carry."""

REPLY: Final = object_of(
    {"id": STRING, "model": STRING, "created": NUMBER},
    {
        **_CHOICE_FIELDS,
        "upstream_id": STRING,
        "upstream_model": STRING,
        "choices": array_of(CHOICE),
        "usage": USAGE,
        "cost": COST,
        "meta": ANY,
        "losses": array_of(LOSS),
        "late": object_of({}, {"losses": array_of(LOSS), "streaming": enum_of("fallback"), "cost": COST}),
    },
)
"""`out`: the reply. The keys of choice 0 are also on `out` itself."""

ERR: Final = object_of(
    {"type": enum_of(*ERROR_TYPES, "upstream_auth"), "status": NUMBER, "message": STRING},
    {"code": STRING, "param": STRING, "details": ANY, "retry_after_s": NUMBER, "retryable": BOOLEAN},
)
"""`err`: one failure, as every dialect sees it."""

MODEL: Final = object_of({"id": STRING, "name": STRING}, {"meta": ANY})
"""`model` of an endpoint: `id` as asked for, `name` as the upstream calls it, `meta` from the upstream's list."""

LISTED_MODEL: Final = object_of(
    {"id": STRING},
    {
        "name": STRING,
        "created": NUMBER,
        "owned_by": STRING,
        "kind": STRING,
        "context_tokens": NUMBER,
        "max_output_tokens": NUMBER,
        "price": ANY,
        "tools": BOOLEAN,
        "images": BOOLEAN,
        "meta": ANY,
    },
)
"""One entry of `models` (DECISIONS 4), and `model` of a dialect's model operation."""

CTX: Final = object_of({"stream": BOOLEAN, "request_id": STRING, "now": NUMBER})
"""`ctx`: whether this call streams, the request's id, the time in whole seconds since 1970."""

CLIENT_CTX: Final = object_of({"stream": BOOLEAN, "request_id": STRING, "now": NUMBER, "elapsed_ms": NUMBER})
"""`ctx` of what a client gets: also the milliseconds since the call began; of a stream only `end` and `error` know."""

HTTP_REPLY: Final = object_of({"status": NUMBER, "headers": OBJECT})
"""`http` of an upstream's reply; header names are lower case."""

HTTP_REQUEST: Final = object_of(
    {"method": STRING, "path": STRING, "params": OBJECT, "query": OBJECT, "headers": OBJECT},
)
"""`http` of a client's request; header names are lower case."""

WIRE: Final = object_of(
    {
        **dict.fromkeys(("method", "host", "path", "query", "query_sorted", "body_sha256"), STRING),
        "headers": OBJECT,
        "body": STRING.optional(),
        "now": NUMBER,
    }
)
"""`wire` of `auth.sign`: the request as it will be sent. `query_sorted` has its pairs sorted, encoded by RFC 3986."""

FRAME: Final = object_of({}, {"event": STRING, "id": STRING, "data": STRING, "json": ANY, "fields": OBJECT})
"""`ev` of an endpoint's stream: one frame from the wire."""

EVENT: Final = object_of(
    {
        "kind": enum_of(
            "start", "text_start", "text", "text_stop", "reasoning_start", "reasoning", "reasoning_stop",
            "refusal_start", "refusal", "refusal_stop",
            "tool_call_start", "tool_call_delta", "tool_call_done", "heartbeat", "finish", "usage", "end", "error",
        ),
        "choice": NUMBER,
    },
    {
        "block": NUMBER,
        "id": STRING,
        "text": STRING,
        "state": ANY,
        "call": object_of({}, dict(CALL.fields or {})),
        "finish_reason": FINISH_REASON,
        "logprobs": ANY,
        "usage": USAGE,
    },
)  # fmt: skip
"""`ev` of a dialect's stream: one lifecycle event (the table of DECISIONS 1)."""

CHOICE_OF_TOOL: Final = object_of(
    {"mode": enum_of("auto", "none", "required", "named", "allowed"), "names": array_of(STRING), "parallel": BOOLEAN},
)
"""`choice` of a toolformat's offer."""

PROMPT_CALL: Final = object_of({"id": STRING, "name": STRING, "arguments": STRING, "args": OBJECT}, {"index": NUMBER})
"""`call` of a toolformat's history: `args` are the arguments, decoded."""

_TEXT_OR_OBJECT: Final = union(STRING, OBJECT)
_EMIT_CALL: Final = object_of({"name": STRING}, {"id": STRING, "arguments": _TEXT_OR_OBJECT, "index": NUMBER})

EMIT_KEYS: Final[Mapping[str, Type]] = MappingProxyType(
    {
        "id": STRING,
        "model": STRING,
        "created": NUMBER,
        "text": STRING,
        "reasoning": STRING,
        "refusal": STRING,
        "tool_calls": array_of(_EMIT_CALL),
        "finish_reason": FINISH_REASON,
        "stop_sequence": STRING,
        "logprobs": ANY,
        "usage": USAGE,
        "cost": COST,
        "blocks": array_of(BLOCK),
        "choices": ARRAY,
        "meta": ANY,
    }
)
"""What a `response` tree may produce, each key with its type (LANGUAGE 3.5)."""

STREAM_EMIT_KEYS: Final[Mapping[str, Type]] = MappingProxyType(
    {
        **{name: each for name, each in EMIT_KEYS.items() if name not in {"choices", "blocks"}},
        "text_total": STRING,
        "reasoning_total": STRING,
        "reasoning_state": ANY,
        "tool_call": object_of(
            {"key": union(STRING, NUMBER)},
            {"id": STRING, "name": STRING, "arguments": _TEXT_OR_OBJECT, "done": BOOLEAN},
        ),
        "choice": NUMBER,
    }
)
"""What a stream's `emit` may produce: pieces instead of wholes, and `choice` (LANGUAGE 3.5)."""

RAISE_KEYS: Final[Mapping[str, Type]] = MappingProxyType(
    {
        "type": enum_of(*ERROR_TYPES),
        "status": NUMBER,
        "code": union(STRING, NUMBER, NULL),
        "message": STRING,
        "param": STRING,
        "details": ANY,
        "retry_after_s": NUMBER,
        "retryable": BOOLEAN,
    }
)
"""What a `raise` may say (DECISIONS 1)."""
