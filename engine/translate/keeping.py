"""Reasoning state that a client's dialect has no place for, kept inside what it does carry.

An upstream may sign its thoughts and want them back unchanged. Where client and endpoint speak the same wire the state
travels as it is. Else the dialect says where a foreign one can ride (`keeps_state`): as the state of its own reasoning
blocks, or in the ids of tool calls, which every client of tools sends back. Either way it is one text,

    PREFIX _kept1_ BASE64URL(ZLIB(JSON [wire, value]))

which names the wire that it belongs to, so that it goes back to an endpoint of that wire and to no other (`foreign`).
In an id PREFIX is the id itself and the value a list of thoughts `{text, state}`, since their text may be signed too;
in a block PREFIX is empty and the value the state alone.

Nothing is stored. The text is not secret to the client and not proof against it: it may send any state anyway. Too
large a state, one of an endpoint without a wire, and one that no call follows is dropped, which is a loss.
"""

from __future__ import annotations

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

from engine.translate.losses import Losses
from engine.translate.plan import Codec
from engine.types import Json, JsonObject

PLACES: Final = ("blocks", "call_ids")
MAX_CHARS: Final = 32_768
_MAX_BYTES: Final = 262_144
_MARK: Final = "_kept1_"
_FIELD: Final = "reasoning.state"


class Keeper:
    """What becomes of the state of one answer. `place` is one of PLACES; None keeps nothing."""

    def __init__(self, place: str | None, wire: str | None, losses: Losses, codec: Codec) -> None:
        self._place = place if wire is not None else None
        self._wire = wire
        self._losses = losses
        self._codec = codec
        self._text: dict[int, list[str]] = {}
        self._chars: dict[int, int] = {}
        self._waiting: dict[int, list[JsonObject]] = {}

    def open(self, choice: int) -> None:
        """A thought begins."""
        self._text[choice] = []
        self._chars[choice] = 0

    def text(self, choice: int, piece: str) -> None:
        """A piece of its text."""
        if self._place == "call_ids" and self._chars.get(choice, 0) <= _MAX_BYTES:
            self._text.setdefault(choice, []).append(piece)
            self._chars[choice] = self._chars.get(choice, 0) + len(piece)

    def state(self, choice: int, state: Json) -> Json:
        """The state of the thought, as the client's dialect is to see it; None where it cannot."""
        if self._place == "blocks":
            return self._sealed("", state)
        if self._place == "call_ids":
            thought = {"text": "".join(self._text.pop(choice, ())), "state": state}
            self._waiting.setdefault(choice, []).append(thought)
        else:
            self._lose()
        return None

    def call_id(self, choice: int, call_id: str) -> str:
        """The id of a call that begins, with the thoughts before it."""
        thoughts = self._waiting.pop(choice, None)
        return call_id if thoughts is None else self._sealed(call_id, thoughts) or call_id

    def end(self) -> None:
        """The answer is over; thoughts without a call behind them are lost."""
        if self._waiting:
            self._waiting.clear()
            self._lose()

    def _sealed(self, prefix: str, value: Json) -> str | None:
        packed = zlib.compress(self._codec.dumps([self._wire, value]))
        sealed = f"{prefix}{_MARK}{urlsafe_b64encode(packed).decode().rstrip('=')}"
        if len(sealed) <= MAX_CHARS:
            return sealed
        self._lose()
        return None

    def _lose(self) -> None:
        self._losses.add(_FIELD, "dropped", "reply")


def kept_reply(out: JsonObject, keeper: Keeper) -> JsonObject:
    """A whole reply as a client of the dialect gets it."""
    for choice in out["choices"]:
        for block in choice["blocks"]:
            if block["kind"] == "reasoning":
                keeper.open(choice["index"])
                keeper.text(choice["index"], block.get("text") or "")
                if block.get("state") is not None:
                    block["state"] = keeper.state(choice["index"], block["state"])
            elif block["kind"] == "tool_call" and block.get("call"):
                block["call"]["id"] = keeper.call_id(choice["index"], block["call"]["id"])
                block["id"] = block["call"]["id"]
    keeper.end()
    return out


def with_kept_state(request: JsonObject, codec: Codec, losses: Losses) -> JsonObject:
    """The request with what a client sent back in its place: ids as they were, thoughts with state and `wire`."""
    messages = request["messages"]
    if not any(_holds(message) for message in messages):
        return request
    opened = [_opened(message, f"messages[{at}]", codec, losses) for at, message in enumerate(messages)]
    return {**request, "messages": opened}


def _holds(message: JsonObject) -> bool:
    return (
        _is_sealed(message.get("tool_call_id"))
        or any(_is_sealed(call.get("id")) for call in message.get("tool_calls") or ())
        or any(_is_sealed(thought.get("state")) for thought in _thoughts(message))
    )


def _is_sealed(text: Json) -> bool:
    return isinstance(text, str) and _MARK in text


def _thoughts(message: JsonObject) -> list[JsonObject]:
    thoughts = message.get("reasoning")
    return [each for each in thoughts if isinstance(each, dict)] if isinstance(thoughts, list) else []


def _opened(message: JsonObject, where: str, codec: Codec, losses: Losses) -> JsonObject:
    made = dict(message)
    if _is_sealed(message.get("tool_call_id")):
        made["tool_call_id"] = message["tool_call_id"].partition(_MARK)[0]
    thoughts = [_own_state(thought, where, codec, losses) for thought in _thoughts(message)]
    if message.get("tool_calls"):
        kept: list[JsonObject] = []
        made["tool_calls"] = [_own_id(call, where, kept, codec, losses) for call in message["tool_calls"]]
        thoughts = kept or thoughts  # what is kept has the text too
    return {**made, "reasoning": thoughts} if thoughts else made


def _own_state(thought: JsonObject, where: str, codec: Codec, losses: Losses) -> JsonObject:
    if not _is_sealed(thought.get("state")):
        return thought
    found = _read(thought["state"].partition(_MARK)[2], codec)
    rest = {key: value for key, value in thought.items() if key != "state"}
    if found is None:
        losses.add(f"{where}.{_FIELD}", "damaged")
        return rest
    return {**rest, "state": found[1], "wire": found[0]}


def _own_id(call: JsonObject, where: str, kept: list[JsonObject], codec: Codec, losses: Losses) -> JsonObject:
    if not _is_sealed(call.get("id")):
        return call
    call_id, _, packed = call["id"].partition(_MARK)
    found = _read(packed, codec)
    if found is None or not isinstance(found[1], list):
        losses.add(f"{where}.{_FIELD}", "damaged")
    else:
        kept += [{**each, "wire": found[0]} for each in found[1] if isinstance(each, dict)]
    return {**call, "id": call_id}


def _read(packed: str, codec: Codec) -> tuple[str, Json] | None:
    """The wire and the value; None where the text is not whole, or says more than it may."""
    if len(packed) > MAX_CHARS:
        return None
    try:
        raw = urlsafe_b64decode(packed + "=" * (-len(packed) % 4))
        opener = zlib.decompressobj()
        found = codec.loads(opener.decompress(raw, _MAX_BYTES))
    except (ValueError, zlib.error):
        return None
    if not isinstance(found, list) or len(found) != 2 or not isinstance(found[0], str) or not opener.eof:
        return None
    return found[0], found[1]
