"""Compile the calls of an endpoint: one upstream HTTP request each, out of `request`, a step, or `auth.token`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from engine.language.compiled import Env
from engine.language.kinds.http_checks import check_headers
from engine.language.kinds.sections import literal_text
from engine.language.kinds.sharing import SharedSections
from engine.language.problems import did_you_mean
from engine.language.reader import MappingNode, Node, to_json
from engine.language.static_types import Type, enum_of
from engine.language.tree import TreeCompiler
from engine.language.usage import Usage
from engine.translate.calls import expand_path, missing_in_path
from engine.translate.plan import CallPlan
from engine.types import ABSENT, Build, Json, Scope

_PLACEHOLDER: Final = re.compile(r"\{(\+?)([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class CallCompiler:
    """What every call of one endpoint is compiled with. `root` is the merged mapping."""

    compiler: TreeCompiler
    shared: SharedSections
    root: MappingNode
    trace: bool

    def call(
        self, node: MappingNode, names: Mapping[str, Type], where: str, usage: Usage, *, auth: bool = False
    ) -> CallPlan:
        """The plan of one call. `auth` is set for a call of `auth` itself, whose trees may hold secrets."""
        problems = self.compiler.problems
        plain = Env(names, where, "request", usage, templates=False, auth=auth, trace=self.trace)
        host = node.get("host")
        headers, body, url = node.get("headers"), node.get("body"), node.get("url")
        if isinstance(headers, MappingNode):
            check_headers(headers, problems, credentials=auth)
        inner = Env(names, f"{where}.body", "request", usage, templates=not auth, auth=auth, trace=self.trace)
        return CallPlan(
            method=literal_text(node.get("method")) or "POST",
            path=self._path(node, plain) if url is None else lambda scope: "",
            host=self._host(host, plain, f"{where}.host"),
            url=self._optional(url, plain, f"{where}.url"),
            query=self._optional(node.get("query"), plain, f"{where}.query"),
            headers=self._optional(headers, plain, f"{where}.headers"),
            body=self._optional(body, inner, f"{where}.body"),
            encode=literal_text(node.get("encode")) or "json",
        )

    def _host(self, node: Node | None, env: Env, where: str) -> Build | None:
        """The name of an entry of `hosts`: a literal must be one, and so must what a table may give."""
        known = to_json(self.root.get("hosts") or MappingNode(self.root.mark))
        text = literal_text(node)
        if node is not None and text is not None and not text.startswith("="):
            if text not in known:
                self.compiler.problems.add(
                    "E160", f"`hosts` has no {text!r}", node.mark, length=len(text), help=did_you_mean(text, known)
                )
            return lambda scope: text
        if node is None:
            return None
        return self.compiler.function(node, Env(env.names, where, env.side, env.usage, False, env.auth, env.trace),
                                      enum_of(*known).optional())  # fmt: skip

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
                self.compiler.problems.add(
                    "E160", f"the path has {{{name}}}, which `path_params` does not give", path_node.mark,
                    help=did_you_mean(name, given) or (f"add path_params: {{{name}: =model.name}}",),
                )  # fmt: skip
        for name, entry in given.items():
            if name not in wanted:
                self.compiler.problems.add(
                    "E160", f"`path_params` gives {name!r}, which the path does not have", entry.key.mark,
                    length=len(name), help=did_you_mean(name, wanted),
                )  # fmt: skip
        if not wanted:
            return lambda scope: text
        template = parse_path(text)
        values = {name: _path_value(self.compiler, env, name, given[name].value) for name in wanted if name in given}

        def build(scope: Scope) -> str:
            return expand_path(template, {name: value(scope) for name, value in values.items()})

        return build


def _path_value(compiler: TreeCompiler, env: Env, name: str, node: Node) -> Build:
    """The value of a placeholder of a path; the function says what is missing where it is absent."""
    own = env.inner({})
    value = compiler.function(node, own)
    source = literal_text(node) or "a computed value"
    of_step = any(path[0] == "step" for path in own.usage.paths)
    env.usage.merge(own.usage)

    def build(scope: Scope) -> Json:
        made = value(scope)
        if made is ABSENT or made is None:
            raise missing_in_path(name, source, of_step=of_step)
        return made

    return build


def parse_path(text: str) -> tuple[str | tuple[str, bool], ...]:
    """Split a path template into literals and `(name, keeps slashes)` pairs."""
    parts: list[str | tuple[str, bool]] = []
    position = 0
    for match in _PLACEHOLDER.finditer(text):
        parts += [text[position : match.start()], (match[2], match[1] == "+")]
        position = match.end()
    return (*parts, text[position:])
