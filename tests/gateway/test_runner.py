"""The driver of an exchange."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

import pytest

from engine.errors import ErrorInfo, UpstreamError
from engine.gateway.runner import run_exchange
from engine.translate.wire import UpstreamReply, UpstreamRequest

REQUEST = UpstreamRequest("GET", "http://a/", (), (), None, "http://a")
REPLY = UpstreamReply(200, {}, b"1")
FAILURE = UpstreamError(ErrorInfo("upstream", "no"))


async def answer(request: UpstreamRequest) -> UpstreamReply:
    return REPLY


async def fail(request: UpstreamRequest) -> UpstreamReply:
    raise FAILURE


def test_several_calls() -> None:
    """Each yield is one call; the return value is the result."""

    def exchange() -> Generator[UpstreamRequest, UpstreamReply, int]:
        first = yield REQUEST
        second = yield REQUEST
        return first.status + second.status

    assert asyncio.run(run_exchange(exchange(), answer)) == 400


def test_no_call() -> None:
    """An exchange may need nobody."""

    def exchange() -> Generator[UpstreamRequest, UpstreamReply, str]:
        return "done"
        yield REQUEST

    assert asyncio.run(run_exchange(exchange(), answer)) == "done"


def test_a_failure_is_thrown_in() -> None:
    """The exchange may try another way."""

    def exchange() -> Generator[UpstreamRequest, UpstreamReply, str]:
        try:
            yield REQUEST
        except UpstreamError as failure:
            return failure.info.message
        return "never"

    assert asyncio.run(run_exchange(exchange(), fail)) == "no"


def test_a_failure_passes_through() -> None:
    """By default it reaches the caller, and the exchange is closed."""
    closed = []

    def exchange() -> Generator[UpstreamRequest, UpstreamReply, str]:
        try:
            yield REQUEST
        finally:
            closed.append(True)
        return "never"

    with pytest.raises(UpstreamError):
        asyncio.run(run_exchange(exchange(), fail))
    assert closed == [True]
