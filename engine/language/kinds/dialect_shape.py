"""The structure of `dialect/1` (LANGUAGE 3.6, DECISIONS 2.5 and 2.6)."""

from __future__ import annotations

from typing import Final

from engine.language.kinds.call_shape import METHODS, NAME
from engine.language.kinds.endpoint_shape import DEFINE, LOSSES, OPTIONS, REFUSE, TESTS, common_fields
from engine.language.shapes import Bool, Condition, Field, ListOf, MapOf, Number, Object, OneOf, Text, Tree

OPERATION_KINDS: Final = ("chat", "models", "model", "answer")
EVENTS: Final = (
    "start", "text_start", "text", "text_stop", "reasoning_start", "reasoning", "reasoning_stop",
    "refusal_start", "refusal", "refusal_stop",
    "tool_call_start", "tool_call_delta", "tool_call_done", "heartbeat", "finish", "usage", "end", "error",
)  # fmt: skip

_PATH: Final = Text(r"/\S*", "a path that begins with /")

ROUTE: Final = Object(
    {
        "method": Field(Text(choices=METHODS), "The HTTP method.", default="POST"),
        "path": Field(
            OneOf((_PATH, ListOf(_PATH, 1))),
            "The path, or several; `{x}` is one segment, `{x+}` takes slashes too.",
            required=True,
        ),
        "header": Field(
            Text(r"[a-z0-9-]{1,64}", "a header name in lower case"),
            "A header that a request must have to come here: of two routes on one path, this one is asked first.",
        ),
    },
    "route",
)

_ROUTES: Final = OneOf((ROUTE, ListOf(ROUTE, 1)))

_RESPONSE: Final = Object(
    {
        "status": Field(Number(100, 599, whole=True), "The HTTP status.", default=200),
        "headers": Field(MapOf(Tree("a value")), "More response headers; absent ones are left out."),
        "body": Field(Tree("the answer"), "The answer: the tree is the JSON that is sent.", required=True),
    },
    "response",
)

_ANSWER: Final = Object(
    {"when": Field(Condition(), "A condition over `in`.", required=True), **_RESPONSE.fields}, "an answer"
)

_EVENT: Final = Object(
    {"send": Field(Tree("a frame or a list of frames"), "What the client gets.", required=True)}, "an event"
)

STREAM: Final = Object(
    {
        "framing": Field(Text(choices=("sse", "ndjson")), "How frames are written.", required=True),
        "content_type": Field(Text(), "The content type, where it is not the framing's own."),
        "blocks": Field(Text(choices=("serial", "parallel")), "Whether blocks may interleave.", default="parallel"),
        "event": Field(Tree("an =expression over `data`"), "The SSE event name of each frame."),
        "number": Field(
            Object(
                {
                    "field": Field(Text(), "The key.", required=True),
                    "from": Field(Number(whole=True), "The first.", default=0),
                }
            ),
            "Number the frames in a key.",
        ),
        "events": Field(
            Object(
                {name: Field(OneOf((_EVENT, Text(choices=("ignore",)))), f"On `{name}`.") for name in EVENTS}, "events"
            ),
            "What is sent for each event.",
            required=True,
        ),
    },
    "stream",
)

_OPERATION_FIELDS: Final = {
    "route": Field(_ROUTES, "Where it listens: a route, or several.", required=True),
    "kind": Field(Text(choices=OPERATION_KINDS), "What it does.", default="chat"),
    "request": Field(Tree("the canonical request"), "The canonical request, from `in`."),
    "passes": Field(
        Condition(),
        "A condition over `in`: where it fails, a request is translated for endpoints of the same wire too.",
    ),
    "answers": Field(
        MapOf(_ANSWER, NAME), "Requests of a chat that are answered without a call; the first whose `when` holds."
    ),
    "response": Field(_RESPONSE, "What the client gets.", required=True),
    "stream": Field(STREAM, "What the client gets when it streams."),
}

OPERATION: Final = Object(
    {
        **_OPERATION_FIELDS,
        "wire": Field(Text(), "The wire format of this operation, where it is not the dialect's."),
    },
    "an operation",
)

ERROR_SHAPE: Final = Object(
    {
        "when": Field(Condition(), "A condition over `err`."),
        "status": Field(Tree("the HTTP status"), "The HTTP status.", default="=err.status"),
        "headers": Field(MapOf(Tree("a value")), "More headers."),
        "body": Field(Tree("the error object"), "The error in the dialect's own shape.", required=True),
    },
    "an error shape",
)

DIALECT: Final = Object(
    {
        **common_fields("dialect"),
        "abstract": Field(Bool(), "A parent that is never served."),
        "extends": Field(Text(), "The dialect this one is made from."),
        "wire": Field(Text(), "The wire format, shared with endpoints that speak it."),
        "base_path": Field(
            _PATH, "What a client's base URL ends in; without it a client is pointed at the server itself."
        ),
        "request_id": Field(
            Text(r"[a-z0-9-]{1,64}", "a header name in lower case"),
            "The header in which clients look for the id of their request, on every answer; `x-request-id` is always"
            " there too.",
        ),
        "keeps_state": Field(
            Text(choices=("blocks", "call_ids")),
            "Where clients bring back reasoning state of another wire: as the `state` of reasoning, which must be sent"
            " as it is, or in the ids of tool calls. Without it such state is lost.",
        ),
        "operations": Field(MapOf(OPERATION, NAME), "The routes by name."),
        **{key: Field(each.shape, each.doc, default=each.default) for key, each in _OPERATION_FIELDS.items()},
        "options": Field(OPTIONS, "Knobs that a gateway config may set."),
        "refuse": Field(REFUSE, "Requests that are refused."),
        "errors": Field(
            MapOf(ERROR_SHAPE, NAME), "Errors in the dialect's own shape; the last has no `when`.", required=True
        ),
        "losses": Field(LOSSES, "What the dialect loses by itself."),
        "define": Field(DEFINE, "Fragments for `$use`."),
        "tests": Field(TESTS, "Cases that `engine test` runs."),
    },
    "a dialect",
    "An API that clients speak to us.",
)
