"""Static checks of a function call: its name, its number of arguments, their types (rules E103 and E109)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from engine.language.expressions.parsing import Node
from engine.language.expressions.problems import closest
from engine.language.expressions.signatures import Function, Parameter, expected
from engine.language.static_types import Type, describe


class Reporter(Protocol):
    """What this module needs of the checker."""

    text: str
    auth: bool
    scope: Mapping[str, Type]
    functions: Mapping[str, Function]

    def report(self, code: str, message: str, node: Node, *help_lines: str) -> None:
        """Add one problem."""

    def corrected(self, node: Node, replacement: str) -> str:
        """A suggestion with one node's text replaced."""


def _name_span(node: Node) -> Node:
    start, length = node["name"]
    return {"start": start, "end": start + length}


def check_name(checker: Reporter, node: Node) -> Function | None:
    """The function that a call names, or None after reporting that it does not exist or may not be used here."""
    name = node["value"]
    function = checker.functions.get(name)
    span = _name_span(node)
    if function is None:
        near = closest(name, checker.functions)
        hint = [checker.corrected(span, near)] if near else []
        checker.report("E103", f"unknown function {name}()", span, *hint)
    elif function.auth_only and not checker.auth:
        checker.report("E109", f"{name}() may only be used inside auth", span)
    elif function.from_context and "ctx" not in checker.scope:
        checker.report("E102", f'{name}() reads "ctx", which is not in scope here', span)
    return function


def check_arguments(checker: Reporter, node: Node, function: Function, arguments: Sequence[Type]) -> bool:
    """Report what is wrong with the arguments; True if their number fits, so that the result type can be told."""
    least, greatest = function.arity
    count = len(arguments)
    if count < least or (greatest is not None and count > greatest):
        checker.report("E103", f"{function.name}() takes {_count(least, greatest)}, not {count}", node, function.call)
        return False
    for place, (child, given) in enumerate(zip(node["children"], arguments, strict=True)):
        _check_argument(checker, child, function, place, given)
    return True


def _check_argument(checker: Reporter, child: Node, function: Function, place: int, given: Type) -> None:
    parameter = function.parameter(place)
    is_expression = child["type"] == "expref"
    if parameter.is_expression and not is_expression:
        example = f"{parameter.name} of {function.name}() is an expression of each item, written &name"
        checker.report("E103", example, child, function.call)
    elif is_expression and not parameter.is_expression:
        checker.report("E103", f"{parameter.name} of {function.name}() is a value, not an &expression", child)
    elif not _may_fit(parameter, given):
        message = f"{parameter.name} of {function.name}() must be {expected(parameter)}, this is {describe(given)}"
        checker.report("E103", message, child, function.call)


def _may_fit(parameter: Parameter, given: Type) -> bool:
    wanted = parameter.type
    if not given.known:
        return True
    common = given.known & wanted.kinds
    if common == {"string"} and wanted.values is not None and given.values is not None:
        return bool(given.values & wanted.values)
    if common == {"array"} and parameter.checks_items and given.items is not None and wanted.items is not None:
        return bool(given.items.kinds & wanted.items.kinds)
    return bool(common)


def _count(least: int, greatest: int | None) -> str:
    if greatest is None:
        return f"at least {least} argument{'s' if least != 1 else ''}"
    if least == greatest:
        return f"{least} argument{'s' if least != 1 else ''}" if least else "no arguments"
    return f"{least} to {greatest} arguments"
