"""The structure of `toolformat/1` (DECISIONS 3): the table behind its check, its editor schema and its reference."""

from __future__ import annotations

from typing import Final

from engine.language.documents import ID_PATTERN
from engine.language.kinds.call_shape import NAME
from engine.language.kinds.endpoint_shape import DEFINE, TESTS, common_fields
from engine.language.kinds.regions import ANCHORS, LITERAL, LITERALS, REGION
from engine.language.shapes import Bool, Field, ListOf, MapOf, Object, OneOf, Text, Tree
from engine.translate.tools.plan import PLACES, REPAIRS

TOKEN_KINDS: Final = ("name", "id", "key", "type", "skip")
PAYLOAD_KINDS: Final = ("json", "args", "params", "python", "braced")

_PATTERN: Final = Object(
    {kind: Field(Text(), f"A regular expression that takes the {kind}.") for kind in TOKEN_KINDS},
    "a token",
    exactly_one=TOKEN_KINDS,
)
TOKENS: Final = ListOf(OneOf((LITERAL, ListOf(LITERAL, 1), _PATTERN)), 1)
PATHS: Final = OneOf((Text(), ListOf(Text(), 1)))

PAYLOAD: Final = Object(
    {
        "kind": Field(Text(choices=PAYLOAD_KINDS), "How name and arguments are written.", required=True),
        "name": Field(
            PATHS, "json: where the name is, as `=call.path`; the first that is there counts.", default=["=call.name"]
        ),
        "args": Field(
            PATHS, "json: where the arguments are, as `=call.path`.", default=["=call.arguments", "=call.parameters"]
        ),
        "id": Field(PATHS, "json: where the id is, as `=call.path`."),
        "items": Field(ListOf(Text(), 1), "json: keys of an object that hold the list of calls."),
        "name_is_key": Field(
            Bool(), "json: the object's only key is the name, its value the arguments.", default=False
        ),
        "seps": Field(ListOf(Text(), 1), "json: what may stand between objects; a newline means white space only."),
        "need_args": Field(Bool(), "json: an object without arguments is no call.", default=False),
        "list": Field(
            Text(choices=("never", "also", "always")), "json: whether a list of calls may stand there.", default="never"
        ),
        "open": Field(ListOf(TOKENS, 1), "params: alternative openings of a parameter, each with a key token."),
        "close": Field(LITERALS, "params: what ends a value, with its spellings."),
        "close_by_key": Field(ListOf(Text(), 2), "params: the literals before and after the key that end its value."),
        "known_keys": Field(Bool(), "params: only keys that the tool declares open a parameter.", default=False),
        "trim": Field(
            Text(choices=("none", "newline", "all")),
            "params: white space at both ends of a value that is markup: one newline each, or all.",
            default="none",
        ),
        "unescape": Field(
            Text(choices=("none", "xml")), "params: XML entities and CDATA are resolved.", default="none"
        ),
        "typing": Field(
            Text(choices=("schema", "attr", "json")),
            "params: a value's type comes from the schema, a captured type, or is JSON if it parses.",
            default="schema",
        ),
        "attr": Field(MapOf(Text(choices=("string", "json"))), "params: what each captured type means."),
        "wrappers": Field(ListOf(Text(), 1), "python: calls that are peeled off, such as print."),
        "delim": Field(LITERAL, "braced: what quotes a string."),
    },
    "payload",
)

CALL: Final = Object(
    {
        "head": Field(ListOf(TOKENS, 1), "Alternative token sequences before the payload."),
        "bare": Field(Text(r"[\[{]{1,2}", "`{`, `[` or both"), "No head: a payload that begins so may be a call."),
        "anchor": Field(Text(choices=ANCHORS), "Where a head may stand.", default="any"),
        "known": Field(Bool(), "Counts only if every name in it is offered.", default=False),
        "name_from": Field(Text(), "A regular expression with a group `name` that cleans the name."),
        "payload": Field(PAYLOAD, "What follows the head.", required=True),
        "close": Field(
            ListOf(OneOf((LITERAL, ListOf(LITERAL, 1)))),
            "End markers in order, each with its spellings; they may be missing at the end of the text.",
        ),
        "commit": Field(Text(choices=("head", "call")), "From when on it stays a call: its head, or the whole of it."),
    },
    "a call rule",
    exactly_one=("head", "bare"),
)

READ: Final = Object(
    {
        "regions": Field(MapOf(REGION, NAME), "Stretches that are never searched for calls."),
        "drop": Field(LITERALS, "Stray tokens that are taken out of the text."),
        "section": Field(
            Object(
                {
                    "open": Field(LITERALS, "What opens it; the first is canonical.", required=True),
                    "close": Field(LITERALS, "What closes it.", required=True),
                    "optional": Field(Bool(), "Calls count outside it too.", default=False),
                },
                "section",
            ),
            "Markers around all calls.",
        ),
        "fence": Field(Bool(), "A Markdown fence around just a call goes with it.", default=False),
        "calls": Field(MapOf(CALL, NAME), "Ways to write a call, tried in order.", required=True),
    },
    "read",
)

POLICY: Final = Object(
    {
        "commit": Field(Text(choices=("head", "call")), "The commit point of all calls with a head.", default="head"),
        "unknown_tool": Field(
            Text(choices=("text",)), "What a call of a tool is that was not offered.", default="text"
        ),
        "repair": Field(ListOf(Text(choices=tuple(REPAIRS))), "The repairs that are allowed."),
        "around": Field(Text(choices=("keep", "before_only")), "Which text beside calls stays.", default="keep"),
        "calls_in_reasoning": Field(
            Text(choices=("never", "always")), "Whether verbatim regions are searched after all.", default="never"
        ),
        "stream_arguments": Field(
            Text(choices=("strings", "none")), "Whether arguments flow before their call has ended.", default="strings"
        ),
    },
    "policy",
)

NEUTRALISE: Final = Object(
    {
        "insert": Field(Text(r"(?s).", "one character"), "The character put into a marker.", default="\u2060"),
        "markers": Field(ListOf(LITERAL), "Markers of the templates, beside those of `read`."),
    },
    "neutralise",
)

TOOLFORMAT: Final = Object(
    {
        **common_fields("toolformat"),
        "abstract": Field(Bool(), "A parent that is never served."),
        "extends": Field(Text(ID_PATTERN, "the id of a toolformat"), "The format this one is made from."),
        "offer": Field(
            Object(
                {
                    "place": Field(Text(choices=PLACES), "Where the definitions stand if the endpoint says nothing."),
                    "text": Field(Tree("a $template"), "The definitions and instructions.", required=True),
                },
                "offer",
            ),
            "How tools are offered.",
        ),
        "history": Field(
            Object(
                {
                    "call": Field(Tree("a $template"), "An earlier call.", required=True),
                    "result": Field(Tree("a $template"), "A tool's result.", required=True),
                    "result_role": Field(
                        Text(choices=("user", "system", "assistant")), "Who brings it.", default="user"
                    ),
                    "join": Field(Text(), "What stands between calls, and between results.", default="\n"),
                    "open": Field(Text(), "What stands before the calls of one message."),
                    "close": Field(Text(), "What stands behind them."),
                },
                "history",
            ),
            "How earlier calls and results are written.",
        ),
        "read": Field(READ, "How calls are read back."),
        "policy": Field(POLICY, "What is done in doubt."),
        "neutralise": Field(NEUTRALISE, "How markers in untrusted text are made harmless."),
        "define": Field(DEFINE, "Fragments for `$use`."),
        "tests": Field(TESTS, "Cases that `engine test` runs."),
    },
    "a toolformat",
    "How tools are offered in a prompt and calls are read back from text.",
)
