"""Compile `dialect/1`: from the resolved document to a `DialectPlan`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from engine.language import scopes
from engine.language.canonical import CANONICAL_REQUEST, CLIENT_CTX
from engine.language.inherit import Resolved
from engine.language.kinds.asking import asked_features
from engine.language.kinds.dialect_shape import DIALECT
from engine.language.kinds.endpoint import digest_of
from engine.language.kinds.sections import (
    compile_losses,
    compile_refusals,
    entries_of,
    literal_text,
    make_compiler,
    read_options,
    warn_unused_fragments,
)
from engine.language.kinds.stream import compile_client_stream
from engine.language.problems import Problems
from engine.language.reader import MappingNode, Node, ScalarNode, SequenceNode, to_json
from engine.language.static_types import ANY, NUMBER, Type, object_of
from engine.language.tree import Env, TemplateLoader, Usage
from engine.translate.plan import AnswerPlan, DialectPlan, OperationPlan, OwnAnswer, RoutePlan
from engine.types import ABSENT, Build, Condition, Json, JsonObject, Scope

_SEGMENT: Final = re.compile(r"\{([A-Za-z_]\w*)(\+?)\}")
_MODEL_REQUEST: Final = object_of({}, {"id": ANY})
_SINGLE: Final = ("route", "kind", "request", "passes", "answers", "response", "stream")


def check_dialect(resolved: Resolved, problems: Problems) -> bool:
    """Check the structure of the merged document; True when it is sound enough to compile."""
    before = len(problems.errors)
    DIALECT.check(resolved.root, "", problems)
    return len(problems.errors) == before


def compile_dialect(
    resolved: Resolved, problems: Problems, load_template: TemplateLoader, *, trace: bool = False
) -> DialectPlan | None:
    """Compile a dialect. Returns None when it cannot be served; problems say why."""
    before = len(problems.errors)
    plan = _Dialect(resolved, problems, load_template, trace).plan()
    return plan if len(problems.errors) == before else None


class _Dialect:
    """One compilation."""

    def __init__(self, resolved: Resolved, problems: Problems, load_template: TemplateLoader, trace: bool) -> None:
        self.resolved = resolved
        self.root = resolved.root
        self.problems = problems
        self.compiler = make_compiler(resolved.root, problems, load_template)
        self.options = read_options(self.root.get("options"), problems)
        self.opt = scopes.option_scope(self.options)
        self.trace = trace

    def plan(self) -> DialectPlan:
        """Compile every section."""
        client_env = Env(scopes.client_names(self.opt), "refuse", "request", Usage())
        refuse = compile_refusals(self.compiler, self.root.get("refuse"), client_env)
        losses = compile_losses(self.compiler, self.root.get("losses"), client_env)
        operations = {name: self._operation(name, node, client_env.usage) for name, node in self._operations()}
        errors = self._errors()
        warn_unused_fragments(self.compiler, self.resolved.document.file)
        return DialectPlan(
            id=self.resolved.id,
            title=literal_text(self.root.get("title")) or self.resolved.id,
            file=self.resolved.document.file,
            digest=digest_of(self.root),
            wire=literal_text(self.root.get("wire")),
            base_path=literal_text(self.root.get("base_path")) or "",
            request_id=literal_text(self.root.get("request_id")),
            keeps_state=literal_text(self.root.get("keeps_state")),
            options=self.options,
            operations=operations,
            errors=errors,
            refuse=refuse,
            losses=losses,
        )

    def _operations(self) -> list[tuple[str, MappingNode]]:
        """The operations by name; a dialect with one may write it flat (DECISIONS 2.5)."""
        found = entries_of(self.root.get("operations"))
        if self.root.get("route") is not None:
            flat = MappingNode(
                self.root.mark, {key: self.root.entries[key] for key in _SINGLE if key in self.root.entries}
            )
            if flat.get("response") is None:
                self.problems.add("E024", f"{self.resolved.id} lacks the section 'response'", self.root.mark,
                             help=("e.g. response: {id: =out.id, text: =out.text}",))  # fmt: skip
                return found
            found.append(("main", flat))
        if not found:
            self.problems.add("E024", f"{self.resolved.id} lacks the section 'operations'", self.root.mark,
                             help=("e.g. operations: {chat: {method: POST, path: /v1/chat, …}}",))  # fmt: skip
        return found

    def _operation(self, name: str, node: MappingNode, shared: Usage) -> OperationPlan:
        kind = literal_text(node.get("kind")) or "chat"
        usage = Usage()
        usage.merge(shared)
        request = node.get("request")
        build = None
        if request is not None:
            expected = _MODEL_REQUEST if kind == "model" else CANONICAL_REQUEST
            env = Env(
                scopes.client_names(self.opt), f"operations.{name}.request", "request", usage, trace=self.trace,
                unknown_key="E106",
            )  # fmt: skip
            build = self.compiler.function(request, env, expected)
        response = node.get("response")
        assert isinstance(response, MappingNode)
        names = scopes.dialect_reply_names(kind, self.opt)
        return OperationPlan(
            name=name,
            routes=_routes(node.get("route")),
            kind=kind,
            wire=literal_text(node.get("wire") or self.root.get("wire")),
            request=build,
            passes=self._passes(node.get("passes"), f"operations.{name}.passes"),
            response=self._answer(response, names, f"operations.{name}.response"),
            answers=self._answers(name, kind, node.get("answers")),
            asks=asked_features(request, self.root.get("define"), streams=node.get("stream") is not None),
            stream=compile_client_stream(
                self.compiler, node.get("stream"), self.opt, f"operations.{name}.stream", trace=self.trace
            ),
            reads=_client_reads(usage) if request is not None else frozenset({"*"}),
            names=frozenset(usage.fields),
        )

    def _passes(self, node: Node | None, where: str) -> Condition | None:
        if node is None:
            return None
        env = Env(scopes.client_names(self.opt), where, "request", Usage(), trace=self.trace)
        return self.compiler.condition(node, env)

    def _answer(self, node: MappingNode, names: dict[str, Type], where: str) -> AnswerPlan:
        status = node.get("status")
        return AnswerPlan(
            status=to_json(status) if status is not None else 200,
            headers=self._optional(node.get("headers"), names, f"{where}.headers"),
            body=self._reply(node.get("body"), names, where),
        )

    def _answers(self, operation: str, kind: str, node: Node | None) -> tuple[OwnAnswer, ...]:
        """What the dialect answers by itself; only a chat would ask an upstream otherwise."""
        if node is not None and kind != "chat":
            self.problems.add("E022", f"an operation of kind {kind!r} has no `answers`", node.mark)
            return ()
        made = []
        for name, entry in entries_of(node):
            where = f"operations.{operation}.answers.{name}"
            env = Env(scopes.client_names(self.opt), where, "request", Usage(), trace=self.trace)
            names = {**scopes.client_names(self.opt), "ctx": CLIENT_CTX}
            when = self.compiler.condition(entry.entries["when"].value, env)
            made.append(OwnAnswer(name, when, self._answer(entry, names, where)))
        return tuple(made)

    def _reply(self, node: Node | None, names: dict[str, Type], where: str) -> Build:
        if node is None:
            return lambda scope: ABSENT
        env = Env(names, where, "reply", Usage(), trace=self.trace)
        return self.compiler.function(node, env)

    def _optional(self, node: Node | None, names: dict[str, Type], where: str) -> Build | None:
        return None if node is None else self._reply(node, names, where)

    def _errors(self) -> Callable[[Scope], tuple[int, JsonObject, JsonObject]]:
        names = scopes.dialect_error_names()
        rules: list[tuple[Condition | None, Build, Build | None, Build]] = []
        for name, node in entries_of(self.root.get("errors")):
            env = Env(names, f"errors.{name}", "reply", Usage(), trace=self.trace)
            when, status = node.get("when"), node.get("status")
            body = node.get("body")
            if body is None:
                continue
            rules.append(
                (
                    self.compiler.condition(when, env) if when is not None else None,
                    self.compiler.function(status, env, NUMBER) if status is not None else _err_status,
                    self._optional(node.get("headers"), names, f"errors.{name}.headers"),
                    self.compiler.function(body, env),
                )
            )
        if not rules or rules[-1][0] is not None:
            place = self.root.get("errors") or self.root
            self.problems.add(
                "E201", "the last entry of `errors` must have no `when`", place.mark,
                help=("add   default: {body: {error: =err.message}}",),
            )  # fmt: skip
        return _error_writer(rules)


def _err_status(scope: Scope) -> Json:
    return scope["err"]["status"]


def _error_writer(
    rules: list[tuple[Condition | None, Build, Build | None, Build]],
) -> Callable[[Scope], tuple[int, JsonObject, JsonObject]]:
    def write(scope: Scope) -> tuple[int, JsonObject, JsonObject]:
        for when, status, headers, body in rules:
            if when is None or when(scope):
                extra = headers(scope) if headers is not None else {}
                return int(status(scope)), extra, body(scope)
        return int(_err_status(scope)), {}, {}

    return write


def _client_reads(usage: Usage) -> frozenset[str]:
    paths = [path for path in usage.paths if path and path[0] == "in"]
    return frozenset(path[1] if len(path) > 1 else "*" for path in paths)


def _routes(node: Node | None) -> tuple[RoutePlan, ...]:
    if isinstance(node, SequenceNode):
        return tuple(route for item in node.items for route in _routes(item))
    if not isinstance(node, MappingNode):
        return ()
    method = literal_text(node.get("method")) or "POST"
    path = node.get("path")
    texts = [path.value] if isinstance(path, ScalarNode) else to_json(path) if path is not None else []
    header = literal_text(node.get("header"))
    return tuple(RoutePlan(method, text, parse_route(text), header) for text in texts if isinstance(text, str))


def parse_route(text: str) -> tuple[str | tuple[str, bool], ...]:
    """Split a route into segments: literals, and `(name, greedy)` for `{name}` and `{name+}`."""
    segments: list[str | tuple[str, bool]] = []
    for segment in text.strip("/").split("/") if text != "/" else []:
        match = _SEGMENT.fullmatch(segment)
        segments.append((match[1], match[2] == "+") if match else segment)
    return tuple(segments)
