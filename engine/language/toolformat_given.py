"""What stands under `given` of a toolformat's test: a line for each part that is of the wrong type.

The engine hands a format only what has passed its own checks; a case must give the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from engine.types import Json, JsonObject

_KINDS: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    "tools": ((list, dict), "a list of tools, or {name: {parameter: type}}"),
    "text": ((str,), "a text"),
    "choice": ((dict,), "an object"),
    **dict.fromkeys(("calls", "results", "also"), ((list,), "a list")),
    **dict.fromkeys(("cut", "parallel"), ((bool,), "true or false")),
}


def wrong_toolformat_given(given: JsonObject, formats: Collection[str]) -> Iterator[str]:
    """A line for each part of `given` that no format could be handed; `formats` are the ids that `also` may name."""
    for key, (kinds, name) in _KINDS.items():
        value: Json = given.get(key)
        if value is None:
            continue
        if type(value) not in kinds:
            yield f"given.{key} must be {name}"
        elif key == "tools":
            yield from _wrong_tools(value)
        elif key in ("calls", "results"):
            yield from _wrong_calls(key, value)
        elif key == "also":
            yield from (f"given.also: there is no toolformat {each!r}" for each in value if str(each) not in formats)


def _wrong_tools(tools: Json) -> Iterator[str]:
    if isinstance(tools, list):
        for index, each in enumerate(tools):
            function = each.get("function") if isinstance(each, dict) else None
            if not isinstance(function, dict) or not isinstance(function.get("name"), str):
                yield f"given.tools[{index}] must be {{type: function, function: {{name: …}}}}"
        return
    for name, parameters in tools.items():
        if parameters is not None and not isinstance(parameters, dict):
            yield f"given.tools.{name} must be an object: {{parameter: type or schema}}"
            continue
        for key, each in (parameters or {}).items():
            if key == "$required" and not isinstance(each, list):
                yield f"given.tools.{name}.$required must be a list of parameters"
            elif key != "$required" and not isinstance(each, str if key == "$description" else str | dict):
                yield f"given.tools.{name}.{key} must be {'a text' if key == '$description' else 'a type or a schema'}"


def _wrong_calls(key: str, calls: list[Json]) -> Iterator[str]:
    for index, each in enumerate(calls):
        if not isinstance(each, dict) or not isinstance(each.get("name"), str):
            yield f"given.{key}[{index}] must be an object with a `name`"
        elif key == "calls" and not isinstance(each.get("arguments"), str | None):
            yield f"given.calls[{index}].arguments must be a text; `args` takes an object"
