"""The structure of `endpoint/1` (LANGUAGE 3.6): the table behind its check, its editor schema and its reference."""

from __future__ import annotations

from typing import Final

from engine.language.documents import ID_PATTERN
from engine.language.kinds.call_shape import (
    AUTH,
    CALL,
    IDENTIFIER,
    MODELS,
    NAME,
    SECRETS,
    STEPS,
    STREAM_CALL,
)
from engine.language.kinds.edits import EDITS
from engine.language.kinds.regions import REGION
from engine.language.scopes import OPTION_TYPES
from engine.language.shapes import (
    Anything,
    Bool,
    Condition,
    Field,
    ListOf,
    MapOf,
    Number,
    Object,
    OneOf,
    Shape,
    Text,
    Tree,
)
from engine.translate.framing import FRAMERS
from engine.translate.losses import BY_RULE
from engine.translate.tools.plan import PLACES
from engine.types import JsonObject

STATUS: Final = OneOf(
    (
        Number(100, 599, whole=True),
        Text(r"[1-5]xx", "a status such as 404, or a class such as 4xx"),
        ListOf(OneOf((Number(100, 599, whole=True), Text(r"[1-5]xx", "a status or a class such as 4xx"))), 1),
    )
)


def by_model(*values: str) -> Shape:
    """A value out of a closed list, or a table of it by model pattern."""
    one = Text(choices=values)
    return OneOf((one, MapOf(one)))


RAISE: Final = Tree("{type, status, code, message, param, details, retry_after_s, retryable}")

ERRORS: Final = MapOf(
    Object(
        {
            "status": Field(STATUS, "The upstream status or statuses the rule is for.", example=["4xx", "5xx"]),
            "when": Field(Condition(), "A condition over the reply."),
            "raise": Field(RAISE, "The error the client gets.", required=True),
        },
        "an error rule",
    ),
    NAME,
)

REFUSE: Final = MapOf(
    Object(
        {
            "when": Field(Condition(), "When the request is refused.", required=True),
            "raise": Field(RAISE, "The error the client gets.", required=True),
        },
        "a refusal",
    ),
    NAME,
)

LOSSES: Final = MapOf(
    Object(
        {
            "when": Field(Condition(), "When something is lost.", required=True),
            "field": Field(Tree("the field that is lost"), "The client's path of what is lost.", required=True),
            "action": Field(Text(choices=BY_RULE), "What was done to it.", default=BY_RULE[0]),
        },
        "a loss",
    ),
    NAME,
)

OPTIONS: Final = MapOf(
    Object(
        {
            "type": Field(Text(choices=OPTION_TYPES), "The type of the option's value.", required=True),
            "default": Field(Anything("a value of that type"), "The value when a config says nothing."),
            "values": Field(ListOf(Anything()), "The only values it may have."),
            "doc": Field(Text(), "What the option does, in a sentence."),
        },
        "an option",
    ),
    IDENTIFIER,
)

CAPABILITIES: Final = Object(
    {
        "streaming": Field(
            by_model("native", "synthetic", "only", "probe"), "How the endpoint streams.", default="synthetic"
        ),
        "tools": Field(by_model("native", "prompt", "none"), "How tools reach the model.", default="none"),
        "system": Field(
            by_model("native", "hoist", "first_user"), "Where system messages may stand.", default="native"
        ),
        "alternate": Field(
            OneOf((Bool(), MapOf(Bool()))), "Whether user and assistant turns must alternate.", default=False
        ),
        "max_stop": Field(
            Number(0, 64, whole=True),
            "How many stop sequences the endpoint takes; more are cut off, and reported as a loss.",
        ),
    },
    "capabilities",
)

PARAMS: Final = MapOf(
    Object(
        {
            "min": Field(Number(), "The smallest value the endpoint takes."),
            "max": Field(Number(), "The largest value the endpoint takes."),
            "over": Field(
                Text(choices=("clamp", "reject", "drop", "pass")), "What is done with a value outside.", default="clamp"
            ),
            "unsupported": Field(
                Text(choices=("reject", "drop")), "What is done when the body does not read the parameter."
            ),
        },
        "a parameter",
    ),
    IDENTIFIER,
)

FORMAT: Final = OneOf(
    (Text(ID_PATTERN, "the id of a toolformat"), ListOf(Text(ID_PATTERN, "the id of a toolformat"), 1))
)

TOOLS: Final = Object(
    {
        "format": Field(
            OneOf((*FORMAT.shapes, MapOf(FORMAT))),
            "A toolformat, a list in order of preference, or a table by model pattern.",
        ),
        "place": Field(
            Text(choices=PLACES),
            "Where the definitions stand.",
        ),
        "retry": Field(
            Number(0, 1, whole=True),
            "Ask again once when a required call is missing, or strict arguments do not fit.",
            default=0,
        ),
        "retry_text": Field(Tree("text"), "What the model is told then; sees `choice` and `problem`."),
    },
    "tools",
)

STRUCTURED: Final = Object(
    {
        "text": Field(
            Tree("text"), "What the model is told; sees `schema` (or null), `name` and `description`.", required=True
        ),
        "place": Field(Text(choices=PLACES), "Where the text stands.", default="first_user"),
        "retry": Field(Number(0, 1, whole=True), "Ask again once when the answer is not as wished.", default=0),
        "retry_text": Field(Tree("text"), "What the model is told then; sees `problem` too."),
    },
    "structured",
)


class _Rule:
    """A stream rule: a decision tree that may nest (LANGUAGE 3.6). Checked recursively."""

    def _object(self) -> Object:
        return Object(RULE_FIELDS, "a stream rule")

    def describe(self) -> str:
        """Name the shape for a person."""
        return "a rule (set, emit, raise, end, select with cases), or `ignore`, or `error`"

    def matches(self, node: object) -> bool:
        """Say whether the node is of this kind at all."""
        return True

    def check(self, node, where, problems) -> None:  # type: ignore[no-untyped-def]  # the protocol of Shape
        if OneOf((_WORD, self._object())).matches(node):
            OneOf((_WORD, self._object())).check(node, where, problems)

    def schema(self) -> JsonObject:
        """The JSON Schema of the shape."""
        return {"anyOf": [_WORD.schema(), {"type": "object"}]}

    def value(self, node):  # type: ignore[no-untyped-def]
        return OneOf((_WORD, self._object())).value(node)


_WORD: Final = Text(choices=("ignore", "error"))
RULE_FIELDS: Final = {
    "set": Field(MapOf(Tree()), "New values of declared state."),
    "emit": Field(Tree("what the frame means"), "Canonical pieces: an object or a list of them."),
    "raise": Field(RAISE, "The failure the frame means."),
    "end": Field(Bool(), "The stream ends here."),
    "select": Field(Tree("an =expression"), "The expression whose value names the case."),
    "cases": Field(MapOf(_Rule()), "A rule for each value."),
    "default": Field(_Rule(), "The rule for any other value."),
}

STREAM: Final = Object(
    {
        "framing": Field(
            Text(choices=tuple(FRAMERS)),
            "How bytes are framed.",
        ),
        "decode": Field(Text(choices=("json", "text")), "What a frame's data is.", default="json"),
        "state": Field(MapOf(Anything("a literal")), "Named state with its first value."),
        "done": Field(Condition(), "When the terminator was seen."),
        "request": Field(STREAM_CALL, "Parts of the request that differ when it streams, merged over it."),
        "at_end": Field(Anything("`error`, or a rule"), "What a clean close without an end means."),
        **RULE_FIELDS,
    },
    "stream",
)

DEFINE: Final = MapOf(
    Object(
        {
            "args": Field(ListOf(Text(IDENTIFIER, "a name")), "The names it takes."),
            "value": Field(Tree("the fragment's tree"), "What it stands for.", required=True),
        },
        "a fragment",
    ),
    NAME,
)

TESTS: Final = MapOf(
    Object(
        {
            "doc": Field(Text(), "What the case shows, or why it differs from elsewhere."),
            "source": Field(Text(), "Where the sample comes from."),
            "seen": Field(Text(), "When it was seen."),
            "given": Field(MapOf(Anything()), "What comes in.", required=True),
            "expect": Field(MapOf(Anything()), "What must come out.", required=True),
        },
        "a test",
    )
)


def common_fields(kind: str) -> dict[str, Field]:
    """The keys that every kind of mapping begins with."""
    return {
        "mapping": Field(
            Text(choices=(f"{kind}/1",)), "The kind of file and the language version; the first key.", required=True
        ),
        "id": Field(
            Text(ID_PATTERN, "lower-case words joined by dots"), "The id, unique among its kind.", required=True
        ),
        "title": Field(Text(), "What it is, in a few words."),
        "doc": Field(Text(), "What a reader should know."),
    }


ENDPOINT: Final = Object(
    {
        **common_fields("endpoint"),
        "abstract": Field(Bool(), "A parent that is never served."),
        "extends": Field(Text(ID_PATTERN, "the id of an endpoint"), "The endpoint this one is made from."),
        "wire": Field(
            Text(ID_PATTERN, "the name of a wire format"), "The wire format, shared with a dialect that speaks it."
        ),
        "base_url": Field(Text(r"https?://\S+", "an http or https URL"), "Origin and prefix of all calls; a literal."),
        "hosts": Field(MapOf(Text(r"https?://\S+", "an http or https URL"), NAME), "Other origins, by name."),
        "insecure": Field(Bool(), "Allow plain http to a host that is not loopback."),
        "options": Field(OPTIONS, "Knobs that a gateway config may set; `opt` in expressions."),
        "secrets": Field(SECRETS, "Secrets by name; they exist only inside `auth`."),
        "auth": Field(AUTH, "How a call is authorized."),
        "capabilities": Field(CAPABILITIES, "What the endpoint can do by itself."),
        "tools": Field(TOOLS, "The toolformat, where `capabilities.tools` is `prompt`."),
        "structured": Field(STRUCTURED, "How JSON answers are had where the endpoint has no `response_format`."),
        "params": Field(PARAMS, "Limits and policy of request parameters."),
        "models": Field(MODELS, "How to list the models."),
        "request": Field(CALL, "The chat call."),
        "steps": Field(
            STEPS, "Calls that come before `request`, in order; without a `request` the last of them gives the answer."
        ),
        "response": Field(Tree("the canonical reply"), "The canonical reply, from `res`."),
        "stream": Field(STREAM, "What the frames of a stream mean."),
        "regions": Field(
            MapOf(REGION, NAME), "Stretches of the answer's text that are reasoning, whole answers and streams alike."
        ),
        "refuse": Field(REFUSE, "Requests that are refused before anything is sent."),
        "errors": Field(ERRORS, "Which replies are failures, in order, also with status 200."),
        "edits": Field(
            EDITS,
            "The body of a client that speaks the same wire passes as it is, with these edits; so does the answer.",
        ),
        "losses": Field(LOSSES, "What this endpoint loses beyond what the engine sees by itself."),
        "define": Field(DEFINE, "Fragments for `$use`."),
        "tests": Field(TESTS, "Cases that `engine test` runs."),
    },
    "an endpoint",
    "One version of one upstream API operation.",
)
