"""Values as YAML text for people: short ones on one line, strings quoted only where they must be, comments beside."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from engine.language.scalars import reads_differently, resolve_plain
from engine.types import Json

_PLAIN: Final = re.compile(r"=?[A-Za-z_$/][\w .,()*/@$+\-]*(?<! )|[0-9]+\.[0-9]+\.[0-9.]+|[0-9]xx")
_FLOW_COLUMNS: Final = 110


@dataclass(frozen=True, slots=True)
class Noted:
    """A value with a comment behind it."""

    value: Json
    note: str


def yaml_lines(value: Json, indent: int = 0) -> Iterator[str]:
    """The lines of an object's entries."""
    for key, each in value.items():
        yield from _entry(f"{' ' * indent}{yaml_text(key)}:", each, indent)


def _entry(lead: str, value: Json, indent: int) -> Iterator[str]:
    note = ""
    if isinstance(value, Noted):
        value, note = value.value, f"  # {value.note}"
    if isinstance(value, str) and "\n" in value and value[0] not in " \n" and value.strip("\n").isprintable() is False:
        yield from _block(lead, value, note, indent)
        return
    flow = yaml_flow(value)
    if flow is not None and (not isinstance(value, dict | list) or len(lead) + len(flow) <= _FLOW_COLUMNS):
        yield f"{lead} {flow}{note}"
        return
    yield f"{lead}{note}"
    if isinstance(value, dict):
        yield from yaml_lines(value, indent + 2)
    else:
        for item in value:
            yield from _item(item, indent + 2)


def _block(lead: str, value: str, note: str, indent: int) -> Iterator[str]:
    """Text of several lines as a block, where it reads back the same."""
    lines = value.split("\n")
    body = lines[:-1] if lines[-1] == "" else lines
    if not all(line.isprintable() and line == line.rstrip() for line in body) or not body[-1]:
        yield f"{lead} {json.dumps(value)}{note}"
        return
    yield f"{lead} |{'' if lines[-1] == '' else '-'}{note}"
    for line in body:
        yield f"{' ' * (indent + 2)}{line}" if line else ""


def _item(value: Json, indent: int) -> Iterator[str]:
    flow = yaml_flow(value)
    if flow is not None and indent + 2 + len(flow) <= _FLOW_COLUMNS:
        yield f"{' ' * indent}- {flow}"
    elif isinstance(value, dict):
        first, *rest = yaml_lines(value, indent + 2)
        yield f"{' ' * indent}- {first.lstrip()}"
        yield from rest
    else:
        yield from _entry(f"{' ' * indent}-", value, indent)


def yaml_flow(value: Json) -> str | None:
    """A value on one line; None where it has notes inside."""
    if isinstance(value, Noted):
        return None
    if isinstance(value, dict):
        parts = [(key, yaml_flow(each)) for key, each in value.items()]
        if any(flow is None for _, flow in parts):
            return None
        return f"{{{', '.join(f'{yaml_text(key)}: {flow}' for key, flow in parts)}}}"
    if isinstance(value, list):
        flows = [yaml_flow(each) for each in value]
        return None if None in flows else f"[{', '.join(map(str, flows))}]"
    if isinstance(value, str):
        return yaml_text(value, in_flow=True)
    return "null" if value is None else json.dumps(value)


def yaml_text(value: str, *, in_flow: bool = False) -> str:
    """Text plain where it reads back as the same text for every YAML tool, else in double quotes."""
    if _PLAIN.fullmatch(value) and ", " not in value and not (in_flow and "," in value):
        try:
            plain = resolve_plain(value)
        except ValueError:
            plain = None
        if plain == value and not reads_differently(value, plain):
            return value
    return json.dumps(value, ensure_ascii=not value.isprintable())
