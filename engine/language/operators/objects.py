"""Operators on objects and names: `$merge`, `$nonempty`, `$let`, `$use`."""

from __future__ import annotations

from contextlib import ExitStack

from engine.language.compiled import Compiled, Env, broken, new_dict, with_types
from engine.language.operators.lists import check_new_name
from engine.language.problems import Mark, did_you_mean
from engine.language.reader import MappingNode, ScalarNode, SequenceNode
from engine.language.static_types import ANY, OBJECT, Type
from engine.language.tree import Fragment, TreeCompiler, operator
from engine.language.usage import ARGUMENT, Usage
from engine.language.writing import Value, Writer


@operator("$merge", doc="One object out of several; a later one wins; absent ones are skipped.",
          example="{$merge: [{a: 1}, =req.extra]}")  # fmt: skip
def compile_merge(compiler: TreeCompiler, node: MappingNode, env: Env, expected: Type | None) -> Compiled:
    """Compile `$merge`."""
    mark = node.entries["$merge"].key.mark
    value = node.entries["$merge"].value
    if not isinstance(value, SequenceNode):
        return compiler.wrong_value(value, "$merge", "a list of objects")
    _warn_overlap(compiler, value)
    entries = [compiler.tree(item, env, expected if expected is not None else OBJECT) for item in value.items]

    def emit(writer: Writer) -> Value:
        made = writer.assign(new_dict(env))
        for entry in entries:
            part = entry.emit(writer)
            with writer.block(f"if isinstance({part.name}, dict)"):
                writer.write(f"{made}.update({part.name})")
        return Value(made)

    return Compiled(with_types(emit, env), OBJECT, False, mark, auth=env.auth)


def _warn_overlap(compiler: TreeCompiler, value: SequenceNode) -> None:
    seen: dict[str, Mark] = {}
    for item in value.items:
        if not isinstance(item, MappingNode):
            continue
        for key, entry in item.entries.items():
            if key in seen and not key.startswith("$"):
                compiler.problems.add(
                    "W138",
                    f"the key {key!r} is written twice; the later one wins",
                    entry.key.mark,
                    length=len(key),
                    help=("remove one of them",),
                )
            seen[key] = entry.key.mark


@operator("$nonempty", doc='A tree that counts as absent when it is "", [] or {}.',
          example="{$nonempty: =list(req.stop)}")  # fmt: skip
def compile_nonempty(compiler: TreeCompiler, node: MappingNode, env: Env, expected: Type | None) -> Compiled:
    """Compile `$nonempty`."""
    mark = node.entries["$nonempty"].key.mark
    inner = compiler.tree(node.entries["$nonempty"].value, env, expected)

    def emit(writer: Writer) -> Value:
        value = inner.emit(writer)
        result = writer.assign(value.name)
        containers = writer.constant((str, list, dict))
        with writer.block(f"if not {result} and isinstance({result}, {containers})"):
            writer.write(f"{result} = None")
        return Value(result, absent=True, null=value.null)

    return Compiled(emit, inner.type, True, mark, maybe_null=inner.maybe_null, auth=env.auth)


@operator("$let", "in", doc="Names for values, visible in `in` and in the values that follow.",
          example="{$let: {c: =res.choices[0]}, in: {text: =c.message.content}}")  # fmt: skip
def compile_let(compiler: TreeCompiler, node: MappingNode, env: Env, expected: Type | None) -> Compiled:
    """Compile `$let`. A value that is absent is null to the expressions that read its name."""
    mark = node.entries["$let"].key.mark
    names_node = node.entries["$let"].value
    if not isinstance(names_node, MappingNode) or not names_node.entries:
        return compiler.wrong_value(names_node, "$let", "a mapping of names to trees")
    bindings: list[tuple[str, Compiled]] = []
    inner = env.inner({})
    for name, entry in names_node.entries.items():
        if not name.isidentifier():
            compiler.problems.add("E133", f"{name!r} is not a name: letters, digits and _", entry.key.mark)
        check_new_name(compiler, name, entry.key.mark, env)
        value = compiler.operand(entry.value, inner)
        bindings.append((name, value))
        usage = inner.usage
        aliases = {name: value.path} if value.path is not None else {}
        inner = inner.inner({name: value.type.optional() if value.maybe_absent else value.type}, aliases)
        inner.usage.merge(usage)
    body = compiler.tree(node.entries["in"].value, inner, expected)
    for name, entry in names_node.entries.items():
        if name not in inner.usage.roots and not inner.usage.broken:
            compiler.problems.add(
                "W137", f"the name {name!r} is never used", entry.key.mark, length=len(name),
                help=(f"`in` reads it as  ={name};  remove it if it does not need it",),
            )  # fmt: skip
    env.usage.merge(inner.usage, frozenset(name for name, _ in bindings))

    def emit(writer: Writer) -> Value:
        with ExitStack() as stack:
            for name, value in bindings:
                local = writer.assign(writer.object_value(value.emit(writer)))
                stack.enter_context(writer.bound({name: local}))
            return body.emit(writer)

    return body.refine(emit=emit, mark=mark, constant=False, path=None)


@operator("$use", "with?", doc="A fragment of `define`, with its arguments.",
          example="{$use: usage, with: {u: =res.usage}}")  # fmt: skip
def compile_use(compiler: TreeCompiler, node: MappingNode, env: Env, expected: Type | None) -> Compiled:
    """Compile `$use`. A fragment sees its arguments, `opt` and `ctx`, nothing else."""
    name_node = node.entries["$use"].value
    mark = node.entries["$use"].key.mark
    name = name_node.value if isinstance(name_node, ScalarNode) else None
    fragment = compiler.fragments.get(name) if isinstance(name, str) else None
    if fragment is None:
        compiler.problems.add(
            "E150", f"there is no fragment {name!r} in `define`", name_node.mark, length=len(str(name)),
            help=did_you_mean(str(name), compiler.fragments),
        )  # fmt: skip
        return broken(mark)
    fragment.used = True
    arguments = _arguments(compiler, node, fragment, env)
    made = _compile_fragment(compiler, fragment, env, expected)
    if arguments is None or made is None:
        return broken(mark)
    inner, compiled = made
    env.usage.merge(inner.usage, frozenset(fragment.arguments))
    env.usage.whole |= _whole_arguments(fragment, arguments, inner)

    def emit(writer: Writer) -> Value:
        values = {each: writer.root(each) for each in ("opt", "ctx")}
        for argument, value in arguments.items():
            values[argument] = writer.assign(writer.object_value(value.emit(writer)))
        with writer.bound(values, only=True):
            return compiled.emit(writer)

    return compiled.refine(emit=emit, mark=mark, constant=False, path=None)


def _whole_arguments(fragment: Fragment, arguments: dict[str, Compiled], inner: Env) -> set[tuple[str, ...]]:
    """The caller's paths of what the fragment puts into its result as it is."""
    found: set[tuple[str, ...]] = set()
    for name in fragment.arguments:
        head, path = inner.aliases[name], arguments[name].path
        if path is not None:
            found |= {path + whole[len(head) :] for whole in inner.usage.whole if whole[: len(head)] == head}
    return found


def _arguments(compiler: TreeCompiler, node: MappingNode, fragment: Fragment, env: Env) -> dict[str, Compiled] | None:
    entry = node.entries.get("with")
    given = entry.value.entries if entry is not None and isinstance(entry.value, MappingNode) else {}
    place = entry.value.mark if entry is not None else node.entries["$use"].key.mark
    wrong = sorted(set(given) ^ set(fragment.arguments))
    if wrong:
        takes = ", ".join(fragment.arguments) or "no arguments"
        compiler.problems.add(
            "E151",
            f"the fragment {fragment.name!r} takes {takes}; wrong or missing here: {', '.join(wrong)}",
            place,
        )
    values = {key: compiler.operand(given[key].value, env) for key in given if key in fragment.arguments}
    return None if wrong else values


def _compile_fragment(
    compiler: TreeCompiler, fragment: Fragment, env: Env, expected: Type | None
) -> tuple[Env, Compiled] | None:
    """The fragment as its place needs it: whose fault a `$require` is and what fits differ from use to use."""
    if fragment.busy:
        compiler.problems.add(
            "E152", f"the fragment {fragment.name!r} uses itself", fragment.mark,
            help=("a fragment cannot be recursive; use $each for lists",),
        )  # fmt: skip
        return None
    names: dict[str, Type] = {name: env.names[name] for name in ("opt", "ctx") if name in env.names}
    names.update(dict.fromkeys(fragment.arguments, ANY))
    for inner, wanted, compiled, measure in fragment.made:
        here = (env.side, env.templates, env.auth, env.unknown_key, names, expected)
        if here == (inner.side, inner.templates, inner.auth, inner.unknown_key, inner.names, wanted):
            compiler.extent.add(measure)
            return inner, compiled
    inner = Env(
        names, f"define.{fragment.name}", env.side, Usage(), env.templates, env.auth, env.trace,
        {name: (ARGUMENT, f"{fragment.name}.{name}") for name in fragment.arguments}, env.unknown_key, fragment=True,
    )  # fmt: skip
    fragment.busy = True
    with compiler.extent.measured() as measure:
        compiled = compiler.tree(fragment.value, inner, expected)
    fragment.busy = False
    fragment.made.append((inner, expected, compiled, measure))
    return inner, compiled
