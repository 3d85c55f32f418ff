"""Passing through: a client and an endpoint that speak the same wire need no translation (DECISIONS 2.16).

The client's own bytes go up, and the upstream's come back, with the edits that the endpoint declares on top-level keys
and no others: unknown fields, the order of keys and the spelling of numbers survive. Everything that watches over a
chat still does: the request is read and checked, rules may refuse it, and of the answer errors, end and usage are read
by the endpoint's own rules. A request that the pre-pass has to change in any way goes the normal way instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from engine.errors import ErrorInfo, UpstreamError
from engine.translate.calls import build_call, run
from engine.translate.framing import Frame, without_line_ends
from engine.translate.lifecycle import Lifecycle
from engine.translate.losses import Loss, Losses
from engine.translate.members import edited
from engine.translate.plan import Codec, EditPlan, StreamPlan
from engine.translate.prepare import NEUTRAL
from engine.translate.wire import Target, UpstreamReply, UpstreamRequest
from engine.types import ABSENT, Json, JsonObject, Scope

_KNOWN: Final = frozenset({"name", "refusal", "is_error", "reasoning", "audio", "function_call", "ext"})
"""Fields of a message that the canonical form knows: an endpoint that does not read them is known not to take them."""


@dataclass(slots=True)
class Passage:
    """A client's body that may go up as it is, and what came back for the client. State of one call.

    `value` is what the body says, `framing` how the client's stream is framed, `losses` what reading the body into the
    canonical form lost: nothing of it is lost when the body passes. `taken` says that it does, `reply` is the whole
    answer.
    """

    body: bytes
    value: JsonObject
    framing: str | None
    losses: tuple[Loss, ...] = ()
    taken: bool = False
    reply: bytes | None = None

    def decide(self, target: Target, asked: JsonObject, scope: Scope, losses: Losses, wire: str | None) -> None:
        """Find out whether the body passes, and settle what is lost then."""
        self.taken = _may_pass(target, asked, scope, self.framing, wire)
        if self.taken:
            losses.items.clear()
            return
        for loss in self.losses:
            losses.add(loss.field, loss.action, loss.stage, loss.rule)

    def request(self, target: Target, scope: Scope, codec: Codec) -> UpstreamRequest:
        """The upstream request that carries the client's body."""
        plan = target.plan
        assert plan.edits is not None
        call = plan.stream_call if plan.stream_call is not None and scope["ctx"]["stream"] else plan.call
        body = _changed(self.body, self.value, plan.edits.request, scope, target, codec)
        return build_call(target, call, scope, codec, body)

    def take(self, target: Target, reply: UpstreamReply, seen: Scope, codec: Codec) -> None:
        """Keep a whole answer for the client; `seen` is the scope in which it was read."""
        plan = target.plan
        assert plan.edits is not None
        self.reply = _changed(reply.body, seen["res"], plan.edits.response, seen, target, codec)


class PassedFrames:
    """The frames of an upstream's stream as the client gets them. `take` is handed each frame once it was judged.

    They are held until something of an answer has come, so that what fails before keeps its true status. From the
    finish reason on they are held until the answer is known to be whole: a failed stream never looks finished (rule
    R13). `terminator` is how the client's stream ends.
    """

    def __init__(
        self, target: Target, life: Lifecycle, terminator: Callable[[], bytes], scope: Scope, codec: Codec
    ) -> None:
        assert target.plan.edits is not None
        assert target.plan.stream is not None
        self._target = target
        self._plan = target.plan.edits.response
        self._is_sse = target.plan.stream.framing == "sse"
        self._life = life
        self._terminator = terminator
        self._scope = dict(scope)
        self._codec = codec
        self._ready: list[bytes] = []
        self._last: list[bytes] = []
        self._finished: set[Json] = set()

    def take(self, frame: Frame, value: Json, pieces: list[JsonObject]) -> None:
        """A frame that is in order, what its data says, and what that means."""
        self._finished.update(piece.get("choice") or 0 for piece in pieces if piece.get("finish_reason") is not None)
        data = frame.data.encode()
        if isinstance(value, dict):
            self._scope["res"] = value
            drop = self._plan.drop
            if drop is not None and run(drop, self._scope, self._target, "reply"):
                return
            data = without_line_ends(_changed(data, value, self._plan, self._scope, self._target, self._codec))
        is_last = value is None or len(self._finished) >= self._life.count
        (self._last if is_last else self._ready).append(_block(frame, data) if self._is_sse else data + b"\n")

    def drain(self) -> bytes:
        """What may go out by now."""
        if not self._ready or self._life.is_empty:
            return b""
        ready, self._ready = self._ready, []
        return b"".join(ready)

    def rest(self, *, ended: bool) -> bytes:
        """What was held, once the answer is whole; with the client's terminator where the upstream sent none."""
        held = b"".join((*self._ready, *self._last))
        return held if ended else held + self._terminator()


def _block(frame: Frame, data: bytes) -> bytes:
    """A frame as server-sent event."""
    if b"\n" in data:
        data = data.replace(b"\n", b"\ndata: ")
    if frame.event is None and frame.id is None and not frame.fields:
        return b"data: %b\n\n" % data
    named = {"event": frame.event, "id": frame.id, **frame.fields}
    head = "".join(f"{name}: {text}\n" for name, text in named.items() if text is not None)
    return b"%bdata: %b\n\n" % (head.encode(), data)


def _may_pass(target: Target, asked: JsonObject, scope: Scope, framing: str | None, wire: str | None) -> bool:
    """Whether nothing but the declared edits is needed. What only the canonical form does not know may pass."""
    plan, prepared, streams = target.plan, scope["req"], scope["ctx"]["stream"]
    if plan.edits is None or plan.regions is not None or plan.wire is None or plan.wire != wire:
        return False
    if streams is not bool(asked.get("stream")) or (streams and not _same_framing(plan.stream, framing)):
        return False
    if not all(_is_kept(key, value, prepared) for key, value in asked.items()):
        return False
    return prepared.keys() <= asked.keys() and not any(run(rule.when, scope, target, "request") for rule in plan.losses)


def _is_kept(key: str, value: Json, prepared: JsonObject) -> bool:
    if key == "messages":
        return _same_messages(prepared[key], value)
    return bool(prepared[key] == value) if key in prepared else value in NEUTRAL.get(key, ())


def _same_messages(prepared: list[JsonObject], asked: list[JsonObject]) -> bool:
    """Whether messages differ by fields alone that only the canonical form does not know."""
    return len(prepared) == len(asked) and all(
        mine is theirs or ((theirs.keys() - mine.keys()).isdisjoint(_KNOWN) and mine.items() <= theirs.items())
        for mine, theirs in zip(prepared, asked, strict=True)
    )


def _same_framing(plan: StreamPlan | None, framing: str | None) -> bool:
    return plan is not None and plan.framing == framing


def _changed(text: bytes, value: Json, plan: EditPlan, scope: Scope, target: Target, codec: Codec) -> bytes:
    """JSON text with the edits of a plan; what is no object is left alone."""
    if not isinstance(value, dict):
        return text
    side = "reply" if "res" in scope else "request"
    changes = {key: new for key, build in plan.set if (new := run(build, scope, target, side)) is not ABSENT}
    if not plan.remove and all(key in value and value[key] == new for key, new in changes.items()):
        return text
    try:
        return edited(text, value, changes, plan.remove, codec.dumps)
    except ValueError as error:
        info = ErrorInfo("upstream", "The upstream's answer could not be read.", code="upstream_bad_response")
        raise UpstreamError(info, detail=str(error)) from error
