"""JSON answers from endpoints that have no `response_format`: asked for in the prompt, read back from the text.

The same machinery as for tools: an instruction at a declared place, extraction from fences and prose, validation, and
one more try by policy. The finish reason stays what it was; no hidden tool ever shows (traps 27 and 28).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from engine.translate.canonical import KIND_NAMES
from engine.translate.plan import Codec, StructuredPlan
from engine.translate.tools.offering import PLACES
from engine.types import Json, JsonObject

_FENCE: Final = re.compile(r"```[a-zA-Z0-9_-]*[ \t]*\n(.*?)\n?[ \t]*```", re.DOTALL)
_OPENERS: Final = "{["


@dataclass(frozen=True, slots=True)
class JsonWish:
    """What the client wants its answer to be. `schema` is None for any JSON object."""

    plan: StructuredPlan
    schema: JsonObject | None
    name: str


def ask_for_json(request: JsonObject, plan: StructuredPlan) -> tuple[JsonObject, JsonWish | None]:
    """Write the wish into the prompt and take `response_format` out of the request."""
    wanted = request.get("response_format")
    if not isinstance(wanted, dict) or wanted.get("type") == "text":
        return request, None
    described = wanted.get("json_schema") or {}
    schema = described.get("schema") if wanted["type"] == "json_schema" else None
    wish = JsonWish(plan, schema if isinstance(schema, dict) else None, str(described.get("name") or "answer"))
    text = plan.text({"schema": wish.schema, "name": wish.name, "description": described.get("description")})
    kept = {key: value for key, value in request.items() if key != "response_format"}
    if isinstance(text, str) and text:
        kept["messages"] = PLACES[plan.place](request["messages"], text)
    return kept, wish


def read_json(text: str, wish: JsonWish, codec: Codec) -> tuple[str, str | None]:
    """The JSON in an answer and what is wrong with it: `(text, None)` when it is as wished.

    What is not JSON comes back as it was, with the problem in words.
    """
    for candidate in _candidates(text):
        value, good = _decoded(candidate, codec)
        if not good:
            continue
        if wish.schema is None:
            return (candidate, None) if isinstance(value, dict) else (candidate, f"it is {_kind(value)}, not an object")
        return candidate, _violation(value, wish.schema, codec)
    return text, "it is not JSON"


def _candidates(text: str) -> list[str]:
    """Where JSON may stand: the whole text, a fence, from the first bracket to the last."""
    found = [text.strip(), *(match[1].strip() for match in _FENCE.finditer(text))]
    starts = [place for place in (text.find(opener) for opener in _OPENERS) if place >= 0]
    if starts:
        start = min(starts)
        end = text.rfind("}" if text[start] == "{" else "]")
        found.append(text[start : end + 1])
    return [each for each in found if each]


def _decoded(text: str, codec: Codec) -> tuple[Json, bool]:
    try:
        return codec.loads(text.encode("utf-8", "surrogatepass")), True
    except ValueError:
        return None, False


def _violation(value: Json, schema: JsonObject, codec: Codec) -> str | None:
    if codec.violation is None:
        return None
    return codec.violation(value, schema)


def _kind(value: Json) -> str:
    return KIND_NAMES.get(type(value), "a value")
