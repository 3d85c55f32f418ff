"""What a template may contain: a walk over Jinja's syntax tree before anything of it is compiled.

The walk is an allow-list: a node type that is not in the table is refused. It must come before compilation, since
Jinja folds constants while it compiles, also in branches that never run (rule R23).
On the way it collects the names and paths that the template reads.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jinja2 import nodes

from engine.language.problems import did_you_mean
from engine.language.template_filters import FILTERS, TESTS

MAX_LOOPS: Final = 3
MAX_DEPTH: Final = 60
LOOP_ATTRIBUTES: Final = frozenset(
    {"index", "index0", "revindex", "revindex0", "first", "last", "length", "depth", "depth0", "previtem", "nextitem"}
)


@dataclass(frozen=True, slots=True)
class TemplateProblem:
    """One thing wrong in a template; `line` and `column` count from 1 in its text, `column` None if unknown."""

    code: str
    message: str
    line: int
    column: int | None
    help: tuple[str, ...] = ()


_TRANSPARENT: Final = frozenset(
    {
        nodes.Template,
        nodes.Output,
        nodes.TemplateData,
        nodes.Const,
        nodes.If,
        nodes.CondExpr,
        nodes.Compare,
        nodes.Operand,
        nodes.And,
        nodes.Or,
        nodes.Not,
        nodes.Neg,
        nodes.Sub,
        nodes.Concat,
        nodes.Slice,
        nodes.List,
        nodes.Tuple,
        nodes.Dict,
        nodes.Pair,
        nodes.Keyword,
    }
)

_ARITHMETIC: Final = "compute it with the functions mul, div, add, sub in an expression"
_WRITE_OUT: Final = "write the text out, or use `define` and `$use` in the mapping"
_REFUSED: Final[Mapping[type[nodes.Node], tuple[str, str]]] = {
    nodes.Mul: ("the operator `*`", _ARITHMETIC),
    nodes.Pow: ("the operator `**`", _ARITHMETIC),
    nodes.Mod: ("the operator `%`", _ARITHMETIC),
    nodes.Div: ("the operator `/`", _ARITHMETIC),
    nodes.FloorDiv: ("the operator `//`", _ARITHMETIC),
    nodes.Include: ("`include`", _WRITE_OUT),
    nodes.Import: ("`import`", _WRITE_OUT),
    nodes.FromImport: ("`import`", _WRITE_OUT),
    nodes.Extends: ("`extends`", _WRITE_OUT),
    nodes.Block: ("`block`", _WRITE_OUT),
    nodes.Macro: ("`macro`", _WRITE_OUT),
    nodes.CallBlock: ("`call`", _WRITE_OUT),
    nodes.FilterBlock: ("`filter` as a block", "apply the filter to a value: `value | filter`"),
    nodes.AssignBlock: ("`set` as a block", "write `{% set name = value %}`"),
    nodes.NSRef: ("assignment to an attribute", "prepare the data with `$let` or `$each` in the mapping"),
    nodes.With: ("`with`", "write `{% set name = value %}`"),
}

_METHODS: Final[Mapping[str, str]] = {
    "items": "`value | items`",
    "get": "`value.key | default(other)`",
    "strip": "`value | trim`",
    "lower": "`value | lower`",
    "upper": "`value | upper`",
    "replace": "`value | replace(old, new)`",
    "join": "`list | join(separator)`",
}

_OTHERWISE: Final = "use a filter, or compute the value with an expression in `$let`"


Position = tuple[int, int | None]
"""A line of the template, and the column where that is known."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a template reads from its scope, each path with its first line and column, and what is wrong with it."""

    names: frozenset[str]
    paths: Mapping[tuple[str, ...], Position]
    problems: list[TemplateProblem]


def check_template(tree: nodes.Template, text: str, names: Collection[str]) -> Reading:
    """Walk the tree of `text`, in which only `names` may be read."""
    walk = _Walk(text, names)
    walk.visit(tree)
    return Reading(frozenset(walk.read), walk.paths, walk.problems)


class _Walk:
    """State    `locals` are the names that `for` and `set` gave so far; `loops` and `depth` how deep the walk is;
    that it is too deep is said once.
    """

    def __init__(self, text: str, names: Collection[str]) -> None:
        self.problems: list[TemplateProblem] = []
        self.read: set[str] = set()
        self.paths: dict[tuple[str, ...], Position] = {}
        self._lines = text.split("\n")
        self._names = names
        self._locals: set[str] = set()
        self._loops = 0
        self._depth = 0
        self._is_too_deep = False
        self._visitors: dict[type[nodes.Node], Callable[[Any], None]] = {
            nodes.Name: self._name,
            nodes.Getattr: self._path,
            nodes.Getitem: self._path,
            nodes.For: self._for,
            nodes.Assign: self._assign,
            nodes.Filter: self._filter,
            nodes.Test: self._test,
            nodes.Call: self._call,
            nodes.Add: self._add,
        }

    def visit(self, node: nodes.Node) -> None:
        """Check a node and all below it."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            if not self._is_too_deep:
                self._problem("E143", f"nested deeper than {MAX_DEPTH} levels", node, help_lines=("simplify it",))
            self._is_too_deep = True
        elif type(node) in self._visitors:
            self._visitors[type(node)](node)
        elif type(node) in _TRANSPARENT:
            self._below(node)
        else:
            what, instead = _REFUSED.get(type(node), (f"`{type(node).__name__.lower()}`", _WRITE_OUT))
            self._problem("E143", f"{what} is not allowed in a template", node, help_lines=(instead,))
        self._depth -= 1

    def _below(self, node: nodes.Node) -> None:
        for child in node.iter_child_nodes():
            self.visit(child)

    def _problem(
        self, code: str, message: str, node: nodes.Node, word: str = "", help_lines: tuple[str, ...] = ()
    ) -> None:
        self.problems.append(TemplateProblem(code, message, node.lineno, self._column(node.lineno, word), help_lines))

    def _column(self, line: int, word: str) -> int | None:
        """Jinja keeps lines only; the column is known where the word stands once in its line."""
        if not word or line > len(self._lines):
            return None
        found = [match.start() for match in re.finditer(rf"(?<![\w]){re.escape(word)}(?!\w)", self._lines[line - 1])]
        return found[0] + 1 if len(found) == 1 else None

    def _name(self, node: nodes.Name) -> None:
        self._root(node, (node.name,))

    def _root(self, node: nodes.Name, path: tuple[str, ...]) -> None:
        name = node.name
        if name in self._locals:
            if name == "loop" and len(path) > 1 and path[1] not in LOOP_ATTRIBUTES:
                advice = did_you_mean(path[1], LOOP_ATTRIBUTES)
                self._problem("E143", f"`loop` has no `{path[1]}`", node, path[1], advice)
        elif name in self._names:
            self.read.add(name)
            self.paths.setdefault(path, (node.lineno, self._column(node.lineno, ".".join(path))))
        else:
            known = sorted({*self._names, *self._locals})
            self._problem("E141", f'unknown name "{name}"', node, name, did_you_mean(name, known))

    def _path(self, node: nodes.Getattr | nodes.Getitem) -> None:
        keys: list[str | None] = []
        inner: nodes.Node = node
        while isinstance(inner, nodes.Getattr | nodes.Getitem):
            keys.append(inner.attr if isinstance(inner, nodes.Getattr) else self._key(inner.arg))
            inner = inner.node
        if len(keys) > MAX_DEPTH:
            self._problem("E143", f"a path longer than {MAX_DEPTH} steps", node)
            return
        if not isinstance(inner, nodes.Name):
            self.visit(inner)
            return
        keys.reverse()
        known = keys.index(None) if None in keys else len(keys)
        self._root(inner, (inner.name, *(key for key in keys[:known] if key is not None)))

    def _key(self, argument: nodes.Node) -> str | None:
        """The text of a constant key; a computed key is checked, and ends the static path."""
        if isinstance(argument, nodes.Const) and isinstance(argument.value, str):
            return argument.value
        self.visit(argument)
        return None

    def _for(self, node: nodes.For) -> None:
        if node.recursive:
            self._problem("E143", "a recursive loop is not allowed in a template", node)
        self.visit(node.iter)
        self._loops += 1
        if self._loops > MAX_LOOPS:
            advice = ("prepare the data with `$each` and `$let` in the mapping",)
            self._problem("E144", f"loops are nested deeper than {MAX_LOOPS}", node, "for", advice)
        outer = set(self._locals)
        self._bind(node.target)
        self._locals.add("loop")
        if node.test is not None:
            self.visit(node.test)
        for child in node.body:
            self.visit(child)
        self._loops -= 1
        self._locals = outer
        for child in node.else_:
            self.visit(child)

    def _bind(self, target: nodes.Node) -> None:
        if isinstance(target, nodes.Name):
            if target.name == "loop":
                self._problem("E143", "`loop` is the loop itself and cannot be assigned", target, "loop")
            self._locals.add(target.name)
        elif isinstance(target, nodes.Tuple):
            for part in target.items:
                self._bind(part)
        else:
            self.visit(target)

    def _assign(self, node: nodes.Assign) -> None:
        self.visit(node.node)
        self._bind(node.target)

    def _filter(self, node: nodes.Filter) -> None:
        if node.name in FILTERS:
            self._arguments(node)
        else:
            advice = did_you_mean(node.name, FILTERS)
            self._problem("E142", f'unknown filter "{node.name}"', node, node.name, advice)
        self._below(node)

    def _arguments(self, node: nodes.Filter) -> None:
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            self._problem("E143", "`*` and `**` before an argument are not allowed in a template", node)
            return
        signature = inspect.signature(FILTERS[node.name])
        named = {str(pair.key): None for pair in node.kwargs if isinstance(pair, nodes.Keyword)}
        try:
            signature.bind(None, *node.args, **named)
        except TypeError as error:
            usage = ", ".join(list(signature.parameters)[1:])
            advice = (f"it is used as: value | {node.name}({usage})",)
            self._problem("E142", f"filter `{node.name}`: {error}", node, node.name, advice)

    def _test(self, node: nodes.Test) -> None:
        if node.name not in TESTS:
            advice = did_you_mean(node.name, TESTS)
            self._problem("E142", f'unknown test "{node.name}"', node, node.name, advice)
        elif node.args or node.kwargs or node.dyn_args is not None or node.dyn_kwargs is not None:
            self._problem("E142", f"test `{node.name}` takes no arguments", node, node.name)
        self._below(node)

    def _call(self, node: nodes.Call) -> None:
        name = node.node.attr if isinstance(node.node, nodes.Getattr) else ""
        advice = f"write {_METHODS[name]}" if name in _METHODS else _OTHERWISE
        self._problem("E143", "calls are not allowed in a template", node, name, (advice,))

    def _add(self, node: nodes.Add) -> None:
        sides = (node.left, node.right)
        if any(isinstance(side, nodes.Const) and isinstance(side.value, str) for side in sides):
            self._problem("E143", "`+` adds numbers, not text", node, help_lines=("join text with `~`",))
        self._below(node)
