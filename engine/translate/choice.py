"""One answer of a streamed reply while it arrives: its open block, its calls, and the whole that they add up to."""

from __future__ import annotations

import json
from typing import Final

from engine.types import Json, JsonObject

IDLE, TEXT, REASONING, REFUSAL, CALLS, FINISHED = "IDLE", "TEXT", "REASONING", "REFUSAL", "CALLS", "FINISHED"

KINDS: Final = {TEXT: "text", REASONING: "reasoning", REFUSAL: "refusal"}
"""The kind of block that stands open in a state; calls may stand open side by side and are kept apart."""

_NULL: Final = "null"


class Call:
    """One tool call of a choice while it arrives.

    State   `waiting` are pieces of the arguments that were not sent yet; `started` once it was announced, `complete`
            once nothing more of it comes, `done` once that was said as well. `given_id` is the upstream's own id.
    """

    __slots__ = ("arguments", "block", "complete", "done", "given_id", "id", "index", "name", "started", "waiting")

    def __init__(self, index: int, call_id: str, given_id: Json) -> None:
        self.index = index
        self.id = call_id
        self.given_id = given_id
        self.name = ""
        self.arguments: list[str] = []
        self.waiting: list[str] = []
        self.block = -1
        self.started = False
        self.complete = False
        self.done = False

    def take_waiting(self) -> list[str]:
        """The pieces to be sent now. Arguments that are `null` so far wait: they may be none at all."""
        if not self.waiting or (len(self.waiting) == len(self.arguments) and _NULL.startswith(self._whole().strip())):
            return []
        taken, self.waiting = self.waiting, []
        return taken

    def settle(self) -> None:
        """Nothing more comes: arguments that never came, or are the word `null`, are `{}`."""
        if self._whole().strip() in ("", _NULL):
            self.arguments, self.waiting = ["{}"], ["{}"]

    def _whole(self) -> str:
        return "".join(self.arguments)

    def is_followed_by(self, piece: JsonObject, given_id: Json) -> bool:
        """Whether a piece with this call's key, or with none, begins another call.

        Some upstreams give all calls of an answer the same index, some none and no id either: then another id with a
        name tells, or that these arguments are whole and the piece names another function or opens arguments anew.
        """
        name = piece.get("name")
        if given_id is not None:
            return bool(name) and self.given_id not in (None, given_id)
        if piece.get("key") is not None and not name:
            return False
        opens = str(piece.get("arguments") or "").lstrip().startswith("{")
        return (opens or bool(name and self.name and name != self.name)) and self._is_whole()

    def _is_whole(self) -> bool:
        text = self._whole().strip()
        if not text.endswith("}"):
            return False
        try:
            return isinstance(json.loads(text), dict)
        except ValueError:
            return False

    def as_json(self) -> JsonObject:
        """The call as events and `out` show it."""
        return {"id": self.id, "name": self.name, "arguments": self._whole(), "index": self.index}


class Choice:
    """The state of one choice. `blocks` and the texts are only kept where someone reads the whole answer.

    `held` are pieces of text that came while a call was open, where blocks go one after the other.
    """

    __slots__ = (
        "block_id", "blocks", "calls", "finish_reason", "held", "index", "keys", "logprobs", "open_block", "open_text",
        "sent", "state", "state_given", "stop_sequence", "texts", "waiting_logprobs",
    )  # fmt: skip

    def __init__(self, index: int) -> None:
        self.index = index
        self.state = IDLE
        self.state_given: Json = None
        self.texts: dict[str, list[str]] = {"text": [], "reasoning": [], "refusal": []}
        self.open_text: list[str] = []
        self.sent = {"text_total": "", "reasoning_total": ""}
        self.blocks: list[JsonObject] = []
        self.calls: list[Call] = []
        self.keys: dict[Json, Call] = {}
        self.held: list[JsonObject] = []
        self.finish_reason: str | None = None
        self.stop_sequence: Json = None
        self.logprobs: Json = None
        self.waiting_logprobs: Json = None
        self.open_block = -1
        self.block_id = ""

    def call_of(self, key: Json, given_id: Json) -> Call | None:
        """The call that a piece belongs to: by its key, else by its id, else the last that is open."""
        if key is not None:
            return self.keys.get(key)
        if given_id is not None:
            return next((call for call in self.calls if call.given_id == given_id), None)
        return self.calls[-1] if self.calls and not self.calls[-1].done else None

    def reason(self) -> str:
        """Why the answer ended: calls decide over what the upstream said (trap 44), but a cut one stays cut."""
        calls = any(call.started for call in self.calls)
        given = self.finish_reason or "stop"
        if calls and given == "stop":
            return "tool_calls"
        return "stop" if given == "tool_calls" and not calls else given

    def whole(self) -> JsonObject:
        """The choice as `out` shows it at the end; its keys are those of an answer that came whole."""
        texts: JsonObject = {kind: "".join(parts) if parts else None for kind, parts in self.texts.items()}
        return {
            "index": self.index,
            **texts,
            "tool_calls": [call.as_json() for call in self.calls if call.started],
            "finish_reason": self.reason(),
            "stop_sequence": self.stop_sequence,
            "logprobs": self.logprobs,
            "blocks": [_shown(block, index) for index, block in enumerate(self.blocks)],
        }


def _shown(block: JsonObject, index: int) -> JsonObject:
    call = block.get("call")
    return {**block, "index": index, **({"call": call.as_json()} if isinstance(call, Call) else {})}


def add_logprobs(known: Json, more: Json) -> Json:
    """Logprobs of two stretches of one text: lists are joined, key by key; else the later stand."""
    if isinstance(known, list) and isinstance(more, list):
        return [*known, *more]
    if isinstance(known, dict) and isinstance(more, dict):
        return {**known, **{key: add_logprobs(known.get(key), value) for key, value in more.items()}}
    return known if more is None else more
