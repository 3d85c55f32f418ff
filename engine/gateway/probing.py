"""What an upstream does when it is asked for a stream: judged by what comes, remembered for a time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Final

from engine.gateway.upstream import LiveReply
from engine.translate.chat import Chat
from engine.translate.framing import MAX_FRAME_BYTES, SPACE, begins_whole
from engine.translate.wire import UpstreamReply

_STREAM_TYPES: Final = ("text/event-stream", "application/x-ndjson", "application/jsonl", "application/stream+json")
_WHOLE_TYPES: Final = ("application/json", "text/html")
_SSE_HEADS: Final = (b"data", b"event", b"id", b"retry", b":")
_REMEMBERED: Final = 4096


class Probes:
    """What upstreams turned out to do, per upstream and model, for a time. `clock` gives seconds, monotonic."""

    def __init__(self, ttl_s: float, clock: Callable[[], float]) -> None:
        self._ttl_s = ttl_s
        self._clock = clock
        self._known: dict[tuple[str, str], tuple[bool, float]] = {}

    def streams(self, upstream: str, model: str) -> bool | None:
        """Whether the upstream streams this model; None when it is not known any more."""
        known = self._known.get((upstream, model))
        return known[0] if known is not None and known[1] > self._clock() else None

    def note(self, upstream: str, model: str, streams: bool) -> None:
        """Remember what came. Model names are the clients': the table does not grow with them."""
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[(upstream, model)] = (streams, self._clock() + self._ttl_s)


async def judge(live: LiveReply, chat: Chat, source: AsyncGenerator[bytes, None]) -> bytes | UpstreamReply:
    """The first bytes of an answer that is a stream, or the whole answer of one that is none (F26).

    The content type decides. Where server-sent events are awaited the first characters do: some servers send an error
    as one JSON body under the type of a stream, some a stream under another type.
    """
    streams = _by_type(live, chat)
    if streams is not False and chat.target.plan.stream is not None and chat.target.plan.stream.framing == "sse":
        head = await _head(source)
        if head.lstrip(SPACE).startswith(_SSE_HEADS) or (streams and not begins_whole(head)):
            return head
        body = [head, *[piece async for piece in source]]
        return UpstreamReply(live.status, live.headers, b"".join(body))
    return b"" if streams else await live.read()


def _by_type(live: LiveReply, chat: Chat) -> bool | None:
    """Whether it is a stream by status, content type and framing; None where the bytes must tell."""
    plan = chat.target.plan.stream
    kind = live.headers.get("content-type", "").split(";")[0].strip().lower()
    if plan is None or not 200 <= live.status < 300:
        return False
    if kind.startswith(_STREAM_TYPES) or plan.framing in ("json_array", "json_concat", "text"):
        return True
    if live.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        return False
    return None if plan.framing == "sse" else kind not in _WHOLE_TYPES


async def _head(source: AsyncGenerator[bytes, None]) -> bytes:
    """The bytes up to the first that is not white space."""
    head = b""
    async for piece in source:
        head += piece
        if head.strip(SPACE) or len(head) > MAX_FRAME_BYTES:
            break
    return head
