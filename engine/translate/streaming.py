"""One streamed answer in the making: upstream bytes in, client bytes out. No sockets, no clock.

`UpstreamStream` runs an endpoint's `stream` rules over frames and gives canonical pieces. `ClientStream` writes
lifecycle events in the client's dialect. `Translation` puts the two together with the lifecycle and the reader of tool
calls, for a native stream, for an emulated one (`replay`), and for collecting a stream into one reply.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from engine.errors import EngineError, ErrorInfo, RequestError, TranslationError, UpstreamError
from engine.translate.failures import raised_in_stream
from engine.translate.framing import FRAMERS, Frame, FramingError, without_line_ends
from engine.translate.lifecycle import Event, Lifecycle
from engine.translate.plan import ClientStreamPlan, Codec, StreamPlan, StreamRule
from engine.translate.reply import with_fitted_calls
from engine.translate.wire import Target
from engine.types import ABSENT, Json, JsonObject, Scope

_FRAME_KEYS: Final = frozenset({"event", "data", "id", "retry"})


class PieceFilter(Protocol):
    """What stands between the rules and the lifecycle: the reader of tool calls."""

    def __call__(self, piece: JsonObject) -> Iterable[JsonObject]:
        """The pieces that one piece becomes."""
        ...

    def finish(self) -> Iterable[JsonObject]:
        """What was held back, once the answer is over."""
        ...


class UpstreamStream:
    """Runs the rules of one endpoint's `stream`. `scope` is the request's scope; `ev` and `st` are added to it.

    State   `ended` once the terminator was seen: what comes after it is ignored (F39). `failure` once a frame meant
            one: the pieces before it are still given, so that no split of the bytes changes what a client gets. `taken`
            is the place of the rule that the last frame came to, for traces; `closing` once no more bytes come. `watch`
            is told of each frame that is in order, and what its data says.
    """

    def __init__(self, target: Target, plan: StreamPlan, scope: Scope, codec: Codec) -> None:
        self._target = target
        self._plan = plan
        self._framer = FRAMERS[plan.framing]()
        self._codec = codec
        self._loads = codec.loads
        self._decodes = plan.decode == "json"
        self._done = plan.done
        self._scope = {**scope, "st": dict(plan.state), "ev": None}
        self.ended = False
        self.failure: UpstreamError | TranslationError | None = None
        self.taken = ""
        self.closing = False
        self.watch: Callable[[Frame, Json, list[JsonObject]], None] | None = None

    def feed(self, data: bytes) -> list[JsonObject]:
        """The canonical pieces that these bytes complete; those before a failure first.

        Raises UpstreamError, TranslationError: what failed, once its pieces are out.
        """
        if self.failure is not None:
            raise self.failure
        if self.ended:
            return []
        try:
            frames = self._framer.feed(data)
        except FramingError as error:
            return self._run(error.frames, self._bad_stream(error))
        if len(frames) != 1 or self.watch is not None:
            return self._run(frames)
        try:
            return self.take(frames[0])
        except (UpstreamError, TranslationError) as failure:
            self.failure = failure
            raise

    def close(self) -> list[JsonObject]:
        """The connection closed cleanly: what was left, and what `at_end` makes of it."""
        if self.failure is not None:
            raise self.failure
        if self.ended:
            return []
        broken: UpstreamError | None = None
        try:
            left = self._framer.flush()
        except FramingError as error:
            left, broken = error.frames, self._bad_stream(error, "upstream_incomplete")
        self.closing = True
        pieces = self._run(left, broken)
        if not self.ended and self.failure is None and self._plan.at_end is not None:
            pieces = pieces + self._apply(self._plan.at_end)
        return pieces

    @staticmethod
    def _bad_stream(error: FramingError, code: str = "upstream_bad_event") -> UpstreamError:
        code = "upstream_too_large" if "too large" in str(error) else code
        return UpstreamError(
            ErrorInfo("upstream", "The upstream's stream could not be read.", code=code), detail=str(error)
        )

    def _run(self, frames: list[Frame], broken: UpstreamError | None = None) -> list[JsonObject]:
        """The pieces of some frames; `broken` is what the bytes behind them are."""
        pieces: list[JsonObject] = []
        try:
            for frame in frames:
                made = self.take(frame)
                pieces = pieces + made if pieces else made
                if self.watch is not None and (self.ended or self._scope["ev"]["json"] is not None):
                    self.watch(frame, self._scope["ev"]["json"], made)
                if self.ended:
                    return pieces
        except (UpstreamError, TranslationError) as failure:
            self.failure = failure
        else:
            self.failure = broken
        if self.failure is not None and not pieces and self.watch is None:
            raise self.failure
        return pieces

    def take(self, frame: Frame) -> list[JsonObject]:
        """The pieces of one frame. Raises UpstreamError, TranslationError."""
        self.taken = ""
        data, event, event_id, fields = frame
        decoded: Json = None
        if self._decodes:
            try:
                decoded = self._loads(data)
            except ValueError:
                decoded = None
        self._scope["ev"] = {"event": event, "id": event_id, "data": data, "json": decoded, "fields": fields}
        if self._done is not None and self._done(self._scope):
            self.ended, self.taken = True, "done"
            return []
        if decoded is None and self._decodes and data.strip() != "null":
            # A last frame that is no JSON was cut; whether the answer was whole before it, the lifecycle says.
            if self.closing or (not data and event is None):
                return []
            raise UpstreamError(
                ErrorInfo("upstream", "The upstream's stream could not be read.", code="upstream_bad_event"),
                detail="a frame is not JSON",
            )
        return self._apply(self._plan.rule)

    def _apply(self, rule: StreamRule) -> list[JsonObject]:
        """Follow the decision tree to its action and carry it out."""
        scope = self._scope
        try:
            while rule.select is not None:
                value = rule.select(scope)
                key = value if type(value) is str else _case_key(value)
                rule = rule.cases.get(key) or rule.default or _NOTHING
            self.taken = rule.place
            return self._act(rule, scope)
        except (RequestError, UpstreamError, TranslationError):
            raise
        except EngineError as error:
            info = ErrorInfo("upstream", "The upstream's stream could not be read.", code="mapping_response_error")
            raise TranslationError(info, detail=f"{rule.place}: {error}") from error

    def _act(self, rule: StreamRule, scope: Scope) -> list[JsonObject]:
        if rule.refuse:
            raise UpstreamError(
                ErrorInfo("upstream", "The upstream sent a frame that it must not send.", code="upstream_bad_event"),
                detail=rule.place,
            )
        if rule.set:
            # All values are made from the old state (LANGUAGE 3.6).
            changes = {name: value for name, build in rule.set if (value := build(scope)) is not ABSENT}
            scope["st"] = {**scope["st"], **changes}
        if rule.raises is not None:
            raise raised_in_stream(self._target, rule.raises(scope), rule.place)
        self.ended = self.ended or rule.end
        if rule.emit is None:
            return []
        pieces: list[JsonObject] = rule.emit(scope)
        for piece in pieces:
            if "tool_call" in piece or "tool_calls" in piece:
                return [with_fitted_calls(each, self._target.plan.id, self._codec) for each in pieces]
        return pieces


_NOTHING: Final = StreamRule("")
_CONSTANTS: Final = {None: "null", True: "true", False: "false"}


def _case_key(value: Json) -> str:
    if value is ABSENT:
        return "null"
    if value is None or isinstance(value, bool):
        return _CONSTANTS[value]
    return str(value) if isinstance(value, int | float) else ""


Clock = Callable[[], float]
Stencil = tuple[bytes, bytes, bytes | None]
"""A frame around the JSON of a piece of text; where frames are numbered, in two parts around the number."""

_LAST: Final = frozenset({"end", "error"})
_DELTAS: Final = frozenset({"text", "reasoning", "refusal", "tool_call_delta"})
_NO_STENCIL: Final[Stencil] = (b"", b"", None)
_MAX_STENCILS: Final = 64
_GAP: Final = "the-text-goes-here-7d1f0c5a"
"""Stands for the text while a frame is made. Where it stands more than once there is no stencil."""

_TEXT_GAP: Final = b'"%b"' % _GAP.encode()
_NUMBER_GAP: Final = 1_903_216_754_983_201_457


class ClientStream:
    """Writes lifecycle events as frames of the client's dialect. `scope` holds `req`, `ctx` and `opt`.

    `clock` tells the last events how long it took; without it no time passes.
    """

    def __init__(
        self, plan: ClientStreamPlan, scope: Scope, out: JsonObject, codec: Codec, clock: Clock = lambda: 0.0
    ) -> None:
        self._plan = plan
        self._scope: Scope = {**scope, "out": out, "ev": None, "err": None}
        self._dumps = codec.dumps
        self._number = plan.number_from
        self._stencils: dict[tuple[str, int], Stencil] = {}
        self._clock, self._begun = clock, clock()
        self.content_type = plan.content_type

    def write(self, events: Sequence[Event]) -> bytes:
        """The bytes of some events, in order."""
        return self._frames(events[0]) if len(events) == 1 else b"".join([self._frames(event) for event in events])

    def _frames(self, event: Event) -> bytes:
        kind = event["kind"]
        if kind in _DELTAS and event["text"] and "logprobs" not in event:
            stencil = self._stencils.get((kind, event["block"]))
            if stencil is None:
                if len(self._stencils) > _MAX_STENCILS:
                    self._stencils.clear()
                stencil = self._stencils[kind, event["block"]] = self._stencil(event)
            if stencil is not _NO_STENCIL:
                return self._filled(stencil, event["text"])
        build = self._plan.events.get(kind)
        if build is None:
            return b""
        self._scope["ev"] = event
        self._scope["err"] = event.get("err")
        if kind in _LAST:
            elapsed_ms = round((self._clock() - self._begun) * 1000)
            self._scope["ctx"] = {**self._scope["ctx"], "elapsed_ms": elapsed_ms}
        items = build(self._scope)
        return self._frame(items[0]) if len(items) == 1 else b"".join([self._frame(item) for item in items])

    def _stencil(self, event: Event) -> Stencil:
        """The frame of a piece of text with a gap for the text, and one for the frame's number where it has one.

        Only for a rule that copies the text and does not look at it (`engine.language.copies`): then the next pieces of
        the same block have the same frame around them.
        """
        plan = self._plan
        build = plan.events.get(event["kind"])
        if build is None or not plan.copies(event["kind"]):
            return _NO_STENCIL
        items = build({**self._scope, "ev": {**event, "text": _GAP}, "err": None})
        data = items[0] if len(items) == 1 else None
        if not isinstance(data, dict) or ("data" in data and data.keys() <= _FRAME_KEYS):
            return _NO_STENCIL
        if plan.event_name is not None and not all(
            map(plan.names_without, [key for key in data if _GAP in str(data[key])])
        ):
            return _NO_STENCIL
        number, self._number = self._number, _NUMBER_GAP
        made = self._framed(data, None, None)
        self._number = number
        pieces = made.split(_TEXT_GAP)
        if len(pieces) != 2:
            return _NO_STENCIL
        numbered = pieces[1].split(b"%d" % _NUMBER_GAP)
        if plan.number_field is not None and len(numbered) != 2:
            return _NO_STENCIL
        return (pieces[0], numbered[0], numbered[1] if len(numbered) == 2 else None)

    def _filled(self, stencil: Stencil, text: str) -> bytes:
        before, behind, last = stencil
        if last is None:
            return before + self._json(text) + behind
        self._number += 1
        return b"%b%b%b%d%b" % (before, self._json(text), behind, self._number - 1, last)

    def _frame(self, item: Json) -> bytes:
        if isinstance(item, dict) and "data" in item and item.keys() <= _FRAME_KEYS:
            return self._framed(item["data"], item.get("event"), item.get("id"))
        return self._framed(item, None, None)

    def _framed(self, data: Json, event: str | None, event_id: str | None) -> bytes:
        if self._plan.number_field is not None and isinstance(data, dict):
            data = {**data, self._plan.number_field: self._number}
            self._number += 1
        if event is None and self._plan.event_name is not None:
            named = self._plan.event_name({**self._scope, "data": data})
            event = named if isinstance(named, str) else None
        payload = data.encode() if isinstance(data, str) else self._json(data)
        if self._plan.framing == "ndjson":
            return payload + b"\n"
        if not event and not event_id:
            return b"data: %b\n\n" % payload
        head = f"event: {event}\n" if event else ""
        head += f"id: {event_id}\n" if event_id else ""
        return head.encode() + b"data: " + payload + b"\n\n"

    def _json(self, data: Json) -> bytes:
        """Compact JSON in which no client can see a line end: some split lines at U+2028, U+2029 and U+0085."""
        return without_line_ends(self._dumps(data))

    def heartbeat(self, text: str | None) -> bytes:
        """A sign of life: what the dialect sends on `heartbeat`, else an SSE comment, else nothing.

        `text` is null where a comment is wanted, "" for an empty delta, or a character nobody sees. Lines of JSON have
        no comments, so null gives nothing there.
        """
        if text is None and self._plan.framing != "sse":
            return b""
        sent = self.write([{"kind": "heartbeat", "choice": 0, "text": text}])
        return sent or (b": heartbeat\n\n" if self._plan.framing == "sse" else b"")

    def terminator(self) -> bytes:
        """How the dialect says that an answer is over."""
        return self.write([{"kind": "end", "choice": 0}])

    def comment(self, text: str) -> bytes:
        """A note for whoever reads the wire; it never holds a line end. NDJSON has no comments."""
        return f": {text}\n\n".encode() if self._plan.framing == "sse" and "\n" not in text else b""


class Translation:
    """A streamed answer from pieces to client bytes.

    `pieces` filters what the rules give (the reader of tool calls); `client` may be None, where a stream is collected
    into one reply. `note` makes what is said before the last frames, of what is known only then. `failure` is a piece
    that cannot follow what went before it: the bytes up to it are still given, and `end` raises it.
    """

    def __init__(self, lifecycle: Lifecycle, client: ClientStream | None, pieces: PieceFilter | None = None) -> None:
        self.lifecycle = lifecycle
        self.note: Callable[[], bytes] | None = None
        self.failure: UpstreamError | TranslationError | None = None
        self._client = client
        self._filter = pieces

    def open(self) -> bytes:
        """Begin the answer before anything of it is known: the dialect's first frame."""
        return self._write(self.lifecycle.start())

    def take(self, pieces: Iterable[JsonObject]) -> bytes:
        """The client bytes of some pieces. Raises UpstreamError where the first of them cannot follow."""
        if self._filter is None:
            return self._taken(pieces)
        return self._taken(each for piece in pieces for each in self._filter(piece))

    def _taken(self, pieces: Iterable[JsonObject]) -> bytes:
        events: list[Event] = []
        take = self.lifecycle.take
        try:
            for piece in pieces:
                made = take(piece)
                events = events + made if events else made
        except (UpstreamError, TranslationError) as failure:
            self.failure = failure
            if not events:
                raise
        return self._write(events)

    def flush(self) -> bytes:
        """What a filter held back; not when the answer was cut, which `end` is about to say."""
        if self._filter is None or self.failure is not None or not self.lifecycle.is_complete:
            return b""
        return self._taken(self._filter.finish())

    def end(self) -> bytes:
        """The last frames, after `flush`. Raises UpstreamError where the answer was cut, or damaged before."""
        if self.failure is not None:
            raise self.failure
        noted = self.note() if self.note is not None and self.lifecycle.is_complete else b""
        return noted + self._write(self.lifecycle.end())

    def fail(self, info: ErrorInfo) -> bytes:
        """The stream failed after it began: an error event in the client's dialect, and nothing after it."""
        return self._write(self.lifecycle.fail(info))

    def heartbeat(self, text: str | None) -> bytes:
        """A sign of life."""
        return self._client.heartbeat(text) if self._client is not None else b""

    def _write(self, events: list[Event]) -> bytes:
        return self._client.write(events) if self._client is not None and events else b""


def words(text: str, size: int = 24) -> Iterable[str]:
    """Text in pieces of about `size` characters that end behind white space: how emulated answers are sent."""
    start = 0
    while start < len(text):
        end = min(start + size, len(text))
        if end < len(text):
            space = max(text.rfind(" ", start, end), text.rfind("\n", start, end))
            end = space + 1 if space >= start else end
        yield text[start:end]
        start = end
