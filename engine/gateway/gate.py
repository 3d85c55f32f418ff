"""The queue before an upstream: so many calls at a time, so many waiting, no longer than so (rule R11, fault F6).

The HTTP library's own pool limit is not used: under cancellation it loses slots.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

from engine.config import ConcurrencyConfig
from engine.gateway.faults import BUSY


class Gate:
    """`async with gate:` holds one slot. Raises UpstreamError (503 gateway_busy) when there is none."""

    def __init__(self, limits: ConcurrencyConfig) -> None:
        self._limits = limits
        self._slots = asyncio.Semaphore(limits.in_flight)
        self.in_flight = 0
        self.waiting = 0

    async def __aenter__(self) -> None:
        if self._slots.locked():
            await self._wait()
        else:
            await self._slots.acquire()
        self.in_flight += 1

    async def _wait(self) -> None:
        if self.waiting >= self._limits.waiting:
            raise BUSY.error(f"{self.in_flight} in flight, {self.waiting} waiting", retry_after_s=1)
        self.waiting += 1
        try:
            async with asyncio.timeout(self._limits.wait_s):
                await self._slots.acquire()
        except TimeoutError:
            raise BUSY.error(f"no slot within {self._limits.wait_s} s", retry_after_s=1) from None
        finally:
            self.waiting -= 1

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.in_flight -= 1
        self._slots.release()
