"""`engine explain`: which line of which file made each value of a translation, and why others are not there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from engine.cli.arguments import dialect_of, dump, endpoint_of, load, parse_options, read_bytes
from engine.cli.readings import as_json as readings_json
from engine.cli.readings import lines as reading_lines
from engine.cli.translate import failed, loss_text, report_failure, translation_options
from engine.cli.translation import Translation, translate
from engine.language.catalog import Catalog
from engine.language.inherit import Resolved
from engine.language.problems import Mark
from engine.language.reader import MappingNode, Node
from engine.language.trace import Path as TracePath
from engine.language.trace import origins
from engine.types import Json, JsonObject

_HELP: Final = """Translate as `engine translate` does, and say for each value which line of which file made it.

Losses are shown with the rule that decided; -v shows values that were left out, too, with the line that gave nothing.
With --reply also the canonical reply and the client's answer, and where tools were offered in the prompt, which rule of
which format read which call, and why what looks like one stayed text.

\b
Examples:
  engine explain --dialect acme.api --endpoint acme.chat request.json
  engine explain --dialect acme.api --endpoint acme.chat request.json --reply reply.json --json
"""
_SHOWN_CHARACTERS: Final = 60


@dataclass(frozen=True, slots=True)
class Row:
    """One value: its path, the value (None and not `present` when it was left out), its origin and that line's text."""

    path: str
    value: Json
    present: bool
    origin: Mark | None
    line: str = ""

    def as_json(self) -> JsonObject:
        """The row for `--json`."""
        made = {"path": self.path, "origin": str(self.origin) if self.origin else None, "line": self.line}
        return {**made, "value": self.value} if self.present else {**made, "absent": "the line gave nothing"}


@click.command("explain", help=_HELP)
@translation_options
@click.option("-v", "--verbose", is_flag=True, help="Show what was left out, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    request_file: str, dialect_id: str, endpoint_id: str, folders: tuple[Path, ...], options: tuple[str, ...],
    reply_file: str | None, status: int, verbose: bool, as_json: bool,
) -> int:  # fmt: skip
    """Translate with origins, print, and return the exit code."""
    catalog = load(folders)
    endpoint_of(catalog, endpoint_id), dialect_of(catalog, dialect_id)
    endpoint, dialect = catalog.recompile_endpoint(endpoint_id), catalog.recompile_dialect(dialect_id)
    assert endpoint is not None
    assert dialect is not None
    given = parse_options(options, dict(endpoint.options))
    reply = (status, read_bytes(reply_file)) if reply_file is not None else None
    done = translate(endpoint, dialect, read_bytes(request_file), given, reply)
    sections = dict(_sections(done, catalog, given, with_reply=reply is not None))
    if as_json:
        rows = {name: [row.as_json() for row in found] for name, found in sections.items()}
        click.echo(dump({**rows, "readings": readings_json(done.readings), "losses": done.losses.as_json()}))
    else:
        _print(sections, done, verbose=verbose)
    report_failure(done)
    return 1 if failed(done, reply is not None) else 0


def _sections(
    done: Translation, catalog: Catalog, options: JsonObject, *, with_reply: bool
) -> Iterator[tuple[str, list[Row]]]:
    if done.canonical is not None:
        yield "canonical request", _rows(done.canonical, catalog)
    if done.sent is not None:
        resolved = catalog.resolved[("endpoint", done.target.plan.id)]
        yield "upstream request", _head(done, resolved, catalog, options)
        yield "upstream body", _rows(done.sent_body, catalog)
    if with_reply and done.emitted is not None:
        yield "canonical reply", _rows(done.emitted, catalog)
    if done.answer is not None:
        yield "client's answer", _rows(done.answer_body, catalog)


def _rows(value: Json, catalog: Catalog) -> list[Row]:
    return [
        Row(_written(path), leaf, present, mark, _line(mark, catalog)) for path, mark, leaf, present in origins(value)
    ]


def _line(mark: Mark | None, catalog: Catalog) -> str:
    return (catalog.sources.line(mark.file, mark.line) or "").strip() if mark is not None else ""


def _written(path: TracePath) -> str:
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def _head(done: Translation, resolved: Resolved, catalog: Catalog, options: JsonObject) -> list[Row]:
    """Method, URL, query and headers: their trees are run again, since on the wire they are only text."""
    assert done.sent is not None
    call = done.target.plan.call
    base = None if "base_url" in options else _place(resolved.root, "base_url")
    marks = {
        "base_url": base,
        "path": _place(resolved.root, "request", "path"),
        "auth": _place(resolved.root, "auth"),
    }
    rows = [
        Row("method", done.sent.method, True, _place(resolved.root, "request", "method") or marks["path"]),
        Row("base_url", done.target.base_url, True, marks["base_url"], "" if base else "--option base_url"),
        Row("url", done.sent.url, True, marks["path"]),
    ]
    rows = [Row(r.path, r.value, True, r.origin, r.line or _line(r.origin, catalog)) for r in rows]
    for name, build in (("query", call.query), ("headers", call.headers)):
        made = build(done.scope) if build is not None else {}
        rows += [
            Row(name + row.path[1:], row.value, row.present, row.origin, row.line)
            for row in _rows(made, catalog)
            if row.path != "$"
        ]
    secret = [name for name, value in (*done.sent.headers, *done.sent.query) if str(value) == "***"]
    rows += [Row(f"auth.{name}", "***", True, marks["auth"], _line(marks["auth"], catalog)) for name in secret]
    return rows


def _place(root: MappingNode, *path: str) -> Mark | None:
    node: Node | None = root
    mark = None
    for step in path:
        entry = node.entries.get(step) if isinstance(node, MappingNode) else None
        if entry is None:
            return None
        mark, node = entry.key.mark, entry.value
    return mark


def shown_place(mark: Mark) -> str:
    """`file:line:column`, the file as seen from here when it lies below."""
    path = Path(mark.file)
    below = path.is_absolute() and path.is_relative_to(Path.cwd())
    return f"{path.relative_to(Path.cwd()) if below else path}:{mark.line}:{mark.column}"


def _print(sections: dict[str, list[Row]], done: Translation, *, verbose: bool) -> None:
    for name, all_rows in sections.items():
        rows = [row for row in all_rows if row.present or verbose]
        click.echo(f"{name}")
        width = min(40, max((len(row.path) for row in rows), default=0))
        for row in rows:
            for line in _row_lines(row, width):
                click.echo(line)
        if len(rows) < len(all_rows):
            click.echo(f"  ({len(all_rows) - len(rows)} left out, since their lines gave nothing; -v shows them)")
        click.echo()
    for line in reading_lines(done.readings):
        click.echo(line)
    if done.losses.items:
        click.echo("losses")
        for loss in done.losses.items:
            click.echo(f"  {loss_text(loss)}")


def _row_lines(row: Row, width: int) -> Iterator[str]:
    text = (
        json.dumps(row.value, ensure_ascii=False, default=str) if row.present else "(left out: the line gave nothing)"
    )
    if len(text) > _SHOWN_CHARACTERS:
        text = text[: _SHOWN_CHARACTERS - 1] + "…"
    yield f"  {row.path:<{width}} {'=' if row.present else '-'} {text}"
    place = shown_place(row.origin) if row.origin else "(as it came)"
    yield f"      {place}" + (f"   {row.line}" if row.line else "")
