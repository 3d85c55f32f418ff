"""Compile `toolformat/1`: from the resolved document to a `ToolformatPlan` (DECISIONS 3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from engine.language import scopes
from engine.language.inherit import Resolved
from engine.language.kinds.endpoint import digest_of
from engine.language.kinds.regions import longest_first
from engine.language.kinds.sections import literal_text, make_compiler, warn_unused_fragments
from engine.language.kinds.toolformat_read import ReadCompiler, markers_of
from engine.language.kinds.toolformat_shape import TOOLFORMAT
from engine.language.problems import Mark, Problems
from engine.language.reader import MappingNode, Node, ScalarNode, mark_at_line, to_json
from engine.language.static_types import Type
from engine.language.templates import TemplateError, compile_template
from engine.language.tree import MappingFailure, TemplateLoader
from engine.translate.tools.neutral import Neutraliser
from engine.translate.tools.plan import ReadPlan, ReadPolicy, ToolformatPlan
from engine.types import ABSENT, Build, Json, Scope

_INSERT: Final = "\u2060"


def check_toolformat(resolved: Resolved, problems: Problems) -> bool:
    """Check the structure of the merged document; True when it is sound enough to compile."""
    before = len(problems.errors)
    TOOLFORMAT.check(resolved.root, "", problems)
    return len(problems.errors) == before


def compile_toolformat(resolved: Resolved, problems: Problems, load_template: TemplateLoader) -> ToolformatPlan | None:
    """Compile a toolformat. Returns None when it cannot be used; problems say why."""
    before = len(problems.errors)
    plan = _Toolformat(resolved, problems, load_template).plan()
    return plan if len(problems.errors) == before else None


class _Toolformat:
    """One compilation."""

    def __init__(self, resolved: Resolved, problems: Problems, load_template: TemplateLoader) -> None:
        self.resolved = resolved
        self.root = resolved.root
        self.problems = problems
        self.load_template = load_template
        self.compiler = make_compiler(resolved.root, problems, load_template)

    def plan(self) -> ToolformatPlan:
        policy_node = _section(self.root, "policy")
        policy = _policy(policy_node)
        read = self._read(literal_text(policy_node.get("commit")) or "head", policy)
        neutral = _section(self.root, "neutralise")
        own = to_json(neutral.get("markers") or MappingNode(self.root.mark)) or []
        insert = literal_text(neutral.get("insert")) or _INSERT
        markers = longest_first([*markers_of(read), *own])
        offer, history = _section(self.root, "offer"), _section(self.root, "history")
        finalize = _finalize(Neutraliser(markers, insert))
        history_names = scopes.toolformat_history_names()
        warn_unused_fragments(self.compiler, self.resolved.document.file)
        return ToolformatPlan(
            id=self.resolved.id,
            title=literal_text(self.root.get("title")) or self.resolved.id,
            file=self.resolved.document.file,
            digest=digest_of(self.root),
            offer=self._template(offer, "offer.text", scopes.toolformat_offer_names(), finalize),
            place=literal_text(offer.get("place")),
            history_call=self._template(history, "history.call", history_names, finalize),
            history_result=self._template(history, "history.result", history_names, finalize),
            result_role=literal_text(history.get("result_role")) or "user",
            join=_text(history.get("join"), "\n"),
            read=read,
            policy=policy,
            neutralise=insert,
            markers=markers,
            calls_open=_text(history.get("open"), ""),
            calls_close=_text(history.get("close"), ""),
        )

    def _read(self, commit: str, policy: ReadPolicy) -> ReadPlan:
        node = self.root.get("read")
        if not isinstance(node, MappingNode):
            self.problems.add("E024", f"{self.resolved.id} lacks the section 'read'", self.root.mark,
                             help=("e.g. read: {calls: {…}}",))  # fmt: skip
            return ReadPlan(())
        return ReadCompiler(self.problems, commit).plan(node, with_regions=policy.calls_in_reasoning != "always")

    def _template(
        self, section: MappingNode, where: str, names: dict[str, Type], finalize: Callable[[Json], Json]
    ) -> Build:
        """A `$template` whose values are neutralised; anything else could let a marker through."""
        node = section.get(where.partition(".")[2])
        inner = node.get("$template") if isinstance(node, MappingNode) and len(node.entries) == 1 else None
        if inner is None:
            place = (node or section).mark
            self.problems.add(
                "E240", f"`{where}` must be one `$template`, so that values cannot forge markers", place,
                help=(f"{where.partition('.')[2]}: {{$template: {{file: tools/name.j2}}}}",),
            )  # fmt: skip
            return lambda scope: ABSENT
        text, at = self._template_text(inner)
        if text is None:
            return lambda scope: ABSENT
        template, found = compile_template(text, list(names), finalize=finalize)
        for problem in found:
            place, notes = at(problem.line, problem.column)
            self.problems.add(problem.code, problem.message, place, notes=notes, help=problem.help)
        if template is None:
            return lambda scope: ABSENT
        render, mark = template.render, inner.mark

        def build(scope: Scope) -> Json:
            try:
                return render(scope)
            except TemplateError as error:
                raise MappingFailure("R003", str(error), mark) from error

        return build

    def _template_text(
        self, node: Node
    ) -> tuple[str | None, Callable[[int, int | None], tuple[Mark, tuple[str, ...]]]]:
        """The template's text, and where a line of it is."""
        mark = node.mark
        if isinstance(node, ScalarNode) and isinstance(node.value, str):
            scalar = node
            return node.value, lambda line, column: (mark_at_line(scalar, line, column)[0], ())
        name = literal_text(node.get("file")) if isinstance(node, MappingNode) and len(node.entries) == 1 else None
        if name is None:
            self.problems.add("E133", "$template takes text, or {file: name}", mark)
            return None, lambda line, column: (mark, ())
        return self.load_template(name, mark), lambda line, column: (mark, (f"in {name}, line {line}",))


def _section(root: MappingNode, name: str) -> MappingNode:
    found = root.get(name)
    return found if isinstance(found, MappingNode) else MappingNode(root.mark)


def _text(node: Node | None, default: str) -> str:
    found = literal_text(node)
    return default if found is None else found


def _policy(node: MappingNode) -> ReadPolicy:
    repair = node.get("repair")
    return ReadPolicy(
        repair=frozenset(to_json(repair) if repair is not None else ()),
        around=literal_text(node.get("around")) or "keep",
        calls_in_reasoning=literal_text(node.get("calls_in_reasoning")) or "never",
        stream_arguments=literal_text(node.get("stream_arguments")) or "strings",
    )


def _finalize(neutraliser: Neutraliser) -> Callable[[Json], Json]:
    def finalize(value: Json) -> Json:
        return neutraliser.apply(value) if isinstance(value, str) else value

    return finalize
