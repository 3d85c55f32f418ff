"""`engine flatten`: a mapping as it is used, parents and overlays merged in, each line with the file it came from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from engine.cli.arguments import load, mappings_option
from engine.cli.sketch.yaml_text import yaml_text
from engine.language.catalog import Catalog
from engine.language.diagnostics import Mark, did_you_mean
from engine.language.documents import KINDS
from engine.language.inherit import Resolved
from engine.language.reader import MappingNode, Node, ScalarNode, SequenceNode

_HELP: Final = """Print a mapping with its parents and overlays merged in, as one YAML file that stands alone.

Each line ends in a comment that names the file and line it came from. IDs are unique per kind: `dialect:acme.api`
says which is meant where two kinds share one.

\b
Example:
  engine flatten acme.chat
"""
_FLOW_COLUMNS: Final = 80
_FIRST: Final = ("mapping", "id", "title", "doc", "abstract")
_LAST: Final = ("extends", "tests")


@click.command("flatten", help=_HELP)
@click.argument("identifier", metavar="ID")
@mappings_option
def command(identifier: str, folders: tuple[Path, ...]) -> int:
    """Print, and return the exit code."""
    resolved = _find(load(folders), identifier)
    files = [resolved, *resolved.lineage]
    click.echo(f"# {resolved.document.kind} {resolved.id}, merged from:")
    for file in [*(each.document.file for each in files), *(each.file for each in resolved.overlays)]:
        click.echo(f"#   {file}")
    for line in flattened(resolved):
        click.echo(line)
    return 0


def _find(catalog: Catalog, wanted: str) -> Resolved:
    kind, _, identifier = wanted.rpartition(":")
    found = [each for (of, name), each in catalog.resolved.items() if name == identifier and kind in ("", of)]
    if not found:
        known = [name for _, name in catalog.resolved]
        raise click.UsageError(f"there is no mapping {wanted!r}; {' '.join(did_you_mean(identifier, known))}")
    return min(found, key=lambda each: KINDS.index(each.document.kind))


def flattened(resolved: Resolved) -> Iterator[str]:
    """The lines of the merged file: what it is, its sections in the order of the parents, its own tests."""
    entries = resolved.root.entries
    order = [
        *(key for key in _FIRST if key in entries),
        *(key for key in entries if key not in (*_FIRST, *_LAST)),
        "tests",
    ]
    for key in order:
        if key in entries:
            yield from _entry(key, entries[key].key.mark, entries[key].value, 0)


def _entry(key: str, mark: Mark, value: Node, indent: int) -> Iterator[str]:
    lead = f"{' ' * indent}{yaml_text(key, in_flow=True)}:"
    flow = _flow(value)
    if flow is not None and len(flow) + indent <= _FLOW_COLUMNS:
        yield _with_origin(f"{lead} {flow}", mark)
    elif isinstance(value, ScalarNode):
        yield from _scalar(lead, value, mark, indent)
    elif isinstance(value, MappingNode):
        yield _with_origin(lead, mark)
        for name, entry in value.entries.items():
            yield from _entry(name, entry.key.mark, entry.value, indent + 2)
    else:
        yield _with_origin(lead, mark)
        yield from _items(value, indent + 2)


def _items(node: SequenceNode, indent: int) -> Iterator[str]:
    for item in node.items:
        flow = _flow(item)
        if flow is not None and len(flow) + indent <= _FLOW_COLUMNS:
            yield _with_origin(f"{' ' * indent}- {flow}", item.mark)
        elif isinstance(item, ScalarNode):
            yield from _scalar(f"{' ' * indent}-", item, item.mark, indent)
        elif isinstance(item, MappingNode):
            lines = [
                line
                for key, entry in item.entries.items()
                for line in _entry(key, entry.key.mark, entry.value, indent + 2)
            ]
            yield f"{' ' * indent}- {lines[0].lstrip()}"
            yield from lines[1:]
        else:
            yield _with_origin(f"{' ' * indent}-", item.mark)
            yield from _items(item, indent + 2)


def _scalar(lead: str, node: ScalarNode, mark: Mark, indent: int) -> Iterator[str]:
    """A block of text where that reads back the same, else quotes."""
    value = node.value
    lines = value.split("\n") if isinstance(value, str) else []
    if len(lines) < 2 or not _fits_block(lines):
        yield _with_origin(f"{lead} {_value(node)}", mark)
        return
    chomp = "" if lines[-1] == "" else "-"
    yield _with_origin(f"{lead} |{chomp}", mark)
    for line in lines[:-1] if chomp == "" else lines:
        yield f"{' ' * (indent + 2)}{line}" if line else ""


def _fits_block(lines: list[str]) -> bool:
    text = lines[:-1] if lines[-1] == "" else lines
    return bool(text[0]) and text[0][0] != " " and text[-1].strip() != "" and all(line.isprintable() for line in text)


def _with_origin(line: str, mark: Mark) -> str:
    return f"{line}  # {Path(mark.file).name}:{mark.line}"


def _flow(node: Node) -> str | None:
    """A node on one line; None for text of several lines."""
    if isinstance(node, ScalarNode):
        return None if isinstance(node.value, str) and "\n" in node.value else _value(node)
    if isinstance(node, SequenceNode):
        parts = [_flow(item) for item in node.items]
        return None if None in parts else f"[{', '.join(map(str, parts))}]"
    if node.entries and not node.flow:
        return None
    pairs = [(key, _flow(entry.value)) for key, entry in node.entries.items()]
    return (
        None
        if any(value is None for _, value in pairs)
        else f"{{{', '.join(f'{yaml_text(k, in_flow=True)}: {v}' for k, v in pairs)}}}"
    )


def _value(node: ScalarNode) -> str:
    if isinstance(node.value, str):
        return yaml_text(node.value, in_flow=True)
    return "null" if node.value is None else json.dumps(node.value)
