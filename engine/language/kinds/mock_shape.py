"""The structure of `mock/1` (DECISIONS 4): the table behind its check, its editor schema and its reference."""

from __future__ import annotations

from typing import Final

from engine.language.documents import ID_PATTERN
from engine.language.kinds.call_shape import METHODS, NAME
from engine.language.kinds.endpoint_shape import DEFINE, OPTIONS, common_fields
from engine.language.shapes import Anything, Bool, Condition, Field, ListOf, MapOf, Object, OneOf, Text, Tree
from engine.translate.mock_plan import FAULTS, STREAM_FAULTS, STREAM_FRAMINGS

BEHAVIOUR_NAME: Final = r"[a-z0-9_-]+"
_NAME_HELP: Final = "lower-case letters, digits, _ and -, so that `mock:NAME` can force it"
_ID: Final = Text(ID_PATTERN, "the id of an endpoint")
_REPLY: Final = Tree("{status, headers, body}")

STREAM: Final = Object(
    {
        "when": Field(Condition(), "When the answer is streamed. Without it, always."),
        "framing": Field(Text(choices=tuple(STREAM_FRAMINGS)), "How frames are written.", default="sse"),
        "content_type": Field(Text(), "The content type, if it is not the framing's own."),
        "frames": Field(
            Tree("a list of frames"),
            "What is sent: objects or texts, one a frame; `reply` is the answer they come from.",
        ),
        "every_ms": Field(Tree("a number of milliseconds"), "How long each frame waits, in milliseconds."),
        "delay_s": Field(Tree("a number of seconds"), "How long the first frame waits, in seconds.", example=2),
        "done": Field(Text(), "What ends the stream.", example="[DONE]"),
        "error": Field(Tree("a frame"), "What the fault `error_event` sends."),
        "fault": Field(Text(choices=tuple(STREAM_FAULTS)), "How the stream breaks."),
    },
    "a streamed answer",
)

_ANSWER_FIELDS: Final = {
    "delay_s": Field(Tree("a number of seconds"), "How long the answer waits, in seconds.", example=2),
    "fault": Field(Text(choices=tuple(FAULTS)), "How the connection or the answer breaks."),
    "reply": Field(
        _REPLY,
        "The answer: `status` (200), `headers`, `body`. Text under a content type that is not JSON is sent as it is.",
        example={"status": 200, "body": {"text": "pong"}},
    ),
    "stream": Field(STREAM, "The same answer streamed; keys that are not said are those of the route's `stream`."),
}

BEHAVIOUR: Final = Object(
    {
        "when": Field(
            Condition(),
            "When it is chosen. `false`: only when forced. Without it, for every request that no other took.",
        ),
        **_ANSWER_FIELDS,
    },
    "a behaviour",
)

_REFUSAL: Final = Object(
    {"when": Field(Condition(), "When the request is refused.", required=True), **_ANSWER_FIELDS}, "a refusal"
)

ACCEPT: Final = Object(
    {
        "body": Field(Anything("a JSON Schema"), "A JSON Schema of the bodies that the real API takes.", required=True),
        "else": Field(_REPLY, "The answer to any other body; `problem` says what was wrong.", required=True),
    },
    "accept",
)

SCRIPTS: Final = MapOf(
    ListOf(OneOf((Text(BEHAVIOUR_NAME, "the name of a behaviour"), Object(_ANSWER_FIELDS, "a step"))), 1),
    BEHAVIOUR_NAME,
    _NAME_HELP,
)

_ROUTE_FIELDS: Final = {
    "method": Field(Text(choices=METHODS), "The HTTP method.", default="POST"),
    "path": Field(
        Text(r"/[^?#\s]*", "a path that begins with / and has no query"),
        "The path below the endpoint's base URL; `{x}` is one segment, `{x+}` takes slashes too.",
    ),
    "accept": Field(ACCEPT, "Which bodies are taken."),
    "behaviours": Field(MapOf(BEHAVIOUR, BEHAVIOUR_NAME, _NAME_HELP), "The answers by name, tried in order."),
    "stream": Field(STREAM, "How every good answer of the route is streamed."),
    "scripts": Field(
        SCRIPTS,
        "Lists of answers by name, chosen by `script:NAME` in the body; step `n` of a conversation gets answer `n`.",
    ),
}

ROUTE: Final = Object(_ROUTE_FIELDS, "a route")

MOCK: Final = Object(
    {
        **common_fields("mock"),
        "abstract": Field(Bool(), "A parent that is never served."),
        "extends": Field(Text(ID_PATTERN, "the id of a mock"), "The mock this one is made from."),
        "serves": Field(OneOf((_ID, ListOf(_ID, 1))), "The endpoint it stands for, or several."),
        "options": Field(OPTIONS, "Named values; `opt` in expressions."),
        "refuse": Field(
            MapOf(_REFUSAL, BEHAVIOUR_NAME, _NAME_HELP),
            "What is refused on every route before all else, such as a bad key.",
        ),
        "step": Field(
            Tree("a whole number"),
            "How far the conversation is: `n`. Without a value the assistant messages of the body count.",
        ),
        "routes": Field(MapOf(ROUTE, NAME), "The routes by name; a mock with one may write it flat."),
        **_ROUTE_FIELDS,
        "define": Field(DEFINE, "Fragments for `$use`."),
    },
    "a mock",
    "A stand-in for an upstream: what it refuses, what it answers, and how it fails.",
)
