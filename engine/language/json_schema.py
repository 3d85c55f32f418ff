"""JSON Schema checks of values: a client's schema is data, never code (rule R5).

Nothing is fetched for a `$ref`, patterns run on a linear-time engine, and a schema that is broken checks nothing, which
is told: it is the client's, and it must not make the gateway fail.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Final

import jsonschema_rs

from engine.translate.plan import UncheckedError
from engine.types import Json, JsonObject

_SHOWN: Final = 300
_LARGEST_SCHEMA: Final = 262_144


def violation(value: Json, schema: JsonObject) -> str | None:
    """How a value breaks a schema, in words; None if it does not. Raises UncheckedError if the schema is of no use."""
    text = json.dumps(schema, ensure_ascii=False)
    validator = _validator(text) if len(text) <= _LARGEST_SCHEMA else None
    if validator is None:
        raise UncheckedError
    try:
        found = next(iter(validator.iter_errors(value)), None)
    except ValueError as failure:  # nested deeper than the validator goes
        raise UncheckedError from failure
    if found is None:
        return None
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in found.instance_path)
    message = f"{place.lstrip('.')}: {found.message}" if place else found.message
    return message if len(message) <= _SHOWN else message[: _SHOWN - 1] + "…"


@lru_cache(maxsize=256)
def _validator(text: str) -> jsonschema_rs.Validator | None:
    try:
        return jsonschema_rs.validator_for(json.loads(text), offline=True, pattern_options=jsonschema_rs.RegexOptions())
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError):
        return None
