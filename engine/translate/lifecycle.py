"""The life of a streamed answer: from canonical pieces to events whose order is always legal (DESIGN 2.6, DECISIONS 1).

*Theory.* Mappings only say what a piece means; this file owns the sequence: `start` first, blocks that open and close
and are numbered 0, 1, 2 …, one `finish` per choice, `usage` and `end` last and once, nothing after `end` or `error`.
Pieces of text and reasoning open a block and go on in it; a piece of another kind closes it. Tool calls may be open
side by side; text closes them. `TRANSITIONS` is the table of one choice's state; the docs' diagram is drawn from it.

Where the client's dialect wants blocks one after the other (`serial`), pieces of a second open call wait until the
first is done. Finish reason and usage are withheld until the stream is known to be complete: a terminator or a finish
was seen (DECISIONS 2.15); a close with neither is an error and never looks finished.

State   IDLE -> TEXT | REASONING | CALLS (and between these) -> FINISHED
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from engine.errors import ErrorInfo, UpstreamError
from engine.translate.reply import FINISH_REASONS, complete_usage
from engine.types import Json, JsonObject

IDLE, TEXT, REASONING, CALLS, FINISHED = "IDLE", "TEXT", "REASONING", "CALLS", "FINISHED"

TRANSITIONS: Final[Mapping[str, Mapping[str, str]]] = {
    IDLE: {"text": TEXT, "reasoning": REASONING, "call": CALLS, "finish": FINISHED},
    TEXT: {"text": TEXT, "reasoning": REASONING, "call": CALLS, "finish": FINISHED},
    REASONING: {"text": TEXT, "reasoning": REASONING, "call": CALLS, "finish": FINISHED},
    CALLS: {"text": TEXT, "reasoning": REASONING, "call": CALLS, "finish": FINISHED},
    FINISHED: {},
}
"""What a choice's state becomes by a piece; a piece that has no entry comes too late and is dropped."""

_STOPS: Final = {TEXT: "text", REASONING: "reasoning"}
_TEXT_STATES: Final = {"text": TEXT, "reasoning": REASONING}
Event = JsonObject


class Call:
    """One tool call of a choice while it arrives."""

    __slots__ = ("arguments", "block", "done", "id", "index", "name", "started", "waiting")

    def __init__(self, index: int, call_id: str, name: str) -> None:
        self.index = index
        self.id = call_id
        self.name = name
        self.arguments: list[str] = []
        self.waiting: list[str] = []
        self.block = -1
        self.started = False
        self.done = False

    def as_json(self) -> JsonObject:
        """The call as events and `out` show it."""
        return {"id": self.id, "name": self.name, "arguments": "".join(self.arguments), "index": self.index}


class Choice:
    """The state of one choice."""

    __slots__ = (
        "block_id", "calls", "finish_reason", "index", "keys", "open_block", "open_text", "reasoning", "sent", "state",
        "text",
    )  # fmt: skip

    def __init__(self, index: int) -> None:
        self.index = index
        self.state = IDLE
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.open_text: list[str] = []
        self.sent = {"text_total": "", "reasoning_total": ""}
        self.calls: list[Call] = []
        self.keys: dict[Json, Call] = {}
        self.finish_reason: str | None = None
        self.open_block = -1
        self.block_id = ""


class Lifecycle:
    """Turns canonical pieces into events. One object per request.

    `start` is the reply as far as it is known before the upstream spoke: id, model, created. Without `keeps_text` the
    text of an answer is forgotten once it is passed on, so that a long one takes no memory; `out` has none then.
    """

    def __init__(self, start: JsonObject, *, serial: bool = False, choices: int = 1, keeps_text: bool = True) -> None:
        self.out: JsonObject = dict(start)
        self._serial = serial
        self._keeps_text = keeps_text
        self._choices = [Choice(index) for index in range(choices)]
        self._blocks = 0
        self._started = False
        self.closed = False
        self.terminated = False
        self._usage: JsonObject = {}

    # -- in

    def start(self) -> list[Event]:
        """The `start` event, once."""
        if self._started:
            return []
        self._started = True
        return [{"kind": "start", "choice": choice.index, "usage": self._usage or None} for choice in self._choices]

    def take(self, piece: JsonObject) -> list[Event]:
        """Take what one `emit` of a mapping gave and return the events it makes."""
        if self.closed:
            return []
        if not _NOTED.isdisjoint(piece):
            self._note(piece)
        index = piece.get("choice") or 0
        choice = self._choices[index] if 0 <= index < len(self._choices) else None
        if choice is None:
            return []
        events: list[Event] = []
        keys = [key for key in piece if key in _PIECES]
        for key in keys if len(keys) < 2 else sorted(keys, key=_ORDER.__getitem__):
            value = piece[key]
            if value is not None and value != "":
                events += _PIECES[key](self, choice, value)
        reason = piece.get("finish_reason")
        if reason is not None:
            choice.finish_reason = reason if reason in FINISH_REASONS else "stop"
        return self.start() + events if events and not self._started else events

    def _note(self, piece: JsonObject) -> None:
        """What concerns the whole reply: the first id and model win, usage is merged with the last value per key."""
        out = self.out
        for key, name in _FIRST_WINS if "upstream_id" not in out or "upstream_model" not in out else ():
            if piece.get(key) is not None and out.get(name) is None:
                out[name] = piece[key]
        usage = piece.get("usage")
        if isinstance(usage, dict):
            self._usage.update((key, value) for key, value in usage.items() if value is not None)
        for key in ("cost", "meta"):
            if piece.get(key) is not None:
                self.out[key] = piece[key]

    # -- pieces

    def _move(self, choice: Choice, piece: str) -> list[Event] | None:
        """Go to the state that a piece needs, closing what it does not go on with; None where nothing may follow."""
        state = TRANSITIONS[choice.state].get(piece)
        if state is None:
            return None
        events = self._close(choice) if state != choice.state else []
        if state != choice.state and state in _STOPS:
            choice.open_text = []
            choice.open_block = self._next_block()
            choice.block_id = f"{self.out['id']}_{choice.open_block}"
            events.append(self._block_event(choice, f"{_STOPS[state]}_start", choice.open_block, text=""))
        choice.state = state
        return events

    def _next_block(self) -> int:
        self._blocks += 1
        return self._blocks - 1

    def _block_event(self, choice: Choice, kind: str, block: int, **values: Json) -> Event:
        return {"kind": kind, "choice": choice.index, "block": block, "id": f"{self.out['id']}_{block}", **values}

    def _take_text(self, choice: Choice, piece: Json, kind: str) -> list[Event]:
        if not isinstance(piece, str):
            return []
        events: list[Event] = []
        if choice.state != _TEXT_STATES[kind]:
            moved = self._move(choice, kind)
            if moved is None:
                return []
            events = moved
        if self._keeps_text:
            (choice.text if kind == "text" else choice.reasoning).append(piece)
            choice.open_text.append(piece)
        block = choice.open_block
        events.append({"kind": kind, "choice": choice.index, "block": block, "id": choice.block_id, "text": piece})
        return events

    def _take_total(self, choice: Choice, total: Json, key: str) -> list[Event]:
        """Cumulative text: only what is new is a piece; a total that was rewritten gives nothing."""
        sent = choice.sent[key]
        if not isinstance(total, str) or not total.startswith(sent) or total == sent:
            return []
        choice.sent[key] = total
        return self._take_text(choice, total[len(sent) :], key.removesuffix("_total"))

    def _take_calls(self, choice: Choice, calls: Json) -> list[Event]:
        """Complete calls."""
        events: list[Event] = []
        for call in calls if isinstance(calls, list) else []:
            key = ("whole", len(choice.calls))
            whole = {**call, "key": key, "arguments": call.get("arguments") or "{}"}
            events += self._take_call(choice, whole)
            made = choice.keys.get(key)
            if made is not None:
                events += self._finish_call(choice, made)
        return events

    def _take_call(self, choice: Choice, piece: Json) -> list[Event]:
        """A piece of a call; a new key begins a new one."""
        events = self._move(choice, "call")
        if events is None or not isinstance(piece, dict):
            return []
        key = piece.get("key")
        call = choice.keys.get(key)
        if call is None:
            index = len(choice.calls)
            call_id = piece.get("id") or f"call_{self.out['id']}_{self._call_number()}"
            call = Call(index, str(call_id), "")
            choice.calls.append(call)
            choice.keys[key] = call
        if call.done:
            return events
        call.name = call.name or str(piece.get("name") or "")
        arguments = piece.get("arguments")
        if isinstance(arguments, str) and arguments:
            call.arguments.append(arguments)
            call.waiting.append(arguments)
        events += self._advance(choice, call)
        return events + self._finish_call(choice, call) if piece.get("done") else events

    def _call_number(self) -> int:
        return sum(len(choice.calls) for choice in self._choices)

    def _advance(self, choice: Choice, call: Call) -> list[Event]:
        """Send what a call has, unless it waits for its name or, in a serial dialect, for the call before it."""
        if not call.name or (self._serial and self._before(choice, call)):
            return []
        events: list[Event] = []
        if not call.started:
            call.started = True
            call.block = self._next_block()
            start = {"id": call.id, "name": call.name, "index": call.index}
            events.append(self._block_event(choice, "tool_call_start", call.block, call=start))
        for piece in call.waiting:
            events.append(
                self._block_event(
                    choice, "tool_call_delta", call.block, text=piece, call={"id": call.id, "index": call.index}
                )
            )
        call.waiting = []
        return events

    @staticmethod
    def _before(choice: Choice, call: Call) -> bool:
        return any(not other.done for other in choice.calls[: call.index])

    def _finish_call(self, choice: Choice, call: Call) -> list[Event]:
        """A call is complete. Arguments that never came are `{}`."""
        if call.done or (self._serial and self._before(choice, call)):
            return []
        events = self._advance(choice, call)
        if not call.started:
            return events
        if not call.arguments:
            call.arguments.append("{}")
            call.waiting.append("{}")
            events += self._advance(choice, call)
        call.done = True
        events.append(self._block_event(choice, "tool_call_done", call.block, call=call.as_json()))
        return events

    def _close(self, choice: Choice) -> list[Event]:
        """Close the blocks that are open."""
        name = _STOPS.get(choice.state)
        if name is not None:
            whole = "".join(choice.open_text)
            return [self._block_event(choice, f"{name}_stop", choice.open_block, text=whole)]
        return [event for call in choice.calls for event in self._finish_call(choice, call)]

    # -- out

    @property
    def is_complete(self) -> bool:
        """Whether the upstream said that it is done: its terminator, or a finish reason for every choice."""
        return self.terminated or all(choice.finish_reason is not None for choice in self._choices)

    def forget_finish(self) -> None:
        """The endpoint insists on its terminator, which did not come: a finish reason alone is not enough."""
        for choice in self._choices:
            choice.finish_reason = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing of an answer has come."""
        return all(choice.state == IDLE for choice in self._choices)

    @property
    def has_calls(self) -> bool:
        """Whether a tool call has begun."""
        return any(call.started for choice in self._choices for call in choice.calls)

    def usage_so_far(self) -> JsonObject | None:
        """The usage as far as the upstream has told it, for the record of a stream that was cut."""
        return complete_usage(self._usage)

    def end(self) -> list[Event]:
        """The upstream's stream is over: close blocks, then finish, usage, end.

        Raises UpstreamError (502 `upstream_incomplete` or `upstream_empty`) when it was cut or held no answer.
        """
        if self.closed:
            return []
        if not self.is_complete:
            raise UpstreamError(
                ErrorInfo(
                    "upstream",
                    "The upstream's stream ended before the answer was complete.",
                    code="upstream_incomplete",
                )
            )
        if self.is_empty and all(choice.finish_reason is None for choice in self._choices):
            raise UpstreamError(
                ErrorInfo("upstream", "The upstream answered without any content.", code="upstream_empty")
            )
        events = self.start()
        for choice in self._choices:
            events += self._close(choice)
            choice.state = FINISHED
        self._complete_out()
        events += [
            {
                "kind": "finish",
                "choice": choice.index,
                "finish_reason": self.out["choices"][choice.index]["finish_reason"],
            }
            for choice in self._choices
        ]
        events += [{"kind": "usage", "choice": 0}] if self.out["usage"] is not None else []
        self.closed = True
        return [*events, {"kind": "end", "choice": 0}]

    def fail(self, info: ErrorInfo) -> list[Event]:
        """The stream failed: one error event, and nothing after it."""
        if self.closed:
            return []
        self.closed = True
        return [{"kind": "error", "choice": 0, "err": info.as_json()}]

    def _complete_out(self) -> None:
        self.out["usage"] = complete_usage(self._usage)
        self.out["choices"] = [self._finished(choice) for choice in self._choices]
        first = self.out["choices"][0]
        self.out.update((key, value) for key, value in first.items() if key != "index")

    @staticmethod
    def _finished(choice: Choice) -> JsonObject:
        reason = choice.finish_reason or "stop"
        calls = [call.as_json() for call in choice.calls if call.started]
        if calls and reason == "stop":
            reason = "tool_calls"
        elif reason == "tool_calls" and not calls:
            reason = "stop"
        return {
            "index": choice.index,
            "text": "".join(choice.text) if choice.text else None,
            "reasoning": "".join(choice.reasoning) if choice.reasoning else None,
            "refusal": None,
            "tool_calls": calls,
            "finish_reason": reason,
        }


_PIECES: Final[Mapping[str, Callable[[Lifecycle, Choice, Json], list[Event]]]] = {
    "reasoning": lambda self, choice, value: self._take_text(choice, value, "reasoning"),
    "reasoning_total": lambda self, choice, value: self._take_total(choice, value, "reasoning_total"),
    "text": lambda self, choice, value: self._take_text(choice, value, "text"),
    "text_total": lambda self, choice, value: self._take_total(choice, value, "text_total"),
    "tool_call": lambda self, choice, value: self._take_call(choice, value),
    "tool_calls": lambda self, choice, value: self._take_calls(choice, value),
}
"""What each key of a piece does, in the order in which one piece's keys count."""

_ORDER: Final = {key: number for number, key in enumerate(_PIECES)}
_FIRST_WINS: Final = (("id", "upstream_id"), ("model", "upstream_model"))
_NOTED: Final = frozenset({"id", "model", "usage", "cost", "meta"})
"""The keys that concern the whole reply."""


def replay(out: JsonObject, pieces: Callable[[str], Iterable[str]]) -> Iterable[JsonObject]:
    """A whole reply as the pieces of a stream: what an endpoint that cannot stream is emulated with."""
    for choice in out["choices"]:
        index = choice["index"]
        for key in ("reasoning", "text"):
            for piece in pieces(choice[key]) if choice.get(key) else ():
                yield {"choice": index, key: piece}
        if choice["tool_calls"]:
            yield {"choice": index, "tool_calls": choice["tool_calls"]}
        yield {"choice": index, "finish_reason": choice["finish_reason"]}
    yield {"usage": out["usage"], "cost": out.get("cost"), "meta": out.get("meta")}
