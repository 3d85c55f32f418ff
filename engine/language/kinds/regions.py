"""Regions: stretches of a model's text that are reasoning, content or left alone (`<think>` and its like).

A toolformat names them so that they are never searched for calls, an endpoint so that every answer is read so.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from engine.language.kinds.sections import literal_text
from engine.language.reader import MappingNode, Node, to_json
from engine.language.shapes import Field, ListOf, Object, OneOf, Text
from engine.translate.tools.plan import ReadPlan, ReadPolicy, Region, ToolformatPlan
from engine.types import Json, Scope

REGION_KINDS: Final = ("verbatim", "content", "reasoning")
ANCHORS: Final = ("any", "line", "start")

LITERAL: Final = Text(r"(?s).+", "a literal that is not empty")
LITERALS: Final = OneOf((LITERAL, ListOf(LITERAL, 1)))

REGION: Final = Object(
    {
        "open": Field(LITERALS, "What opens it.", required=True),
        "close": Field(LITERALS, "What closes it."),
        "close_before": Field(LITERALS, "What ends it without being part of it."),
        "as": Field(Text(choices=REGION_KINDS), "What its text is.", required=True),
        "anchor": Field(Text(choices=ANCHORS), "Where it may open.", default="any"),
    },
    "a region",
    exactly_one=("close", "close_before"),
)


def texts_of(node: Node | None) -> tuple[str, ...]:
    """A literal or a list of them, the longest first."""
    if node is None:
        return ()
    value = to_json(node)
    found = [value] if isinstance(value, str) else [each for each in value if isinstance(each, str)]
    return longest_first(found)


def longest_first(texts: Iterable[str]) -> tuple[str, ...]:
    """The texts without doubles, the longest first, so that a longer one is never taken for a shorter."""
    return tuple(sorted(dict.fromkeys(texts), key=lambda each: -len(each)))


def compile_region(name: str, node: MappingNode) -> Region:
    """One entry of `regions`."""
    before = node.get("close_before")
    return Region(
        name=name,
        open=texts_of(node.get("open")),
        close=texts_of(before if before is not None else node.get("close")),
        kind=literal_text(node.get("as")) or "verbatim",
        anchor=literal_text(node.get("anchor")) or "any",
        keeps_close=before is not None,
    )


def compile_regions(node: Node | None) -> ToolformatPlan | None:
    """The section `regions` of an endpoint: a format that offers nothing and finds no calls. None where it has none."""
    if not isinstance(node, MappingNode):
        return None
    regions = [
        compile_region(name, entry.value)
        for name, entry in node.entries.items()
        if isinstance(entry.value, MappingNode)
    ]
    if not regions:
        return None
    return ToolformatPlan(
        id="regions",
        title="",
        file=node.mark.file,
        digest="",
        offer=_nothing,
        place=None,
        history_call=_nothing,
        history_result=_nothing,
        result_role="user",
        join="",
        read=ReadPlan(calls=(), regions=tuple(regions)),
        policy=ReadPolicy(),
        neutralise="",
        markers=(),
    )


def _nothing(_scope: Scope) -> Json:
    return ""
