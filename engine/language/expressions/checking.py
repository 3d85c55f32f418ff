"""Static checks of a parsed expression: names, functions, types, and what it reads.

*Theory.* The tree is walked as it would be evaluated, with a `View` in place of each value: its static type, and which
paths of the scope it may be (`origins`). A view that is used up, by a comparison, a function or as the result, has its
origins recorded: these are the paths that the expression reads. `element` is the view of a list's items where they are
known better than by adding a step `[]` to the list's own path.

The scope itself is not a value: `@`, `*` or an index that would mean the whole scope is refused, so that no function
ever sees all names at once, secrets included.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from engine.language.expressions.calls import check_arguments, check_name
from engine.language.expressions.comparing import OPERATOR_TEXT, near_value, never_equal, never_ordered
from engine.language.expressions.parsing import Node, operator_offset
from engine.language.expressions.problems import ExpressionProblem, closest
from engine.language.expressions.signatures import Function
from engine.language.static_types import (
    ANY,
    BOOLEAN,
    OBJECT,
    Type,
    array_of,
    describe,
    field_of,
    item_of,
    literal_type,
    object_of,
    union,
)

Path = tuple[str, ...]


class View(NamedTuple):
    """A value as the checker sees it. `is_scope` marks the scope itself, which is no value."""

    type: Type
    origins: frozenset[Path] = frozenset()
    element: View | None = None
    is_scope: bool = False


_ESCAPE: Final = re.compile(r"(?<!\\)\\[nrt]")
_ESCAPED: Final = {"n": "\n", "r": "\r", "t": "\t"}
_SCOPE: Final = View(OBJECT, is_scope=True)
_UNKNOWN: Final = View(ANY)


def item_view(base: View, of: Type) -> View:
    """The view of the items of a list."""
    if base.element is not None:
        return View(of, base.element.origins, base.element.element)
    return View(of, frozenset((*path, "[]") for path in base.origins))


class Checker:
    """Walks one tree once; what it found is in its public attributes."""

    def __init__(self, text: str, scope: Mapping[str, Type], functions: Mapping[str, Function], *, auth: bool) -> None:
        self.text = text
        self.scope = scope
        self.functions = functions
        self.auth = auth
        self.problems: list[ExpressionProblem] = []
        self.roots: set[str] = set()
        self.paths: set[Path] = set()
        self.fields: set[str] = set()
        self.constants: set[str] = set()

    def run(self, tree: Node) -> Type:
        """Check the whole expression and give its result type."""
        result = self.view(tree, _SCOPE)
        self.consume(result)
        return result.type

    def report(self, code: str, message: str, node: Node, *help_lines: str) -> None:
        """Add one problem that covers a node."""
        start = int(node.get("start", 0))
        self.problems.append(
            ExpressionProblem(code, message, start, int(node.get("end", len(self.text))) - start, help_lines)
        )

    def consume(self, view: View) -> None:
        """Record what a used value reads."""
        self.paths |= view.origins
        if view.element is not None:
            self.consume(view.element)

    def view(self, node: Node, current: View, *, direct: bool = False) -> View:
        """The view of a node. `direct`: a dot or bracket ties it to `current`, so a name can only be a field."""
        return _VIEWS[node["type"]](self, node, current, direct)

    def corrected(self, node: Node, replacement: str) -> str:
        """The whole expression with one node's text replaced, as a suggestion."""
        return f"did you mean ={self.text[: node['start']]}{replacement}{self.text[node['end'] :]} ?"


_ADVICE: Final = {
    "secret": "secrets exist only inside `auth`",
    "null": "the value is written in backticks: `null`; whether something is there asks present(x)",
    "true": "the value is written in backticks: `true`",
    "false": "the value is written in backticks: `false`",
}
"""Help for words that are taken for names of every scope."""


def _root(checker: Checker, node: Node) -> View:
    name = node["value"]
    checker.roots.add(name)
    known = checker.scope.get(name)
    if known is not None:
        return View(known, frozenset({(name,)}))
    near = closest(name, checker.scope)
    if near is None:
        holders = [root for root, each in checker.scope.items() if each.fields is not None and name in each.fields]
        near = f"{holders[0]}.{name}" if holders else None
    names = ", ".join(sorted(checker.scope)) or "nothing"
    suggestion = [checker.corrected(node, near)] if near else []
    if name in _ADVICE:
        suggestion = [_ADVICE[name]]
    checker.report("E102", f'unknown name "{name}"', node, f"in scope here: {names}", *suggestion)
    return _UNKNOWN


def _shadowed(checker: Checker, node: Node, current: View, direct: bool) -> bool:
    """Whether a name of the scope is written where only a field of the item can be meant (rule E108)."""
    name = node["value"]
    if direct or name not in checker.scope:
        return False
    return current.type.fields is None or name not in current.type.fields


def _field(checker: Checker, node: Node, current: View, direct: bool) -> View:
    name = node["value"]
    checker.fields.add(name)
    if current.is_scope:
        return _root(checker, node)
    if _shadowed(checker, node, current, direct):
        checker.report(
            "E108",
            f'"{name}" here is a field of the item, not the name in scope',
            node,
            "to compare with a name in scope use  $each … where,  or find(list, 'key', value)",
            f"if the item's own field is meant write @.{name}",
        )
        return _UNKNOWN
    found = field_of(current.type, name)
    if found is None:
        _no_field(checker, node, current)
        return _UNKNOWN
    return View(found, frozenset((*path, name) for path in current.origins))


def _written(current: View) -> str:
    """What a value is called in a message: its path if there is one."""
    for path in sorted(current.origins):
        return ".".join(path).replace(".[]", "[]")
    return "this value"


def _no_field(checker: Checker, node: Node, current: View) -> None:
    name = node["value"]
    if "object" not in current.type.kinds:
        hint = [f"=…[].{name} takes the field of every item"] if "array" in current.type.kinds else []
        message = f'{_written(current)} is {describe(current.type)}, it has no field "{name}"'
        checker.report("E106", message, node, *hint)
        return
    known = current.type.fields or {}
    near = closest(name, known)
    listed = ", ".join(sorted(known)) or "none"
    advice = checker.corrected(node, near) if near else f"fields: {listed}"
    checker.report("E106", f'{_written(current)} has no field "{name}"', node, advice)


def _current(checker: Checker, node: Node, current: View, _direct: bool) -> View:
    if current.is_scope:
        names = ", ".join(sorted(checker.scope))
        checker.report("E102", "@ would be the whole scope here, name what you mean", node, f"in scope here: {names}")
        return _UNKNOWN
    return current


def _chain(checker: Checker, node: Node, current: View, direct: bool) -> View:
    if node["children"][0]["type"] == "not_expression":
        # JMESPath reads `!a.b` as `(!a).b`, which is always null.
        checker.report("E106", '"!" takes only the name that follows it', node, _negated(checker, node))
        return View(BOOLEAN)
    for place, child in enumerate(node["children"]):
        current = checker.view(child, current, direct=direct or place > 0)
    return current


def _negated(checker: Checker, node: Node) -> str:
    return checker.corrected(node, f"!({checker.text[node['start'] + 1 : node['end']]})")


def _pipe(checker: Checker, node: Node, current: View, _direct: bool) -> View:
    left, right = node["children"]
    return checker.view(right, checker.view(left, current))


def _items(checker: Checker, node: Node, base: View) -> Type:
    """The item type of what must be a list; E106 if it can never be one."""
    found = item_of(base.type)
    if found is None:
        checker.report("E106", f"{_written(base)} is {describe(base.type)}, not a list", node)
        return ANY
    return found


def _index(checker: Checker, node: Node, current: View, _direct: bool) -> View:
    item = item_view(current, _items(checker, node, current).optional())
    return View(item.type, item.origins, item.element)


def _slice(checker: Checker, node: Node, current: View, _direct: bool) -> View:
    _items(checker, node, current)
    return current


def _listed(base: View, result: View) -> View:
    """The view of a projection's result: nulls are left out; null if the base is no list."""
    kind = array_of(result.type.required())
    return View(kind if base.type.kinds == {"array"} else kind.optional(), frozenset(), result)


def _projection(checker: Checker, node: Node, current: View, direct: bool) -> View:
    left, right = node["children"]
    base = checker.view(left, current, direct=direct)
    item = item_view(base, _items(checker, left, base))
    _warn_index(checker, right)
    return _listed(base, checker.view(right, item, direct=True))


def _filter(checker: Checker, node: Node, current: View, direct: bool) -> View:
    left, right, condition = node["children"]
    base = checker.view(left, current, direct=direct)
    item = item_view(base, _items(checker, left, base))
    checker.consume(checker.view(condition, item))
    _warn_index(checker, right)
    return _listed(base, checker.view(right, item, direct=True))


def _flatten(checker: Checker, node: Node, current: View, direct: bool) -> View:
    (child,) = node["children"]
    base = checker.view(child, current, direct=direct)
    item = item_view(base, _items(checker, child, base))
    inner = item
    if item.type.known == {"array"}:
        inner = item_view(item, item.type.items or ANY)
    elif "array" in item.type.kinds:
        rest = Type(item.type.kinds - {"array"}, item.type.fields, None, item.type.values)
        inner = View(union(rest, item.type.items or ANY), item.origins, item.element)
    kind = array_of(inner.type)
    return View(kind if base.type.kinds == {"array"} else kind.optional(), frozenset(), inner)


def _value_projection(checker: Checker, node: Node, current: View, direct: bool) -> View:
    left, right = node["children"]
    base = checker.view(left, current, direct=direct)
    checker.consume(base)
    if "object" not in base.type.kinds and base.type.known:
        checker.report("E106", f"{_written(base)} is {describe(base.type)}, not an object", left)
    fields = base.type.fields
    item = View(union(*fields.values()) if fields else ANY)
    _warn_index(checker, right)
    result = checker.view(right, item, direct=True)
    return View(array_of(result.type.required()).optional(), frozenset(), result)


def _warn_index(checker: Checker, node: Node) -> None:
    """W111: `n[*].x[0]` takes the first of each `x`; the first `x` is what is nearly always meant."""
    if node["type"] == "index":
        before, after = checker.text[: node["start"]], checker.text[node["start"] :]
        message = "an index inside a projection applies to every item"
        checker.report("W111", message, node, f"did you mean ={before} | {after} ?")
    elif node["type"] in {"subexpression", "index_expression"}:
        for child in node["children"]:
            _warn_index(checker, child)


def _literal(checker: Checker, node: Node, _current: View, _direct: bool) -> View:
    if isinstance(node["value"], str):
        checker.constants.add(node["value"])
        _warn_escape(checker, node)
    return View(literal_type(node["value"]))


def _warn_escape(checker: Checker, node: Node) -> None:
    """W113: `\\n` between single quotes is a backslash and an n; JSON in backticks has escapes."""
    found = _ESCAPE.search(node["value"]) if checker.text[node["start"]] == "'" else None
    if found is None:
        return
    meant = _ESCAPE.sub(lambda each: _ESCAPED[each[0][1]], node["value"])
    literal = json.dumps(meant, ensure_ascii=False).replace("`", "\\`")
    message = f"{found[0]} between single quotes is a backslash and the letter {found[0][1]}"
    checker.report(
        "W113", message, node, checker.corrected(node, f"`{literal}`"),
        "in YAML put single quotes around it; in double quotes write \\\\ and \\\" for \\ and \"",
    )  # fmt: skip


def _multi_select_list(checker: Checker, node: Node, current: View, _direct: bool) -> View:
    views = [checker.view(child, current) for child in node["children"]]
    for each in views:
        checker.consume(each)
    kind = array_of(union(*(each.type for each in views)))
    return View(kind if current.is_scope or not current.type.may_be_null else kind.optional())


def _multi_select_dict(checker: Checker, node: Node, current: View, _direct: bool) -> View:
    checker.report("W112", "objects are built in YAML, not inside an expression", node)
    fields: dict[str, Type] = {}
    for pair in node["children"]:
        value = checker.view(pair["children"][0], current)
        checker.consume(value)
        fields[pair["value"]] = value.type
    kind = object_of(fields)
    return View(kind if current.is_scope or not current.type.may_be_null else kind.optional())


def _or(checker: Checker, node: Node, current: View, _direct: bool) -> View:
    left_node, right_node = node["children"]
    left, right = checker.view(left_node, current), checker.view(right_node, current)
    if right_node["type"] == "literal":
        value = checker.text[left_node["start"] : operator_offset(node, checker.text)].strip()
        literal = checker.text[right_node["start"] : right_node["end"]]
        message = '|| takes the default for false, "" and [] too, not only for a missing value'
        checker.report("W403", message, node, f"if only absence is meant: not_null({value}, {literal})")
    type_ = union(left.type.required(), right.type) if left.type.known else right.type
    return View(type_, left.origins | right.origins, _either(left.element, right.element))


def _and(checker: Checker, node: Node, current: View, _direct: bool) -> View:
    left, right = (checker.view(child, current) for child in node["children"])
    return View(union(left.type, right.type), left.origins | right.origins, _either(left.element, right.element))


def _either(left: View | None, right: View | None) -> View | None:
    if left is None or right is None:
        return left or right
    return View(union(left.type, right.type), left.origins | right.origins, _either(left.element, right.element))


def _not(checker: Checker, node: Node, current: View, _direct: bool) -> View:
    checker.consume(checker.view(node["children"][0], current))
    return View(BOOLEAN)


def _comparator(checker: Checker, node: Node, current: View, _direct: bool) -> View:
    left, right = (checker.view(child, current) for child in node["children"])
    checker.consume(left)
    checker.consume(right)
    operator = OPERATOR_TEXT[node["value"]]
    if node["value"] in {"eq", "ne"}:
        if never_equal(left.type, right.type):
            message = f"{describe(left.type)} is never equal to {describe(right.type)}"
            checker.report("E105", message, node, *near_value(left.type, right.type))
        return View(BOOLEAN)
    if never_ordered(left.type, right.type):
        message = f"{describe(left.type)} {operator} {describe(right.type)} can never hold"
        checker.report("E105", message, node, "numbers and strings have an order, each among themselves")
    certain = left.type.kinds == right.type.kinds and len(left.type.kinds) == 1
    return View(BOOLEAN if certain else BOOLEAN.optional())


def _expref(checker: Checker, node: Node, _current: View, _direct: bool) -> View:
    checker.report("E101", "&expression may only be an argument of a function that takes one", node)
    return _UNKNOWN


def _call(checker: Checker, node: Node, current: View, _direct: bool) -> View:
    function = check_name(checker, node)
    bodies = {place for place, child in enumerate(node["children"]) if child["type"] == "expref"}
    views: dict[int, View] = {}
    items = _UNKNOWN
    for place, child in enumerate(node["children"]):
        if place not in bodies:
            views[place] = each = checker.view(child, current)
            checker.consume(each)
            items = item_view(each, each.type.items or ANY)
    for place in bodies:
        body = node["children"][place]["children"][0]
        views[place] = checker.view(body, items)
        checker.consume(views[place])
    arguments = [views[place].type for place in sorted(views)]
    if function is None:
        return _UNKNOWN
    for name in function.from_context:
        checker.roots.add("ctx")
        checker.paths.add(("ctx", name))
    if not check_arguments(checker, node, function, arguments):
        return _UNKNOWN
    return View(function.result_type(arguments))


_View = Callable[[Checker, Node, View, bool], View]
_VIEWS: Final[dict[str, _View]] = {
    "field": _field,
    "current": _current,
    "identity": _current,
    "subexpression": _chain,
    "index_expression": _chain,
    "pipe": _pipe,
    "index": _index,
    "slice": _slice,
    "projection": _projection,
    "filter_projection": _filter,
    "flatten": _flatten,
    "value_projection": _value_projection,
    "literal": _literal,
    "multi_select_list": _multi_select_list,
    "multi_select_dict": _multi_select_dict,
    "or_expression": _or,
    "and_expression": _and,
    "not_expression": _not,
    "comparator": _comparator,
    "expref": _expref,
    "function_expression": _call,
}
