"""How what a case expects is compared with what came: exactly, but for `{$any: kind}` and what it does not name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final

from engine.language.problems import did_you_mean
from engine.types import Json, JsonObject

_KINDS: Final[Mapping[str, type | tuple[type, ...]]] = {
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
    "array": list,
    "object": dict,
    "any": object,
}


def by_step(expected: JsonObject, made: JsonObject) -> tuple[JsonObject, JsonObject]:
    """Of the calls by step what the case names: an object is a step's first call, a list are all of them."""
    wanted = {name: each if isinstance(each, list) else [each] for name, each in expected.items()}
    got: JsonObject = {}
    for name, calls in wanted.items():
        if name in made:
            pairs = zip(calls, made[name], strict=False)
            rest = made[name][len(calls) :] if isinstance(expected[name], list) else []
            got[name] = [*(as_far_as_named(*pair) for pair in pairs), *rest]
    return wanted, got


def as_far_as_named(expected: Json, got: Json) -> Json:
    """Of an HTTP message what the case names: top-level keys, and headers."""
    if not isinstance(expected, dict) or not isinstance(got, dict):
        return got
    kept = {key: got[key] for key in got if key in expected}
    if isinstance(expected.get("headers"), dict) and isinstance(kept.get("headers"), dict):
        kept["headers"] = {key: each for key, each in kept["headers"].items() if key in expected["headers"]}
    return kept


def named_only(expected: Json, got: list[JsonObject]) -> list[JsonObject]:
    """Losses as far as the case names their keys: `stage` and `rule` may be left out."""
    wanted = (
        {key for loss in expected if isinstance(loss, dict) for key in loss} if isinstance(expected, list) else set()
    )
    return [{key: value for key, value in loss.items() if key in wanted} for loss in got]


def differences(expected: Json, got: Json, path: str) -> Iterator[str]:
    """Lines that say where two values differ; `{$any: kind}` takes any value of the kind."""
    if isinstance(expected, dict) and set(expected) == {"$any"}:
        yield from _kind_differences(str(expected["$any"]), got, path)
    elif isinstance(expected, dict) and isinstance(got, dict):
        yield from _object_differences(expected, got, path)
    elif isinstance(expected, list) and isinstance(got, list):
        if len(expected) != len(got):
            yield from _other_items(expected, got, path)
            return
        for index, pair in enumerate(zip(expected, got, strict=True)):
            yield from differences(*pair, f"{path}[{index}]")
    elif not _equal_scalars(expected, got):
        yield f"{path}: expected {shown(expected)}, got {shown(got)}"


def _other_items(expected: list[Json], got: list[Json], path: str) -> Iterator[str]:
    """For lists of two lengths: how many there are, and which items the other list does not have."""
    yield f"{path}: expected {len(expected)} items, got {len(got)}"
    rest = list(got)
    for index, item in enumerate(expected):
        same = next((place for place, each in enumerate(rest) if not any(differences(item, each, ""))), None)
        if same is None:
            yield f"{path}[{index}]: expected {shown(item)}, but it is missing"
        else:
            del rest[same]
    yield from (f"{path}: not expected, got {shown(each)}" for each in rest)


def _kind_differences(kind: str, got: Json, path: str) -> Iterator[str]:
    if kind not in _KINDS:
        yield f"{path}: {{$any: {kind}}} names no kind; {did_you_mean(kind, _KINDS)[0]}"
    elif not isinstance(got, _KINDS[kind]) or (isinstance(got, bool) and kind not in ("boolean", "any")):
        yield f"{path}: expected any {kind}, got {shown(got)}"


def _object_differences(expected: JsonObject, got: JsonObject, path: str) -> Iterator[str]:
    for key in expected:
        if key in got:
            yield from differences(expected[key], got[key], f"{path}.{key}")
        else:
            yield f"{path}.{key}: expected {shown(expected[key])}, but it is missing"
    for key in got:
        if key not in expected:
            yield f"{path}.{key}: not expected, got {shown(got[key])}"


def _equal_scalars(expected: Json, got: Json) -> bool:
    """1 equals 1.0, but true does not equal 1."""
    if isinstance(expected, bool) or isinstance(got, bool):
        return expected is got
    return bool(expected == got)


def shown(value: Json) -> str:
    """A value for a message, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 300 else text[:299] + "…"
