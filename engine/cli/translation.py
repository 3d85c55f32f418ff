"""One translation at the desk: a client's request to the upstream's, an upstream's reply to the client's answer.

It runs the same straight line as the server (`translate.exchange`) with masked secrets, a fixed time and id, and hands
out what lies between the steps, so that `translate` and `explain` can show it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Final

from engine.errors import RequestError, TranslationError, UpstreamError
from engine.gateway.strict_json import parse_client_json
from engine.language.cases import FIXED_ID, FIXED_NOW, finished, target_for, wire_of
from engine.translate.chat import Chat
from engine.translate.client import read_client, write_error, write_reply
from engine.translate.losses import Losses
from engine.translate.plan import Codec, DialectPlan, EndpointPlan, OperationPlan
from engine.translate.tools.answer import Reading
from engine.translate.wire import ClientReply, Context, HttpInput, Pause, Target, UpstreamReply, UpstreamRequest
from engine.types import Json, JsonObject, Scope

FAILURES: Final = (RequestError, UpstreamError, TranslationError)
_JSON_HEADERS: Final = {"content-type": "application/json"}


class Capture:
    """A codec that also keeps the last value it wrote, before it became bytes: the traced tree of a body."""

    def __init__(self) -> None:
        self.value: Json = None
        self.codec = Codec(loads=json.loads, dumps=self._dumps)

    def _dumps(self, value: Json) -> bytes:
        self.value = value
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


@dataclass(slots=True)
class Translation:
    """One run.

    `client` is the client's body, `canonical` what the dialect's `request` made, `request` the same checked and
    completed. `sent` is the upstream request, `emitted` what `response` gave, `answer` the end.
    `sent_body` and `answer_body` are the trees before encoding. `readings` say how the reply's text was read for tool
    calls. `failure` is what stopped it, if anything did.
    """

    target: Target
    dialect: DialectPlan
    losses: Losses = field(default_factory=Losses)
    client: Json = None
    request: JsonObject | None = None
    canonical: Json = None
    scope: Scope = field(default_factory=dict)
    sent: UpstreamRequest | None = None
    sent_body: Json = None
    emitted: Json = None
    answer: ClientReply | None = None
    answer_body: Json = None
    chat: Chat | None = None
    readings: list[Reading] = field(default_factory=list)
    failure: RequestError | UpstreamError | TranslationError | None = None

    def wire(self) -> JsonObject:
        """The upstream request as data, secrets masked."""
        assert self.sent is not None
        return wire_of(self.sent, Capture().codec)

    def answer_json(self) -> JsonObject:
        """The client's answer as data."""
        assert self.answer is not None
        return {
            "status": self.answer.status,
            "headers": dict(self.answer.headers),
            "body": json.loads(self.answer.body),
        }


def translate(
    endpoint: EndpointPlan, dialect: DialectPlan, body: bytes, options: JsonObject, reply: tuple[int, bytes] | None
) -> Translation:
    """Translate a client's body, and the upstream's reply `(status, body)` if there is one.

    A failure that a client would be told of is not raised: its answer is in the dialect's own shape.
    """
    done = Translation(target_for(endpoint, options), dialect)
    try:
        operation = _chat(dialect)
        _request(done, operation, body)
        if reply is not None:
            _reply(done, operation, *reply)
    except FAILURES as failure:
        done.failure = failure
        capture = Capture()
        done.answer = write_error(dialect, failure.info, done.request, _context(done).for_client(), capture.codec)
        done.answer_body = capture.value
    return done


def _chat(dialect: DialectPlan) -> OperationPlan:
    return next(each for each in dialect.operations.values() if each.kind == "chat")


def _request(done: Translation, operation: OperationPlan, body: bytes) -> None:
    route = operation.routes[0]
    http = HttpInput(route.method, route.pattern)
    client = done.client = parse_client_json(body, depth=64)
    done.request = read_client(done.dialect, operation, client, http, _defaults(done.dialect), done.losses)
    if operation.request is not None:
        done.canonical = operation.request({"in": client, "http": http.as_json(), "opt": _defaults(done.dialect)})
    model: JsonObject = {"id": done.request["model"], "name": done.request["model"], "meta": None}
    capture = Capture()
    done.chat = Chat(done.target, done.request, model, _context(done), done.losses, capture.codec)
    done.scope = done.chat.scope
    done.sent = finished(_first_call(done.chat))
    done.sent_body = capture.value


def _first_call(chat: Chat) -> UpstreamRequest:
    """The call that a chat begins with; where the endpoint makes several, what follows depends on their answers."""
    exchange = chat.opened()
    try:
        asked = next(exchange)
        while isinstance(asked, Pause):
            asked = exchange.send(0.0)
    except StopIteration as end:
        request: UpstreamRequest = end.value
        return request
    return asked


def _reply(done: Translation, operation: OperationPlan, status: int, body: bytes) -> None:
    assert done.request is not None
    assert done.chat is not None
    context, capture = _context(done), Capture()
    try:
        out = done.chat.settled(done.chat.whole(UpstreamReply(status, _JSON_HEADERS, body)))
    finally:
        done.emitted, done.readings = done.chat.emitted, done.chat.readings
    told: JsonObject = {"req": done.request, "in": done.client, "out": out}
    scope = {**told, "ctx": context.for_client(), "opt": _defaults(done.dialect)}
    done.answer = write_reply(done.dialect, operation, scope, capture.codec)
    done.answer_body = capture.value


def _context(done: Translation) -> Context:
    return Context(
        FIXED_ID, FIXED_NOW, bool((done.request or {}).get("stream")), done.dialect.wire, done.dialect.keeps_state
    )


def _defaults(dialect: DialectPlan) -> JsonObject:
    return {name: option.default for name, option in dialect.options.items()}
