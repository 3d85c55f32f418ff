"""Compile `tools` and `structured`: what an endpoint without tools or JSON answers says to the model instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from engine.language.canonical import CHOICE_OF_TOOL
from engine.language.compiled import Env
from engine.language.kinds.sections import literal_text
from engine.language.reader import MappingNode, Node, ScalarNode
from engine.language.static_types import ANY, OBJECT, STRING, Type
from engine.language.tree import TreeCompiler
from engine.language.usage import Usage
from engine.translate.plan import StructuredPlan, ToolsPlan
from engine.types import Build

_DEFAULT_PLACE: Final = "first_user"
_SCHEMA_NAMES: Final[Mapping[str, Type]] = {"schema": OBJECT.optional(), "name": STRING}


def compile_tools(compiler: TreeCompiler, node: Node | None) -> ToolsPlan:
    """The section `tools`; what it says of formats is linked later, when all of them are compiled."""
    if not isinstance(node, MappingNode):
        return ToolsPlan()
    names = {"choice": CHOICE_OF_TOOL, "problem": STRING}
    return ToolsPlan(
        place=literal_text(node.get("place")),
        retry_text=_retry(compiler, node, names, "tools.retry_text"),
    )


def compile_structured(compiler: TreeCompiler, node: Node | None) -> StructuredPlan | None:
    """The section `structured`; None where the endpoint has none."""
    text = node.get("text") if isinstance(node, MappingNode) else None
    if not isinstance(node, MappingNode) or text is None:
        return None
    names = {**_SCHEMA_NAMES, "description": STRING.optional()}
    return StructuredPlan(
        text=compiler.function(text, Env(names, "structured.text", "request", Usage()), STRING),
        place=literal_text(node.get("place")) or _DEFAULT_PLACE,
        retry_text=_retry(compiler, node, {**_SCHEMA_NAMES, "problem": ANY}, "structured.retry_text"),
    )


def _retries(node: MappingNode) -> bool:
    retry = node.get("retry")
    return isinstance(retry, ScalarNode) and retry.value == 1


def _retry(compiler: TreeCompiler, node: MappingNode, names: Mapping[str, Type], where: str) -> Build | None:
    """The text of a second try; `retry: 1` without it is a mistake, since the engine has no words of its own."""
    text = node.get("retry_text")
    if not _retries(node):
        return None
    if text is None:
        compiler.problems.add(
            "E024", "`retry: 1` needs `retry_text`: what the model is told", node.entries["retry"].key.mark, length=5
        )
        return None
    return compiler.function(text, Env(names, where, "request", Usage()), STRING)
