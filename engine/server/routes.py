"""Which operation of which dialect a path belongs to.

Paths are compared segment by segment, each percent-decoded on its own: so `{id+}` takes `a/b` and `a%2Fb` alike, and
no escaped slash can turn one route into another. The host header plays no part (rule R6).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_to_bytes

from engine.errors import EngineError
from engine.translate.plan import DialectPlan, OperationPlan, RoutePlan

Segment = str | tuple[str, bool]


@dataclass(frozen=True, slots=True)
class Match:
    """A path that leads somewhere: the operation, and what its path parameters hold."""

    dialect: DialectPlan
    operation: OperationPlan
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Miss:
    """A path or method that leads nowhere. `allowed` is not empty when only the method is wrong."""

    dialect: DialectPlan | None
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Route:
    plan: RoutePlan
    segments: tuple[Segment, ...]
    match: Match

    @property
    def method(self) -> str:
        return self.plan.method.upper()

    def params_of(self, path: tuple[str, ...]) -> dict[str, str] | None:
        found: dict[str, str] = {}
        for index, segment in enumerate(self.segments):
            if index >= len(path):
                return None
            if isinstance(segment, str):
                if segment != path[index]:
                    return None
                continue
            name, greedy = segment
            found[name] = "/".join(path[index:]) if greedy else path[index]
            if not found[name]:
                return None
            if greedy:
                return found
        return found if len(self.segments) == len(path) else None


_METHODS_OF: Final = {"GET": ("GET", "HEAD")}


class RouteTable:
    """All routes of all dialects. Fixed paths come before those with parameters."""

    def __init__(self, dialects: Collection[DialectPlan]) -> None:
        routes = [
            _Route(route, _segments(route), Match(dialect, operation))
            for dialect in dialects
            for operation in dialect.operations.values()
            for route in operation.routes
        ]
        self._routes = sorted(routes, key=lambda route: sum(not isinstance(each, str) for each in route.segments))
        self._prefixes = {dialect.id: tuple(common_prefix(dialect).split("/")[1:]) for dialect in dialects}
        self._check_unique()

    def find(self, method: str, raw_path: bytes) -> Match | Miss:
        """The operation for a method and a path as it came on the wire (without query)."""
        path = split_path(raw_path)
        allowed: list[str] = []
        owner: DialectPlan | None = None
        for route in self._routes:
            params = route.params_of(path)
            if params is None:
                continue
            methods = _METHODS_OF.get(route.method, (route.method,))
            if method in methods:
                return Match(route.match.dialect, route.match.operation, params)
            allowed += methods
            owner = owner or route.match.dialect
        return Miss(owner or self._nearest(path), tuple(dict.fromkeys(allowed)))

    def _nearest(self, path: tuple[str, ...]) -> DialectPlan | None:
        """The dialect that a path most likely meant, so that its clients read the error.

        First counts how much of the path lies under the dialect's own prefix (a client's base URL ends in it), then
        how many segments its routes share with the path; the first dialect wins a tie.
        """
        best: tuple[int, int] = (0, 0)
        nearest: DialectPlan | None = None
        for route in self._routes:
            prefix = self._prefixes[route.match.dialect.id]
            rank = (len(prefix) if path[: len(prefix)] == prefix else 0, _shared(route.segments, path))
            if rank > best:
                best, nearest = rank, route.match.dialect
        return nearest

    def _check_unique(self) -> None:
        seen: dict[tuple[str, tuple[Segment, ...]], DialectPlan] = {}
        for route in self._routes:
            other = seen.setdefault((route.method, route.segments), route.match.dialect)
            if other is not route.match.dialect:
                names = f"{other.id} and {route.match.dialect.id}"
                raise EngineError(f"the dialects {names} both serve {route.method} {route.plan.pattern}")


def split_path(raw_path: bytes) -> tuple[str, ...]:
    """The decoded segments of a path; `/` has none. Bytes that are not UTF-8 become U+FFFD and match nothing."""
    parts = raw_path.split(b"/")[1:]
    if parts == [b""]:
        return ()
    return tuple(unquote_to_bytes(part).decode("utf-8", "replace") for part in parts)


def common_prefix(dialect: DialectPlan) -> str:
    """The path under which a dialect's operations lie (by the first route of each), such as `/v1`.

    It is what a client's base URL ends in.
    """
    routes = [_segments(operation.routes[0]) for operation in dialect.operations.values()]
    shared: list[str] = []
    for column in zip(*routes, strict=False):
        if not isinstance(column[0], str) or any(each != column[0] for each in column):
            break
        shared.append(column[0])
    return "".join(f"/{each}" for each in shared)


def _segments(route: RoutePlan) -> tuple[Segment, ...]:
    return tuple(segment for segment in route.segments if segment != "")


def _shared(segments: tuple[Segment, ...], path: tuple[str, ...]) -> int:
    count = 0
    for segment, part in zip(segments, path, strict=False):
        if segment != part:
            break
        count += 1
    return count
