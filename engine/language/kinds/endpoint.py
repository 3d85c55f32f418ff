"""Compile `endpoint/1`: from the resolved document to an `EndpointPlan`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar

from engine import __version__
from engine.language import scopes
from engine.language.canonical import EMIT_KEYS, LISTED_MODEL, PART_TYPE
from engine.language.compiled import Env
from engine.language.inherit import Resolved, merged
from engine.language.kinds.auth import compile_auth
from engine.language.kinds.calls import CallCompiler
from engine.language.kinds.edits import compile_edits
from engine.language.kinds.emulation import compile_structured, compile_tools
from engine.language.kinds.endpoint_shape import ENDPOINT
from engine.language.kinds.http_checks import check_origin
from engine.language.kinds.regions import compile_regions
from engine.language.kinds.sections import (
    compile_errors,
    compile_losses,
    compile_refusals,
    covers_failures,
    literal_text,
    make_compiler,
    read_options,
    warn_settled_statuses,
    warn_unused_fragments,
)
from engine.language.kinds.sharing import SharedSections
from engine.language.kinds.steps import compile_steps
from engine.language.kinds.stream import compile_stream
from engine.language.operators.choose import check_pattern_rows
from engine.language.problems import Problems, did_you_mean
from engine.language.reader import MappingNode, Node, ScalarNode, to_json
from engine.language.static_types import ANY, Type, array_of, object_of
from engine.language.tree import TemplateLoader
from engine.language.usage import Usage
from engine.translate.patterns import PatternTable
from engine.translate.plan import (
    CallPlan,
    Capabilities,
    EndpointPlan,
    ModelsPlan,
    ParamPolicy,
    Reads,
    SecretSpec,
    StepPlan,
)
from engine.types import Build, Json, JsonObject

Made = TypeVar("Made")
EMITTED: Final = object_of({}, dict(EMIT_KEYS))
_LISTED: Final = array_of(LISTED_MODEL)
_MESSAGES: Final = ("req", "messages")
_WHOLE_TOOLS: Final = frozenset({("req",), ("req", "tools"), ("req", "tools", "[]")})
_MESSAGE_FIELDS: Final = frozenset({"name", "refusal", "is_error", "reasoning", "audio", "function_call"})
_CALL_KEYS: Final = frozenset({"tool_calls", "tool_call", "choices", "blocks"})
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
        self.calls = CallCompiler(self.compiler, shared, self.root, trace)
        steps = self.root.get("steps")
        self.steps = tuple(steps.entries) if isinstance(steps, MappingNode) else ()
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
        steps = self._steps()
        request = self._call(steps, request_names)
        call = request if request is not None or not steps else steps[-1].call
        reply_names = scopes.reply_names(self.opt, self.steps)

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
        if not any(spec.client for spec in secrets.values()):
            warn_settled_statuses(self.root.get("errors"), self.problems, self.resolved.document.file)
        auth = compile_auth(self.calls, self.opt, secrets)
        models = self._models()
        stream, pieces = self._section(
            "stream",
            lambda node, usage: compile_stream(
                self.compiler, node, self.opt, usage, trace=self.trace, steps=self.steps
            ),
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
            secrets={
                name: replace(spec, members=tuple(sorted(member for owner, member in auth.members if owner == name)))
                for name, spec in secrets.items()
            },
            auth=auth.credentials,
            token=auth.token,
            sign=auth.sign,
            steps=(*steps, StepPlan("request", request)) if steps and request is not None else steps,
            stream_call=self._stream_call(),
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
            edits=compile_edits(self.compiler, self.root, self.opt, trace=self.trace),
            regions=self._section("regions", lambda node, _usage: compile_regions(node)),
            insecure=self._insecure(),
            packages=auth.packages,
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

    def _call(self, steps: tuple[StepPlan, ...], names: Mapping[str, Type]) -> CallPlan | None:
        """The call of `request`; with `steps` it is the last of the calls, and may be left out."""
        node = self.root.get("request")
        if isinstance(node, MappingNode):
            own = scopes.request_names(self.opt, self.steps) if steps else names
            return self.calls.call(node, own, "request", self.usage)
        if not steps:
            self.problems.add("E024", f"{self.resolved.id} lacks the section 'request'", self.root.mark,
                             help=("e.g. request: {method: POST, path: /v1/chat, body: {…}}",))  # fmt: skip
        return None

    def _steps(self) -> tuple[StepPlan, ...]:
        node = self.root.get("steps")
        if not isinstance(node, MappingNode):
            return ()
        is_last = self.root.get("request") is None
        steps = compile_steps(self.calls, node, self.opt, self.usage, with_last=is_last)
        if is_last and steps and steps[-1].until is not None and self.root.get("stream") is not None:
            self.problems.add(
                "E220", "the last step polls, so there is nothing to stream", self.root.entries["stream"].key.mark,
                length=6, help=("poll in a step before the one that streams, or leave `stream` out",),
            )  # fmt: skip
        return steps

    def _stream_call(self) -> CallPlan | None:
        """The call with what `stream.request` says merged over it."""
        stream = self.root.get("stream")
        over = stream.get("request") if isinstance(stream, MappingNode) else None
        if not isinstance(over, MappingNode):
            return None
        base, earlier = self.root.get("request"), self.steps
        steps = self.root.get("steps")
        if base is None and isinstance(steps, MappingNode) and steps.entries:
            last = next(reversed(steps.entries.values())).value
            base, earlier = last.get("request") if isinstance(last, MappingNode) else None, self.steps[:-1]
        if not isinstance(base, MappingNode):
            return None
        own = scopes.request_names(self.opt, earlier)
        return self.calls.call(merged(base, over, self.problems, "request"), own, "stream.request", self.usage)

    # -- replies

    def _response(self, node: Node | None, usage: Usage) -> tuple[Build | None, Type]:
        if node is None:
            self.problems.add("E024", f"{self.resolved.id} lacks the section 'response'", self.root.mark,
                             help=("e.g. response: {text: =res.…}",))  # fmt: skip
            return None, ANY
        env = self._env(scopes.reply_names(self.opt, self.steps), "response", "reply", usage)
        compiled, build = self.compiler.typed_function(node, env, EMITTED)
        return build, compiled.type

    def _models(self) -> ModelsPlan | None:
        node = self.root.get("models")
        if not isinstance(node, MappingNode):
            return None
        request, listed = node.get("request"), node.get("list")
        if not isinstance(request, MappingNode) or listed is None:
            return None
        call = self.calls.call(request, scopes.models_request_names(self.opt), "models.request", Usage())
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
            low, high = spec.get("min"), spec.get("max")
            if low is not None and high is not None and low > high:
                self.problems.add(
                    "E180", f"no value of {name!r} is at least {low:g} and at most {high:g}", entry.value.mark,
                    help=(f"min: {high:g}, max: {low:g}   if they were written the wrong way round",),
                )  # fmt: skip
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
    custom = "custom" in usage.fields | usage.constants or not usage.whole.isdisjoint(_WHOLE_TOOLS)
    return Reads(frozenset(fields), frozenset(extra), parts, names, custom)


def _may_hold_calls(of: Type) -> bool:
    """Whether a reply or piece of this type can carry tool calls; of what is not known it is assumed."""
    return of.fields is None or bool(_CALL_KEYS & set(of.fields))


def digest_of(root: MappingNode) -> str:
    """The content hash of a merged mapping under this engine version, cases apart: 12 hexadecimal digits."""
    content: JsonObject = to_json(MappingNode(root.mark, {k: e for k, e in root.entries.items() if k != "tests"}))
    text = json.dumps([__version__, content], ensure_ascii=False, sort_keys=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
