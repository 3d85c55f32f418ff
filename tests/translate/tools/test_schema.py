"""Raw text typed by a JSON Schema: the order, references, and the raw string as last resort."""

from __future__ import annotations

import pytest

from engine.translate.tools.schema import Parameters, coerce
from engine.types import Json

REPAIRS = frozenset({"single_quotes", "python_literals"})


@pytest.mark.parametrize(
    ("schema", "text", "expected"),
    [
        ({"type": "string"}, "007", '"007"'),
        ({"type": "string"}, "null", '"null"'),
        ({"type": "string"}, ' "x" ', '" \\"x\\" "'),
        ({"type": "integer"}, " 12 ", "12"),
        ({"type": "integer"}, "12345678901234567890123", "12345678901234567890123"),
        ({"type": "integer"}, "5.0", "5.0"),
        ({"type": "integer"}, "5.5", '"5.5"'),
        ({"type": "integer"}, "07", '"07"'),
        ({"type": "number"}, "1.0", "1.0"),
        ({"type": "number"}, "1e5", "1e5"),
        ({"type": "boolean"}, "True", "true"),
        ({"type": "boolean"}, "yes", '"yes"'),
        ({"type": ["integer", "null"]}, "null", "null"),
        ({"type": ["string", "null"]}, "None", "null"),
        ({"type": "string", "nullable": True}, "null", "null"),
        ({"type": ["string", "integer"]}, "42", "42"),
        ({"anyOf": [{"type": "number"}, {"type": "array"}]}, "[1, 2.50]", "[1, 2.50]"),
        ({"oneOf": [{"$ref": "#/$defs/size"}]}, "3", "3"),
        ({"$ref": "#/$defs/loop"}, "3", '"3"'),
        ({"$ref": "#/$defs/nowhere"}, "3", '"3"'),
        ({"enum": [1, 2, "auto"]}, "2", "2"),
        ({"enum": [1, 2, "auto"]}, "auto", '"auto"'),
        ({"const": True}, "true", "true"),
        ({"type": "object"}, "{'a': True}", '{"a": true}'),
        ({"type": "object"}, "{broken", '"{broken"'),
        ({"type": "object"}, "[1]", '"[1]"'),
        ({"items": {"type": "string"}}, '["a"]', '["a"]'),
        ({}, '{"a": 1}', '{"a": 1}'),
        ({}, "1", '"1"'),
        (True, "x", '"x"'),
    ],
)
def test_values_are_typed(schema: Json, text: str, expected: str) -> None:
    """Numbers keep their digits; what fits no type stays the text it is."""
    parameters = Parameters(
        {
            "type": "object",
            "properties": {"a": schema},
            "$defs": {"size": {"type": "integer"}, "loop": {"$ref": "#/$defs/loop"}},
        }
    )
    assert coerce(text, parameters.types("a"), REPAIRS) == expected


def test_additional_properties_have_a_type() -> None:
    parameters = Parameters({"additionalProperties": {"type": "integer"}})
    assert coerce("3", parameters.types("any")) == "3"


@pytest.mark.parametrize("schema", [None, True, [], {"properties": 3}, {"properties": {"a": None}}, {"anyOf": 3}])
def test_a_broken_schema_types_nothing(schema: Json) -> None:
    assert coerce("3", Parameters(schema).types("a")) == '"3"'
