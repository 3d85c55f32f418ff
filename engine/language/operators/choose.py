"""Operators that choose between trees: `$if`, `$switch`, `$match`, `$first`."""

from __future__ import annotations

import json
from typing import Final

from engine.language.problems import Mark, did_you_mean
from engine.language.reader import MappingNode, Node, ScalarNode, SequenceNode
from engine.language.static_types import Type, describe, union
from engine.language.tree import Compiled, Env, MappingFailure, TreeCompiler, absent, broken, operator
from engine.translate.patterns import PatternTable
from engine.types import ABSENT, Build, Json, Scope


@operator("$if", "then", "else?", doc="One of two trees by a condition; absent without `else`.",
          example='{$if: "=present(req.tools)", then: yes_tree, else: no_tree}')  # fmt: skip
def compile_if(compiler: TreeCompiler, node: MappingNode, env: Env, expected: Type | None) -> Compiled:
    """Compile `$if`."""
    mark = node.entries["$if"].key.mark
    holds = compiler.condition(node.entries["$if"].value, env)
    then = compiler.tree(node.entries["then"].value, env, expected)
    other = compiler.tree(node.entries["else"].value, env, expected) if "else" in node.entries else absent(mark)
    yes, no = then.build, other.build

    def build(scope: Scope) -> Json:
        return yes(scope) if holds(scope) else no(scope)

    return Compiled(
        build,
        union(then.type, other.type),
        then.maybe_absent or other.maybe_absent,
        mark,
    )


_CONSTANT_KEYS: Final = {None: "null", True: "true", False: "false"}


def case_key(value: Json) -> str | None:
    """The case a value selects: a string is itself, a scalar its JSON text; lists and objects select none."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return _CONSTANT_KEYS[value]
    return json.dumps(value) if isinstance(value, int | float) else None


@operator("$switch", "cases", "default?", doc="The tree of the case that an expression's value names.",
          example="{$switch: =m.role, cases: {user: human, assistant: bot}, default: other}")  # fmt: skip
def compile_switch(compiler: TreeCompiler, node: MappingNode, env: Env, expected: Type | None) -> Compiled:
    """Compile `$switch`: one dictionary look-up per evaluation."""
    mark = node.entries["$switch"].key.mark
    subject_node = node.entries["$switch"].value
    if not isinstance(subject_node, ScalarNode) or not str(subject_node.value).startswith("="):
        return compiler.wrong_value(subject_node, "$switch", "one =expression")
    cases_node = node.entries["cases"].value
    if not isinstance(cases_node, MappingNode) or not cases_node.entries:
        return compiler.wrong_value(cases_node, "$switch", "a mapping of cases")
    expression = compiler.expression(subject_node, env)
    cases = {key: compiler.tree(entry.value, env, expected) for key, entry in cases_node.entries.items()}
    env.usage.constants |= set(cases)
    default = compiler.tree(node.entries["default"].value, env, expected) if "default" in node.entries else None
    if expression is None:
        return broken(mark)
    _check_cases(compiler, cases_node, expression.result, default is not None, expression.text, env)
    branches = [*cases.values(), *([default] if default is not None else [])]
    return Compiled(
        _switch(expression.evaluate, {key: each.build for key, each in cases.items()}, default, mark),
        union(*(branch.type for branch in branches)),
        any(branch.maybe_absent for branch in branches),
        mark,
    )


def _switch(evaluate: Build, table: dict[str, Build], default: Compiled | None, mark: Mark) -> Build:
    fallback = default.build if default is not None else None

    def build(scope: Scope) -> Json:
        value = evaluate(scope)
        found = table.get(value if type(value) is str else case_key(value) or "", fallback)
        if found is None:
            raise MappingFailure("R004", f"$switch has no case for {_kind(value)} and no default", mark)
        return found(scope)

    return build


def _kind(value: Json) -> str:
    return "null (or nothing)" if value is None else f"this {type(value).__name__}"


def _check_cases(
    compiler: TreeCompiler, cases: MappingNode, subject: Type, has_default: bool, text: str, env: Env
) -> None:
    """Known enums only: a case that can never be, and a value without a case (E135, DECISIONS 2.14)."""
    if subject.values is None or subject.known != {"string"}:
        return
    known = subject.values | ({"null"} if subject.may_be_null else set())
    for key, entry in cases.entries.items():
        if key not in known and key != "null":
            compiler.problems.add(
                "E135",
                f"={text.strip()} is never {key!r}",
                entry.key.mark,
                length=len(key),
                notes=(f"it is {describe(subject)}",),
                help=did_you_mean(key, sorted(known)),
            )
    lacking = sorted(subject.values - set(cases.entries))
    filtered = text.strip().split(".")[0] not in {*env.aliases, "req", "out", "err", "ev"}
    if lacking and not has_default and not filtered:
        compiler.problems.add(
            "E135",
            f"$switch on ={text.strip()} lacks a case for {', '.join(lacking)}",
            cases.mark,
            help=("add the cases, or a `default`",),
        )


@operator("$match", "cases", doc="The tree of the first pattern that matches a text: case-insensitive, `*` any text.",
          example='{$match: =model.id, cases: {"*llama*": a, "*": b}}')  # fmt: skip
def compile_match(compiler: TreeCompiler, node: MappingNode, env: Env, expected: Type | None) -> Compiled:
    """Compile `$match`: `$switch` by model pattern (DECISIONS 2.12); the table must have a row `"*"`."""
    mark = node.entries["$match"].key.mark
    subject_node = node.entries["$match"].value
    cases_node = node.entries["cases"].value
    if not isinstance(subject_node, ScalarNode) or not str(subject_node.value).startswith("="):
        return compiler.wrong_value(subject_node, "$match", "one =expression")
    if not isinstance(cases_node, MappingNode) or not cases_node.entries:
        return compiler.wrong_value(cases_node, "$match", "a mapping of patterns")
    check_pattern_rows(compiler, cases_node)
    expression = compiler.expression(subject_node, env)
    branches = {key: compiler.tree(entry.value, env, expected) for key, entry in cases_node.entries.items()}
    if expression is None:
        return broken(mark)
    table = PatternTable((pattern, branch.build) for pattern, branch in branches.items())
    evaluate, find = expression.evaluate, table.find

    def build(scope: Scope) -> Json:
        value = evaluate(scope)
        return find(value if isinstance(value, str) else "")(scope)

    return Compiled(
        build,
        union(*(branch.type for branch in branches.values())),
        any(branch.maybe_absent for branch in branches.values()),
        mark,
    )


def check_pattern_rows(compiler: TreeCompiler, rows: MappingNode) -> None:
    """A pattern table ends in `"*"`, else some model has no row; rows behind it are never reached."""
    names = list(rows.entries)
    if "*" not in names:
        compiler.problems.add("E135", 'a pattern table needs a row "*" for every other model', rows.mark)
    elif names[-1] != "*":
        late = rows.entries[names[names.index("*") + 1]].key
        compiler.problems.add("E134", 'rows behind "*" are never reached', late.mark, length=len(str(late.value)))


@operator("$first", doc="The first of several trees that is not absent.",
          example='{$first: [=res.error.message, =res.message, "unknown error"]}')  # fmt: skip
def compile_first(compiler: TreeCompiler, node: MappingNode, env: Env, expected: Type | None) -> Compiled:
    """Compile `$first`. A literal null counts as present (DECISIONS 2.14)."""
    mark = node.entries["$first"].key.mark
    value = node.entries["$first"].value
    if not isinstance(value, SequenceNode) or len(value.items) < 2:
        return compiler.wrong_value(value, "$first", "a list of at least two trees")
    entries = [compiler.tree(item, env, expected) for item in value.items]
    _check_reachable(compiler, entries, value.items)
    builds = tuple(entry.build for entry in entries)
    return Compiled(
        first_of(builds), union(*(entry.type for entry in entries)), all(e.maybe_absent for e in entries), mark
    )


def first_of(builds: tuple[Build, ...]) -> Build:
    """A closure that gives the first value that is not ABSENT."""

    def build(scope: Scope) -> Json:
        for each in builds:
            value = each(scope)
            if value is not ABSENT:
                return value
        return ABSENT

    return build


def _check_reachable(compiler: TreeCompiler, entries: list[Compiled], nodes: list[Node]) -> None:
    for index, entry in enumerate(entries[:-1]):
        if not entry.maybe_absent:
            compiler.problems.add(
                "E134",
                "this entry is never reached: the one before it is never absent",
                nodes[index + 1].mark,
                help=("put the entry that always has a value last",),
            )
            return
