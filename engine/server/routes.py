"""Which operation of which dialect a path belongs to.

Paths are compared segment by segment, each percent-decoded on its own: so `{id+}` takes `a/b` and `a%2Fb` alike, and
no escaped slash can turn one route into another. Two dialects may share a path when one of them asks for a header
that its clients always send. The host header plays no part (rule R6).
"""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping
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
    """All routes of all dialects: fixed paths before those with parameters, those with a header before others."""

    def __init__(self, dialects: Collection[DialectPlan]) -> None:
        routes = [
            _Route(route, _segments(route), Match(dialect, operation))
            for dialect in dialects
            for operation in dialect.operations.values()
            for route in operation.routes
        ]
        self._routes = sorted(
            routes,
            key=lambda route: (sum(not isinstance(each, str) for each in route.segments), route.plan.header is None),
        )
        self._bases = {dialect.id: split_path(dialect.base_path.encode()) for dialect in dialects}
        self._check_unique()

    def find(self, method: str, raw_path: bytes, headers: Container[str] = ()) -> Match | Miss:
        """The operation for a method, a path as it came on the wire (without query), and the names of the headers."""
        path = split_path(raw_path)
        allowed: list[str] = []
        owner: DialectPlan | None = None
        for route in self._routes:
            params = route.params_of(path)
            if params is None or (route.plan.header is not None and route.plan.header not in headers):
                continue
            methods = _METHODS_OF.get(route.method, (route.method,))
            if method in methods:
                return Match(route.match.dialect, route.match.operation, params)
            allowed += methods
            owner = owner or route.match.dialect
        return Miss(owner or self._nearest(path, headers), tuple(dict.fromkeys(allowed)))

    def _nearest(self, path: tuple[str, ...], headers: Container[str]) -> DialectPlan | None:
        """The dialect that a path most likely meant, so that its clients read the error.

        First counts a header that one of its routes asks for, then how many segments its routes share with the path,
        then how much of the path lies under its base path; the first dialect wins a tie.
        """
        best: tuple[int, int, int] = (0, 0, 0)
        nearest: DialectPlan | None = None
        for route in self._routes:
            base = self._bases[route.match.dialect.id]
            marked = route.plan.header is not None and route.plan.header in headers
            rank = (int(marked), _shared(route.segments, path), len(base) if path[: len(base)] == base else 0)
            if rank > best:
                best, nearest = rank, route.match.dialect
        return nearest

    def _check_unique(self) -> None:
        seen: dict[tuple[str, tuple[Segment, ...], str | None], DialectPlan] = {}
        for route in self._routes:
            other = seen.setdefault((route.method, route.segments, route.plan.header), route.match.dialect)
            if other is not route.match.dialect:
                names = f"{other.id} and {route.match.dialect.id}"
                raise EngineError(f"the dialects {names} both serve {route.method} {route.plan.pattern}")


def split_path(raw_path: bytes) -> tuple[str, ...]:
    """The decoded segments of a path; `/` has none. Bytes that are not UTF-8 become U+FFFD and match nothing."""
    parts = raw_path.split(b"/")[1:]
    if parts == [b""]:
        return ()
    return tuple(unquote_to_bytes(part).decode("utf-8", "replace") for part in parts)


def _segments(route: RoutePlan) -> tuple[Segment, ...]:
    return tuple(segment for segment in route.segments if segment != "")


def _shared(segments: tuple[Segment, ...], path: tuple[str, ...]) -> int:
    count = 0
    for segment, part in zip(segments, path, strict=False):
        if segment != part:
            break
        count += 1
    return count
