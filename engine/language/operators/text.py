"""`$template`: text for people and models, written in Jinja. It yields a string, always (LANGUAGE 2, P1)."""

from __future__ import annotations

from collections.abc import Callable

from engine.language.compiled import Compiled, Env, broken
from engine.language.problems import Mark, did_you_mean
from engine.language.reader import MappingNode, Node, ScalarNode, mark_at_line
from engine.language.static_types import ANY, STRING, Type, field_of
from engine.language.templates import Template, TemplateError, compile_template
from engine.language.tree import TreeCompiler, operator
from engine.language.writing import MappingFailure, Value, Writer
from engine.types import Build, Json, Scope


@operator("$template", doc="Text from a Jinja template, inline or from a file of `templates/`.",
          example="{$template: {file: prompts/plain.j2}}")  # fmt: skip
def compile_template_operator(compiler: TreeCompiler, node: MappingNode, env: Env, expected: Type | None) -> Compiled:
    """Compile `$template`."""
    mark = node.entries["$template"].key.mark
    value = node.entries["$template"].value
    if not env.templates:
        compiler.problems.add(
            "E121", f"`$template` is not allowed in {env.where}", mark, length=len("$template"),
            help=("use an =expression; text is put together with join('', [...])",),
        )  # fmt: skip
        return broken(mark)
    if expected is not None and "string" not in expected.kinds:
        compiler.problems.add("E107", "a template gives a string, which this place does not take", mark, length=9)
    text, at = _text(compiler, value, mark)
    if text is None:
        return broken(mark)
    template, found = compile_template(text, list(env.names))
    for problem in found:
        place, note = at(problem.line, problem.column)
        compiler.problems.add(problem.code, problem.message, place, notes=note, help=problem.help)
    if template is None:
        return broken(mark)
    _check_fields(compiler, template, env, at)
    _note_usage(template, env)
    names = sorted(template.names)
    render = _render(template, mark)

    def emit(writer: Writer) -> Value:
        # A template reads names only, so it gets a scope with just those.
        return Value(writer.assign(f"{writer.constant(render)}({writer.scope_of(names)})"))

    return Compiled(emit, STRING, False, mark)


def _render(template: Template, mark: Mark) -> Build:
    render = template.render

    def build(scope: Scope) -> Json:
        try:
            return render(scope)
        except TemplateError as error:
            raise MappingFailure("R003", str(error), mark) from error

    return build


def _check_fields(compiler: TreeCompiler, template: Template, env: Env, at: Place) -> None:
    """E106: a static path through what is known must be there, as in an expression."""
    for path, (line, column) in sorted(template.paths.items(), key=lambda each: each[1][0]):
        known: Type | None = env.names.get(path[0], ANY)
        for depth, step in enumerate(path[1:], 1):
            inner = field_of(known, step) if known is not None else None
            if inner is None and known is not None and known.fields is not None:
                place, note = at(line, column)
                advice = did_you_mean(step, known.fields) or (f"fields: {', '.join(sorted(known.fields))}",)
                compiler.problems.add(
                    "E106", f'{".".join(path[:depth])} has no field "{step}"', place, length=len(".".join(path)),
                    notes=note, help=advice,
                )  # fmt: skip
            known = inner


def _note_usage(template: Template, env: Env) -> None:
    env.usage.roots |= template.names
    for path in template.paths:
        env.usage.note((), {env.resolved(path)}, path[1:], ())


Place = Callable[[int, int | None], tuple[Mark, tuple[str, ...]]]


def _text(compiler: TreeCompiler, value: Node, mark: Mark) -> tuple[str | None, Place]:
    """The template's text, and a function from a line of it to the place an author should look at."""
    if isinstance(value, ScalarNode) and isinstance(value.value, str):
        scalar = value
        return value.value, lambda line, column: (mark_at_line(scalar, line, column)[0], ())
    entry = value.entries.get("file") if isinstance(value, MappingNode) and len(value.entries) == 1 else None
    name = entry.value.value if entry is not None and isinstance(entry.value, ScalarNode) else None
    if not isinstance(name, str) or entry is None:
        compiler.wrong_value(value, "$template", "text, or {file: name}")
        return None, lambda line, column: (mark, ())
    text = compiler.load_template(name, entry.value.mark)
    file_mark = entry.value.mark
    return text, lambda line, column: (file_mark, (f"in {name}, line {line}",))
