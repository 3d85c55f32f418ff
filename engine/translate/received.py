"""What of an upstream's reply trees see, whether it is an answer or a failure; and how long it says to wait."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from math import ceil

from engine.translate.plan import Codec
from engine.translate.wire import Target, UpstreamReply
from engine.types import Headers, Json, Scope


def received(target: Target, scope: Scope, reply: UpstreamReply, codec: Codec) -> tuple[Scope, bool]:
    """What trees see of any reply, failures too; and whether its body is JSON."""
    decoded, readable = _decode(reply, codec)
    seen: Scope = {
        **scope,
        "res": decoded,
        "raw": reply.body.decode("utf-8", "replace") if decoded is None or reply.status >= 300 else None,
        "http": {"status": reply.status, "headers": dict(reply.headers)},
        "models": list(target.known_models) if target.known_models is not None else None,
    }
    return seen, readable


def _decode(reply: UpstreamReply, codec: Codec) -> tuple[Json, bool]:
    try:
        return codec.loads(reply.body), True
    except ValueError:
        return None, False


def retry_after_s(headers: Headers, now: float | None = None) -> int | None:
    """Read `retry-after-ms` or `retry-after` in seconds; a date needs a clock, so its wait is taken against `date`.

    Returns None for none or garbage, at least 1 otherwise (F17, F18).
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return max(1, ceil(milliseconds / 1000))
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is not None:
        return max(1, ceil(seconds))
    if text is None:
        return None
    try:
        until = parsedate_to_datetime(text)
        if "date" in headers:
            return max(1, ceil((until - parsedate_to_datetime(headers["date"])).total_seconds()))
        return None if now is None else max(1, ceil(until.timestamp() - now))
    except (TypeError, ValueError, OverflowError):
        return None


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else None
    except ValueError:
        return None
    return value if value is not None and 0 <= value < 1e9 else None
