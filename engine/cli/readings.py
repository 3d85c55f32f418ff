"""How an answer's text was read for tool calls, for people: which rule read what, and why a near miss stayed text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final

from engine.translate.tools.answer import Reading
from engine.types import JsonObject

_SHOWN_CHARACTERS: Final = 56
_ACTIONS: Final = {"near_miss": "left as text"}


def as_json(readings: Sequence[Reading]) -> list[JsonObject]:
    """The readings as data: spans with the text that they cover, and notes."""
    return [
        {
            "choice": each.choice,
            "spans": [
                {"kind": s.kind, "start": s.start, "end": s.end, "rule": s.rule, "text": each.text[s.start : s.end]}
                for s in each.spans
            ],
            "notes": [{"action": note.action, "rule": note.rule, "detail": note.detail} for note in each.notes],
        }
        for each in readings
    ]


def lines(readings: Sequence[Reading]) -> Iterator[str]:
    """The readings as lines; none for an answer that was text throughout."""
    for each in readings:
        if all(span.kind == "text" for span in each.spans) and not each.notes:
            continue
        yield "reading of the text" + (f", choice {each.choice}" if len(readings) > 1 else "")
        for span in each.spans:
            shown = json.dumps(each.text[span.start : span.end], ensure_ascii=False)
            shown = shown if len(shown) <= _SHOWN_CHARACTERS else f'{shown[: _SHOWN_CHARACTERS - 2]}…"'
            yield f"  {f'{span.start}-{span.end}':<11} {span.kind:<9} {span.rule:<24} {shown}".rstrip()
        for note in each.notes:
            yield f"  {_ACTIONS.get(note.action, note.action)}: {note.rule} {note.detail}"
