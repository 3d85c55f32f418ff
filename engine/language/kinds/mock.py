"""Compile `mock/1`: from the resolved document to a `MockPlan`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import jsonschema_rs

from engine.language import scopes
from engine.language.inherit import Resolved
from engine.language.kinds.dialect import parse_route
from engine.language.kinds.endpoint import digest_of
from engine.language.kinds.mock_shape import MOCK
from engine.language.kinds.mock_stream import REPLY, StreamCompiler
from engine.language.kinds.sections import (
    entries_of,
    literal_text,
    make_compiler,
    read_options,
    warn_unused_fragments,
)
from engine.language.problems import Problems, did_you_mean
from engine.language.reader import MappingNode, Node, ScalarNode, SequenceNode, to_json
from engine.language.static_types import NUMBER, STRING, Type
from engine.language.tree import Env, TemplateLoader, Usage
from engine.translate.mock_plan import FAULTS_WITH_REPLY, Accept, Behaviour, MockPlan, MockRoute, MockStream
from engine.translate.plan import RoutePlan
from engine.types import Build, Json

_FLAT: Final[tuple[str, ...]] = ("method", "path", "accept", "behaviours", "stream", "scripts")
_MAX_SHOWN_PROBLEM_CHARS: Final = 300


def check_mock(resolved: Resolved, problems: Problems) -> bool:
    """Check the structure of the merged document; True when it is sound enough to compile."""
    before = len(problems.errors)
    MOCK.check(resolved.root, "", problems)
    return len(problems.errors) == before


def compile_mock(
    resolved: Resolved, problems: Problems, load_template: TemplateLoader, endpoints: Iterable[str]
) -> MockPlan | None:
    """Compile a mock. `endpoints` are the ids it may serve. Returns None when it cannot stand in; problems say why."""
    before = len(problems.errors)
    plan = _Mock(resolved, problems, load_template).plan(tuple(endpoints))
    return plan if len(problems.errors) == before else None


class _Mock:
    """One compilation: the resolved document, its compiler, and its one scope."""

    def __init__(self, resolved: Resolved, problems: Problems, load_template: TemplateLoader) -> None:
        self.resolved = resolved
        self.root = resolved.root
        self.problems = problems
        self.compiler = make_compiler(resolved.root, problems, load_template)
        self.options = read_options(self.root.get("options"), problems)
        self.names: dict[str, Type] = {**scopes.mock_names(), "opt": scopes.option_scope(self.options)}
        self.streams = StreamCompiler(self.compiler, self.names)

    def env(self, where: str, names: dict[str, Type] | None = None) -> Env:
        return Env(names or self.names, where, "reply", Usage(), unknown_key="E022")

    def plan(self, endpoints: tuple[str, ...]) -> MockPlan:
        serves = self._serves(endpoints)
        refuse = tuple(
            self._behaviour(name, node, f"refuse.{name}") for name, node in entries_of(self.root.get("refuse"))
        )
        routes = tuple(self._route(name, node, where) for name, node, where in self._routes())
        # What computes `n` cannot read it.
        before_n = {name: each for name, each in self.names.items() if name != "n"}
        step = self._optional(self.root.get("step"), self.env("step", before_n), NUMBER)
        warn_unused_fragments(self.compiler, self.resolved.document.file)
        return MockPlan(
            id=self.resolved.id,
            title=literal_text(self.root.get("title")) or self.resolved.id,
            file=self.resolved.document.file,
            digest=digest_of(self.root),
            serves=serves,
            options=self.options,
            refuse=refuse,
            routes=routes,
            step=step,
        )

    def _serves(self, endpoints: tuple[str, ...]) -> tuple[str, ...]:
        node = self.root.get("serves")
        if node is None:
            self.problems.add(
                "E024", f"{self.resolved.id} lacks the key 'serves'", self.root.mark,
                help=("name the endpoint it stands for, or say `abstract: true`",),
            )  # fmt: skip
            return ()
        nodes = node.items if isinstance(node, SequenceNode) else [node]
        for each in nodes:
            identifier = str(to_json(each))
            if identifier not in endpoints:
                self.problems.add(
                    "E021", f"there is no endpoint {identifier!r} that this mock could stand for", each.mark,
                    length=len(identifier), help=did_you_mean(identifier, endpoints),
                )  # fmt: skip
        return tuple(str(to_json(each)) for each in nodes)

    def _routes(self) -> list[tuple[str, MappingNode, str]]:
        """The routes with their names and places; a mock with one may write it flat."""
        found = [(name, node, f"routes.{name}") for name, node in entries_of(self.root.get("routes"))]
        flat = {key: self.root.entries[key] for key in _FLAT if key in self.root.entries}
        if flat:
            found.append(("main", MappingNode(self.root.mark, flat), self.resolved.id))
        if not found:
            self.problems.add("E024", f"{self.resolved.id} lacks the section 'routes'", self.root.mark,
                             help=("e.g. routes: {chat: {method: POST, path: /v1/chat, …}}",))  # fmt: skip
        return found

    def _route(self, name: str, node: MappingNode, where: str) -> MockRoute:
        path = literal_text(node.get("path"))
        if path is None:
            self.problems.add("E024", f"{where} lacks the key 'path'", node.mark, help=("e.g. path: /v1/chat",))
        streamed = self.streams.of_route(node, where)
        behaviours = self._behaviours(node, where, streamed)
        method = literal_text(node.get("method")) or "POST"
        return MockRoute(
            name=name,
            route=RoutePlan(method, path or "/", parse_route(path or "/")),
            accept=self._accept(node.get("accept"), where),
            behaviours=behaviours,
            scripts=self._scripts(node, {each.name: each for each in behaviours}, where, streamed),
        )

    # -- answers

    def _behaviours(self, route: MappingNode, where: str, streamed: MockStream | None) -> tuple[Behaviour, ...]:
        """The behaviours in the order of trying.

        The one without `when` is tried last wherever it stands: else a child could add none to its parent's.
        """
        place = f"{where}.behaviours"
        found = [
            self._behaviour(name, node, f"{place}.{name}", route, streamed)
            for name, node in entries_of(route.get("behaviours"))
        ]
        open_ones = [each for each in found if each.when is None]
        section = route.get("behaviours")
        if not open_ones:
            self.problems.add(
                "E201", f"no behaviour of {where} takes every request", (section or route).mark,
                help=("add one without `when`:   default: {reply: {body: {text: hello}}}",),
            )  # fmt: skip
        for extra in open_ones[1:]:
            assert isinstance(section, MappingNode)
            self.problems.add(
                "E200", f"the behaviour {extra.name!r} is never reached: {open_ones[0].name!r} takes everything",
                section.entries[extra.name].key.mark, length=len(extra.name),
                help=("give it a `when`; `when: false` if it is only to be forced",),
            )  # fmt: skip
        return (*(each for each in found if each.when is not None), *open_ones[:1])

    def _behaviour(
        self,
        name: str,
        node: MappingNode,
        where: str,
        route: MappingNode | None = None,
        streamed: MockStream | None = None,
    ) -> Behaviour:
        """One behaviour. A good answer that says nothing of streams is streamed as its route is."""
        when, fault, reply = node.get("when"), literal_text(node.get("fault")), node.get("reply")
        own = self.streams.of_behaviour(node.get("stream"), route, where)
        if reply is None and own is None and (fault is None or fault in FAULTS_WITH_REPLY):
            what = f"`fault: {fault}` needs a reply to break" if fault else "it has neither `reply` nor `fault`"
            self.problems.add("E024", f"{where} answers nothing: {what}", node.mark)
        return Behaviour(
            name=name,
            when=None if when is None else self.compiler.condition(when, self.env(f"{where}.when")),
            reply=self._optional(reply, self.env(f"{where}.reply"), REPLY),
            delay_s=self._optional(node.get("delay_s"), self.env(f"{where}.delay_s"), NUMBER),
            fault=fault,
            stream=own or (streamed if reply is not None and fault is None else None),
        )

    def _optional(self, node: Node | None, env: Env, expected: Type) -> Build | None:
        return None if node is None else self.compiler.function(node, env, expected)

    def _scripts(
        self, route: MappingNode, behaviours: dict[str, Behaviour], where: str, streamed: MockStream | None
    ) -> dict[str, tuple[Behaviour, ...]]:
        scripts: dict[str, tuple[Behaviour, ...]] = {}
        node = route.get("scripts")
        for name, entry in node.entries.items() if isinstance(node, MappingNode) else ():
            assert isinstance(entry.value, SequenceNode)
            steps = [
                self._step(item, behaviours, f"{where}.scripts.{name}[{index}]", route, streamed)
                for index, item in enumerate(entry.value.items)
            ]
            scripts[name] = tuple(step for step in steps if step is not None)
        return scripts

    def _step(
        self, item: Node, behaviours: dict[str, Behaviour], where: str, route: MappingNode, streamed: MockStream | None
    ) -> Behaviour | None:
        if isinstance(item, MappingNode):
            return self._behaviour(where, item, where, route, streamed)
        assert isinstance(item, ScalarNode)
        found = behaviours.get(str(item.value))
        if found is None:
            self.problems.add(
                "E023", f"{where} names {item.value!r}, which is no behaviour of the route", item.mark,
                length=item.length, help=did_you_mean(str(item.value), behaviours),
            )  # fmt: skip
        return found

    # -- strictness

    def _accept(self, node: Node | None, where: str) -> Accept | None:
        if not isinstance(node, MappingNode):
            return None
        schema, otherwise = node.entries["body"].value, node.entries["else"].value
        names = {**self.names, "problem": STRING}
        reply = self.compiler.function(otherwise, self.env(f"{where}.accept.else", names), REPLY)
        return Accept(self._checker(schema, f"{where}.accept.body"), Behaviour("accept.else", reply=reply))

    def _checker(self, node: Node, where: str) -> Callable[[Json], str | None]:
        try:
            # `offline`: a schema never makes the loader fetch anything (rule R23).
            validator = jsonschema_rs.validator_for(
                to_json(node), offline=True, pattern_options=jsonschema_rs.RegexOptions()
            )
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as problem:
            path = getattr(problem, "instance_path", ())
            self.problems.add("E023", f"{where} is not a JSON Schema: {_shown(problem)}", _node_at(node, path).mark)
            return lambda body: None

        def problem_of(body: Json) -> str | None:
            found = next(iter(validator.iter_errors(body)), None)
            if found is None:
                return None
            place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in found.instance_path)
            return f"body{place}: {_shown(found)}"

        return problem_of


def _shown(problem: Exception) -> str:
    message = getattr(problem, "message", "") or str(problem)
    return str(message).splitlines()[0][:_MAX_SHOWN_PROBLEM_CHARS]


def _node_at(node: Node, path: Iterable[str | int]) -> Node:
    """The node that a JSON path inside `node` leads to, or as deep as it goes."""
    for step in path:
        if isinstance(node, MappingNode) and (entry := node.entries.get(str(step))) is not None:
            node = entry.value
        elif isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
        else:
            break
    return node
