"""The life of a streamed answer: from canonical pieces to events whose order is always legal (DESIGN 2.6, DECISIONS 1).

*Theory.* Mappings only say what a piece means; this file owns the sequence: `start` first, blocks that open and close
and are numbered 0, 1, 2 …, one `finish` per choice, `usage` and `end` last and once, nothing after `end` or `error`.
Pieces of text, reasoning and refusal open a block and go on in it; a piece of another kind closes it. The state of a
reasoning (a signature, say) completes its block: what comes then is another one. Tool calls may be open side by side,
and text may come between their pieces. `TRANSITIONS` is the table of one choice's state.

Where the client's dialect wants blocks one after the other (`serial`), what comes while a call is open waits until it
is done: the pieces of a second call, and text. Finish reason and usage are withheld until the stream is known to be
complete: a terminator or a finish was seen (DECISIONS 2.15); a close with neither is an error and never looks finished.

State   IDLE -> TEXT | REASONING | REFUSAL | CALLS (and between these) -> FINISHED
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from engine.errors import ErrorInfo, TranslationError, UpstreamError
from engine.translate.choice import (
    CALLS,
    FINISHED,
    IDLE,
    KINDS,
    REASONING,
    REFUSAL,
    TEXT,
    Call,
    Choice,
    add_logprobs,
)
from engine.translate.keeping import Keeper
from engine.translate.reply import FINISH_REASONS, complete_usage, ordered_blocks
from engine.types import Json, JsonObject

_STATES: Final[Mapping[str, str]] = {"text": TEXT, "reasoning": REASONING, "refusal": REFUSAL, "call": CALLS}
_NEXT: Final[Mapping[str, str]] = {**_STATES, "finish": FINISHED}
TRANSITIONS: Final[Mapping[str, Mapping[str, str]]] = {
    **dict.fromkeys((IDLE, TEXT, REASONING, REFUSAL, CALLS), _NEXT),
    FINISHED: {},
}
"""What a choice's state becomes by a piece; a piece that has no entry comes too late and is dropped."""

Event = JsonObject


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
        self.keeper: Keeper | None = None

    # -- in

    def start(self) -> list[Event]:
        """The `start` event, once."""
        if self._started:
            return []
        self._started = True
        usage = complete_usage(self._usage)
        return [{"kind": "start", "choice": choice.index, "usage": usage} for choice in self._choices]

    def take(self, piece: JsonObject) -> list[Event]:
        """Take what one `emit` of a mapping gave and return the events it makes."""
        if self.closed:
            return []
        if not _NOTED.isdisjoint(piece):
            self._note(piece)
            if "choice" not in piece and _NOTED.issuperset(piece):
                return []  # it concerns the whole reply and nothing else: nearly every upstream says its id each time
        index = piece.get("choice") or 0
        choice = self._choices[index] if 0 <= index < len(self._choices) else None
        if choice is None:
            return []
        keys = [key for key in piece if key in _PIECES and piece[key] is not None and piece[key] != ""]
        if len(keys) == 1:
            events = _PIECES[keys[0]](self, choice, piece[keys[0]])
        else:
            events = []
            for key in sorted(keys, key=_ORDER.__getitem__):
                events += _PIECES[key](self, choice, piece[key])
        reason = piece.get("finish_reason")
        if reason is not None:
            if reason not in FINISH_REASONS:
                raise _unfit("finish_reason", reason)
            choice.finish_reason = reason
        return self.start() + events if events and not self._started else events

    def _note(self, piece: JsonObject) -> None:
        """What concerns the whole reply: the first id and model win, usage is merged with the last value per key."""
        out = self.out
        if "upstream_id" not in out or "upstream_model" not in out:
            for key, name in _FIRST_WINS:
                if piece.get(key) is not None and out.get(name) is None:
                    out[name] = piece[key]
        elif _OFTEN.issuperset(piece):
            return
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
        if state == choice.state and choice.state_given is None:
            return []
        events = self._close(choice)
        choice.state = state
        kind = KINDS.get(state)
        if kind is not None:
            choice.open_text, choice.state_given = [], None
            choice.open_block = self._next_block()
            choice.block_id = f"{self.out['id']}_{choice.open_block}"
            if self.keeper is not None and kind == "reasoning":
                self.keeper.open(choice.index)
            events.append(self._block_event(choice, f"{kind}_start", choice.open_block, text=""))
        return events

    def _next_block(self) -> int:
        self._blocks += 1
        return self._blocks - 1

    def _block_event(self, choice: Choice, kind: str, block: int, **values: Json) -> Event:
        return {"kind": kind, "choice": choice.index, "block": block, "id": f"{self.out['id']}_{block}", **values}

    def _take_text(self, choice: Choice, piece: Json, kind: str) -> list[Event]:
        if type(piece) is not str:
            raise _unfit(kind, piece)
        events: list[Event] = []
        if choice.state != _STATES[kind] or choice.state_given is not None:
            if self._waits(choice):
                choice.held.append({kind: piece})
                return []
            moved = self._move(choice, kind)
            if moved is None:
                return []
            events = moved
        if self._keeps_text or kind == "refusal":
            choice.texts[kind].append(piece)
            choice.open_text.append(piece)
        if self.keeper is not None and kind == "reasoning":
            self.keeper.text(choice.index, piece)
        event = {"kind": kind, "choice": choice.index, "block": choice.open_block, "id": choice.block_id, "text": piece}
        if choice.waiting_logprobs is not None and kind != "reasoning":
            event["logprobs"], choice.waiting_logprobs = choice.waiting_logprobs, None
        events.append(event)
        return events

    def _take_total(self, choice: Choice, total: Json, key: str) -> list[Event]:
        """Cumulative text: only what is new is a piece. A shorter total takes nothing back, another text would."""
        new = growth(choice.sent[key], total, key)
        choice.sent[key] += new
        return self._take_text(choice, new, key.removesuffix("_total")) if new else []

    def _take_state(self, choice: Choice, state: Json) -> list[Event]:
        """The state of the reasoning that stands open; where none does, or it has its own, of one without text."""
        events: list[Event] = []
        if choice.state != REASONING or choice.state_given is not None:
            if self._waits(choice):
                choice.held.append({"reasoning_state": state})
                return []
            moved = self._move(choice, "reasoning")
            if moved is None:
                return []
            if self.keeper is not None:
                state = self.keeper.state(choice.index, state)
            events = [{**event, "state": state} if event["kind"] == "reasoning_start" else event for event in moved]
        elif self.keeper is not None:
            state = self.keeper.state(choice.index, state)
        choice.state_given = state
        return events

    def _take_logprobs(self, choice: Choice, logprobs: Json) -> list[Event]:
        """They go out with the text they belong to, or with the finish."""
        choice.waiting_logprobs = add_logprobs(choice.waiting_logprobs, logprobs)
        if self._keeps_text:
            choice.logprobs = add_logprobs(choice.logprobs, logprobs)
        return []

    def _take_calls(self, choice: Choice, calls: Json) -> list[Event]:
        """Complete calls."""
        events: list[Event] = []
        for call in calls:
            events += self._take_call(choice, {**call, "key": ("whole", len(choice.calls)), "done": True})
        return events

    def _take_call(self, choice: Choice, piece: JsonObject) -> list[Event]:
        """A piece of a call: of the one with its key, else with its id, else of the last; or it begins a new one."""
        moved = self._move(choice, "call")
        if moved is None:
            return []
        events = moved
        key, given_id, name = piece.get("key"), piece.get("id") or None, str(piece.get("name") or "")
        call = choice.call_of(key, given_id)
        if call is not None and call.is_followed_by(piece, given_id):
            events += self._complete(choice, call)
            name = name or call.name
            call = None
        if call is None:
            taken = any(other.given_id == given_id for other in choice.calls)
            call_id = given_id if given_id and not taken else f"call_{self.out['id']}_{self._call_number()}"
            if self.keeper is not None:
                call_id = self.keeper.call_id(choice.index, str(call_id))
            call = Call(len(choice.calls), str(call_id), given_id)
            choice.calls.append(call)
            if key is not None:
                choice.keys[key] = call
        arguments = piece.get("arguments")
        if call.done:
            if arguments:
                raise _bad_event(f"a piece of the tool call {str(key)[:40]!r} came after its end")
            return events
        call.complete = False
        if name and call.started and name != call.name:
            raise _bad_event(f"the tool call {str(key)[:40]!r} changed its name when it had begun")
        call.name = call.name or name
        if arguments:
            call.arguments.append(arguments)
            call.waiting.append(arguments)
        events += self._complete(choice, call) if piece.get("done") else self._advance(choice, call)
        return events + self._released(choice) if choice.held else events

    def _waits(self, choice: Choice) -> bool:
        """Whether text has to wait for a call that is open."""
        return self._serial and (bool(choice.held) or any(call.started and not call.complete for call in choice.calls))

    def _released(self, choice: Choice) -> list[Event]:
        """What waited for calls, once none is open."""
        held, choice.held = choice.held, []
        events: list[Event] = []
        for piece in held:
            for key, value in piece.items():
                events += _PIECES[key](self, choice, value)
        return events

    def _call_number(self) -> int:
        return sum(len(choice.calls) for choice in self._choices)

    def _complete(self, choice: Choice, call: Call) -> list[Event]:
        """Nothing more of a call comes."""
        call.complete = True
        return self._advance(choice, call)

    def _advance(self, choice: Choice, call: Call) -> list[Event]:
        """Send what can be sent: of this call, or in a serial dialect of those whose turn it is."""
        if not self._serial:
            return self._send(choice, call)
        events: list[Event] = []
        turn = _turn(choice)
        while turn is not None:
            events += self._send(choice, turn)
            turn = _turn(choice) if turn.done else None
        return events

    def _send(self, choice: Choice, call: Call) -> list[Event]:
        """What a call has: not before its name is known, and not twice."""
        if not call.name or call.done:
            return []
        events: list[Event] = []
        if not call.started:
            call.started = True
            call.block = self._next_block()
            if self._keeps_text:
                choice.blocks.append({"kind": "tool_call", "id": call.id, "call": call})
            start = {"id": call.id, "name": call.name, "index": call.index}
            events.append(self._block_event(choice, "tool_call_start", call.block, call=start))
        if call.complete:
            call.settle()
        for piece in call.take_waiting():
            known = {"id": call.id, "name": call.name, "index": call.index}
            events.append(self._block_event(choice, "tool_call_delta", call.block, text=piece, call=known))
        if call.complete:
            call.done = True
            end = self._block_event(choice, "tool_call_done", call.block, call=call.as_json())
            events.append(_with_reason(choice, end))
        return events

    def _close(self, choice: Choice) -> list[Event]:
        """Close an open block of text; calls are closed by their own end, or that of the answer."""
        kind = KINDS.get(choice.state)
        if kind is None:
            return []
        whole, state = "".join(choice.open_text), choice.state_given
        if self._keeps_text:
            block: JsonObject = {"kind": kind, "id": choice.block_id, "text": whole}
            choice.blocks.append(block if state is None else {**block, "state": state})
        stop = self._block_event(choice, f"{kind}_stop", choice.open_block, text=whole)
        choice.state_given = None
        return [_with_reason(choice, stop if state is None else {**stop, "state": state})]

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
    def count(self) -> int:
        """How many choices the answer has."""
        return len(self._choices)

    @property
    def is_empty(self) -> bool:
        """Whether nothing of an answer has come."""
        return all(choice.state == IDLE for choice in self._choices)

    @property
    def has_calls(self) -> bool:
        """Whether a tool call has begun."""
        return any(call.started for choice in self._choices for call in choice.calls)

    @property
    def call_arguments(self) -> list[str]:
        """The arguments of every call that has begun, as far as they came."""
        return ["".join(call.arguments) for choice in self._choices for call in choice.calls if call.started]

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
            choice.finish_reason = choice.reason()
            for call in choice.calls:
                events += self._complete(choice, call)
            events += self._released(choice) + self._close(choice)
            choice.state = FINISHED
            if any(call.arguments and not call.started for call in choice.calls):
                raise _bad_event("a tool call has no name")
        self._complete_out()
        events += [_finish(choice) for choice in self._choices]
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
        self.out["choices"] = [choice.whole() for choice in self._choices]
        first = self.out["choices"][0]
        self.out.update((key, value) for key, value in first.items() if key != "index")


def _turn(choice: Choice) -> Call | None:
    """Whose turn it is where calls go one after the other: the one that has begun, else the first that has a name."""
    open_calls = [call for call in choice.calls if call.name and not call.done]
    return next((call for call in open_calls if call.started), open_calls[0] if open_calls else None)


def _with_reason(choice: Choice, event: Event) -> Event:
    """The end of a block that the end of the answer closed says why: only so a cut block can be told from a whole."""
    return event if choice.finish_reason is None else {**event, "finish_reason": choice.reason()}


def _finish(choice: Choice) -> Event:
    event: Event = {"kind": "finish", "choice": choice.index, "finish_reason": choice.reason()}
    return event if choice.waiting_logprobs is None else {**event, "logprobs": choice.waiting_logprobs}


def _unfit(key: str, value: Json) -> TranslationError:
    return TranslationError(
        ErrorInfo("upstream", f"The upstream's stream could not be read ('{key}').", code="mapping_response_error"),
        detail=f"a piece's {key} is a {type(value).__name__}",
    )


def _bad_event(detail: str) -> UpstreamError:
    return UpstreamError(
        ErrorInfo("upstream", "The upstream's stream could not be read.", code="upstream_bad_event"), detail=detail
    )


def _stop_sequence(choice: Choice, value: Json) -> list[Event]:
    choice.stop_sequence = value
    return []


_PIECES: Final[Mapping[str, Callable[[Lifecycle, Choice, Json], list[Event]]]] = {
    "stop_sequence": lambda _life, choice, value: _stop_sequence(choice, value),
    "logprobs": lambda life, choice, value: life._take_logprobs(choice, value),
    "reasoning": lambda life, choice, value: life._take_text(choice, value, "reasoning"),
    "reasoning_total": lambda life, choice, value: life._take_total(choice, value, "reasoning_total"),
    "reasoning_state": lambda life, choice, value: life._take_state(choice, value),
    "refusal": lambda life, choice, value: life._take_text(choice, value, "refusal"),
    "text": lambda life, choice, value: life._take_text(choice, value, "text"),
    "text_total": lambda life, choice, value: life._take_total(choice, value, "text_total"),
    "tool_call": lambda life, choice, value: life._take_call(choice, value),
    "tool_calls": lambda life, choice, value: life._take_calls(choice, value),
}
"""What each key of a piece does, in the order in which one piece's keys count."""

_ORDER: Final = {key: number for number, key in enumerate(_PIECES)}
_FIRST_WINS: Final = (("id", "upstream_id"), ("model", "upstream_model"))
_OFTEN: Final = frozenset({"id", "model"})
_NOTED: Final = frozenset({"id", "model", "usage", "cost", "meta"})
"""The keys that concern the whole reply."""


def replay(out: JsonObject, pieces: Callable[[str], Iterable[str]]) -> Iterable[JsonObject]:
    """A whole reply as the pieces of a stream: what an endpoint that cannot stream is emulated with."""
    for choice in out["choices"]:
        index = choice["index"]
        if choice.get("logprobs") is not None:
            yield {"choice": index, "logprobs": choice["logprobs"]}
        for block in choice.get("blocks") or ordered_blocks(choice):
            if block["kind"] == "tool_call":
                yield {"choice": index, "tool_calls": [block["call"]]}
            elif block["kind"] in KINDS.values():
                yield from ({"choice": index, block["kind"]: piece} for piece in pieces(block.get("text") or ""))
            if block.get("state") is not None:
                yield {"choice": index, "reasoning_state": block["state"]}
        yield {
            "choice": index,
            "finish_reason": choice["finish_reason"],
            "stop_sequence": choice.get("stop_sequence"),
        }
    yield {"usage": out["usage"], "cost": out.get("cost"), "meta": out.get("meta")}


def growth(sent: str, total: Json, key: str) -> str:
    """What a cumulative text adds to what was sent of it. Raises UpstreamError where it says something else."""
    if type(total) is not str:
        raise _unfit(key, total)
    if total.startswith(sent):
        return total[len(sent) :]
    if sent.startswith(total.rstrip()):
        return ""
    raise _bad_event(f"{key} does not go on from the text that was sent")
