"""The structure of `toolformat/1`: how tools are offered and calls are read back as text (DECISIONS section 3)."""

from __future__ import annotations

from typing import Final

from engine.language.kinds.endpoint_shape import DEFINE, NAME, OPTIONS, TESTS, common_fields
from engine.language.shapes import Anything, Field, ListOf, MapOf, Object, OneOf, Text, Tree

PLACES: Final = ("first_user", "last_user", "first_system", "last_system", "own_message")
"""Where the definitions of tools may stand in the conversation."""

OFFER: Final = Object(
    {
        "place": Field(Text(choices=PLACES), "Where the definitions stand.", default="first_user"),
        "text": Field(
            Tree("the definitions as text"),
            "The definitions; sees `tools` and `choice {mode, names, parallel}`.",
            required=True,
        ),
    },
    "offer",
)

HISTORY: Final = Object(
    {
        "call": Field(
            Tree("one call as text"), "An earlier call; sees `call {id, name, arguments, args}` and `m`.", required=True
        ),
        "result": Field(Tree("one result as text"), "An earlier result; sees `call` and `m`.", required=True),
        "result_role": Field(
            Text(choices=("user", "system", "assistant")), "The role of the message with results.", default="user"
        ),
        "join": Field(Text(), "What stands between several calls or results.", default="\n"),
    },
    "history",
)

READ: Final = Object(
    {
        "regions": Field(MapOf(Anything("a region"), NAME), "Parts of the answer by their opening and closing."),
        "drop": Field(ListOf(Anything("a marker")), "Markup that is removed."),
        "section": Field(Anything("a section"), "The part of the answer in which calls stand."),
        "calls": Field(
            MapOf(Anything("how a call is written"), NAME), "The ways a call may be written, by name.", required=True
        ),
    },
    "read",
)

POLICY: Final = Object(
    {
        "commit": Field(
            Text(choices=("head", "call")), "When a call is certain: at its head, or when it is whole.", default="head"
        ),
        "unknown_tool": Field(
            Text(choices=("text", "error", "call")),
            "What a call to a tool that was not offered becomes.",
            default="text",
        ),
        "repair": Field(ListOf(Text()), "The repairs that may be tried on broken arguments, in order."),
        "around": Field(Text(choices=("keep", "drop")), "What becomes of text around calls.", default="keep"),
        "calls_in_reasoning": Field(
            Text(choices=("never", "last")), "Whether a call inside reasoning counts.", default="never"
        ),
    },
    "policy",
)

TOOLFORMAT: Final = Object(
    {
        **common_fields("toolformat"),
        "options": Field(OPTIONS, "Knobs; `opt` in expressions."),
        "offer": Field(OFFER, "How the tools are told to the model.", required=True),
        "history": Field(HISTORY, "How earlier calls and results are told to the model.", required=True),
        "read": Field(READ, "How calls are read from the model's text.", required=True),
        "policy": Field(POLICY, "What happens in doubt."),
        "neutralise": Field(
            OneOf(
                (
                    Object(
                        {"insert": Field(Text(), "The character put into markers inside values.", required=True)},
                        "neutralise",
                    ),
                )
            ),
            "How markers inside values are made harmless, reversibly.",
        ),
        "define": Field(DEFINE, "Fragments for `$use`."),
        "tests": Field(TESTS, "Cases that `engine test` runs."),
    },
    "a toolformat",
    "How a model without native tools is offered tools and answers with calls, as text.",
)
"""The shape of the whole file."""
