"""One conversation with an upstream, written as a straight line: yield a request, receive its reply.

The generators know nothing of sockets or clocks. The server, a test and a recorded file are three short drivers
(httpx's `auth_flow` is the model). Secrets enter a request here as opaque values and leave only at the HTTP edge.
"""

from __future__ import annotations

from engine.errors import EngineError, ErrorInfo, RequestError, TranslationError, UpstreamError
from engine.translate.calls import build_call, run
from engine.translate.failures import check_reply
from engine.translate.losses import Losses
from engine.translate.plan import Codec
from engine.translate.received import received, retry_after_s
from engine.translate.wire import Context, Exchange, Target, UpstreamReply, UpstreamRequest, ask
from engine.types import Build, Json, JsonObject, Scope


def models_exchange(target: Target, context: Context, codec: Codec) -> Exchange[list[JsonObject]]:
    """List the upstream's models as canonical model objects; an endpoint without `models` lists none."""
    models = target.plan.models
    if models is None:
        return []
    scope: Scope = {"ctx": context.as_json(), "opt": target.options, "req": None, "model": None}
    reply = yield from ask(build_call(target, models.call, scope, codec))
    listed = read_reply(target, models.list, scope, reply, codec)
    if not isinstance(listed, list):
        raise TranslationError(
            ErrorInfo("upstream", "The upstream's model list could not be read.", code="mapping_response_error"),
            detail=f"models.list of {target.plan.id} gave no list",
        )
    return [entry for entry in listed if isinstance(entry, dict) and isinstance(entry.get("id"), str)]


def request_scope(target: Target, request: JsonObject, model: JsonObject, context: Context) -> Scope:
    """The scope of a mapping's request side."""
    return {"req": request, "model": model, "opt": target.options, "ctx": context.as_json(), "step": {}}


def build_chat_request(target: Target, scope: Scope, losses: Losses, codec: Codec) -> UpstreamRequest:
    """Check `refuse` and `losses`, then build the call that gives the answer; earlier calls are not made.

    Raises RequestError when a rule refuses.
    """
    check_rules(target, scope, losses)
    plan = target.plan
    call = plan.stream_call if plan.stream_call is not None and scope["ctx"]["stream"] else plan.call
    return build_call(target, call, scope, codec)


def check_rules(target: Target, scope: Scope, losses: Losses) -> None:
    """Refuse what a rule of `refuse` is for, note what `losses` declares. Raises RequestError."""
    for refuse_rule in target.plan.refuse:
        if run(refuse_rule.when, scope, target, "request"):
            run(refuse_rule.build, scope, target, "request")
    for loss_rule in target.plan.losses:
        if run(loss_rule.when, scope, target, "request"):
            field = run(loss_rule.build, scope, target, "request")
            losses.add(
                field if isinstance(field, str) else loss_rule.name,
                loss_rule.action,
                rule=f"{target.plan.id}.losses.{loss_rule.name}",
            )


def read_reply(target: Target, build: Build, scope: Scope, reply: UpstreamReply, codec: Codec) -> Json:
    """Check the reply against the endpoint's error rules, then run `build` on it.

    Raises UpstreamError for a failure, also one inside a 2xx; TranslationError when the mapping cannot read it.
    """
    return run(build, reply_scope(target, scope, reply, codec), target, "reply")


def reply_scope(target: Target, scope: Scope, reply: UpstreamReply, codec: Codec) -> Scope:
    """What trees see of a reply that is none of the endpoint's failures. Raises as `read_reply` does."""
    seen, readable = received(target, scope, reply, codec)
    try:
        check_reply(target, reply.status, seen, retry_after_s(reply.headers, scope["ctx"]["now"]))
    except (RequestError, UpstreamError, TranslationError):
        raise
    except EngineError as error:
        raise TranslationError(
            ErrorInfo(
                "upstream", "The upstream failed, and its answer could not be read.", code="mapping_response_error"
            ),
            detail=f"errors of {target.plan.id}: {error}",
        ) from error
    if not readable:
        raise UpstreamError(
            ErrorInfo("upstream", "The upstream's answer is not JSON.", code="upstream_bad_response"),
            detail=f"content-type {reply.headers.get('content-type', 'missing')}, {len(reply.body)} bytes",
        )
    return seen
