"""Jinja templates as closures: text in, text out, safe to load and bounded to run (pains P9-P13, rule R23).

A template sees the data of its scope by key and nothing else: no Python attribute is reachable, there are no globals,
no calls, no loader. What it may contain is checked on the syntax tree before Jinja compiles it.

Limits   200,000 characters of template; 4 MiB of output; a million loop rounds for one rendering.
Raises   TemplateError from `Template.render`, with the template's line and no data in its message.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.runtime import Context, LoopContext, StrictUndefined, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing
from jinja2.visitor import NodeTransformer

from engine.language.problems import did_you_mean
from engine.language.template_checks import LOOP_ATTRIBUTES, Position, Reading, TemplateProblem, check_template
from engine.language.template_filters import FILTERS, TESTS, joined, kind_of, present, printed
from engine.types import Json, Scope

__all__ = ["MAX_OUTPUT_BYTES", "Template", "TemplateError", "TemplateProblem", "compile_template"]

MAX_OUTPUT_BYTES: Final = 4 << 20
MAX_TEMPLATE_CHARS: Final = 200_000
MAX_ROUNDS: Final = 1_000_000

# Names that no template can write, for what the compiler puts in: see _Rewrite.
_ROUNDS: Final = "loop-rounds"
_JOINED: Final = "joined-text"
_FILENAME: Final = "<mapping template>"
_TAGS: Final = ("for", "endfor", "if", "elif", "else", "endif", "set", "raw", "endraw")

_FAILURES: Final = (
    jinja2.TemplateError,
    LookupError,
    TypeError,
    ValueError,
    ArithmeticError,
    AttributeError,
    RecursionError,
)


class TemplateError(Exception):
    """A template failed while rendering. `line` counts from 1 in the template, 0 if unknown; no data in the message."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.message = message
        self.line = line


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template.

    `names` are the scope names it reads, `paths` the static paths from them, each with its line and column:
    `{{ req.messages[0].role }}` reads `("req", "messages")`. `render` gives the text for a scope; it raises
    TemplateError.
    """

    text: str
    render: Callable[[Scope], str]
    names: frozenset[str]
    paths: Mapping[tuple[str, ...], Position]


class _Missing(StrictUndefined):
    """A value that is not there. It may be tested and defaulted; any other use raises, naming the first missing key."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        if self._undefined_hint:
            return self._undefined_hint
        name = "the key in [ ]" if self._undefined_name is None else f"`{self._undefined_name}`"
        if self._undefined_obj is missing:
            return f"{name} has no value"
        return f"{name} is not in {kind_of(self._undefined_obj)}"


class _Scope(Context):
    """A rendering's context; it also counts the loop rounds that are left."""

    rounds = MAX_ROUNDS


class _Environment(ImmutableSandboxedEnvironment):
    """Looks data up by key only, and adds numbers only."""

    context_class = _Scope
    intercepted_binops = frozenset({"+"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        if type(obj) is dict:
            try:
                return obj[attribute]
            except KeyError:
                return _Missing(obj=obj, name=attribute)
        if isinstance(obj, Undefined):
            return obj
        if isinstance(obj, LoopContext) and attribute in LOOP_ATTRIBUTES:
            return getattr(obj, attribute)
        return _Missing(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        present(argument)
        if isinstance(obj, Undefined):
            return obj
        wanted = str if isinstance(obj, dict) else int
        if isinstance(obj, dict | list | tuple | str) and isinstance(argument, wanted):
            try:
                return obj[argument]  # type: ignore[index]  # the line above pairs the types
            except LookupError:
                pass
        # The key may be data, so the message must not name it.
        return _Missing(obj=obj, name=None)

    def call_binop(self, _context: Context, _operator: str, left: Any, right: Any) -> Any:
        for side in (left, right):
            if isinstance(present(side), bool) or not isinstance(side, int | float):
                raise jinja2.TemplateRuntimeError(f"`+` adds numbers, not {kind_of(side)}: join text with `~`")
        return left + right

    def call(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise jinja2.TemplateRuntimeError("calls are not allowed in a template")


@jinja2.pass_context
def _rounds(context: Context, value: Json) -> Json:
    """What a loop runs over, counted before it starts, so that nested loops have a common end."""
    if value is None or not isinstance(present(value), list | tuple | dict | str):
        raise jinja2.TemplateRuntimeError(f"a loop runs over a list, not {kind_of(value)}: use `default([])`")
    left = context.rounds - len(value)  # type: ignore[attr-defined]  # _Scope is the context class
    if left < 0:
        raise jinja2.TemplateRuntimeError(f"loops run for more than {MAX_ROUNDS} rounds")
    context.rounds = left  # type: ignore[attr-defined]
    return value


class _Rewrite(NodeTransformer):
    """Puts our own functions where Jinja would generate Python: `x["a"]`, `a ~ b` and what a loop runs over."""

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802  # Jinja's naming
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
            return nodes.Getattr(node.node, node.arg.value, node.ctx, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        operands = nodes.List(node.nodes, lineno=node.lineno)
        return nodes.Filter(operands, _JOINED, [], [], None, None, lineno=node.lineno)

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.iter = nodes.Filter(node.iter, _ROUNDS, [], [], None, None, lineno=node.iter.lineno)
        return node


def _environment(finalize: Callable[[Json], Json] | None) -> _Environment:
    def finalized(value: Json) -> str:
        return printed(value) if finalize is None or isinstance(value, Undefined) else printed(finalize(value))

    environment = _Environment(
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
        autoescape=False,
        auto_reload=False,
        cache_size=0,
        undefined=_Missing,
        finalize=printed if finalize is None else finalized,
    )
    environment.globals.clear()
    environment.filters = {**FILTERS, _ROUNDS: _rounds, _JOINED: joined}
    environment.tests = dict(TESTS)
    return environment


_PLAIN: Final = _environment(None)


def compile_template(
    text: str, names: Collection[str], *, finalize: Callable[[Json], Json] | None = None
) -> tuple[Template | None, list[TemplateProblem]]:
    """Compile a template that may read `names`; None with the problems if there are any (E140 to E144).

    `finalize` is applied to each value that `{{ }}` prints, before it becomes text; not to the template's own text.
    Plain templates are remembered: mappings that extend one another hold the same ones.
    """
    return _compile(text, frozenset(names), finalize) if finalize is not None else _plain(text, frozenset(names))


@lru_cache(1024)
def _plain(text: str, names: frozenset[str]) -> tuple[Template | None, list[TemplateProblem]]:
    return _compile(text, names, None)


def _compile(
    text: str, names: frozenset[str], finalize: Callable[[Json], Json] | None
) -> tuple[Template | None, list[TemplateProblem]]:
    tree, reading = _checked(text, names)
    if tree is None or reading.problems:
        return None, sorted(reading.problems, key=lambda problem: (problem.line, problem.column or 0))
    environment = _PLAIN if finalize is None else _environment(finalize)
    return Template(text, _deferred(environment, tree), reading.names, reading.paths), []


@lru_cache(1024)
def _checked(text: str, names: frozenset[str]) -> tuple[nodes.Template | None, Reading]:
    """The syntax tree, what it reads and what is wrong with it: all that does not depend on how values are printed."""
    if len(text) > MAX_TEMPLATE_CHARS:
        return None, _unread(TemplateProblem("E140", f"longer than {MAX_TEMPLATE_CHARS} characters", 1, None))
    try:
        tree = _PLAIN.parse(text)
        reading = check_template(tree, text, names)
        return (None if reading.problems else _Rewrite().visit(tree)), reading
    except jinja2.TemplateSyntaxError as error:
        return None, _unread(_syntax_problem(error))
    except (RecursionError, SyntaxError, MemoryError):
        return None, _unread(TemplateProblem("E140", "nested too deep", 1, None, ("simplify it",)))


def _unread(problem: TemplateProblem) -> Reading:
    return Reading(frozenset(), {}, [problem])


def _deferred(environment: _Environment, tree: nodes.Template) -> Callable[[Scope], str]:
    """The template as a function whose bytecode is made when it is first rendered, or warmed (`writing.warm`).

    Everything an author can get wrong was found by then; making the bytecode is most of a template's cost at load.
    """
    made: Callable[[Scope], str] | None = None

    def ready() -> Callable[[Scope], str]:
        nonlocal made
        if made is None:
            try:
                code = environment.compile(tree, filename=_FILENAME)
            except (jinja2.TemplateError, RecursionError, SyntaxError, MemoryError):
                raise TemplateError("nested too deep", 1) from None
            made = _renderer(jinja2.Template.from_code(environment, code, {}))
        return made

    def render(scope: Scope) -> str:
        return (made or ready())(scope)

    render.ready = ready  # type: ignore[attr-defined]  # what `warm` looks for
    return render


def _syntax_problem(error: jinja2.TemplateSyntaxError) -> TemplateProblem:
    message = error.message or "not a template"
    help_lines: tuple[str, ...] = ()
    if message.startswith("Encountered unknown tag '"):
        help_lines = did_you_mean(message.split("'")[1], _TAGS)
    elif "end of print statement" in message:
        help_lines = ("an expression ends with `}}`; text in it needs quotes",)
    return TemplateProblem("E140", message, error.lineno, None, help_lines)


def _renderer(program: jinja2.Template) -> Callable[[Scope], str]:
    root = program.root_render_func
    new_context = program.new_context

    def render(scope: Scope) -> str:
        try:
            return _collected(root(new_context(scope, shared=True)))
        except _FAILURES as error:
            message = error.message if isinstance(error, jinja2.TemplateError) else _without_data(error)
            raise TemplateError(message or "failed", _line(program, error)) from None

    return render


def _collected(pieces: Iterator[str]) -> str:
    """The pieces as one text. Counts while they come, so that a runaway loop ends."""
    found: list[str] = []
    chars = 0
    for piece in pieces:
        chars += len(piece)
        if chars > MAX_OUTPUT_BYTES:
            break
        found.append(piece)
    text = "".join(found)
    # A character takes at most four bytes, so most texts need no second look.
    if chars * 4 > MAX_OUTPUT_BYTES and (chars > MAX_OUTPUT_BYTES or _size(text) > MAX_OUTPUT_BYTES):
        raise jinja2.TemplateRuntimeError(f"output is larger than {MAX_OUTPUT_BYTES} bytes")
    return text


def _size(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))


_WORDS: Final[Mapping[type[Exception], str]] = {
    TypeError: "an operation met a value of the wrong type",
    RecursionError: "data is nested too deep",
}


def _without_data(error: Exception) -> str:
    # Python's messages may quote values; the class says enough.
    return _WORDS.get(type(error), f"an operation failed ({type(error).__name__})")


def _line(program: jinja2.Template, error: BaseException) -> int:
    """The template's line at which the error arose: that of the innermost frame of generated code."""
    line = 0
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == _FILENAME:
            line = program.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    return line
