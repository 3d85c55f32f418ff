"""Whether a compiled function only copies one of its inputs: read off its source, once, when it is first needed.

*Theory.* Most frames of a stream differ from the one before in their text alone. A function that puts the text into its
result and never looks inside it gives, for any text that is not empty, the same frame around it; so the frame is built
once and the next text takes the place of the last (`engine.translate.streaming`). Whether a function is of this kind
cannot be told from a mapping's words, where fragments and operators stand between: it can from the source that they
became, which is small and of few forms. Whatever the analysis does not know counts as looking inside.

What is the same for all texts may be asked of one: its type, whether it is there, whether it is empty.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Final

_GROWING: Final = frozenset({"append", "extend", "update"})


class _Looks(Exception):
    """The function looks inside, or the analysis does not know that it does not."""


def only_copies(source: str, root: str, field: str, fixed: Mapping[str, frozenset[str]]) -> bool:
    """Whether a function of `writing` only copies `field` of the name `root`.

    `fixed` holds, for other names that may change, the fields that do not: the function may read these only.
    """
    try:
        _Walk(root, field, fixed).function(ast.parse(source).body[0])
    except _Looks:
        return False
    return True


class _Walk:
    """Follows the value through the locals of one function. `holding` are those that may be it, or hold it."""

    def __init__(self, root: str, field: str, fixed: Mapping[str, frozenset[str]]) -> None:
        self._root = root
        self._field = field
        self._fixed = fixed
        self._roots: dict[str, str] = {}
        self._holding: set[str] = set()

    def function(self, node: ast.stmt) -> None:
        """Look at a whole function; again for as long as there is more to know, since a loop goes back."""
        assert isinstance(node, ast.FunctionDef)
        known = -1
        while known != len(self._holding):
            known = len(self._holding)
            self._block(node.body)

    def _block(self, body: list[ast.stmt]) -> None:
        for statement in body:
            self._statement(statement)

    def _statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self._assign(name, value)
            case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name), slice=place)], value=value):
                self._clean(place)
                if self._holds(value):
                    self._holding.add(name)
            case ast.If(test=test, body=body, orelse=other):
                self._test(test)
                self._block(body + other)
            case ast.For(target=target, iter=over, body=body):
                self._clean(target)
                self._clean(over)
                self._block(body)
            case ast.Try(body=body):
                self._block(body)
            case ast.Return(value=ast.expr() as value):
                self._holds(value)
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=attr), args=given)):
                self._grow(name, attr, given)
            case ast.Continue() | ast.Pass():
                pass
            case _:
                self._clean(node)

    def _assign(self, name: str, value: ast.expr) -> None:
        match value:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="scope"), attr="get"), args=[ast.Constant(value=str(root))]
            ):
                if root == self._root or root in self._fixed:
                    self._roots[name] = root
            case ast.IfExp(body=ast.Name(id=held), orelse=ast.Name(id="empty")) if held in self._roots:
                self._roots[name] = self._roots[held]
            case _:
                if self._holds(value):
                    self._holding.add(name)

    def _grow(self, name: str, attr: str, given: list[ast.expr]) -> None:
        """A statement that calls a method: only those that put a value into a container may get one that holds."""
        if attr not in _GROWING:
            for each in given:
                self._clean(each)
        elif self._any_holds(given):
            self._holding.add(name)

    def _holds(self, node: ast.expr) -> bool:
        """Whether an expression's value may hold the text."""
        match node:
            case ast.Name(id=name):
                if name in self._roots:
                    raise _Looks
                return name in self._holding
            case ast.Constant():
                return False
            case ast.IfExp(test=test, body=body, orelse=other):
                self._test(test)
                return self._any_holds([body, other])
            case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.BoolOp(values=parts):
                return self._any_holds(parts)
            case ast.Dict(values=parts):
                return self._any_holds(parts)
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="get"), args=[ast.Constant(value=field)]):
                return self._got(name, field)
            case ast.Compare() | ast.UnaryOp():
                self._test(node)
                return False
        self._clean(node)
        return False

    def _any_holds(self, nodes: list[ast.expr]) -> bool:
        """Whether one of several may hold the text; all are looked at."""
        held = [self._holds(each) for each in nodes]
        return any(held)

    def _got(self, name: str, field: object) -> bool:
        """A field of a local."""
        root = self._roots.get(name)
        if root is None:
            return name in self._holding
        if root == self._root:
            return field == self._field
        if field not in self._fixed[root]:
            raise _Looks
        return False

    def _test(self, node: ast.expr) -> None:
        """A condition: of the text it may ask what is the same for all."""
        match node:
            case ast.Name():
                pass
            case ast.UnaryOp(op=ast.Not(), operand=inner):
                self._test(inner)
            case ast.BoolOp(values=parts):
                for each in parts:
                    self._test(each)
            case ast.Compare(left=left, ops=ops, comparators=others):
                same = all(isinstance(each, ast.Is | ast.IsNot) for each in ops)
                for each in (left, *others):
                    if not (same and isinstance(each, ast.Name)):
                        self._asked(each)
            case _:
                self._asked(node)

    def _asked(self, node: ast.expr) -> None:
        match node:
            case ast.Call(func=ast.Name(id="isinstance" | "type"), args=[ast.Name(), *_]):
                pass
            case _:
                self._clean(node)

    def _clean(self, node: ast.AST) -> None:
        """What has nothing to do with the text."""
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and (part.id in self._holding or part.id in self._roots):
                raise _Looks
