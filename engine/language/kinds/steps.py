"""Compile `steps`: the calls of an endpoint that needs several (LANGUAGE 3.6)."""

from __future__ import annotations

from collections.abc import Mapping

from engine.language import scopes
from engine.language.compiled import Env
from engine.language.kinds.calls import CallCompiler
from engine.language.kinds.sections import literal_text
from engine.language.reader import MappingNode, Node, ScalarNode, to_json
from engine.language.static_types import ANY, NUMBER, Type, array_of
from engine.language.usage import Usage
from engine.translate.plan import CallPlan, StepPlan

_NOT_LAST = ("when", "each", "on_cancel")
_SECONDS = NUMBER.optional()


def compile_steps(
    calls: CallCompiler, node: MappingNode, options: Type, usage: Usage, *, with_last: bool
) -> tuple[StepPlan, ...]:
    """The steps in their order; each sees the answers of those before it.

    `with_last` says that the last of them gives the answer, since there is no `request` behind it.
    """
    steps: list[StepPlan] = []
    last = next(reversed(node.entries), None) if with_last else None
    for name, entry in node.entries.items():
        if isinstance(entry.value, MappingNode):
            _check(calls, entry.value, is_last=name == last)
            steps.append(_step(calls, name, entry.value, options, [each.name for each in steps], usage))
    return tuple(steps)


def _step(
    calls: CallCompiler, name: str, node: MappingNode, options: Type, earlier: list[str], usage: Usage
) -> StepPlan:
    where = f"steps.{name}"
    names = scopes.request_names(options, earlier)
    env = Env(names, where, "request", usage, templates=False, trace=calls.trace)
    when, each = node.get("when"), node.get("each")
    item = literal_text(node.get("as")) or "it"
    inside: Mapping[str, Type] = {**names, item: ANY} if each is not None else names
    until, again, every, wait = (node.get(key) for key in ("until", "again_when", "every_s", "wait_s"))
    seen = {
        key: Env(
            scopes.reply_names(options, earlier), f"{where}.{key}", "reply", Usage(), templates=False, trace=calls.trace
        )
        for key in ("until", "again_when", "every_s")
    }
    begun = scopes.request_names(options, [*earlier, name])
    return StepPlan(
        name=name,
        call=_call(calls, node.get("request"), inside, f"{where}.request", usage),
        when=calls.compiler.condition(when, env) if when is not None else None,
        each=calls.compiler.function(each, env, array_of(ANY)) if each is not None else None,
        item=item,
        wait_s=calls.compiler.function(wait, env, _SECONDS) if wait is not None else None,
        until=calls.compiler.condition(until, seen["until"]) if until is not None else None,
        again=calls.compiler.condition(again, seen["again_when"]) if again is not None else None,
        every_s=calls.compiler.function(every, seen["every_s"], _SECONDS) if every is not None else None,
        for_s=_seconds(node.get("for_s")),
        on_cancel=_call(calls, undo, begun, f"{where}.on_cancel", usage) if (undo := node.get("on_cancel")) else None,
    )


def _call(calls: CallCompiler, node: Node | None, names: Mapping[str, Type], where: str, usage: Usage) -> CallPlan:
    assert isinstance(node, MappingNode)
    return calls.call(node, names, where, usage)


def _seconds(node: Node | None) -> float:
    value = to_json(node) if isinstance(node, ScalarNode) else None
    return float(value) if isinstance(value, int | float) else 1.0


def _check(calls: CallCompiler, node: MappingNode, *, is_last: bool) -> None:
    """E220: what belongs to `until`, and what the last step cannot have."""
    problems = calls.compiler.problems
    for key in ("every_s", "for_s"):
        if ("until" in node.entries) != (key in node.entries):
            has = "until" if "until" in node.entries else key
            lacks = key if has == "until" else "until"
            problems.add(
                "E220", f"a step with `{has}` needs `{lacks}`", node.entries[has].key.mark, length=len(has),
                help=("until: =res.status == 'done'    every_s: 1    for_s: 60",),
            )  # fmt: skip
            break
    if "again_when" in node.entries and "until" not in node.entries:
        problems.add(
            "E220", "`again_when` passes over an answer of `until`, which is not there",
            node.entries["again_when"].key.mark, length=10,
            help=("until: =res.status == 'done'    every_s: 1    for_s: 60",),
        )  # fmt: skip
    if "as" in node.entries and "each" not in node.entries:
        problems.add("E220", "`as` names an item of `each`, which is not there", node.entries["as"].key.mark, length=2)
    if "each" in node.entries and "until" in node.entries:
        problems.add("E220", "a step has `each` or `until`, not both", node.entries["until"].key.mark, length=5)
    for key in _NOT_LAST:
        if is_last and key in node.entries:
            problems.add(
                "E220", f"the last step gives the answer and cannot have `{key}`", node.entries[key].key.mark,
                length=len(key), help=("give the answer's call as `request`, which comes after all steps",),
            )  # fmt: skip
