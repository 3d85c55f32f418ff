"""The words of `words.yaml`, by which a draft recognizes what a name or a value means."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from engine.language.problems import Problems
from engine.language.reader import read_document, to_json
from engine.types import Json

_FILE: Final = Path(__file__).with_suffix(".yaml")
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")


def plain_name(name: str | int) -> str:
    """A name for comparing: without case, `_`, `-` and blanks."""
    return re.sub(r"[-_ ]", "", str(name)).lower()


def parts_of_name(name: str) -> list[str]:
    """The words that a name is made of, in lower case: `X-Api-Key`, `xApiKey` are x, api and key."""
    return [part.lower() for part in _HUMP.split(name) if part]


@cache
def words(*path: str) -> frozenset[str]:
    """All words of a place of the file, in whatever lists and tables they stand there."""
    return frozenset(_flat(_at(path)))


@cache
def tables(*path: str) -> Mapping[str, frozenset[str]]:
    """A table of the file: for each of its keys the words."""
    return {key: frozenset(_flat(each)) for key, each in _at(path).items()}


def meaning(name: str | int, *path: str) -> str | None:
    """The key of a table under which a name stands."""
    plain = plain_name(name)
    return next((key for key, known in tables(*path).items() if plain in known), None)


def _flat(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _flat(each)


def _at(path: tuple[str, ...]) -> Json:
    found = _read()
    for step in path:
        found = found[step]
    return found


@cache
def _read() -> Json:
    node = read_document(_FILE.read_bytes(), _FILE.name, Problems())
    assert node is not None
    return to_json(node)
