"""`engine schema`: the JSON Schema of a kind of file, for editors."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Final

import click

from engine.cli.arguments import dump
from engine.language import operators
from engine.language.child_schema import with_children
from engine.language.documents import VERSION
from engine.language.shapes import Shape, json_schema
from engine.language.tree import OPERATORS, OperatorSpec
from engine.types import Json, JsonObject

_HELP: Final = """Print the JSON Schema of a kind of file: endpoint, dialect, toolformat, gateway, mock or overlay.

An editor with a YAML language server completes and checks a file that has a line such as
`# yaml-language-server: $schema=endpoint.schema.json` at its head.

\b
Example:
  engine schema endpoint > endpoint.schema.json
"""

SHAPES: Final[Mapping[str, tuple[str, str]]] = {
    "endpoint": ("engine.language.kinds.endpoint_shape", "ENDPOINT"),
    "dialect": ("engine.language.kinds.dialect_shape", "DIALECT"),
    "toolformat": ("engine.language.kinds.toolformat_shape", "TOOLFORMAT"),
    "gateway": ("engine.language.gateway_shape", "GATEWAY"),
    "mock": ("engine.language.kinds.mock_shape", "MOCK"),
    "overlay": ("engine.language.kinds.overlay_shape", "OVERLAY"),
}
"""Kind to the module and name of its shape."""

_REGISTERED: Final = operators.__all__


@click.command("schema", help=_HELP)
@click.argument("kind", type=click.Choice(list(SHAPES)))
def command(kind: str) -> int:
    """Print the schema."""
    click.echo(dump(schema_of(kind)))
    return 0


def schema_of(kind: str) -> JsonObject:
    """The schema of a kind, with every operator of the language under `$defs`."""
    module, name = SHAPES[kind]
    shape: Shape = getattr(importlib.import_module(module), name)
    schema = json_schema(shape, f"{kind}/{VERSION}")
    schema["$defs"]["tree"] = _tree(schema["$defs"]["tree"])
    schema["$defs"].update({_definition(each): _operator(each) for each in OPERATORS.values()})
    made: JsonObject = with_children(_portable(schema))
    return made


def _portable(value: Json) -> Json:
    """Patterns as editors read them: JavaScript has no inline flag for a dot that takes line ends."""
    if isinstance(value, list):
        return [_portable(item) for item in value]
    if not isinstance(value, dict):
        return value
    made = {key: _portable(item) for key, item in value.items()}
    pattern = made.get("pattern")
    if isinstance(pattern, str) and "(?s)" in pattern:
        made["pattern"] = pattern.replace("(?s)", "").replace(".", r"[\s\S]")
    return made


def _tree(base: JsonObject) -> JsonObject:
    """Any literal or expression; an object is either one operator or a map of trees."""
    each_operator = [
        {"$ref": f"#/$defs/{_definition(each)}", "required": list(each.required)} for each in OPERATORS.values()
    ]
    plain = {"type": "object", "propertyNames": {"pattern": "^[^$]"}, "additionalProperties": {"$ref": "#/$defs/tree"}}
    return {
        **base,
        "anyOf": [
            {"type": ["string", "number", "boolean", "null"], "examples": ["=req.model", "text"]},
            {"type": "array", "items": {"$ref": "#/$defs/tree"}},
            plain,
            *each_operator,
        ],
    }


def _definition(spec: OperatorSpec) -> str:
    return f"operator.{spec.name.removeprefix('$')}"


def _operator(spec: OperatorSpec) -> JsonObject:
    """The operator with any of its arguments: which must stand, the place says, since a child's need not."""
    return {
        "description": spec.doc,
        "markdownDescription": f"{spec.doc}\n\n```yaml\n{spec.example}\n```",
        "type": "object",
        "properties": {
            spec.name: {"description": f"{spec.doc} Example: {spec.example}"},
            **{name: {"description": f"Argument of {spec.name}."} for name in spec.allowed if name != spec.name},
        },
        "required": [spec.name],
        "additionalProperties": False,
    }
