"""The stages that stream tests share: one per endpoint with whole answers, one per chat endpoint that streams."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from engine.gateway.log import ACCESS
from tests.streams.stage import CHATS, ENDPOINTS, Stage, staged

WAYS = [(endpoint, "emulated") for endpoint in ENDPOINTS] + [(endpoint, "native") for endpoint in CHATS]


class Stages:
    """The stages by endpoint and way, each started when it is first asked for."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack = stack
        self._folder = folder
        self._running: dict[tuple[str, str], Stage] = {}

    def get(self, endpoint: str, way: str) -> Stage:
        """The stage whose upstream streams (`native`) or does not (`emulated`)."""
        if (endpoint, way) not in self._running:
            folder = self._folder / f"{endpoint}.{way}"
            folder.mkdir()
            options = {"streaming": way == "native"}
            more = "timeouts: {idle_s: 1, total_s: 6}"
            self._running[(endpoint, way)] = self._stack.enter_context(
                staged(endpoint, options=options, more=more, folder=folder)
            )
        return self._running[(endpoint, way)]


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    """All stages."""
    with ExitStack() as stack:
        yield Stages(stack, tmp_path_factory.mktemp("stages"))


@pytest.fixture(params=WAYS, ids=lambda way: f"{way[0]}-{way[1]}")
def stage(request: pytest.FixtureRequest, stages: Stages) -> Stage:
    """Every endpoint, emulated and, where it can, native."""
    return stages.get(*request.param)


@pytest.fixture
def native(stages: Stages) -> Stage:
    """A chat endpoint whose upstream streams."""
    return stages.get("straico.chat.v0", "native")


@pytest.fixture
def emulated(stages: Stages) -> Stage:
    """A chat endpoint whose upstream does not stream."""
    return stages.get("straico.chat.v2", "emulated")


@pytest.fixture
def records() -> Iterator[list[dict[str, Any]]]:
    """The access log's lines as they are written."""
    seen: list[dict[str, Any]] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record.__dict__["fields"])

    handler = Keep()
    level = ACCESS.level
    ACCESS.addHandler(handler)
    ACCESS.setLevel(logging.INFO)
    try:
        yield seen
    finally:
        ACCESS.removeHandler(handler)
        ACCESS.setLevel(level)
