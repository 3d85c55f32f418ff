"""Containers that remember which line of which file made each of their members: what `engine explain` prints.

A mapping compiled for explaining builds these instead of plain dicts and lists. They behave the same; moving members
from one to another (`update`, `extend`) carries their origins along, so operators need no second version.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from engine.language.problems import Mark
from engine.types import Json

Path = tuple[str | int, ...]


class TracedDict(dict[str, Any]):
    """An object with the origin of each key, and the origin of each key that was left out."""

    def __init__(self, values: Mapping[str, Json] | None = None) -> None:
        super().__init__()
        self.origins: dict[str, Mark] = {}
        self.absent: dict[str, Mark] = {}
        if values is not None:
            self.update(values)

    def put(self, key: str, value: Json, mark: Mark) -> None:
        """Set a member and its origin."""
        self[key] = value
        self.origins[key] = mark
        self.absent.pop(key, None)

    def update(self, other: Mapping[str, Json]) -> None:  # type: ignore[override]  # one form is enough here
        """Take over members, and origins where the other has them."""
        super().update(other)
        if isinstance(other, TracedDict):
            self.origins.update(other.origins)
            self.absent = {key: mark for key, mark in {**self.absent, **other.absent}.items() if key not in self}


class TracedList(list[Any]):
    """A list with the origin of each item."""

    def __init__(self, values: Iterable[Json] = ()) -> None:
        super().__init__()
        self.origins: list[Mark | None] = []
        self.extend(values)

    def put(self, value: Json, mark: Mark) -> None:
        """Append an item and its origin."""
        self.append(value)
        self.origins[-1] = mark

    def append(self, value: Json) -> None:
        """Append an item of unknown origin."""
        super().append(value)
        self.origins.append(None)

    def extend(self, values: Iterable[Json]) -> None:
        """Take over items, and origins where the other has them."""
        items = list(values)
        super().extend(items)
        self.origins += values.origins if isinstance(values, TracedList) else [None] * len(items)


def origins(value: Json, path: Path = (), mark: Mark | None = None) -> Iterator[tuple[Path, Mark | None, Json, bool]]:
    """Walk a traced value: `(path, origin, leaf, present)` for each leaf, and for each key that was left out."""
    if isinstance(value, TracedDict) and (value or value.absent):
        for key, item in value.items():
            yield from origins(item, (*path, key), value.origins.get(key, mark))
        for key, where in value.absent.items():
            yield (*path, key), where, None, False
    elif isinstance(value, TracedList) and value:
        for index, item in enumerate(value):
            yield from origins(item, (*path, index), value.origins[index] or mark)
    else:
        yield path, mark, value, True
