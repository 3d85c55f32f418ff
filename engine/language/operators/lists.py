"""Operators that make lists and objects out of lists: `$each`, `$object`, `$concat`, `$join_runs`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from engine.language.compiled import Compiled, Env, append, new_dict, new_list, with_types
from engine.language.problems import Mark, did_you_mean
from engine.language.reader import MappingNode, Node, ScalarNode, SequenceNode
from engine.language.static_types import ANY, NUMBER, OBJECT, Type, array_of, item_of
from engine.language.tree import TreeCompiler, operator
from engine.language.writing import Value, Writer
from engine.types import Json

_ROOTS_OF_FRAGMENTS: Final = ("opt", "ctx")


def check_new_name(compiler: TreeCompiler, name: str, mark: Mark, env: Env) -> None:
    """E136 for a name that hides another; in a fragment a root name may be used again (DECISIONS 2.14)."""
    if name in env.names and not (env.fragment and name in _ROOTS_OF_FRAGMENTS):
        compiler.problems.add(
            "E136", f"the name {name!r} exists already in {env.where}", mark, length=len(name),
            help=("choose another name",),
        )  # fmt: skip


def loop_name(
    compiler: TreeCompiler, node: MappingNode, argument: str, env: Env, taken: str | None = None
) -> str | None:
    """Read the name that `as` or `index` gives; it may not hide another, nor be the one that is `taken` (E136)."""
    entry = node.entries.get(argument)
    if entry is None:
        return None
    value = entry.value
    name = value.value if isinstance(value, ScalarNode) else None
    if not isinstance(name, str) or not name.isidentifier():
        compiler.problems.add("E133", f"`{argument}` gives a name: letters, digits and _", value.mark)
        return None
    check_new_name(compiler, name, value.mark, env if name != taken else env.inner({name: ANY}))
    return name


def warn_unused(
    compiler: TreeCompiler, node: MappingNode, names: tuple[tuple[str, str | None], ...], inner: Env
) -> None:
    """Warn of names that the inner trees never read (W137), unless one of these is broken and tells nothing."""
    for argument, name in names:
        if name is not None and name not in inner.usage.roots and not inner.usage.broken:
            compiler.problems.add(
                "W137",
                f"the name {name!r} is never used",
                node.entries[argument].value.mark,
                length=len(name),
                help=("the tree below it reads it as  =" + str(name) + ";  remove it if it does not need it",),
            )


@operator("$each", "as", "index?", "where?", "flat?", "do", doc="One tree for each item of a list; absent if it is.",
          example='{$each: =req.messages, as: m, where: "=present(m.name)", do: {text: =text(m.content)}}')  # fmt: skip
def compile_each(compiler: TreeCompiler, node: MappingNode, env: Env, expected: Type | None) -> Compiled:
    """Compile `$each`: a loop with the item (and its index) in locals; `flat` joins lists."""
    mark = node.entries["$each"].key.mark
    source = compiler.operand(node.entries["$each"].value, env)
    name = loop_name(compiler, node, "as", env) or "as"
    index = loop_name(compiler, node, "index", env, taken=name)
    inner = _inner(env, source, name, index)
    where_entry = node.entries.get("where")
    where = compiler.test(where_entry.value, inner) if where_entry is not None else None
    flat = _literal_true(compiler, node, "flat")
    item_expected = None if flat or expected is None else expected.items
    body = compiler.tree(node.entries["do"].value, inner, item_expected)
    warn_unused(compiler, node, (("as", name), ("index", index)), inner)
    env.usage.merge(inner.usage, frozenset({name, index or name}))

    def emit_item(writer: Writer, made: str) -> None:
        if where is not None:
            with writer.block(f"if {where(writer)} is not True"):
                writer.write("continue")
        value = body.emit(writer)
        if flat:
            _extend(writer, made, body, value, trace=env.trace)
        else:
            append(writer, made, value, body.mark, trace=env.trace)

    def emit(writer: Writer) -> Value:
        return _loop(writer, source, (name, index), emit_item, new_list(env))

    static = array_of(ANY if flat else body.type)
    return Compiled(with_types(emit, env), static, source.maybe_absent, mark, auth=env.auth)


def _inner(env: Env, source: Compiled, name: str, index: str | None = None) -> Env:
    item = item_of(source.type)
    names: dict[str, Type] = {name: ANY if item is None else item.required()}
    if index is not None:
        names[index] = NUMBER
    return env.inner(names, {name: (*source.path, "[]")} if source.path is not None else {})


def _loop(
    writer: Writer,
    source: Compiled,
    names: tuple[str, str | None],
    emit_item: Callable[[Writer, str], None],
    empty: str,
) -> Value:
    """Write a loop over a list that builds something; what is no list is an error, what is absent gives absent."""
    value = source.emit(writer)
    made, item = writer.assign("None"), writer.variable()
    index = writer.variable() if names[1] is not None else None
    with writer.block(f"if isinstance({value.name}, list)"):
        writer.write(f"{made} = {empty}")
        over = value.name if index is None else f"enumerate({value.name})"
        writer.names["enumerate"] = enumerate
        bound = {names[0]: item, **({names[1]: index} if names[1] is not None and index is not None else {})}
        with writer.loop(item if index is None else f"{index}, {item}", over), writer.bound(bound):
            emit_item(writer, made)
    with writer.block(f"elif {value.name} is not None and {value.name} is not NULL"):
        message = writer.constant("a list is needed here, not {}")
        writer.write(f"fail_at('R002', {message}, {writer.constant(source.mark)}, {value.name})")
    return Value(made, absent=True)


def _extend(writer: Writer, made: str, compiled: Compiled, value: Value, *, trace: bool) -> None:
    """Write: join a list to another, or append what is no list."""
    mark, known = compiled.mark, frozenset() if compiled.maybe_absent else compiled.type.known
    if known == {"object"}:
        append(writer, made, value, mark, trace=trace)
        return
    if known == {"array"}:
        writer.write(f"{made}.extend({value.name})")
        return
    with writer.block(f"if isinstance({value.name}, list)"):
        writer.write(f"{made}.extend({value.name})")
    with writer.block(f"elif {value.name} is not None"):
        append(writer, made, value._replace(absent=False), mark, trace=trace)


def _literal_true(compiler: TreeCompiler, node: MappingNode, argument: str) -> bool:
    entry = node.entries.get(argument)
    if entry is None:
        return False
    value = entry.value.value if isinstance(entry.value, ScalarNode) else None
    if not isinstance(value, bool):
        compiler.problems.add("E133", f"`{argument}` is true or false", entry.value.mark)
    return value is True


@operator("$object", "as", "key", "value", doc="An object with computed keys, one for each item of a list.",
          example="{$object: =req.tools, as: t, key: =t.function.name, value: =t.function.parameters}")  # fmt: skip
def compile_object(compiler: TreeCompiler, node: MappingNode, env: Env, expected: Type | None) -> Compiled:
    """Compile `$object`. A key that is absent or no string leaves its item out; a later equal key wins."""
    mark = node.entries["$object"].key.mark
    source = compiler.operand(node.entries["$object"].value, env)
    name = loop_name(compiler, node, "as", env) or "as"
    inner = _inner(env, source, name)
    key = compiler.operand(node.entries["key"].value, inner)
    value = compiler.tree(node.entries["value"].value, inner)
    warn_unused(compiler, node, (("as", name),), inner)
    env.usage.merge(inner.usage, frozenset({name}))

    def emit_item(writer: Writer, made: str) -> None:
        made_key, made_value = key.emit(writer), value.emit(writer)
        with writer.block(f"if type({made_key.name}) is str and {made_value.name} is not None"):
            text = writer.object_value(made_value)
            put = f"{made}.put({made_key.name}, {text}, {writer.constant(value.mark)})"
            writer.write(put if env.trace else f"{made}[{made_key.name}] = {text}")

    def emit(writer: Writer) -> Value:
        return _loop(writer, source, (name, None), emit_item, new_dict(env))

    return Compiled(with_types(emit, env), OBJECT, source.maybe_absent, mark, auth=env.auth)


@operator("$concat", doc="One list out of several lists and single values; absent ones are skipped.",
          example="{$concat: [=res.first, =res.rest]}")  # fmt: skip
def compile_concat(compiler: TreeCompiler, node: MappingNode, env: Env, expected: Type | None) -> Compiled:
    """Compile `$concat`."""
    mark = node.entries["$concat"].key.mark
    value = node.entries["$concat"].value
    if not isinstance(value, SequenceNode):
        return compiler.wrong_value(value, "$concat", "a list of trees")
    entries = [compiler.tree(item, env) for item in value.items]

    def emit(writer: Writer) -> Value:
        made = writer.assign(new_list(env))
        for entry in entries:
            _extend(writer, made, entry, entry.emit(writer), trace=env.trace)
        return Value(made)

    return Compiled(with_types(emit, env), array_of(ANY), False, mark, auth=env.auth)


@operator("$join_runs", "by", "concat",
          doc="A list with neighbours of an equal `by` merged: `concat` keys are joined, of others the first stays.",
          example="{$join_runs: =turns, by: =it.role, concat: [content]}")  # fmt: skip
def compile_join_runs(compiler: TreeCompiler, node: MappingNode, env: Env, expected: Type | None) -> Compiled:
    """Compile `$join_runs` (DECISIONS 2.8): null never merges.

    Texts and lists are joined, a text beside a list of parts as a part of its own. A key outside `concat` that differs
    keeps its first value: there is no place at run time to report the other as a loss.
    """
    mark = node.entries["$join_runs"].key.mark
    source = compiler.tree(node.entries["$join_runs"].value, env, expected)
    inner = env.inner({"it": ANY})
    by_node = node.entries["by"].value
    if not isinstance(by_node, ScalarNode) or not str(by_node.value).startswith("="):
        return compiler.wrong_value(by_node, "$join_runs", "`by`: one =expression over `it`")
    by = compiler.operand(by_node, inner)
    env.usage.merge(inner.usage, frozenset({"it"}))
    keys = _concat_keys(compiler, node.entries["concat"].value, source.type)

    def emit_item(writer: Writer, made: str) -> None:
        run, item = by.emit(writer).name, writer.root("it")
        writer.write(f"{writer.constant(_join)}({made}, {item}, {run}, {writer.constant(keys)})")

    def emit(writer: Writer) -> Value:
        runs = _loop(writer, source, ("it", None), emit_item, f"{writer.constant(_runs)}(new_list)")
        return Value(writer.assign(f"{runs.name}[0] if {runs.name} is not None else None"), absent=True)

    return Compiled(with_types(emit, env), source.type, source.maybe_absent, mark, auth=env.auth)


def _runs(new_list: Callable[[], list[Json]]) -> list[Json]:
    """The state of one `$join_runs`: the list so far, and the last item's `by`."""
    return [new_list(), None]


def _join(state: list[Json], item: Json, run: Json, keys: tuple[str, ...]) -> None:
    made, previous = state
    if run is not None and run == previous and isinstance(item, dict):
        made[-1] = _joined(made[-1], item, keys)
    else:
        made.append(item)
    state[1] = run


def _concat_keys(compiler: TreeCompiler, node: Node, source: Type) -> tuple[str, ...]:
    if not isinstance(node, SequenceNode):
        compiler.wrong_value(node, "$join_runs", "`concat`: a list of keys")
        return ()
    item = item_of(source)
    known = item.fields if item is not None and item.known == {"object"} else None
    for each in node.items:
        if known is not None and isinstance(each, ScalarNode) and each.value not in known:
            compiler.problems.add(
                "E133", f"the items have no key {each.value!r}", each.mark, length=each.length,
                help=did_you_mean(str(each.value), known),
            )  # fmt: skip
    return tuple(str(each.value) for each in node.items if isinstance(each, ScalarNode))


def _joined(first: dict[str, Json], second: dict[str, Json], keys: tuple[str, ...]) -> dict[str, Json]:
    merged = type(first)(first)
    for key in keys:
        left, right = first.get(key), second.get(key)
        if isinstance(left, str) and isinstance(right, str):
            merged[key] = f"{left}\n\n{right}" if left and right else left or right
        elif isinstance(left, list | str) and isinstance(right, list | str):
            merged[key] = _together(_parts(left), _parts(right))
        elif left is None and right is not None:
            merged[key] = right
    return merged


def _together(left: list[Json], right: list[Json]) -> list[Json]:
    """Both lists in one, of the kind that keeps origins if one of them does."""
    both: list[Json] = (type(left) if type(left) is not list else type(right))(left)
    both.extend(right)
    return both


def _parts(content: list[Json] | str) -> list[Json]:
    """Content as a list of parts: a text is one part, or none if it is empty."""
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if content else []
