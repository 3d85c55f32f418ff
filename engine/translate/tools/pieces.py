"""What reading a text yields: text, calls and notes in order, and the spans that account for every character."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TextPiece:
    """Text that stays content."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningPiece:
    """Text of a region that is reasoning."""

    text: str


@dataclass(frozen=True, slots=True)
class CallStart:
    """A call begins: its position among the calls of the answer (from 0), the offered name, the id if one was given."""

    index: int
    name: str
    id: str | None


@dataclass(frozen=True, slots=True)
class CallArguments:
    """A piece of the arguments: JSON text."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class CallEnd:
    """A call has ended. `arguments` is all of its JSON text; it is not valid JSON if the call was cut or damaged."""

    index: int
    arguments: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something to report: `repaired`, `damaged` or `dropped` (losses), or `near_miss` (text that looked like a call).

    `rule` is `format.rule`; `detail` says what was done or what was missing.
    """

    action: str
    rule: str
    detail: str


Piece = TextPiece | ReasoningPiece | CallStart | CallArguments | CallEnd | Note


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the text: `text`, `call`, `markup`, `dropped` or `reasoning`; `start` and `end` count characters."""

    kind: str
    start: int
    end: int
    rule: str
