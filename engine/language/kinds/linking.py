"""Endpoints linked to the toolformats that they name (DECISIONS section 3): after all mappings are compiled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from engine.language.inherit import Resolved
from engine.language.problems import Mark, Problems, did_you_mean
from engine.language.reader import MappingNode, Node, ScalarNode, SequenceNode
from engine.translate.patterns import PatternTable
from engine.translate.plan import EndpointPlan
from engine.translate.tools.plan import ToolformatPlan


def link_toolformats(
    plan: EndpointPlan, resolved: Resolved, formats: Mapping[str, ToolformatPlan], problems: Problems
) -> EndpointPlan:
    """The endpoint with the formats of `tools.format` by model pattern; names that lead nowhere are E181."""
    tools = resolved.section("tools")
    node = tools.get("format") if isinstance(tools, MappingNode) else None
    wants_prompt = any(value == "prompt" for _, value in plan.capabilities.tools.rows)
    if node is None:
        if wants_prompt:
            _no_format(resolved, formats, problems)
        return plan
    if isinstance(node, MappingNode):
        rows = [(pattern, _named(entry.value, formats, problems)) for pattern, entry in node.entries.items()]
        if "*" not in node.entries:
            problems.add("E135", 'a table of formats needs a row "*" for every other model', node.mark,
                         help=('"*": FORMAT  as its last row',))  # fmt: skip
    else:
        rows = [("*", _named(node, formats, problems))]
    return replace(plan, toolformats=PatternTable(rows))


def _named(node: Node, formats: Mapping[str, ToolformatPlan], problems: Problems) -> tuple[ToolformatPlan, ...]:
    nodes = node.items if isinstance(node, SequenceNode) else [node]
    found: list[ToolformatPlan] = []
    for each in nodes:
        name = each.value if isinstance(each, ScalarNode) else None
        if isinstance(name, str) and name in formats:
            found.append(formats[name])
        elif isinstance(name, str):
            problems.add(
                "E181",
                f"there is no toolformat {name!r}",
                each.mark,
                length=len(name),
                help=did_you_mean(name, formats),
            )
    return tuple(found)


def _no_format(resolved: Resolved, formats: Mapping[str, ToolformatPlan], problems: Problems) -> None:
    capabilities = resolved.section("capabilities")
    entry = capabilities.entries.get("tools") if isinstance(capabilities, MappingNode) else None
    mark: Mark = entry.value.mark if entry is not None else resolved.document.mark
    problems.add(
        "E181",
        "tools are declared `prompt`, but no toolformat is named",
        mark,
        help=("add   tools: {format: ID}", *did_you_mean("", formats)[:1]),
    )
