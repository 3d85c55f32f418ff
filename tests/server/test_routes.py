"""The route table: which dialect and operation a path belongs to, and who is told when there is none."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.errors import EngineError
from engine.server.routes import Match, RouteTable
from tests.conftest import DIALECT

Make = Callable[..., Any]


def dialect(name: str, *routes: dict[str, Any], **sections: Any) -> dict[str, Any]:
    """A dialect with one operation per route, named `o0`, `o1` …"""
    operations = {
        f"o{number}": {"route": route, "kind": "answer", "response": {"body": name}}
        for number, route in enumerate(routes)
    }
    return {**DIALECT, "id": name, "operations": operations, **sections}


@pytest.fixture
def table(write_mapping: Make) -> Make:
    """Compile dialects and make the table of their routes."""

    def make(*dialects: dict[str, Any]) -> RouteTable:
        catalog = write_mapping(*dialects)
        assert [] == [each.message for each in catalog.problems.errors]
        return RouteTable(catalog.dialects.values())

    return make


def owner(table: RouteTable, path: str, *headers: str, method: str = "GET") -> tuple[str | None, str | None]:
    """The dialect and the operation that a path leads to; no operation for a miss."""
    found = table.find(method, path.encode(), headers)
    return (found.dialect.id if found.dialect else None), (found.operation.name if isinstance(found, Match) else None)


PLAIN = dialect("a.plain", {"method": "GET", "path": ["/v1/models", "/v1/models/{id+}"]}, base_path="/v1")
MARKED = dialect(
    "b.marked",
    [
        {"method": "GET", "path": ["/v1/models", "/v1/models/{id+}"], "header": "b-version"},
        {"method": "GET", "path": "/b/models"},
    ],  # type: ignore[arg-type]
    {"path": "/v1/messages"},
)
OTHER = dialect("c.other", {"method": "GET", "path": "/"}, {"path": "/api/chat"})


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        ("/v1/models", (), ("a.plain", "o0")),
        ("/v1/models", ("accept", "b-version"), ("b.marked", "o0")),
        ("/v1/models/x/y", (), ("a.plain", "o0")),
        ("/v1/models/x%2Fy", ("b-version",), ("b.marked", "o0")),
        ("/b/models", (), ("b.marked", "o0")),
        ("/", (), ("c.other", "o0")),
        ("/v1/nope", (), ("a.plain", None)),
        ("/v1/nope", ("b-version",), ("b.marked", None)),
        ("/v1/messages/nope", (), ("b.marked", None)),
        ("/api/nope", (), ("c.other", None)),
        ("/nope", (), (None, None)),
        ("/nope", ("b-version",), ("b.marked", None)),
    ],
)
def test_a_path_and_a_header_lead_to_a_dialect(
    table: Make, path: str, headers: tuple[str, ...], expected: tuple[str | None, str | None]
) -> None:
    """Of two routes on one path the one whose header is there serves; it also says who reads a miss."""
    assert expected == owner(table(PLAIN, MARKED, OTHER), path, *headers)


def test_a_wrong_method_is_told_by_the_owner_of_the_path(table: Make) -> None:
    """Without the header its routes are not there, so they allow nothing."""
    miss = table(PLAIN, MARKED).find("POST", b"/v1/models", ())

    assert ("a.plain", ("GET", "HEAD")) == (miss.dialect.id, miss.allowed)


def test_two_dialects_on_one_route_cannot_be_told_apart(table: Make) -> None:
    """The same method, path and header twice is an error at the start, not a matter of luck."""
    with pytest.raises(EngineError, match=r"a\.plain and c\.twin both serve GET /v1/models"):
        table(PLAIN, dialect("c.twin", {"method": "GET", "path": "/v1/models"}))
    with pytest.raises(EngineError, match="both serve"):
        table(MARKED, dialect("c.twin", {"method": "GET", "path": "/v1/models", "header": "b-version"}))
