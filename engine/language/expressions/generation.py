"""Syntax tree to Python source, and source to a function.

*Theory.* Every node becomes statements that leave its value in a local variable; `node()` returns the variable's name.
A projection is a `for` loop, a filter an `if` inside it, an `&expression` a nested function. Nothing of the mapping's
text becomes source: a field name is written as a literal only if it is a plain ASCII identifier, and everything else
enters as a constant of the namespace (`k1`, `k2` …). The source is compiled once, at load.

A field that was read is not read again: `read` is a stack, one table per open block, of the locals that hold fields of
other locals; under the field `_VIEW` stands the local that is the holder, or an empty object where that is none.
A local is final before anything reads its fields, so what a table says stays true inside its block.

`calls` notes which function is called on which line, so that a failure can name it without costing the good case.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final

from engine.language.expressions import runtime
from engine.language.expressions.parsing import Node
from engine.language.expressions.problems import EvaluationError
from engine.language.expressions.signatures import Function
from engine.types import Json, Scope

MAX_LOOPS: Final = 15
"""Python allows 20 nested blocks; a projection inside a projection inside … takes one each."""
MAX_INDENT: Final = 60
_FILENAME: Final = "<expression>"
_VIEW: Final = "\0"
"""No field has this name."""

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,60}")
_ORDER: Final = {"lt": "less", "lte": "less_or_equal", "gt": "greater", "gte": "greater_or_equal"}
_SIGN: Final = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_BASE: Final[Mapping[str, Json]] = {
    "__builtins__": {},
    "isinstance": isinstance,
    "type": type,
    "len": len,
    "list": list,
    "dict": dict,
    "slice": slice,
    "numbers": runtime.NUMBERS,
    "kinds": runtime.KIND_OF_CLASS,
    "str": str,
    "empty": MappingProxyType({}),
    "equals": runtime.equals,
    "flatten": runtime.flatten,
    "fresh": runtime.fresh,
    "failure": runtime.failure,
    "failures": (*runtime.FAILURES, runtime.FunctionError),
    "EvaluationError": EvaluationError,
    **{name: getattr(runtime, name) for name in _ORDER.values()},
}


class TooDeepError(Exception):
    """The expression would need more nested loops than Python allows."""


class Generator:
    """Writes the source of one expression."""

    def __init__(self, functions: Mapping[str, Function], *, auth: bool) -> None:
        self.functions = functions
        self.auth = auth
        self.lines: list[str] = []
        self.names: dict[str, Json] = dict(_BASE)
        self.calls: dict[int, str] = {}
        self.can_fail = False
        self.booleans: set[str] = set()
        self.indent = 2
        self.loops = 0
        self.count = 0
        self.read: list[dict[tuple[str, str], str]] = [{}]

    def write(self, line: str) -> None:
        """Add one line at the present indentation."""
        self.lines.append(" " * self.indent + line)

    def variable(self) -> str:
        """A new local name."""
        self.count += 1
        return f"t{self.count}"

    def constant(self, value: Json) -> str:
        """A name of the namespace that holds a value."""
        self.count += 1
        name = f"k{self.count}"
        self.names[name] = value
        return name

    def text(self, value: str) -> str:
        """A string as source: written out only if it is a plain identifier."""
        return repr(value) if _PLAIN.fullmatch(value) else self.constant(value)

    def assign(self, source: str) -> str:
        """Store the value of a piece of source in a new variable."""
        name = self.variable()
        self.write(f"{name} = {source}")
        return name

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Write `head:` and indent what follows."""
        self.write(head + ":")
        self.indent += 1
        if self.indent > MAX_INDENT:
            raise TooDeepError
        self.read.append({})
        yield
        self.read.pop()
        self.indent -= 1

    @contextmanager
    def loop(self, item: str, over: str) -> Iterator[None]:
        """A `for` loop."""
        self.loops += 1
        if self.loops > MAX_LOOPS:
            raise TooDeepError
        with self.block(f"for {item} in {over}"):
            yield
        self.loops -= 1

    def root(self, name: str) -> str:
        """Write what reads a root name from the scope; the variable that holds its value."""
        return self.assign(f"scope.get({self.text(name)})")

    def node(self, node: Node, current: str) -> str:
        """Write what computes a node against the value in `current`; the name that holds its value."""
        return _NODES[node["type"]](self, node, current)

    def field(self, holder: str, name: str) -> str:
        """The variable that holds a field of another; null where that is no object."""
        known = self._known(holder, name)
        if known is None:
            view = self._known(holder, _VIEW)
            if view is None:
                view = self.read[-1][holder, _VIEW] = self.assign(f"{holder} if isinstance({holder}, dict) else empty")
            known = self.read[-1][holder, name] = self.assign(f"{view}.get({self.text(name)})")
        return known

    def _known(self, holder: str, name: str) -> str | None:
        return next((table[holder, name] for table in self.read if (holder, name) in table), None)

    def truth(self, name: str) -> str:
        """Source that tells whether a value is true to JMESPath: 0 is, "", [] and {} are not."""
        return name if name in self.booleans else f"({name} or type({name}) in numbers)"

    def failing(self) -> None:
        """Note that the next line can raise."""
        self.can_fail = True


def _field(writer: Generator, node: Node, current: str) -> str:
    if current == "scope":
        return writer.root(node["value"])
    return writer.field(current, node["value"])


def _same(_writer: Generator, _node: Node, current: str) -> str:
    return current


def _chain(writer: Generator, node: Node, current: str) -> str:
    for child in node["children"]:
        current = writer.node(child, current)
    return current


def _index(writer: Generator, node: Node, current: str) -> str:
    place = node["value"]
    enough = f"len({current}) > {place}" if place >= 0 else f"len({current}) >= {-place}"
    return writer.assign(f"{current}[{place}] if isinstance({current}, list) and {enough} else None")


def _slice(writer: Generator, node: Node, current: str) -> str:
    part = writer.constant(slice(*node["children"]))
    return writer.assign(f"{current}[{part}] if isinstance({current}, list) else None")


def _collect(writer: Generator, over: str, node: Node, condition: Node | None) -> str:
    """The loop of every projection. `over` is what is looped over, known to be a list or the values of an object."""
    result, item = writer.variable(), writer.variable()
    writer.write(f"{result} = []")
    with writer.loop(item, over):
        if condition is None:
            _append(writer, node, item, result)
        else:
            holds = writer.node(condition, item)
            with writer.block(f"if {writer.truth(holds)}"):
                _append(writer, node, item, result)
    return result


def _append(writer: Generator, node: Node, item: str, result: str) -> None:
    value = writer.node(node, item)
    with writer.block(f"if {value} is not None"):
        writer.write(f"{result}.append({value})")


def _project(writer: Generator, node: Node, current: str) -> str:
    children = node["children"]
    base = writer.node(children[0], current)
    is_values = node["type"] == "value_projection"
    result = writer.variable()
    with writer.block(f"if isinstance({base}, {'dict' if is_values else 'list'})"):
        over = f"{base}.values()" if is_values else base
        found = _collect(writer, over, children[1], children[2] if len(children) > 2 else None)
        writer.write(f"{result} = {found}")
    with writer.block("else"):
        writer.write(f"{result} = None")
    return result


def _flatten(writer: Generator, node: Node, current: str) -> str:
    base = writer.node(node["children"][0], current)
    return writer.assign(f"flatten({base})")


def _literal(writer: Generator, node: Node, _current: str) -> str:
    value = node["value"]
    if value is None or isinstance(value, bool):
        return writer.assign(repr(value))
    name = writer.constant(value)
    return writer.assign(f"fresh({name})") if isinstance(value, list | dict) else name


def _multi_select_list(writer: Generator, node: Node, current: str) -> str:
    return _unless_null(writer, current, lambda: "[" + ", ".join(_values(writer, node["children"], current)) + "]")


def _values(writer: Generator, nodes: list[Node], current: str) -> list[str]:
    return [writer.node(each, current) for each in nodes]


def _multi_select_dict(writer: Generator, node: Node, current: str) -> str:
    def build() -> str:
        values = _values(writer, [each["children"][0] for each in node["children"]], current)
        keys = [writer.text(each["value"]) for each in node["children"]]
        return "{" + ", ".join(f"{key}: {value}" for key, value in zip(keys, values, strict=True)) + "}"

    return _unless_null(writer, current, build)


def _unless_null(writer: Generator, current: str, build: Callable[[], str]) -> str:
    if current == "scope":
        return writer.assign(build())
    result = writer.variable()
    with writer.block(f"if {current} is None"):
        writer.write(f"{result} = None")
    with writer.block("else"):
        writer.write(f"{result} = {build()}")
    return result


def _or(writer: Generator, node: Node, current: str) -> str:
    return _branch(writer, node, current, "if not {}")


def _and(writer: Generator, node: Node, current: str) -> str:
    return _branch(writer, node, current, "if {}")


def _branch(writer: Generator, node: Node, current: str, head: str) -> str:
    left = writer.node(node["children"][0], current)
    result = writer.assign(left)
    with writer.block(head.format(writer.truth(left))):
        right = writer.node(node["children"][1], current)
        writer.write(f"{result} = {right}")
    if left in writer.booleans and right in writer.booleans:
        writer.booleans.add(result)
    return result


def _not(writer: Generator, node: Node, current: str) -> str:
    value = writer.node(node["children"][0], current)
    return _boolean(writer, f"not {writer.truth(value)}")


def _boolean(writer: Generator, source: str) -> str:
    name = writer.assign(source)
    writer.booleans.add(name)
    return name


def _comparator(writer: Generator, node: Node, current: str) -> str:
    left_node, right_node = node["children"]
    left, right = writer.node(left_node, current), writer.node(right_node, current)
    operator = node["value"]
    if operator in _ORDER:
        bound = right_node.get("value") if right_node["type"] == "literal" else None
        if type(bound) in runtime.NUMBERS:
            return _boolean(writer, f"{left} {_SIGN[operator]} {right} if type({left}) in numbers else None")
        writer.failing()
        return _boolean(writer, f"{_ORDER[operator]}({left}, {right})")
    for side in (left_node, right_node):
        if side["type"] == "literal" and isinstance(side["value"], str | None):
            return _boolean(writer, f"{left} {'==' if operator == 'eq' else '!='} {right}")
    writer.failing()
    return _boolean(writer, f"{'' if operator == 'eq' else 'not '}equals({left}, {right})")


def _body(writer: Generator, node: Node) -> str:
    """A nested function for an `&expression`."""
    name, item = writer.variable(), writer.variable()
    with writer.block(f"def {name}({item})"):
        loops, writer.loops = writer.loops, 0
        writer.write(f"return {writer.node(node['children'][0], item)}")
        writer.loops = loops
    return name


def _call(writer: Generator, node: Node, current: str) -> str:
    function = writer.functions[node["value"]]
    arguments = [
        _body(writer, child) if child["type"] == "expref" else writer.node(child, current) for child in node["children"]
    ]
    given = []
    for name in function.from_context:
        context = writer.root("ctx")
        given.append(writer.field(context, name))
    result = writer.variable()
    if function.inline is not None and not writer.auth:
        writer.write(f"{result} = {function.inline(arguments)}")
    elif writer.auth:
        writer.failing()
        _write_call(writer, function, f"{result} = {writer.constant(function.call_with_secrets)}", given + arguments)
    else:
        writer.failing()
        _checked_call(writer, function, result, given, arguments)
    if function.result_type([]).kinds == {"boolean"} if not callable(function.result) else False:
        writer.booleans.add(result)
    return result


def _write_call(writer: Generator, function: Function, target: str, arguments: list[str]) -> None:
    writer.write(f"{target}({', '.join(arguments)})")
    writer.calls[len(writer.lines)] = function.name


def _checked_call(writer: Generator, function: Function, result: str, given: list[str], arguments: list[str]) -> None:
    """Call if the types are right (tried first), else null if an argument is null, else refuse."""
    call = f"{result} = {writer.constant(function.implementation)}"
    tests = [each for place, name in enumerate(arguments) for each in _tests(writer, function, place, name)]
    if not tests:
        _write_call(writer, function, call, given + arguments)
        return
    with writer.block(f"if {' and '.join(tests)}"):
        _write_call(writer, function, call, given + arguments)
    values = [
        name for place, name in enumerate(arguments) if not function.parameter(place).is_expression and name[0] == "t"
    ]
    if values and not function.takes_null:
        with writer.block("elif " + " or ".join(f"{name} is None" for name in values)):
            writer.write(f"{result} = None")
    with writer.block("else"):
        _write_call(writer, function, f"{result} = {writer.constant(function.refuse)}", arguments)


def _tests(writer: Generator, function: Function, place: int, name: str) -> Iterator[str]:
    """Source of the run-time type tests of one argument; none for a literal whose type was checked at load."""
    parameter = function.parameter(place)
    if parameter.is_expression:
        return
    if name in writer.names and parameter.accepts(writer.names[name]):
        return
    if len(parameter.type.kinds) < 6:
        yield f"type({name}) in {writer.constant(parameter.classes)}"
    elif not function.takes_null:
        yield f"{name} is not None"
    if parameter.checks_items:
        yield f"{writer.constant(parameter.item_test())}({name})"


_NODES: Final[dict[str, Callable[[Generator, Node, str], str]]] = {
    "field": _field,
    "current": _same,
    "identity": _same,
    "subexpression": _chain,
    "index_expression": _chain,
    "pipe": _chain,
    "index": _index,
    "slice": _slice,
    "projection": _project,
    "filter_projection": _project,
    "value_projection": _project,
    "flatten": _flatten,
    "literal": _literal,
    "multi_select_list": _multi_select_list,
    "multi_select_dict": _multi_select_dict,
    "or_expression": _or,
    "and_expression": _and,
    "not_expression": _not,
    "comparator": _comparator,
    "function_expression": _call,
}


_SAFE_LEVELS: Final = 8
"""A tree this flat cannot reach the limits, whatever its nodes are."""


def can_nest(tree: Node, functions: Mapping[str, Function], *, auth: bool) -> bool:
    """Whether Python can nest what the tree would become; written out only where its depth leaves a doubt."""
    if tree["levels"] <= _SAFE_LEVELS:
        return True
    try:
        Generator(functions, auth=auth).node(tree, "scope")
    except TooDeepError:
        return False
    return True


def generate(tree: Node, text: str, functions: Mapping[str, Function], *, auth: bool) -> Callable[[Scope], Json]:
    """Compile a checked tree. Raises TooDeepError; the function it returns raises EvaluationError only."""
    writer = Generator(functions, auth=auth)
    result = writer.node(tree, "scope")
    writer.write(f"return {result}")
    lines = [line[1:] for line in writer.lines] if not writer.can_fail else writer.lines
    head = ["def evaluate(scope):"] + ([" try:"] if writer.can_fail else [])
    tail = [
        " except failures as error:",
        "  raise failure(error, text, calls, filename) from None",
    ]
    source = "\n".join(head + lines + (tail if writer.can_fail else []))
    calls = {line + len(head): name for line, name in writer.calls.items()}
    namespace = {**writer.names, "text": text, "calls": calls, "filename": _FILENAME}
    exec(compile(source, _FILENAME, "exec"), namespace)  # noqa: S102  # the source is ours, see the theory above
    evaluate: Callable[[Scope], Json] = namespace["evaluate"]
    return evaluate
