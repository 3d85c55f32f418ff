"""What stands in an answer's text: the reader between what a mapping gives and the canonical reply.

Tool calls, where tools were offered in the prompt, and the regions that the endpoint names (`<think>` and its like).

One reader per choice. Whole replies and streams go through the same code; only whether the pieces are gathered differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from engine.translate.lifecycle import growth
from engine.translate.losses import Losses
from engine.translate.tools.offering import Offer
from engine.translate.tools.pieces import CallArguments, CallEnd, CallStart, Note, ReasoningPiece, Span, TextPiece
from engine.translate.tools.plan import ToolformatPlan
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


class TextFilter:
    """Turns pieces with text into pieces with text, reasoning and tool calls, choice by choice, each with a reader."""

    def __init__(self, make_reader: Callable[[], ToolReader], losses: Losses) -> None:
        self._make_reader = make_reader
        self._losses = losses
        self._readers: dict[int, ToolReader] = {}
        self._finish: dict[int, str] = {}
        self._totals: dict[int, str] = {}
        self._notes: dict[int, list[Note]] = {}
        self.calls = 0

    def __call__(self, piece: JsonObject) -> Iterable[JsonObject]:
        """The pieces that one piece becomes. What the reader holds back comes later, at the latest with `finish`."""
        index = piece.get("choice") or 0
        if piece.get("text_total") is not None:
            piece = self._grown(piece, index)
        text = piece.get("text")
        reason = piece.get("finish_reason")
        if isinstance(reason, str):
            self._finish[index] = reason
        if not isinstance(text, str):
            return (piece,)
        rest = {key: value for key, value in piece.items() if key != "text"}
        made = [each for part in self._reader(index).feed(text) if (each := self._translate(part, index)) is not None]
        return (rest, *made) if rest else made

    def _grown(self, piece: JsonObject, index: int) -> JsonObject:
        """A piece with a cumulative text as one with what is new of it, so that the reader sees it once."""
        sent = self._totals.get(index, "")
        new = growth(sent, piece["text_total"], "text_total")
        self._totals[index] = sent + new
        rest = {key: value for key, value in piece.items() if key != "text_total"}
        return {**rest, "text": (piece.get("text") or "") + new} if new else rest

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
            self._readers[index] = self._make_reader()
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


class Filters:
    """Two filters, one behind the other."""

    def __init__(self, first: TextFilter, second: TextFilter) -> None:
        self._first = first
        self._second = second

    def __call__(self, piece: JsonObject) -> Iterable[JsonObject]:
        """The pieces that one piece becomes."""
        for made in self._first(piece):
            yield from self._second(made)

    def finish(self) -> Iterable[JsonObject]:
        """What was held back, once the answer is over."""
        for made in self._first.finish():
            yield from self._second(made)
        yield from self._second.finish()


def call_filter(offer: Offer, losses: Losses) -> TextFilter:
    """What takes the calls of offered tools out of the text."""
    return TextFilter(lambda: ToolReader(offer.formats, offer.tools, parallel=offer.choice.parallel), losses)


def region_filter(regions: ToolformatPlan, losses: Losses) -> TextFilter:
    """What makes of an endpoint's regions what the mapping says they are."""
    return TextFilter(lambda: ToolReader((regions,), ()), losses)


def filters_of(regions: ToolformatPlan | None, offer: Offer | None, losses: Losses) -> TextFilter | Filters | None:
    """What stands between the pieces of a stream and its lifecycle: regions first, calls in what is text then."""
    calls = call_filter(offer, losses) if offer is not None and offer.tools else None
    if regions is None:
        return calls
    thoughts = region_filter(regions, losses)
    return thoughts if calls is None else Filters(thoughts, calls)


def read_regions(emitted: Json, regions: ToolformatPlan | None, losses: Losses) -> Json:
    """A whole reply whose regions are what the mapping says they are."""
    if regions is None or not isinstance(emitted, dict):
        return emitted
    return _read(emitted, lambda: region_filter(regions, losses), None)


def read_calls(emitted: JsonObject, offer: Offer, losses: Losses, readings: list[Reading] | None = None) -> JsonObject:
    """A whole reply with the calls in its text taken out; text around them stays, in order.

    How each text was read is added to `readings`, if somebody wants to know.
    """
    return _read(emitted, lambda: call_filter(offer, losses), readings)


def _read(emitted: JsonObject, make: Callable[[], TextFilter], readings: list[Reading] | None) -> JsonObject:
    many = emitted.get("choices")
    if isinstance(many, list) and many:
        return {**emitted, "choices": [_choice(each, index, make(), readings) for index, each in enumerate(many)]}
    return _choice(emitted, 0, make(), readings)


def _choice(source: Json, index: int, reader: TextFilter, readings: list[Reading] | None) -> JsonObject:
    if not isinstance(source, dict):
        return {}
    blocks = source.get("blocks")
    if isinstance(blocks, list) and blocks:
        views = {key: value for key, value in source.items() if key not in ("text", "reasoning", "tool_calls")}
        return {**views, "blocks": _blocks(blocks, source.get("finish_reason"), reader)}
    if not isinstance(source.get("text"), str):
        return source
    pieces = [
        *reader({"text": source["text"], "finish_reason": source.get("finish_reason")}),
        *reader.finish(),
    ]
    if readings is not None:
        readings.append(replace(reader.reading(source["text"]), choice=index))
    texts = "".join(piece["text"] for piece in pieces if piece.get("text"))
    thoughts = "".join(piece["reasoning"] for piece in pieces if piece.get("reasoning"))
    calls = _gather(piece["tool_call"] for piece in pieces if "tool_call" in piece)
    made = {**source, "text": texts if texts or not calls else None}
    if calls:
        made["tool_calls"] = calls
    if thoughts:
        made["reasoning"] = f"{source.get('reasoning') or ''}{thoughts}"
    return made


def _blocks(blocks: list[Json], reason: Json, reader: TextFilter) -> list[JsonObject]:
    """The blocks of an answer with its text read, each where it stood."""
    made: list[JsonObject] = []
    tuple(reader({"finish_reason": reason}))
    for block in blocks:
        if isinstance(block, dict) and block.get("kind") == "text" and isinstance(block.get("text"), str):
            _add_blocks(made, reader({"text": block["text"]}))
        else:
            made.append(block)
    _add_blocks(made, reader.finish())
    return made


def _add_blocks(blocks: list[JsonObject], pieces: Iterable[JsonObject]) -> None:
    for piece in pieces:
        last = blocks[-1] if blocks else {}
        kind = next((key for key in ("text", "reasoning", "tool_call") if key in piece), "")
        if kind == "tool_call":
            part = piece["tool_call"]
            known = next((block for block in blocks if block.get("key") == part["key"]), None)
            if known is None:
                known = {"kind": kind, "key": part["key"], "call": {"name": part.get("name"), "arguments": ""}}
                blocks.append(known)
            known["call"]["arguments"] += part.get("arguments") or ""
        elif kind and last.get("kind") == kind and last.get("read"):
            last["text"] += piece[kind]
        elif kind:
            blocks.append({"kind": kind, "text": piece[kind], "read": True})


def _gather(parts: Iterable[JsonObject]) -> list[JsonObject]:
    """The calls of their pieces, in order."""
    calls: dict[Json, JsonObject] = {}
    for part in parts:
        call = calls.setdefault(part["key"], {"name": None, "arguments": ""})
        call["name"] = part.get("name") or call["name"]
        call["arguments"] += part.get("arguments") or ""
    return list(calls.values())
