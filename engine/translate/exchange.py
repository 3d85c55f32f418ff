"""One conversation with an upstream, written as a straight line: yield a request, receive its reply.

The generators know nothing of sockets or clocks. The server, a test and a recorded file are three short drivers
(httpx's `auth_flow` is the model). Secrets enter a request here as opaque values and leave only at the HTTP edge.
"""

from __future__ import annotations

from collections.abc import Generator
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

from engine.errors import EngineError, ErrorInfo, RequestError, TranslationError, UpstreamError
from engine.translate.failures import check_reply, settled
from engine.translate.losses import Losses
from engine.translate.plan import CallPlan, Codec
from engine.translate.wire import Context, Target, UpstreamReply, UpstreamRequest
from engine.types import ABSENT, Build, Headers, Json, JsonObject, Scope

_JSON_TYPE: Final = ("content-type", "application/json")
_ACCEPT: Final = ("accept", "application/json")
_FORM_TYPE: Final = ("content-type", "application/x-www-form-urlencoded")


def models_exchange(
    target: Target, context: Context, codec: Codec
) -> Generator[UpstreamRequest, UpstreamReply, list[JsonObject]]:
    """List the upstream's models as canonical model objects; an endpoint without `models` lists none."""
    models = target.plan.models
    if models is None:
        return []
    scope: Scope = {"ctx": context.as_json(), "opt": target.options, "req": None, "model": None}
    reply = yield build_call(target, models.call, scope, codec)
    listed = read_reply(target, models.list, scope, reply, codec)
    if not isinstance(listed, list):
        raise TranslationError(
            ErrorInfo("upstream", "The upstream's model list could not be read.", code="mapping_response_error"),
            detail=f"models.list of {target.plan.id} gave no list",
        )
    return [entry for entry in listed if isinstance(entry, dict) and isinstance(entry.get("id"), str)]


def request_scope(target: Target, request: JsonObject, model: JsonObject, context: Context) -> Scope:
    """The scope of a mapping's request side."""
    return {"req": request, "model": model, "opt": target.options, "ctx": context.as_json(), "step": None}


def build_chat_request(target: Target, scope: Scope, losses: Losses, codec: Codec) -> UpstreamRequest:
    """Check `refuse` and `losses`, then build the chat call. Raises RequestError when a rule refuses."""
    for refuse_rule in target.plan.refuse:
        if run(refuse_rule.when, scope, target, "request"):
            run(refuse_rule.build, scope, target, "request")
    for loss_rule in target.plan.losses:
        if run(loss_rule.when, scope, target, "request"):
            field = run(loss_rule.build, scope, target, "request")
            losses.add(
                field if isinstance(field, str) else loss_rule.name,
                "dropped",
                rule=f"{target.plan.id}.losses.{loss_rule.name}",
            )
    return build_call(target, target.plan.call, scope, codec)


def build_call(target: Target, call: CallPlan, scope: Scope, codec: Codec) -> UpstreamRequest:
    """Build one upstream request: path, query, headers and body from their trees, the secrets last."""
    base = target.base_url if call.host is None else target.hosts[call.host]
    path = run(call.path, scope, target, "request")
    url = base.rstrip("/") + path
    query = _pairs(run(call.query, scope, target, "request") if call.query else None)
    own = [(name, _header_text(value)) for name, value in _items(call.headers, scope, target)]
    body, content_type = _encode(call, scope, target, codec)
    named = {name.lower() for name, _ in own}
    first = [content_type] if content_type is not None and "content-type" not in named else []
    headers = [*first, *own, *([] if "accept" in named else [_ACCEPT])]
    secret_headers: list[tuple[str, Json]] = []
    if target.plan.auth is not None:
        credentials = target.plan.auth({**scope, "secret": target.secrets})
        secret_headers = list(credentials.get("headers", {}).items())
        query += list(credentials.get("query", {}).items())
    parts = urlsplit(url)
    return UpstreamRequest(
        method=call.method,
        url=url,
        query=tuple(query),
        headers=(*headers, *secret_headers),
        body=body,
        origin=f"{parts.scheme}://{parts.netloc}",
    )


def run(build: Build, scope: Scope, target: Target, side: str) -> Json:
    """Run a compiled tree; what it raises becomes an error that names the mapping, not the data (F42, F43)."""
    try:
        return build(scope)
    except UpstreamError as failure:
        raise settled(target, failure) from failure
    except (RequestError, TranslationError):
        raise
    except EngineError as error:
        if side == "request":
            info = ErrorInfo(
                "internal",
                f"The mapping {target.plan.id} failed on this request.",
                code="mapping_request_error",
                retryable=False,
            )
        else:
            info = ErrorInfo(
                "upstream",
                f"The mapping {target.plan.id} could not read the upstream's answer.",
                code="mapping_response_error",
            )
        raise TranslationError(info, detail=str(error)) from error


def _items(build: Build | None, scope: Scope, target: Target) -> list[tuple[str, Json]]:
    if build is None:
        return []
    made = run(build, scope, target, "request")
    return list(made.items()) if isinstance(made, dict) else []


def _encode(call: CallPlan, scope: Scope, target: Target, codec: Codec) -> tuple[bytes | None, tuple[str, str] | None]:
    if call.body is None:
        return None, None
    body = run(call.body, scope, target, "request")
    if body is ABSENT:
        return None, None
    if call.encode == "form":
        return urlencode(_pairs(body)).encode(), _FORM_TYPE
    if call.encode == "raw":
        return _scalar_text(body).encode(), None
    return codec.dumps(body), _JSON_TYPE


def _pairs(value: Json) -> list[tuple[str, Json]]:
    """An object as pairs in order; a list repeats its key."""
    if not isinstance(value, dict):
        return []
    pairs: list[tuple[str, Json]] = []
    for key, item in value.items():
        pairs += [(key, _scalar_text(one)) for one in (item if isinstance(item, list) else [item])]
    return pairs


def _header_text(value: Json) -> str:
    """A header value. Control characters would let a client's text add headers (LANGUAGE 3.4)."""
    text = _scalar_text(value)
    if any(ord(char) < 32 or ord(char) == 127 for char in text):
        raise RequestError(
            ErrorInfo("invalid_request", "A value of the request cannot stand in an HTTP header.", retryable=False),
            detail="a control character in a header value",
        )
    return text


def _scalar_text(value: Json) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    if isinstance(value, str | int | float):
        return str(value)
    raise TranslationError(
        ErrorInfo("internal", "A header or query value of the mapping is not a scalar.", code="mapping_request_error")
    )


def read_reply(target: Target, build: Build, scope: Scope, reply: UpstreamReply, codec: Codec) -> Json:
    """Check the reply against the endpoint's error rules, then run `build` on it.

    Raises UpstreamError for a failure, also one inside a 2xx; TranslationError when the mapping cannot read it.
    """
    decoded, readable = _decode(reply, codec)
    reply_scope: Scope = {
        **scope,
        "res": decoded,
        "raw": reply.body.decode("utf-8", "replace") if decoded is None or reply.status >= 300 else None,
        "http": {"status": reply.status, "headers": dict(reply.headers)},
        "models": list(target.known_models) if target.known_models is not None else None,
    }
    try:
        check_reply(target, reply.status, reply_scope, retry_after_s(reply.headers, scope["ctx"]["now"]))
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
    return run(build, reply_scope, target, "reply")


def _decode(reply: UpstreamReply, codec: Codec) -> tuple[Json, bool]:
    try:
        return codec.loads(reply.body), True
    except ValueError:
        return None, False


def retry_after_s(headers: Headers, now: float | None = None) -> int | None:
    """Read `retry-after-ms` or `retry-after` in seconds; a date needs a clock, so its wait is taken against `date`.

    Returns None for none or garbage, at least 1 otherwise (F17, F18).
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return max(1, round(milliseconds / 1000))
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is not None:
        return max(1, round(seconds))
    if text is None:
        return None
    try:
        until = parsedate_to_datetime(text)
        if "date" in headers:
            return max(1, round((until - parsedate_to_datetime(headers["date"])).total_seconds()))
        return None if now is None else max(1, round(until.timestamp() - now))
    except (TypeError, ValueError, OverflowError):
        return None


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else None
    except ValueError:
        return None
    return value if value is not None and 0 <= value < 1e9 else None


def expand_path(template: tuple[str | tuple[str, bool], ...], values: JsonObject) -> str:
    """Fill a path template: literals stand, `{x}` is percent-encoded, `{+x}` keeps its slashes (RFC 6570 subset).

    Raises TranslationError when a value is missing, is no scalar, or makes a `.` or `..` segment (threat T2).
    """
    filled = []
    for part in template:
        if isinstance(part, str):
            filled.append(part)
            continue
        name, keep_slashes = part
        value = values.get(name)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise _bad_path(name)
        filled.append(quote(str(value), safe="/" if keep_slashes else ""))
    path = "".join(filled)
    if any(segment in (".", "..") for segment in path.split("/")):
        raise _bad_path("path")
    return path


def _bad_path(name: str) -> RequestError:
    return RequestError(
        ErrorInfo("invalid_request", "The model's name cannot stand in this upstream's path.", param="model"),
        detail=f"path parameter {name}",
    )
