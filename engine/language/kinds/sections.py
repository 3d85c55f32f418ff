"""Sections that several kinds of mapping share: options, refusals, losses, error rules, fragments, status matchers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from engine.language.operators.fail import RAISED, fail
from engine.language.problems import Mark, Problems
from engine.language.reader import MappingNode, Node, ScalarNode, SequenceNode, to_json
from engine.language.static_types import NULL, STRING
from engine.language.tree import Env, Fragment, TemplateLoader, TreeCompiler
from engine.translate.losses import BY_RULE
from engine.translate.plan import ErrorRule, LossRule, OptionSpec, RefuseRule
from engine.types import ABSENT, Json, JsonObject, Scope

_PYTHON_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "list": (list,),
    "object": (dict,),
}


def option_fits(spec_type: str, value: Json) -> bool:
    """Whether a value is of an option's declared type."""
    if isinstance(value, bool) and spec_type != "boolean":
        return False
    return isinstance(value, _PYTHON_TYPES[spec_type])


def read_options(node: Node | None, problems: Problems) -> dict[str, OptionSpec]:
    """The options a mapping declares; a default of another type is E023."""
    options: dict[str, OptionSpec] = {}
    if not isinstance(node, MappingNode):
        return options
    for name, entry in node.entries.items():
        spec = to_json(entry.value)
        if not isinstance(spec, dict) or spec.get("type") not in _PYTHON_TYPES:
            continue
        default = spec.get("default")
        if default is not None and not option_fits(spec["type"], default):
            assert isinstance(entry.value, MappingNode)
            place = entry.value.entries["default"].value.mark
            problems.add("E023", f"the default of option {name!r} is not of type {spec['type']}", place)
        options[name] = OptionSpec(name, spec["type"], default, spec.get("doc") or "", tuple(spec.get("values") or ()))
    return options


def make_compiler(root: MappingNode, problems: Problems, load_template: TemplateLoader) -> TreeCompiler:
    """A tree compiler with the fragments of `define`."""
    fragments: dict[str, Fragment] = {}
    node = root.get("define")
    for name, entry in node.entries.items() if isinstance(node, MappingNode) else ():
        value = entry.value.get("value") if isinstance(entry.value, MappingNode) else None
        if value is None:
            continue
        assert isinstance(entry.value, MappingNode)
        arguments = entry.value.get("args")
        names = tuple(to_json(arguments)) if isinstance(arguments, SequenceNode) else ()
        fragments[name] = Fragment(name, names, value, entry.key.mark)
    return TreeCompiler(problems, load_template, fragments)


def warn_unused_fragments(compiler: TreeCompiler, own_file: str) -> None:
    """W153 for fragments of this very file; an inherited one may serve a sister."""
    for fragment in compiler.fragments.values():
        if not fragment.used and fragment.mark.file == own_file:
            compiler.problems.add(
                "W153",
                f"the fragment {fragment.name!r} is never used",
                fragment.mark,
                length=len(fragment.name),
                help=(f"use it with  {{$use: {fragment.name}}},  or remove it",),
            )


SETTLED_TYPES: Final = {"authentication": 401, "permission": 403}
"""Types of errors whose status follows from whose key it was, with the one for a caller's own."""


def entries_of(node: Node | None) -> list[tuple[str, MappingNode]]:
    """The named entries of a section whose values are maps; what is broken elsewhere is passed over here."""
    if not isinstance(node, MappingNode):
        return []
    return [(name, entry.value) for name, entry in node.entries.items() if isinstance(entry.value, MappingNode)]


def compile_refusals(compiler: TreeCompiler, node: Node | None, env: Env) -> tuple[RefuseRule, ...]:
    """`refuse:` rules, in order."""
    rules = []
    for name, rule in entries_of(node):
        when, raised = rule.get("when"), rule.get("raise")
        if when is None or raised is None:
            continue
        build = compiler.function(raised, env, RAISED)
        rules.append(RefuseRule(name, compiler.condition(when, env), _raising(build, env, rule)))
    return tuple(rules)


def _raising(build: Callable[[Scope], Json], env: Env, rule: MappingNode) -> Callable[[Scope], Json]:
    from_mark, side = rule.mark, env.side

    def raise_it(scope: Scope) -> Json:
        fail(build(scope), side, from_mark)

    return raise_it


def compile_losses(compiler: TreeCompiler, node: Node | None, env: Env) -> tuple[LossRule, ...]:
    """`losses:` rules, in order."""
    rules = []
    for name, rule in entries_of(node):
        when, field = rule.get("when"), rule.get("field")
        if when is not None and field is not None:
            build = compiler.function(field, env, STRING)
            action = literal_text(rule.get("action")) or BY_RULE[0]
            rules.append(LossRule(name, compiler.condition(when, env), build, action))
    return tuple(rules)


def status_matcher(node: Node | None) -> Callable[[int], bool] | None:
    """A test for an upstream status: a number, a class such as `4xx`, or a list of these; None matches all."""
    if node is None:
        return None
    values = to_json(node)
    wanted = values if isinstance(values, list) else [values]
    exact = frozenset(value for value in wanted if isinstance(value, int))
    classes = frozenset(int(value[0]) for value in wanted if isinstance(value, str) and value[:1].isdigit())
    return lambda status: status in exact or status // 100 in classes


def compile_errors(compiler: TreeCompiler, node: Node | None, env: Env) -> tuple[ErrorRule, ...]:
    """`errors:` rules, in order; a rule behind an unconditional one is E200, and so is one that takes every reply."""
    rules: list[ErrorRule] = []
    catch_all: str | None = None
    for name, rule in entries_of(node):
        if catch_all is not None:
            compiler.problems.add(
                "E200", f"the rule {name!r} is never reached: {catch_all!r} before it takes everything", rule.mark,
                help=(f"put it before {catch_all!r}",),
            )  # fmt: skip
        when, status, raised = rule.get("when"), rule.get("status"), rule.get("raise")
        if raised is None:
            continue
        if when is None and status is None:
            catch_all = name
        compiled, build = compiler.typed_function(raised, env, RAISED)
        if compiled.maybe_absent and compiled.type.kinds == NULL.kinds:
            compiler.problems.add(
                "E200", f"the rule {name!r} raises nothing, and what it takes is a failure all the same", raised.mark,
                help=(
                    "say what the client gets: raise: {message: =res.error}",
                    "an answer of `until` that is to be asked for again is `again_when` of its step",
                ),
            )  # fmt: skip
        matches = status_matcher(status)
        _check_reached(compiler, rules, name, matches, rule)
        rules.append(
            ErrorRule(
                name,
                matches,
                compiler.condition(when, env) if when is not None else None,
                _object_build(build),
            )
        )
    if catch_all is not None and rules[-1].name == catch_all:
        compiler.problems.add(
            "E200", f"the rule {catch_all!r} takes every reply, good ones too", _key_mark(node, catch_all),
            length=len(catch_all), help=("say for which: status: [4xx, 5xx], or a `when`",),
        )  # fmt: skip
    return tuple(rules)


def _check_reached(
    compiler: TreeCompiler,
    before: list[ErrorRule],
    name: str,
    matches: Callable[[int], bool] | None,
    rule: MappingNode,
) -> None:
    """E200 for a rule all of whose statuses are taken by rules without a condition before it."""
    if matches is None:
        return
    plain = [each for each in before if each.when is None and each.matches is not None]
    wanted = [status for status in range(100, 600) if matches(status)]
    if wanted and all(any(each.matches(status) for each in plain if each.matches) for status in wanted):
        compiler.problems.add(
            "E200", f"the rule {name!r} is never reached: rules before it take all its statuses", rule.mark,
            help=(f"put it before {next(each.name for each in plain if each.matches and each.matches(wanted[0]))!r}",),
        )  # fmt: skip


def warn_settled_statuses(node: Node | None, problems: Problems, own_file: str) -> None:
    """W202 for a status that cannot reach a client: the gateway's own key is not the client's mistake (decision 0009).

    Only what this very file writes is told.
    """
    for name, rule in entries_of(node):
        raised = rule.get("raise")
        entries = raised.entries if isinstance(raised, MappingNode) else {}
        kind = literal_text(entries["type"].value) if "type" in entries else None
        if kind not in SETTLED_TYPES or "status" not in entries or entries["status"].key.mark.file != own_file:
            continue
        problems.add(
            "W202", f"the status of the rule {name!r} is not what clients get: {kind} ends in 502 upstream_auth",
            entries["status"].key.mark, length=len("status"),
            help=(
                "the upstream refused the gateway's key, which is not the client's mistake; leave `status` out",
                "where callers send their own key (clients.auth: pass_through, or a secret {client: key}) they get "
                f"{SETTLED_TYPES[kind]} without it",
            ),
        )  # fmt: skip


def _key_mark(node: Node | None, key: str) -> Mark:
    assert isinstance(node, MappingNode)
    return node.entries[key].key.mark


def _object_build(build: Callable[[Scope], Json]) -> Callable[[Scope], JsonObject]:
    def made(scope: Scope) -> JsonObject:
        value = build(scope)
        return value if value is not ABSENT and isinstance(value, dict) else {}

    return made


def covers_failures(rules: tuple[ErrorRule, ...]) -> bool:
    """Whether every status from 400 on meets some rule without a condition (E201)."""
    plain = [rule for rule in rules if rule.when is None]
    return all(any(rule.matches is None or rule.matches(status) for rule in plain) for status in range(400, 600))


def literal_text(node: Node | None) -> str | None:
    """The value of a node that is literal text."""
    return node.value if isinstance(node, ScalarNode) and isinstance(node.value, str) else None
