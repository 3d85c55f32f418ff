"""The annotated gateway file that `engine init` writes, and the effective values that `engine config` prints.

Both come from the table in `gateway_shape`: a key that is added there appears here.
"""

from __future__ import annotations

import json
import re
import textwrap
from typing import Final

from engine.config import GatewayConfig
from engine.language.gateway_shape import CLIENT_KEY, GATEWAY, ROUTE, UPSTREAM
from engine.language.shapes import Field, ListOf, MapOf, Object, Text
from engine.types import Json

WIDTH: Final = 110
_EDITORS: Final = (
    "# Editors complete and check this file after `engine schema gateway > gateway.schema.json`, with a first line",
    "#   # yaml-language-server: $schema=gateway.schema.json",
)


def annotated_example(endpoint: str) -> str:
    """A complete gateway file for one upstream: every key with its sentence, what has a default commented out."""
    how = "Lines behind `#` show defaults and examples; flags and ENGINE_… variables override this file."
    lines = [f"# {GATEWAY.doc}", f"# {how}", *_EDITORS, ""]
    for key, field in GATEWAY.fields.items():
        lines += _comment(field.doc, 0)
        lines += _top(key, field, endpoint)
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _top(key: str, field: Field, endpoint: str) -> list[str]:
    if key == "mapping":
        return ["mapping: gateway/1"]
    if key == "upstreams":
        return ["upstreams:", "  main:", f"    endpoint: {endpoint}", *_offered(UPSTREAM, 4, skip=("endpoint",))]
    if key == "routes":
        return ["routes:", "  default:", "    to: main", *_offered(ROUTE, 4, skip=("to",))]
    if isinstance(field.shape, Object):
        return [f"# {key}:", *_offered(field.shape, 2)]
    return [f"# {key}: {_shown(field)}"]


def _offered(shape: Object, indent: int, skip: tuple[str, ...] = ()) -> list[str]:
    lines: list[str] = []
    for key, field in shape.fields.items():
        if key in skip:
            continue
        lines += _comment(field.doc, indent)
        if isinstance(field.shape, ListOf) and field.shape.item is CLIENT_KEY:
            lines.append(f"# {' ' * indent}{key}: [{{name: app, env: ENGINE_API_KEY, choose: false}}]")
        else:
            lines.append(f"# {' ' * indent}{key}: {_shown(field)}")
    return lines


def _comment(doc: str, indent: int) -> list[str]:
    lead = "# " + " " * indent + "# " if indent else "# "
    return [lead + line for line in textwrap.wrap(doc, WIDTH - len(lead))]


def _shown(field: Field) -> str:
    value = field.default if field.default or field.example is None else field.example
    if isinstance(field.shape, Object) and not value:
        return "{" + ", ".join(f"{key}: {_shown(each)}" for key, each in field.shape.fields.items()) + "}"
    if isinstance(field.shape, Text) and field.shape.choices and not value:
        return field.shape.choices[-1]
    if value is None:
        return "{}" if isinstance(field.shape, MapOf) else '""'
    return json.dumps(value, ensure_ascii=False)


def effective(config: GatewayConfig) -> list[tuple[str, str, str]]:
    """Every effective value as `(key, value, origin)`, in the order of the shape; no secret can be among them.

    Secrets stand in a config as `{env: NAME}`; the one value that may hold a password, a proxy's URL, is masked.
    """
    rows: list[tuple[str, str, str]] = []
    _rows(config.document, "", config, rows)
    return rows


def _rows(value: Json, path: str, config: GatewayConfig, rows: list[tuple[str, str, str]]) -> None:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            _rows(item, f"{path}.{key}" if path else key, config, rows)
        return
    shown = re.sub(r"://[^/@\s\"]+@", "://***@", json.dumps(value, ensure_ascii=False))
    origin = config.origins.get(path)
    rows.append((path, shown, str(origin) if origin is not None else "default"))
