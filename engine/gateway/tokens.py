"""The tokens that upstreams gave for credentials (`auth.token`): kept to their end, fetched once for all who wait."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Final

from engine.gateway.runner import Send
from engine.translate.sealing import Seal, Token
from engine.translate.wire import UpstreamReply, UpstreamRequest

_KEPT: Final = 1024
"""Holders are upstreams, or callers of one that takes the caller's own credential; the oldest go first."""

Watch = Callable[[UpstreamRequest, UpstreamReply | None], None]
"""Told of each call for a token and of its answer; None where there was none."""


class Tokens:
    """Tokens by holder. `learned` is told each new value, so that it can be kept out of logs; `watch` of each call."""

    def __init__(self, learned: Callable[[str], None], clock: Callable[[], float] = time.time) -> None:
        self._learned = learned
        self._clock = clock
        self._known: OrderedDict[str, Token] = OrderedDict()
        self._fetching: dict[str, asyncio.Task[Token]] = {}
        self.watch: Watch | None = None

    def now(self) -> int:
        """Unix time in whole seconds."""
        return int(self._clock())

    async def get(self, seal: Seal, send: Send, refused: Token | None = None) -> Token | None:
        """The holder's token, a new one where there is none, its end has come, or it is the one that was refused.

        None where the seal needs no token. Raises UpstreamError when the upstream gives none.
        """
        if seal.ask is None:
            return None
        token = self._valid(seal.holder, refused)
        if token is not None:
            return token
        task = self._fetching.get(seal.holder)
        if task is None:
            task = self._fetching[seal.holder] = asyncio.ensure_future(self._fetched(seal, send))
            task.add_done_callback(partial(self._forget, seal.holder))
        # Whoever began it may leave; those who wait with it still get what it brings.
        return await asyncio.shield(task)

    def _forget(self, holder: str, task: asyncio.Task[Token]) -> None:
        del self._fetching[holder]
        if not task.cancelled():
            task.exception()  # whoever waited was told; if nobody did, nobody needs to know

    def _valid(self, holder: str, refused: Token | None) -> Token | None:
        token = self._known.get(holder)
        if token is None or token is refused or (token.until is not None and token.until <= self._clock()):
            return None
        return token

    async def _fetched(self, seal: Seal, send: Send) -> Token:
        assert seal.ask is not None
        now = self.now()
        request, reply = seal.ask(now), None
        try:
            reply = await send(request)
        finally:
            if self.watch is not None:
                self.watch(request, reply)
        token = seal.read(reply, now)
        self._learned(token.value.reveal())
        self._known[seal.holder] = token
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return token
