"""The values of a sample with their paths, and which of them could be what: the answer's text, its end, its counts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from engine.cli.sketch.words import meaning, plain_name, tables, words
from engine.types import Json, JsonObject

ANY_KEY: Final = "*"
"""A step over an object whose only key is no name but data, such as the name of a model."""

Path = tuple[str | int, ...]
Leaf = tuple[Path, Json]

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_WEIGHTS: Final = {"likely": 7, "common": 5, "possible": 3}
_LONGEST_REASON: Final = 40
_COUNTS: Final = ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens")
_DISCRIMINATORS: Final = frozenset({"object", "type", "kind", "role", "status", "event"})


def leaves_of(value: Json, path: Path = ()) -> Iterator[Leaf]:
    """Every value that is no container, with its path."""
    if isinstance(value, dict):
        only_data = len(value) == 1 and not _WORDY.fullmatch(next(iter(value)))
        for key, each in value.items():
            yield from leaves_of(each, (*path, ANY_KEY if only_data else key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from leaves_of(each, (*path, index))
    else:
        yield path, value


def at(value: Json, path: Path) -> Json:
    """The value of a path."""
    for step in path:
        value = next(iter(value.values())) if step == ANY_KEY else value[step]
    return value


def expression(path: Path, root: str = "res") -> str:
    """A path as an expression."""
    text = root
    for step in path:
        if step == ANY_KEY:
            text = f"values({text})[0]"
        elif isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if _NAME.fullmatch(step) else f'."{step}"'
    return text


def score(path: Path, text: str) -> int:
    """How much a text looks like the answer; 0 for none."""
    names = [plain_name(step) for step in path if isinstance(step, str)]
    never = words("reply", "never") | words("reply", "thoughts") | words("reply", "finishes")
    if not text.strip() or not names or names[-1] in never:
        return 0
    if words("reply", "aside") & set(names[:-1]):
        return 0
    weights = tables("reply", "text")
    found = next((_WEIGHTS[key] for key, known in weights.items() if names[-1] in known), 0)
    found += sum(2 for name in set(names[:-1]) if name in words("reply", "around"))
    return found + (1 if " " in text.strip() else 0) - sum(1 for step in path if isinstance(step, int) and step > 0)


def named(leaves: Iterable[Leaf], names: frozenset[str], kind: type) -> Path | None:
    """The path of the shallowest value of a name."""
    found = [
        path
        for path, value in leaves
        if path and plain_name(path[-1]) in names and isinstance(value, kind) and not isinstance(value, bool)
    ]
    return min(found, key=len) if found else None


def finish_of(leaves: Iterable[Leaf]) -> Leaf | None:
    """Why the answer ended: by its name, else a word that means an end, wherever it stands."""
    found: list[tuple[int, int, Path, Json]] = []
    for path, value in leaves:
        name = plain_name(path[-1]) if path else ""
        if not (value is None or (isinstance(value, str) and 0 < len(value) <= _LONGEST_REASON and " " not in value)):
            continue
        if name in words("reply", "finishes"):
            found.append((1 if value is None else 0, len(path), path, value))
        elif value and name not in _DISCRIMINATORS and meaning(value, "reply", "meanings"):
            found.append((2, len(path), path, value))
    if not found:
        return None
    _, _, path, value = min(found, key=lambda each: each[:2])
    return path, value


def finish_tree(path: Path, values: Iterable[str], root: str) -> JsonObject:
    """`$switch` over a finish reason; words that the sample does not show are spelled in its manner."""
    said = list(dict.fromkeys(values))
    cases = {value: meaning(value, "reply", "meanings") or "stop" for value in said}
    shout = any(value.isupper() for value in said)
    for word in ("length", "max_tokens", "content_filter"):
        cases.setdefault(word.upper() if shout else word, "length" if word == "max_tokens" else word)
    return {"$switch": f"={expression(path, root)}", "cases": cases, "default": "stop"}


def counts_of(leaves: list[Leaf]) -> dict[str, Path]:
    """The usage that is told: counts by their names, and words such as `in` and `out` inside a meter."""
    numbers = [(path, value) for path, value in leaves if path and type(value) is int]
    made: dict[str, Path] = {}
    for key, names in tables("reply", "counts").items():
        inside = tables("reply", "counts_inside")[key]
        found = [p for p, _ in numbers if plain_name(p[-1]) in names or (_in_meter(p) and plain_name(p[-1]) in inside)]
        if found:
            made[key] = min(found, key=len)
    return {key: made[key] for key in _COUNTS if key in made}


def _in_meter(path: Path) -> bool:
    return any(plain_name(step) in words("reply", "meters") for step in path[:-1])


def short_texts(leaves: Iterable[Leaf]) -> dict[str, Path]:
    """Texts of a reply that could be a name, each with the first place where it stands."""
    found: dict[str, Path] = {}
    for path, value in leaves:
        if isinstance(value, str) and path and plain_name(path[-1]) not in _DISCRIMINATORS and " " not in value:
            found.setdefault(value, path)
    return found
