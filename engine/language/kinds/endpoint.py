"""Compile `endpoint/1`: from the resolved document to an `EndpointPlan`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, TypeVar

from engine import __version__
from engine.language import scopes
from engine.language.canonical import EMIT_KEYS, LISTED_MODEL, PART_TYPE
from engine.language.compiled import Env
from engine.language.inherit import Resolved
from engine.language.kinds.auth import compile_auth
from engine.language.kinds.emulation import compile_structured, compile_tools
from engine.language.kinds.endpoint_shape import ENDPOINT
from engine.language.kinds.http_checks import check_headers, check_origin
from engine.language.kinds.sections import (
    compile_errors,
    compile_losses,
    compile_refusals,
    covers_failures,
    literal_text,
    make_compiler,
    read_options,
    warn_unused_fragments,
)
from engine.language.kinds.sharing import SharedSections
from engine.language.kinds.stream import compile_stream
from engine.language.operators.choose import check_pattern_rows
from engine.language.problems import Problems, did_you_mean
from engine.language.reader import MappingNode, Node, ScalarNode, to_json
from engine.language.static_types import ANY, Type, array_of, object_of
from engine.language.tree import TemplateLoader
from engine.language.usage import Usage
from engine.translate.exchange import expand_path
from engine.translate.patterns import PatternTable
from engine.translate.plan import CallPlan, Capabilities, EndpointPlan, ModelsPlan, ParamPolicy, Reads, SecretSpec
from engine.types import ABSENT, Build, Json, JsonObject, Scope

Made = TypeVar("Made")
EMITTED: Final = object_of({}, dict(EMIT_KEYS))
_LISTED: Final = array_of(LISTED_MODEL)
_MESSAGES: Final = ("req", "messages")
_MESSAGE_FIELDS: Final = frozenset({"name", "refusal", "is_error", "reasoning", "audio", "function_call"})
_CALL_KEYS: Final = frozenset({"tool_calls", "tool_call", "choices", "blocks"})
_PLACEHOLDER: Final = re.compile(r"\{(\+?)([^{}]*)\}")
_CAPABILITY_DEFAULTS: Final[Mapping[str, Json]] = {
    "streaming": "synthetic",
    "tools": "none",
    "system": "native",
    "alternate": False,
}


def check_endpoint(resolved: Resolved, problems: Problems) -> bool:
    """Check the structure of the merged document; True when it is sound enough to compile."""
    before = len(problems.errors)
    ENDPOINT.check(resolved.root, "", problems)
    return len(problems.errors) == before


def compile_endpoint(
    resolved: Resolved,
    problems: Problems,
    load_template: TemplateLoader,
    *,
    trace: bool = False,
    shared: SharedSections | None = None,
) -> EndpointPlan | None:
    """Compile a served endpoint. Returns None when it cannot be served at all; problems say why.

    `shared` holds what other endpoints of the load have compiled of the sections they inherit alike.
    """
    before = len(problems.errors)
    plan = _Endpoint(resolved, problems, load_template, trace, shared or SharedSections()).plan()
    return plan if len(problems.errors) == before else None


class _Endpoint:
    """One compilation: the resolved document, its compiler, and its scopes."""

    def __init__(
        self, resolved: Resolved, problems: Problems, load_template: TemplateLoader, trace: bool, shared: SharedSections
    ) -> None:
        self.shared = shared
        self.resolved = resolved
        self.root = resolved.root
        self.problems = problems
        self.compiler = make_compiler(resolved.root, problems, load_template)
        self.options = read_options(self.root.get("options"), problems)
        self.opt = scopes.option_scope(self.options)
        self.trace = trace
        self.usage = Usage()
        self.answer: Type = ANY

    def _env(self, names: Mapping[str, Type], where: str, side: str, usage: Usage | None = None, **more: bool) -> Env:
        return Env(names, where, side, usage or Usage(), trace=self.trace, **more)  # type: ignore[arg-type]

    def _section(self, name: str, make: Callable[[Node | None, Usage], Made], usage: Usage | None = None) -> Made:
        """A section's plan, made once for all endpoints that inherit the same."""
        node = self.root.get(name)
        return self.shared.section(name, node, self.root, self.compiler, usage or Usage(), partial(make, node))

    def plan(self) -> EndpointPlan | None:
        """Compile every section; None when one that a plan needs is missing."""
        self._check_origins()
        request_names = scopes.request_names(self.opt)
        call = self._call(self.root.get("request"), request_names, "request", self.usage)
        reply_names = scopes.reply_names(self.opt)

        def rules(usage: Usage) -> Env:
            return self._env(request_names, "refuse", "request", usage)

        refuse = self._section(
            "refuse", lambda node, usage: compile_refusals(self.compiler, node, rules(usage)), self.usage
        )
        losses = self._section(
            "losses", lambda node, usage: compile_losses(self.compiler, node, rules(usage)), self.usage
        )
        errors = self._section(
            "errors",
            lambda node, usage: compile_errors(self.compiler, node, self._env(reply_names, "errors", "reply", usage)),
        )
        if not covers_failures(errors):
            self.problems.add(
                "E201",
                "no error rule takes every failed reply",
                (self.root.get("errors") or self.root).mark,
                help=('end `errors:` with   any: {status: [4xx, 5xx], raise: {message: "=res.error.message"}}',),
            )
        response, self.answer = self._section("response", self._response)
        secrets = self._secrets()
        auth = compile_auth(self.compiler, self.root.get("auth"), scopes.auth_names(self.opt, {
            name: spec.parse is not None for name, spec in secrets.items()
        }), secrets, self.root.get("secrets"), self.trace)  # fmt: skip
        models = self._models()
        stream, pieces = self._section(
            "stream",
            lambda node, usage: compile_stream(self.compiler, node, self.opt, usage, trace=self.trace),
        )
        capabilities = self._capabilities(pieces)
        reads = reads_of(self.usage)
        params = self._params(reads)
        warn_unused_fragments(self.compiler, self.resolved.document.file)
        if call is None or response is None or capabilities is None:
            return None
        return EndpointPlan(
            id=self.resolved.id,
            title=literal_text(self.root.get("title")) or self.resolved.id,
            file=self.resolved.document.file,
            digest=digest_of(self.root),
            wire=literal_text(self.root.get("wire")),
            base_url=literal_text(self.root.get("base_url")) or "",
            hosts=dict(to_json(self.root.get("hosts") or MappingNode(self.root.mark))),
            options=self.options,
            secrets=secrets,
            auth=auth,
            capabilities=capabilities,
            params=params,
            reads=reads,
            call=call,
            response=response,
            errors=errors,
            refuse=refuse,
            losses=losses,
            models=models,
            stream=stream,
            tools=self._section("tools", lambda node, usage: compile_tools(self.compiler, node)),
            structured=self._section("structured", lambda node, usage: compile_structured(self.compiler, node)),
            insecure=self._insecure(),
        )

    # -- origins

    def _insecure(self) -> bool:
        node = self.root.get("insecure")
        return isinstance(node, ScalarNode) and node.value is True

    def _check_origins(self) -> None:
        allowed = self._insecure()
        base = self.root.get("base_url")
        if base is None:
            self.problems.add(
                "E024", f"{self.resolved.id} lacks the key 'base_url'", self.root.mark,
                help=("e.g. base_url: https://api.example.com",),
            )  # fmt: skip
        hosts = self.root.get("hosts")
        nodes = [base, *(entry.value for entry in hosts.entries.values())] if isinstance(hosts, MappingNode) else [base]
        for node in nodes:
            if isinstance(node, ScalarNode):
                check_origin(node, allowed, self.problems)

    # -- calls

    def _call(self, node: Node | None, names: Mapping[str, Type], where: str, usage: Usage) -> CallPlan | None:
        if not isinstance(node, MappingNode):
            if not (where == "request" and self.root.get("steps") is not None):
                self.problems.add("E024", f"{self.resolved.id} lacks the section {where!r}", self.root.mark)
            return None
        plain = self._env(names, where, "request", usage, templates=False)
        body = node.get("body")
        host = literal_text(node.get("host"))
        if host is not None and host not in to_json(self.root.get("hosts") or MappingNode(node.mark)):
            place = node.entries["host"].value
            self.problems.add("E160", f"`hosts` has no {host!r}", place.mark, length=len(host))
        headers = node.get("headers")
        if isinstance(headers, MappingNode):
            check_headers(headers, self.problems)
        return CallPlan(
            method=literal_text(node.get("method")) or "POST",
            path=self._path(node, plain),
            host=host,
            query=self._optional(node.get("query"), plain, f"{where}.query"),
            headers=self._optional(headers, plain, f"{where}.headers"),
            body=self._optional(body, self._env(names, f"{where}.body", "request", usage), f"{where}.body"),
            encode=literal_text(node.get("encode")) or "json",
        )

    def _optional(self, node: Node | None, env: Env, where: str) -> Build | None:
        if node is None:
            return None

        def make(usage: Usage) -> Build:
            inner = Env(env.names, where, env.side, usage, env.templates, env.auth, env.trace)
            return self.compiler.function(node, inner)

        return self.shared.section(where, node, self.root, self.compiler, env.usage, make)

    def _path(self, node: MappingNode, env: Env) -> Build:
        path_node = node.entries["path"].value
        text = literal_text(path_node) or "/"
        wanted = [name for _, name in _PLACEHOLDER.findall(text)]
        params = node.get("path_params")
        given = params.entries if isinstance(params, MappingNode) else {}
        for name in wanted:
            if name not in given:
                self.problems.add(
                    "E160", f"the path has {{{name}}}, which `path_params` does not give", path_node.mark,
                    help=did_you_mean(name, given) or (f"add path_params: {{{name}: =model.name}}",),
                )  # fmt: skip
        for name, entry in given.items():
            if name not in wanted:
                self.problems.add(
                    "E160", f"`path_params` gives {name!r}, which the path does not have", entry.key.mark,
                    length=len(name), help=did_you_mean(name, wanted),
                )  # fmt: skip
        if not wanted:
            return lambda scope: text
        template = parse_path(text)
        values = {name: self.compiler.function(entry.value, env) for name, entry in given.items()}

        def build(scope: Scope) -> str:
            filled = {name: value for name, make in values.items() if (value := make(scope)) is not ABSENT}
            return expand_path(template, filled)

        return build

    # -- replies

    def _response(self, node: Node | None, usage: Usage) -> tuple[Build | None, Type]:
        if node is None:
            self.problems.add("E024", f"{self.resolved.id} lacks the section 'response'", self.root.mark)
            return None, ANY
        env = self._env(scopes.reply_names(self.opt), "response", "reply", usage)
        compiled, build = self.compiler.typed_function(node, env, EMITTED)
        return build, compiled.type

    def _models(self) -> ModelsPlan | None:
        node = self.root.get("models")
        if not isinstance(node, MappingNode):
            return None
        call = self._call(node.get("request"), scopes.models_request_names(self.opt), "models.request", Usage())
        listed = node.get("list")
        if call is None or listed is None:
            return None
        env = self._env(scopes.models_list_names(self.opt), "models.list", "reply")
        return ModelsPlan(call, self.compiler.function(listed, env, _LISTED))

    # -- declarations

    def _secrets(self) -> dict[str, SecretSpec]:
        node = self.root.get("secrets")
        values = to_json(node) if isinstance(node, MappingNode) else {}
        return {
            name: SecretSpec(name, spec.get("env"), spec.get("file"), spec.get("client"), spec.get("parse"))
            for name, spec in values.items()
        }

    def _capabilities(self, pieces: list[Type] | None) -> Capabilities | None:
        node = self.root.get("capabilities")
        declared = node if isinstance(node, MappingNode) else MappingNode(self.root.mark)
        tables = {name: self._table(declared.get(name), default) for name, default in _CAPABILITY_DEFAULTS.items()}
        max_stop = declared.get("max_stop")
        self._check_native_tools(tables["tools"], declared, pieces)
        return Capabilities(
            streaming=tables["streaming"],
            tools=tables["tools"],
            system=tables["system"],
            alternate=tables["alternate"],
            max_stop=to_json(max_stop) if max_stop is not None else None,
        )

    def _table(self, node: Node | None, default: Json) -> PatternTable:
        if isinstance(node, MappingNode):
            check_pattern_rows(self.compiler, node)
            return PatternTable((pattern, to_json(entry.value)) for pattern, entry in node.entries.items())
        return PatternTable([("*", default if node is None else to_json(node))])

    def _check_native_tools(self, tools: PatternTable, declared: MappingNode, pieces: list[Type] | None) -> None:
        """E181: native tools are read from the request, and calls are given by the response and by the stream."""
        if not any(value == "native" for _, value in tools.rows):
            return
        lacking = []
        if "tools" not in reads_of(self.usage).fields and not self.usage.broken:
            lacking.append("the request never reads req.tools")
        if not _may_hold_calls(self.answer):
            lacking.append("the response never gives `tool_calls`")
        if pieces and not any(_may_hold_calls(each) for each in pieces):
            lacking.append("the stream never emits a `tool_call`")
        if lacking:
            self.problems.add(
                "E181", f"tools are declared native, but {', and '.join(lacking)}",
                declared.entries["tools"].value.mark,
                help=("send the tools and read the calls back, or set tools: none",),
            )  # fmt: skip

    def _params(self, reads: Reads) -> dict[str, ParamPolicy]:
        node = self.root.get("params")
        policies: dict[str, ParamPolicy] = {}
        for name, entry in node.entries.items() if isinstance(node, MappingNode) else ():
            spec = to_json(entry.value)
            is_read = bool({name, "*"} & reads.fields) or self.usage.broken
            if "unsupported" not in spec and not is_read:
                self.problems.add(
                    "E180",
                    f"`params` limits {name!r}, which the request never reads",
                    entry.key.mark,
                    length=len(name),
                    help=(*did_you_mean(name, reads.fields), f"read it: {name}: =req.{name}"),
                )
            policies[name] = ParamPolicy(
                name, spec.get("min"), spec.get("max"), spec.get("over") or "clamp", spec.get("unsupported")
            )
        return policies


def reads_of(usage: Usage) -> Reads:
    """Derive what a request section takes from what its expressions read (DECISIONS 2.11)."""
    requests = {path[1:] for path in usage.paths if path[0] == "req"}
    fields = {path[0] if path else "*" for path in requests}
    extra = {path[1] if len(path) > 1 else "*" for path in requests if path and path[0] == "extra"}
    known_parts = PART_TYPE.values or frozenset()
    parts = known_parts & (usage.fields | usage.constants)
    names = frozenset(usage.fields)
    for path in usage.whole:
        if path in (("req",), _MESSAGES, (*_MESSAGES, "[]"), (*_MESSAGES, "[]", "content")):
            parts = known_parts
            names |= _MESSAGE_FIELDS if path[-1] != "content" else frozenset()
    return Reads(frozenset(fields), frozenset(extra), parts, names)


def _may_hold_calls(of: Type) -> bool:
    """Whether a reply or piece of this type can carry tool calls; of what is not known it is assumed."""
    return of.fields is None or bool(_CALL_KEYS & set(of.fields))


def parse_path(text: str) -> tuple[str | tuple[str, bool], ...]:
    """Split a path template into literals and `(name, keeps slashes)` pairs."""
    parts: list[str | tuple[str, bool]] = []
    position = 0
    for match in _PLACEHOLDER.finditer(text):
        parts += [text[position : match.start()], (match[2], match[1] == "+")]
        position = match.end()
    return (*parts, text[position:])


def digest_of(root: MappingNode) -> str:
    """The content hash of a merged mapping under this engine version: 12 hexadecimal digits."""
    content: JsonObject = to_json(root)
    text = json.dumps([__version__, content], ensure_ascii=False, sort_keys=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
