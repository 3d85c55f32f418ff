"""Match the head of a call: literals and captured names in sequence, white space allowed between them."""

from __future__ import annotations

from typing import Final

from engine.translate.tools.plan import Literals, Pattern, Tokens
from engine.translate.tools.source import Source, Wait

MAX_CAPTURE_CHARS: Final = 256
"""What a regular expression may take; so much may be held back to decide."""


def match_tokens(source: Source, at: int, tokens: Tokens) -> Wait[tuple[int, dict[str, str]] | None]:
    """Match a token sequence at a place: where it ends and what it captured, or None."""
    captured: dict[str, str] = {}
    for index, token in enumerate(tokens):
        if index:
            at = yield from source.space(at)
        if isinstance(token, Literals):
            found = yield from source.literal(at, token.texts)
            if found is None:
                return None
            at += len(found)
            continue
        taken = yield from (_until(source, at, token) if token.until else _run(source, at, token))
        if taken is None:
            return None
        at, captured[token.kind] = taken
    return at, captured


def _run(source: Source, at: int, token: Pattern) -> Wait[tuple[int, str] | None]:
    """As many characters of one class as there are."""
    while True:
        window = source.cut(at, min(at + MAX_CAPTURE_CHARS + 1, source.end))
        found = token.match.match(window)
        length = found.end() if found is not None else 0
        if length > MAX_CAPTURE_CHARS:
            return None
        if length < len(window) or not (yield from source.more(at)):
            return (at + length, window[:length]) if found is not None else None


def _until(source: Source, at: int, token: Pattern) -> Wait[tuple[int, str] | None]:
    """What stands before the first literal of `until` that leaves a text which the expression matches."""
    place = at
    while place <= at + MAX_CAPTURE_CHARS:
        if place >= source.end and not (yield from source.more(at)):
            return None
        if source.char(place) not in _firsts(token):
            place += 1
            continue
        low = source.pin
        source.pin = at if low < 0 else min(low, at)
        found = yield from source.literal(place, token.until)
        source.pin = low
        text = source.cut(at, place).strip()
        if found is not None and token.match.fullmatch(text) is not None:
            return place, text
        place += 1
    return None


def _firsts(token: Pattern) -> str:
    return "".join(each[0] for each in token.until)
