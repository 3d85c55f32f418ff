"""Operators that choose between trees: `$if`, `$switch`, `$match`, `$first`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from engine.language.compiled import Compiled, Emit, Env, absent, branches, into
from engine.language.problems import Mark, did_you_mean
from engine.language.reader import MappingNode, Node, ScalarNode, SequenceNode
from engine.language.static_types import Type, describe, union
from engine.language.tree import TreeCompiler, operator
from engine.language.usage import may_be_message
from engine.language.writing import Value, Writer
from engine.translate.patterns import PatternTable
from engine.types import Json


def _chosen(emit: Emit, results: list[Compiled], mark: Mark, env: Env) -> Compiled:
    can = branches(results)
    return Compiled(
        emit, union(*(each.type for each in results)), can["absent"], mark, maybe_null=can["null"], auth=env.auth
    )


@operator("$if", "then", "else?", doc="One of two trees by a condition; absent without `else`.",
          example='{$if: "=present(req.tools)", then: yes_tree, else: no_tree}')  # fmt: skip
def compile_if(compiler: TreeCompiler, node: MappingNode, env: Env, expected: Type | None) -> Compiled:
    """Compile `$if`."""
    mark = node.entries["$if"].key.mark
    test = compiler.test(node.entries["$if"].value, env)
    then = compiler.tree(node.entries["then"].value, env, expected)
    other = compiler.tree(node.entries["else"].value, env, expected) if "else" in node.entries else absent(mark)
    can = branches([then, other])

    def emit(writer: Writer) -> Value:
        holds = test(writer)
        result = writer.variable()
        with writer.block(f"if {holds} is True"):
            into(writer, result, then)
        with writer.block("else"):
            into(writer, result, other)
        return Value(result, **can)

    return _chosen(emit, [then, other], mark, env)


_CONSTANT_KEYS: Final[Mapping[Json, str]] = {None: "null", True: "true", False: "false"}


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
    """Compile `$switch`. A value without a case is an error at run time, never silent (DECISIONS 2.14)."""
    mark = node.entries["$switch"].key.mark
    subject_node = node.entries["$switch"].value
    if not isinstance(subject_node, ScalarNode) or not str(subject_node.value).startswith("="):
        return compiler.wrong_value(subject_node, "$switch", "one =expression")
    cases_node = node.entries["cases"].value
    if not isinstance(cases_node, MappingNode) or not cases_node.entries:
        return compiler.wrong_value(cases_node, "$switch", "a mapping of cases")
    subject = compiler.operand(subject_node, env)
    cases = {key: compiler.tree(entry.value, env, expected) for key, entry in cases_node.entries.items()}
    if subject.path is None or may_be_message(subject.path):
        env.usage.constants |= set(cases)
    default = compiler.tree(node.entries["default"].value, env, expected) if "default" in node.entries else None
    text = str(subject_node.value)[1:].strip()
    _check_cases(compiler, cases_node, subject.type, text, env, has_default=default is not None)
    results = [*cases.values(), *([default] if default is not None else [])]
    return _chosen(_switch(subject, cases, default, mark), results, mark, env)


def _switch(subject: Compiled, cases: Mapping[str, Compiled], default: Compiled | None, mark: Mark) -> Emit:
    can = branches([*cases.values(), *([default] if default is not None else [])])
    plain = all(case.constant and not case.maybe_null for case in cases.values())

    def emit(writer: Writer) -> Value:
        value = subject.emit(writer).name
        is_text = subject.type.known == {"string"} and not subject.type.may_be_null
        key = (
            value
            if is_text
            else writer.assign(f"{value} if type({value}) is str else {writer.constant(case_key)}({value})")
        )
        result = writer.variable()
        if plain:
            # One look-up where every case is a constant; the rest of the tree is not touched.
            table = {name: writer.names[case.emit(writer).name] for name, case in cases.items()}
            writer.write(f"{result} = {writer.constant(table)}.get({key})")
            head = f"if {result} is None"
        else:
            head = "if"
            for name, case in cases.items():
                with writer.block(f"{head} {key} == {writer.text(name)}"):
                    into(writer, result, case)
                head = "elif"
            head = "else"
        with writer.block(head):
            if default is not None:
                into(writer, result, default)
            else:
                message = writer.constant("$switch has no case for {} and no default")
                writer.write(f"fail_at('R004', {message}, {writer.constant(mark)}, {value})")
        return Value(result, **can)

    return emit


def _check_cases(
    compiler: TreeCompiler, cases: MappingNode, subject: Type, text: str, env: Env, *, has_default: bool
) -> None:
    """Known enums only: a case that can never be, and a value without a case (E135, DECISIONS 2.14)."""
    if subject.values is None or subject.known != {"string"}:
        return
    known = subject.values | ({"null"} if subject.may_be_null else set())
    for key, entry in cases.entries.items():
        if key not in known and key != "null":
            compiler.problems.add(
                "E135",
                f"={text} is never {key!r}",
                entry.key.mark,
                length=len(key),
                notes=(f"it is {describe(subject)}",),
                help=did_you_mean(key, sorted(known)),
            )
    lacking = sorted(subject.values - set(cases.entries))
    unfiltered = text.split(".")[0] in {*env.aliases, "req", "out", "err", "ev", "opt"}
    if lacking and not has_default and unfiltered:
        compiler.problems.add(
            "E135",
            f"$switch on ={text} lacks a case for {', '.join(lacking)}",
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
    subject = compiler.operand(subject_node, env)
    results = [compiler.tree(entry.value, env, expected) for entry in cases_node.entries.values()]
    table = PatternTable((pattern, row) for row, pattern in enumerate(cases_node.entries))
    can = branches(results)

    def emit(writer: Writer) -> Value:
        value = subject.emit(writer).name
        find = writer.constant(table.find)
        row = writer.assign(f"{find}({value} if type({value}) is str else '')")
        result = writer.variable()
        for number, each in enumerate(results):
            with writer.block(f"{'elif' if number else 'if'} {row} == {number}"):
                into(writer, result, each)
        with writer.block("else"):
            writer.write(f"{result} = None")
        return Value(result, **can)

    return _chosen(emit, results, mark, env)


def check_pattern_rows(compiler: TreeCompiler, rows: MappingNode) -> None:
    """A pattern table ends in `"*"`, else some model has no row; rows behind it are never reached."""
    names = list(rows.entries)
    if "*" not in names:
        compiler.problems.add("E135", 'a pattern table needs a row "*" for every other model', rows.mark,
                              help=('"*": …  as its last row',))  # fmt: skip
    elif names[-1] != "*":
        late = rows.entries[names[names.index("*") + 1]].key
        compiler.problems.add("E134", 'rows behind "*" are never reached', late.mark, length=len(str(late.value)),
                              help=('put the row "*" last',))  # fmt: skip


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
    can_be_absent = all(entry.maybe_absent for entry in entries)
    can_be_null = any(entry.maybe_null for entry in entries)

    def emit(writer: Writer) -> Value:
        result = writer.variable()
        _emit_first(writer, result, entries)
        return Value(result, can_be_absent, can_be_null)

    static = union(*(entry.type for entry in entries))
    return Compiled(emit, static, can_be_absent, mark, maybe_null=can_be_null, auth=env.auth)


def _emit_first(writer: Writer, result: str, entries: list[Compiled]) -> None:
    into(writer, result, entries[0])
    for entry in entries[1:]:
        # Each entry stands in a block of its own; nesting them would run into Python's limit on indentation.
        with writer.block(f"if {result} is None"):
            into(writer, result, entry)


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
