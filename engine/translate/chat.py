"""One chat over one endpoint: the pre-pass, the upstream request, and the answer, whole or streamed.

`chat_exchange` is the straight line for a whole answer. `Chat` holds what both ways share; a driver that streams asks
it for the request, feeds the bytes to `Chat.live`, and gets the client's bytes back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from engine.errors import UpstreamError
from engine.translate.calls import run
from engine.translate.exchange import check_rules, reply_scope, request_scope
from engine.translate.framing import begins_whole
from engine.translate.keeping import Keeper, kept_reply, with_kept_state
from engine.translate.lifecycle import Lifecycle
from engine.translate.losses import Losses
from engine.translate.passing import PassedFrames
from engine.translate.plan import Codec
from engine.translate.prepare import prepare, unsupported
from engine.translate.reply import build_reply, reply_id
from engine.translate.steps import first_calls, last_call
from engine.translate.streaming import ClientStream, Translation, UpstreamStream
from engine.translate.structured import JsonWish, ask_for_json
from engine.translate.tools.answer import Reading, filters_of, read_calls, read_regions
from engine.translate.tools.offering import Offer, needs_offer, offer_tools
from engine.translate.wire import Context, Exchange, Target, UpstreamReply, UpstreamRequest
from engine.translate.wishes import Problem, find_problem, with_both_costs, with_json
from engine.types import ABSENT, Json, JsonObject


def chat_exchange(
    target: Target, request: JsonObject, model: JsonObject, context: Context, losses: Losses, codec: Codec
) -> Exchange[JsonObject]:
    """Serve a canonical chat request over one upstream and return the canonical reply `out`.

    `model` is `{id, name, meta}`: the id the client asked for, the name sent upstream, the listed entry if known.
    Raises RequestError, UpstreamError or TranslationError.
    """
    chat = Chat(target, request, model, context, losses, codec)
    out = chat.whole((yield from chat.replied()))
    again = chat.again(out)
    if again is None:
        return chat.settled(out)
    try:
        second = again.whole((yield from again.replied()))
    except UpstreamError:
        return chat.settled(out)
    return again.settled(with_both_costs(out, second))


def stream_start(request: JsonObject, context: Context) -> JsonObject:
    """What of a reply is known before the upstream spoke: the same in every chunk (trap 60)."""
    return {"id": reply_id(context), "model": request["model"], "created": context.now, "losses": []}


class Chat:
    """A chat request fitted to one endpoint. Making one runs the pre-pass, which may refuse the request."""

    def __init__(
        self, target: Target, request: JsonObject, model: JsonObject, context: Context, losses: Losses, codec: Codec
    ) -> None:
        self.target = target
        self.asked = request
        self.context = context
        self.losses = losses
        self._codec = codec
        self._model = model
        self._offer: Offer | None = None
        self._wish: JsonWish | None = None
        self._problem: Problem | None = None
        self._is_second = False
        self.emitted: Json = None
        """What `response` gave, once an answer was read."""
        self.readings: list[Reading] = []
        """How the texts of a whole answer were read for tool calls."""
        opened = with_kept_state(request, codec, losses)
        fitted = self._with_json(self._with_tools(opened, str(model["id"])))
        prepared = prepare(target.plan, fitted, str(model["id"]), losses, context.client_wire)
        self.scope = request_scope(target, prepared, model, context)
        passage = context.passage
        if passage is not None:
            passage.decide(target, request, self.scope, losses, context.client_wire)
        self._passage = passage if passage is not None and passage.taken else None

    def _with_tools(self, request: JsonObject, model_id: str) -> JsonObject:
        """Tools written into the prompt, where the endpoint has none and a format says how."""
        plan = self.target.plan
        if self.target.tools_off and request.get("tools"):
            raise unsupported(f"Tools are switched off for the upstream {self.target.name}.", "tools")
        formats = self.target.toolformats or (plan.toolformats.find(model_id) if plan.toolformats is not None else None)
        if not formats or plan.capabilities.tools.find(model_id) != "prompt" or not needs_offer(request):
            return request
        place = self.target.tool_place or plan.tools.place
        fitted, self._offer = offer_tools(request, formats, place, self._codec, self.losses)
        return fitted

    def _with_json(self, request: JsonObject) -> JsonObject:
        """A wish for JSON written into the prompt, where the endpoint knows no `response_format`."""
        plan = self.target.plan
        if plan.structured is None or "response_format" in plan.reads.fields:
            return request
        fitted, self._wish = ask_for_json(request, plan.structured)
        return fitted

    @property
    def emulates(self) -> bool:
        """Whether tools or a wish for JSON were written into the prompt."""
        return self._offer is not None or self._wish is not None

    def opened(self) -> Exchange[UpstreamRequest]:
        """Make every call but the last, whose request is returned. Raises RequestError where a rule refuses."""
        check_rules(self.target, self.scope, self.losses)
        if self._passage is not None:
            return self._passage.request(self.target, self.scope, self._codec)
        return (yield from first_calls(self.target, self.scope, self._codec))

    def replied(self) -> Exchange[UpstreamReply]:
        """Make all calls; the answer of the last is returned."""
        request = yield from self.opened()
        return (yield from last_call(self.target, request, self.scope, self._codec))

    def whole(self, reply: UpstreamReply) -> JsonObject:
        """The canonical reply of a whole answer. Raises UpstreamError, TranslationError."""
        plan = self.target.plan
        if plan.stream is not None and 200 <= reply.status < 300 and _is_event_stream(reply):
            return self._collected(reply.body)
        seen = reply_scope(self.target, self.scope, reply, self._codec)
        emitted = self.emitted = run(plan.response, seen, self.target, "reply")
        emitted = read_regions(emitted, plan.regions, self.losses)
        if self._passage is not None:
            self._passage.take(self.target, reply, seen, self._codec)
        if self._offer is not None and self._offer.tools and emitted is not ABSENT:
            emitted = read_calls(emitted, self._offer, self.losses, self.readings)
            self._problem = find_problem(emitted, self._offer, self._codec)
        if self._wish is not None and isinstance(emitted, dict) and not emitted.get("tool_calls"):
            emitted, self._problem = with_json(emitted, self._wish, self._codec)
        out = build_reply(
            emitted,
            endpoint=plan.id,
            model=self.asked["model"],
            context=self.context,
            losses=self.losses,
            codec=self._codec,
        )
        self._note_damaged(call["arguments"] for choice in out["choices"] for call in choice["tool_calls"])
        out["losses"] = self.losses.as_json()
        keeper = self._keeper()
        return out if keeper is None else kept_reply(out, keeper)

    def _keeper(self) -> Keeper | None:
        """What becomes of reasoning state; None where the client speaks the endpoint's own wire, or nobody asked."""
        wire, client = self.target.plan.wire, self.context.client_wire
        if client is None or wire == client:
            return None
        return Keeper(self.context.client_keeps, wire, self.losses, self._codec)

    def again(self, out: JsonObject) -> Chat | None:
        """The same chat asked once more, where the answer broke a wish and the mapping allows another try."""
        plan = self.target.plan
        if self._problem is None or self._is_second or not self._problem.scope:
            return None
        build = plan.tools.retry_text if self._offer is not None and self._problem.field != "response_format" else None
        if self._problem.field == "response_format" and plan.structured is not None:
            build = plan.structured.retry_text
        text = build(self._problem.scope) if build is not None else None
        if not isinstance(text, str):
            return None
        turns = [{"role": "assistant", "content": out.get("text") or ""}, {"role": "user", "content": text}]
        asked = {**self.asked, "messages": [*self.asked["messages"], *turns]}
        second = Chat(self.target, asked, self._model, self.context, self.losses, self._codec)
        second._is_second = True
        return second

    def settled(self, out: JsonObject) -> JsonObject:
        """The reply with what is still wrong with it among its losses."""
        if self._problem is not None:
            self.losses.add(self._problem.field, self._problem.action, "reply")
        return {**out, "losses": self.losses.as_json()}

    def _collected(self, body: bytes) -> JsonObject:
        """The reply of an upstream that streamed unasked (F26)."""
        life = Lifecycle(stream_start(self.asked, self.context), choices=self.asked.get("n") or 1)
        answer = self.live(life, None)
        answer.feed(body)
        answer.flush()
        answer.close()
        return {**life.out, "losses": self.losses.as_json()}

    def _note_calls(self, life: Lifecycle) -> None:
        if self._offer is not None and self._offer.choice.must_call and not life.has_calls:
            self.losses.add("tool_choice", "dropped", "reply")
        self._note_damaged(life.call_arguments)

    def _note_damaged(self, arguments: Iterable[str]) -> None:
        """Arguments that are no JSON object: a client that gets them as an object gets an empty one."""
        if not all(_is_object(each, self._codec) for each in arguments):
            self.losses.add("tool_calls", "damaged", "reply")

    def live(self, life: Lifecycle, client: ClientStream | None) -> LiveAnswer:
        """The answer as a native stream; tool calls in its text are taken out on the way.

        Raises ValueError when the endpoint has no `stream` section; the driver asks before.
        """
        plan = self.target.plan.stream
        if plan is None:
            raise ValueError(f"{self.target.plan.id} does not stream")
        upstream = UpstreamStream(self.target, plan, self.scope, self._codec)
        life.keeper = self._keeper()
        if self._passage is not None and client is not None:
            passed = PassedFrames(self.target, life, client.terminator, self.scope, self._codec)
            return LiveAnswer(upstream, Translation(life, None), insists=plan.insists, passed=passed)
        filters = filters_of(self.target.plan.regions, self._offer, self.losses)
        return LiveAnswer(upstream, Translation(life, client, filters), self._note_calls, insists=plan.insists)


def _is_object(text: str, codec: Codec) -> bool:
    try:
        return isinstance(codec.loads(text), dict)
    except ValueError:
        return False


def _is_event_stream(reply: UpstreamReply) -> bool:
    is_typed = reply.headers.get("content-type", "").lower().startswith("text/event-stream")
    return is_typed and not begins_whole(reply.body)


class LiveAnswer:
    """A native stream on its way: upstream bytes in, client bytes out.

    `check` sees the whole at the end. With `passed` the client gets the upstream's own frames,
    and the translation only watches what they mean.
    """

    def __init__(
        self,
        upstream: UpstreamStream,
        translation: Translation,
        check: Callable[[Lifecycle], None] | None = None,
        *,
        insists: bool,
        passed: PassedFrames | None = None,
    ) -> None:
        self._check = check
        self._upstream = upstream
        self._passed = passed
        if passed is not None:
            upstream.watch = passed.take
        self.translation = translation
        self._insists = insists

    @property
    def ended(self) -> bool:
        """Whether the upstream's terminator or a failure was seen; what it still sends is of no interest."""
        return self._upstream.ended or self._upstream.failure is not None or self.translation.failure is not None

    @property
    def may_end(self) -> bool:
        """Whether the answer is whole although its connection broke: a finish reason is enough, if none insists."""
        return self.translation.lifecycle.is_complete and not self._insists and self.translation.failure is None

    def feed(self, data: bytes) -> bytes:
        """The client bytes that these upstream bytes make. Raises UpstreamError, TranslationError."""
        return self._made(self._upstream.feed(data))

    def flush(self) -> bytes:
        """The upstream closed its stream: what was left of it."""
        return self._made(self._upstream.close())

    def _made(self, pieces: list[JsonObject]) -> bytes:
        made = self.translation.take(pieces)
        return made if self._passed is None else self._passed.drain()

    def close(self) -> bytes:
        """The last frames, after `flush`. Raises UpstreamError when the answer was cut or held nothing."""
        if self._upstream.failure is not None:
            raise self._upstream.failure
        life = self.translation.lifecycle
        life.terminated = self._upstream.ended
        if self._insists and not self._upstream.ended:
            life.forget_finish()
        held = self.translation.flush()
        if life.is_complete and self._check is not None:
            self._check(life)
        if life.is_complete and life.keeper is not None:
            life.keeper.end()
        made = held + self.translation.end()
        return made if self._passed is None else made + self._passed.rest(ended=self._upstream.ended)
