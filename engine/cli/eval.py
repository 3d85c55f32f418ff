"""`engine eval`: an expression or a template on a sample, in the scope that a slot of a mapping has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import click

from engine.cli.arguments import dump, options_option, parse_options, read_json
from engine.language import scopes
from engine.language.cases import FIXED_ID, FIXED_NOW
from engine.language.diagnostics import Mark, Problems, Sources, render_text
from engine.language.expressions import EvaluationError, compile_expression
from engine.language.static_types import ANY, OBJECT, Type, describe
from engine.language.templates import TemplateError, compile_template
from engine.translate.wire import Context, HttpInput
from engine.types import Json, JsonObject, Scope

_HELP: Final = """Evaluate EXPR (JMESPath, the leading = may be left out) on samples and print the JSON result.

The names in scope are those of the slot; `--scope` lists them. An unknown name or a mistake in the expression is
reported as `engine validate` would. With --template, a Jinja file is rendered instead.

\b
Examples:
  engine eval "res.choices[0].message.content" --reply reply.json
  engine eval "length(req.messages)" --slot request --request request.json
  engine eval --template prompt.j2 --slot request --request request.json
  engine eval --scope --slot errors
"""
_SAMPLE_REQUEST: Final[JsonObject] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}

SLOTS: Final[Mapping[str, Callable[[Type], dict[str, Type]]]] = {
    "request": scopes.request_names,
    "response": scopes.reply_names,
    "errors": scopes.reply_names,
    "models": scopes.models_list_names,
    "dialect-request": scopes.client_names,
    "dialect-response": lambda options: scopes.dialect_reply_names("chat", options),
    "dialect-models": lambda options: scopes.dialect_reply_names("models", options),
    "dialect-errors": lambda _: scopes.dialect_error_names(),
    "mock": lambda _: scopes.mock_names(),
}
"""Slot name to its scope, from the language's own table."""


@click.command("eval", help=_HELP)
@click.argument("expression", metavar="[EXPR]", required=False)
@click.option(
    "--request",
    "request_file",
    metavar="FILE",
    help="JSON: the canonical request (`req`), or the client's body (`in`).",
)
@click.option(
    "--reply",
    "reply_file",
    metavar="FILE",
    help="JSON: the upstream's reply (`res`); `out`, `err` or `models` in the slots that have those.",
)
@click.option(
    "--slot", type=click.Choice(list(SLOTS)), default="response", show_default=True, help="Whose names are in scope."
)
@click.option(
    "--template",
    "template_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Render this file.",
)
@click.option(
    "--status", type=click.IntRange(100, 599), default=200, show_default=True, help="`http.status` of the reply."
)
@options_option
@click.option("--scope", "list_scope", is_flag=True, help="List the names of the slot with their types.")
def command(
    expression: str | None, reply_file: str | None, request_file: str | None, slot: str, template_file: Path | None,
    status: int, options: tuple[str, ...], list_scope: bool,
) -> int:  # fmt: skip
    """Evaluate, print, and return the exit code."""
    given = parse_options(options)
    names = SLOTS[slot](ANY if given else OBJECT)
    if list_scope:
        _print_scope(names)
        return 0
    if (expression is None) == (template_file is None):
        raise click.UsageError("give an expression, or --template FILE, or --scope")
    values = _values(status, given, request_file, reply_file)
    scope = {name: values.get(name) for name in names}
    if template_file is not None:
        return _render(template_file, names, scope)
    return _evaluate(expression or "", names, scope)


def _print_scope(names: Mapping[str, Type]) -> None:
    width = max(map(len, names))
    for name, each in names.items():
        click.echo(f"{name:<{width}}  {describe(each)}")
        for field, of in sorted((each.fields or {}).items()):
            click.echo(f"{'':<{width}}    .{field}: {describe(of)}")


def _values(status: int, options: JsonObject, request_file: str | None, reply_file: str | None) -> JsonObject:
    """Every name that any slot has, from the samples; what no sample gives is null."""
    request: Any = read_json(request_file) if request_file is not None else _SAMPLE_REQUEST
    reply: Json = read_json(reply_file) if reply_file is not None else None
    model = request.get("model") if isinstance(request, dict) else None
    return {
        "req": request,
        "in": request,
        "model": {"id": model, "name": model, "meta": None},
        "opt": options,
        "ctx": Context(FIXED_ID, FIXED_NOW).as_json(),
        "res": reply,
        "out": reply,
        "err": reply,
        "models": reply if isinstance(reply, list) else None,
        "http": {**HttpInput("POST", "/").as_json(), "status": status},
        "n": 0,
    }


def _evaluate(text: str, names: Mapping[str, Type], scope: Scope) -> int:
    text = text[1:] if text.startswith("=") else text
    problems, sources = Problems(), Sources()
    sources.add("EXPR", text)
    expression, found = compile_expression(text, names)
    for item in found:
        problems.add(item.code, item.message, Mark("EXPR", 1, item.offset + 1), length=item.length, help=item.help)
    _show(problems, sources)
    if expression is None or problems.has_errors():
        return 1
    try:
        click.echo(dump(expression.evaluate(scope)))
    except EvaluationError as error:
        click.echo(f"error[R002]: {error.message}", err=True)
        return 1
    return 0


def _render(file: Path, names: Mapping[str, Type], scope: Scope) -> int:
    text = file.read_text(encoding="utf-8", errors="replace")
    problems, sources = Problems(), Sources()
    sources.add(str(file), text)
    template, found = compile_template(text, list(names))
    for item in found:
        problems.add(item.code, item.message, Mark(str(file), item.line, item.column or 1), help=item.help)
    _show(problems, sources)
    if template is None or problems.has_errors():
        return 1
    try:
        click.echo(template.render(scope), nl=False)
    except TemplateError as error:
        click.echo(f"error[R003]: {error}", err=True)
        return 1
    return 0


def _show(problems: Problems, sources: Sources) -> None:
    click.echo(render_text(problems.items, sources), nl=False, err=True)
