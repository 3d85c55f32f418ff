"""Tool calls out of an answer's text: the reader between what a mapping gives and the canonical reply.

One reader per choice. Whole replies and streams go through the same code; only whether the pieces are gathered differs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from engine.translate.losses import Losses
from engine.translate.tools.offering import Offer
from engine.translate.tools.pieces import CallArguments, CallEnd, CallStart, Note, ReasoningPiece, Span, TextPiece
from engine.translate.tools.reader import ToolReader
from engine.types import Json, JsonObject

Piece = TextPiece | ReasoningPiece | CallStart | CallArguments | CallEnd | Note

_LOSSES = {"repaired": "damaged", "damaged": "damaged", "dropped": "dropped"}
"""What a reader's note becomes as a loss; a near miss is text as it was and no loss."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How the text of one choice was read, for `engine explain`: what each character was taken for, and the notes."""

    choice: int
    text: str
    spans: tuple[Span, ...]
    notes: tuple[Note, ...]


class ToolFilter:
    """Turns pieces with text into pieces with text and tool calls, choice by choice."""

    def __init__(self, offer: Offer, losses: Losses) -> None:
        self._offer = offer
        self._losses = losses
        self._readers: dict[int, ToolReader] = {}
        self._finish: dict[int, str] = {}
        self._notes: dict[int, list[Note]] = {}
        self.calls = 0

    def __call__(self, piece: JsonObject) -> Iterable[JsonObject]:
        """The pieces that one piece becomes. What the reader holds back comes later, at the latest with `finish`."""
        text = piece.get("text")
        index = piece.get("choice") or 0
        reason = piece.get("finish_reason")
        if isinstance(reason, str):
            self._finish[index] = reason
        if not isinstance(text, str):
            return (piece,)
        rest = {key: value for key, value in piece.items() if key != "text"}
        made = [each for part in self._reader(index).feed(text) if (each := self._translate(part, index)) is not None]
        return (rest, *made) if rest else made

    def finish(self) -> Iterable[JsonObject]:
        """What was held back, once the answer is over."""
        for index, reader in self._readers.items():
            for part in reader.finish(cut=self._finish.get(index) == "length"):
                made = self._translate(part, index)
                if made is not None:
                    yield made

    def reading(self, text: str, index: int = 0) -> Reading:
        """How the text of a choice was read, once it is over."""
        return Reading(index, text, tuple(self._reader(index).spans), tuple(self._notes.get(index, ())))

    def _reader(self, index: int) -> ToolReader:
        if index not in self._readers:
            offer = self._offer
            self._readers[index] = ToolReader(offer.formats, offer.tools, parallel=offer.choice.parallel)
        return self._readers[index]

    def _translate(self, part: Piece, index: int) -> JsonObject | None:
        if isinstance(part, TextPiece):
            return {"choice": index, "text": part.text}
        if isinstance(part, ReasoningPiece):
            return {"choice": index, "reasoning": part.text}
        if isinstance(part, Note):
            self._notes.setdefault(index, []).append(part)
            action = _LOSSES.get(part.action)
            if action is not None:
                self._losses.add("tool_calls", action, "reply", part.rule)
            return None
        return {"choice": index, "tool_call": self._call(part)}

    def _call(self, part: CallStart | CallArguments | CallEnd) -> JsonObject:
        if isinstance(part, CallStart):
            self.calls += 1
            # A model's own ids repeat from answer to answer; the engine's are unique in the conversation.
            return {"key": part.index, "name": part.name}
        if isinstance(part, CallArguments):
            return {"key": part.index, "arguments": part.text}
        return {"key": part.index, "done": True}


def read_calls(emitted: JsonObject, offer: Offer, losses: Losses, readings: list[Reading] | None = None) -> JsonObject:
    """A whole reply with the calls in its text taken out; text around them stays, in order.

    How each text was read is added to `readings`, if somebody wants to know.
    """
    many = emitted.get("choices")
    if isinstance(many, list) and many:
        made = [_choice(each, index, offer, losses, readings) for index, each in enumerate(many)]
        return {**emitted, "choices": made}
    return _choice(emitted, 0, offer, losses, readings)


def _choice(source: Json, index: int, offer: Offer, losses: Losses, readings: list[Reading] | None) -> JsonObject:
    if not isinstance(source, dict) or not isinstance(source.get("text"), str):
        return source if isinstance(source, dict) else {}
    tools = ToolFilter(offer, losses)
    pieces = [
        *tools({"text": source["text"], "finish_reason": source.get("finish_reason")}),
        *tools.finish(),
    ]
    if readings is not None:
        readings.append(replace(tools.reading(source["text"]), choice=index))
    texts = "".join(piece["text"] for piece in pieces if piece.get("text"))
    thoughts = "".join(piece["reasoning"] for piece in pieces if piece.get("reasoning"))
    calls = _gather(piece["tool_call"] for piece in pieces if "tool_call" in piece)
    if not calls and not thoughts:
        return {**source, "text": texts}
    made = {**source, "tool_calls": calls}
    made["text"] = texts if texts else (None if calls else texts)
    if thoughts:
        made["reasoning"] = f"{source.get('reasoning') or ''}{thoughts}"
    return made


def _gather(parts: Iterable[JsonObject]) -> list[JsonObject]:
    """The calls of their pieces, in order."""
    calls: dict[Json, JsonObject] = {}
    for part in parts:
        call = calls.setdefault(part["key"], {"name": None, "arguments": ""})
        call["name"] = part.get("name") or call["name"]
        call["arguments"] += part.get("arguments") or ""
    return list(calls.values())
