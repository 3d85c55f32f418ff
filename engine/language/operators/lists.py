"""Operators that make lists and objects out of lists: `$each`, `$object`, `$concat`, `$join_runs`."""

from __future__ import annotations

from typing import Final

from engine.language.problems import did_you_mean
from engine.language.reader import MappingNode, Node, ScalarNode, SequenceNode
from engine.language.static_types import ANY, NUMBER, OBJECT, Type, array_of, item_of
from engine.language.trace import TracedList
from engine.language.tree import Compiled, Env, MappingFailure, TreeCompiler, new_dict, new_list, operator
from engine.types import ABSENT, Build, Condition, Json, Scope

_ALWAYS: Final[Condition] = lambda scope: True  # noqa: E731  # a constant condition, not a function of its own


def loop_name(compiler: TreeCompiler, node: MappingNode, argument: str, env: Env) -> str | None:
    """Read the name that `as` or `index` gives; it may not hide another (E136)."""
    entry = node.entries.get(argument)
    if entry is None:
        return None
    value = entry.value
    name = value.value if isinstance(value, ScalarNode) else None
    if not isinstance(name, str) or not name.isidentifier():
        compiler.problems.add("E133", f"`{argument}` gives a name: letters, digits and _", value.mark)
        return None
    if name in env.names:
        compiler.problems.add(
            "E136", f"the name {name!r} exists already in {env.where}", value.mark, length=len(name),
            help=("choose another name",),
        )  # fmt: skip
    return name


def warn_unused(
    compiler: TreeCompiler, node: MappingNode, names: tuple[tuple[str, str | None], ...], inner: Env
) -> None:
    """Warn of names that the inner trees never read (W137)."""
    for argument, name in names:
        if name is not None and name not in inner.usage.roots:
            compiler.problems.add(
                "W137", f"the name {name!r} is never used", node.entries[argument].value.mark, length=len(name)
            )


@operator("$each", "as", "index?", "where?", "flat?", "do", doc="One tree for each item of a list; absent if the list is.",
          example='{$each: =req.messages, as: m, where: "=m.role == \'user\'", do: {text: =text(m.content)}}')  # fmt: skip
def compile_each(compiler: TreeCompiler, node: MappingNode, env: Env, expected: Type | None) -> Compiled:
    """Compile `$each`. The scope is copied once per loop; absent items are left out; `flat` joins lists."""
    mark = node.entries["$each"].key.mark
    source = compiler.operand(node.entries["$each"].value, env)
    name = loop_name(compiler, node, "as", env) or "as"
    index = loop_name(compiler, node, "index", env)
    item = item_of(source.type)
    names: dict[str, Type] = {name: ANY if item is None else item.required()}
    if index is not None:
        names[index] = NUMBER
    aliases = {name: (*source.path, "[]")} if source.path is not None else {}
    inner = env.inner(names, aliases)
    where_entry = node.entries.get("where")
    where = compiler.condition(where_entry.value, inner) if where_entry is not None else _ALWAYS
    flat = _literal_true(compiler, node, "flat")
    item_expected = None if flat or expected is None else expected.items
    body = compiler.tree(node.entries["do"].value, inner, item_expected)
    warn_unused(compiler, node, (("as", name), ("index", index)), inner)
    env.usage.merge(inner.usage, frozenset(names))
    loop = _traced_each if env.trace else _plain_each
    build = loop(source, name, index, where if where_entry is not None else None, flat, body)
    return Compiled(build, array_of(ANY if flat else body.type), source.maybe_absent, mark)


def _literal_true(compiler: TreeCompiler, node: MappingNode, argument: str) -> bool:
    entry = node.entries.get(argument)
    if entry is None:
        return False
    value = entry.value.value if isinstance(entry.value, ScalarNode) else None
    if not isinstance(value, bool):
        compiler.problems.add("E133", f"`{argument}` is true or false", entry.value.mark)
    return value is True


def _items(source: Compiled, scope: Scope) -> list[Json] | None:
    value = source.build(scope)
    if value is ABSENT or value is None:
        return None
    if not isinstance(value, list):
        raise MappingFailure("R002", f"a list is needed here, not {_named(value)}", source.mark)
    return value


def _named(value: Json) -> str:
    return {"dict": "an object", "str": "a string", "bool": "a boolean"}.get(type(value).__name__, "a number")


def _plain_each(
    source: Compiled, name: str, index: str | None, where: Condition | None, flat: bool, body: Compiled
) -> Build:
    do = body.build

    def build(scope: Scope) -> Json:
        items = _items(source, scope)
        if items is None:
            return ABSENT
        inner = dict(scope)
        made: list[Json] = []
        for position, item in enumerate(items):
            inner[name] = item
            if index is not None:
                inner[index] = position
            if where is not None and not where(inner):
                continue
            value = do(inner)
            if value is ABSENT:
                continue
            if flat and isinstance(value, list):
                made.extend(value)
            else:
                made.append(value)
        return made

    return build


def _traced_each(
    source: Compiled, name: str, index: str | None, where: Condition | None, flat: bool, body: Compiled
) -> Build:
    """The same, item by item through the plain loop, keeping the origin of each."""

    def build(scope: Scope) -> Json:
        items = _items(source, scope)
        if items is None:
            return ABSENT
        made = TracedList()
        for position, item in enumerate(items):
            inner = {**scope, name: item, **({index: position} if index is not None else {})}
            if where is not None and not where(inner):
                continue
            value = body.build(inner)
            if value is ABSENT:
                continue
            if flat and isinstance(value, list):
                made.extend(value)
            else:
                made.put(value, body.mark)
        return made

    return build


@operator("$object", "as", "key", "value", doc="An object with computed keys, one for each item of a list.",
          example="{$object: =req.tools, as: t, key: =t.function.name, value: =t.function.parameters}")  # fmt: skip
def compile_object(compiler: TreeCompiler, node: MappingNode, env: Env, expected: Type | None) -> Compiled:
    """Compile `$object`. A key that is absent or no string leaves its item out; a later equal key wins."""
    mark = node.entries["$object"].key.mark
    source = compiler.operand(node.entries["$object"].value, env)
    name = loop_name(compiler, node, "as", env) or "as"
    item = item_of(source.type)
    aliases = {name: (*source.path, "[]")} if source.path is not None else {}
    inner = env.inner({name: ANY if item is None else item.required()}, aliases)
    key = compiler.tree(node.entries["key"].value, inner)
    value = compiler.tree(node.entries["value"].value, inner)
    warn_unused(compiler, node, (("as", name),), inner)
    env.usage.merge(inner.usage, frozenset({name}))
    make = new_dict(env)

    def build(scope: Scope) -> Json:
        items = _items(source, scope)
        if items is None:
            return ABSENT
        inner_scope = dict(scope)
        made = make()
        for each in items:
            inner_scope[name] = each
            made_key, made_value = key.build(inner_scope), value.build(inner_scope)
            if isinstance(made_key, str) and made_value is not ABSENT:
                made[made_key] = made_value
        return made

    return Compiled(build, OBJECT, source.maybe_absent, mark)


@operator("$concat", doc="One list out of several lists and single values; absent ones are skipped.",
          example="{$concat: [=res.first, =res.rest]}")  # fmt: skip
def compile_concat(compiler: TreeCompiler, node: MappingNode, env: Env, expected: Type | None) -> Compiled:
    """Compile `$concat`."""
    mark = node.entries["$concat"].key.mark
    value = node.entries["$concat"].value
    if not isinstance(value, SequenceNode):
        return compiler.wrong_value(value, "$concat", "a list of trees")
    entries = [compiler.tree(item, env) for item in value.items]
    make = new_list(env)

    def build(scope: Scope) -> Json:
        made = make()
        for entry in entries:
            each = entry.build(scope)
            if isinstance(each, list):
                made.extend(each)
            elif each is not ABSENT:
                made.extend(TracedList(())) if env.trace else None
                made.append(each)
        return made

    return Compiled(build, array_of(ANY), False, mark)


@operator("$join_runs", "by", "concat", doc="A list in which neighbours with an equal `by` are merged into one.",
          example="{$join_runs: =turns, by: =it.role, concat: [content]}")  # fmt: skip
def compile_join_runs(compiler: TreeCompiler, node: MappingNode, env: Env, expected: Type | None) -> Compiled:
    """Compile `$join_runs` (DECISIONS 2.8): null never merges; lists and texts of the `concat` keys are joined.

    A key outside `concat` that differs between the two keeps the first value.
    """
    mark = node.entries["$join_runs"].key.mark
    source = compiler.tree(node.entries["$join_runs"].value, env, expected)
    inner = env.inner({"it": ANY})
    by_node = node.entries["by"].value
    if not isinstance(by_node, ScalarNode):
        return compiler.wrong_value(by_node, "$join_runs", "`by`: one =expression over `it`")
    by = compiler.tree(by_node, inner)
    env.usage.merge(inner.usage, frozenset({"it"}))
    keys = _concat_keys(compiler, node.entries["concat"].value, source.type)
    make = new_list(env)

    def build(scope: Scope) -> Json:
        items = _items(source, scope)
        if items is None:
            return ABSENT
        inner_scope = dict(scope)
        made = make()
        previous: Json = None
        for position, item in enumerate(items):
            inner_scope["it"] = item
            run = by.build(inner_scope)
            if run is not ABSENT and run is not None and run == previous and isinstance(item, dict):
                made[-1] = _joined(made[-1], item, keys)
            elif isinstance(items, TracedList) and isinstance(made, TracedList):
                made.put(item, items.origins[position] or mark)
            else:
                made.append(item)
            previous = None if run is ABSENT else run
        return made

    return Compiled(build, source.type, source.maybe_absent, mark)


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
        if isinstance(left, list) and isinstance(right, list):
            both: list[Json] = type(left)(left)
            both.extend(right)
            merged[key] = both
        elif isinstance(left, str) and isinstance(right, str):
            merged[key] = f"{left}\n\n{right}" if left and right else left or right
        elif left is None and right is not None:
            merged[key] = right
    return merged
