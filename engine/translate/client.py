"""The client's side of a dialect: a client's body to the canonical request, a canonical reply to the client's shape."""

from __future__ import annotations

from typing import Final

from engine.errors import EngineError, ErrorInfo, RequestError, TranslationError, UpstreamError
from engine.translate.canonical import KIND_NAMES, check_request, missing, refuse
from engine.translate.losses import Losses
from engine.translate.origins import Origins, Path, path_text
from engine.translate.pairing import pair_results
from engine.translate.plan import AnswerPlan, Codec, DialectPlan, OperationPlan
from engine.translate.wire import ClientReply, HttpInput
from engine.types import ABSENT, Json, JsonObject, Scope

_JSON_HEADERS: Final = {"content-type": "application/json"}


def read_client(
    dialect: DialectPlan, operation: OperationPlan, body: Json, http: HttpInput, options: JsonObject, losses: Losses
) -> JsonObject:
    """Translate a client's body to the canonical request and check it.

    Top-level client keys that no expression of the dialect reads go to `extra`, where an endpoint may read them; what
    nobody reads becomes a loss later. Raises RequestError with the client's own path in `info.param`.
    """
    if not isinstance(body, dict):
        raise refuse(f"The request body must be a JSON object, not {KIND_NAMES[type(body)]}.", None)
    scope: Scope = {"in": body, "http": http.as_json(), "opt": options}
    try:
        request = _run_request(dialect, operation, scope, losses)
    except (RequestError, UpstreamError, TranslationError):
        raise
    except EngineError as error:
        where = origins_of(operation, body, http, options, {}).of_failure()
        raise _unreadable(dialect, operation, error, where) from error
    request = _with_unread(request, body, operation)
    if "messages" in request:
        request = {**request, "messages": pair_results(request["messages"])}
    try:
        return check_request(request)
    except RequestError as error:
        named = origins_of(operation, body, http, options, request).named(error.info)
        raise RequestError(named, detail=error.detail) from error


def origins_of(
    operation: OperationPlan, body: JsonObject, http: HttpInput, options: JsonObject, request: JsonObject
) -> Origins:
    """Where the values of a canonical request came from, for errors that are found in it later."""

    def again(changed: JsonObject) -> Json:
        scope = {"in": changed, "http": http.as_json(), "opt": options}
        return operation.request(scope) if operation.request is not None else changed

    return Origins(body, request, again, operation.names)


def may_pass(operation: OperationPlan, body: Json, http: HttpInput, options: JsonObject) -> bool:
    """Whether the dialect lets a body go to an endpoint of the same wire as it is."""
    if operation.passes is None:
        return True
    try:
        return operation.passes({"in": body, "http": http.as_json(), "opt": options})
    except EngineError:
        return False


_DATA_FAULT: Final = "R002"
"""The code of an expression that met a value of a type it cannot work with."""


def _unreadable(
    dialect: DialectPlan, operation: OperationPlan, error: EngineError, where: Path = ()
) -> RequestError | TranslationError:
    """A client's value of a wrong type is the client's fault; any other failure of the dialect's rules is ours.

    `where` is the place of that value, if it was found.
    """
    detail = f"{dialect.id}.{operation.name}: {error}"
    if error.code == _DATA_FAULT:
        param = path_text(where) if where else None
        named = f"Invalid type for '{param}'" if param is not None else "A field of the request is of a wrong type"
        info = ErrorInfo(
            "invalid_request", f"{named}: {error.message}.", code="invalid_type", param=param, retryable=False
        )
        return RequestError(info, detail=detail)
    info = ErrorInfo("internal", "The request could not be translated.", code="mapping_request_error", retryable=False)
    return TranslationError(info, detail=detail)


def read_model_id(
    dialect: DialectPlan, operation: OperationPlan, body: Json, http: HttpInput, options: JsonObject
) -> str:
    """The model that a `model` operation asks for: what its `request` says, else the path parameter `id`.

    Raises RequestError when it says nothing.
    """
    if operation.request is None:
        return http.params.get("id", "")
    if not isinstance(body, dict):
        raise refuse(f"The request body must be a JSON object, not {KIND_NAMES[type(body)]}.", None)
    scope: Scope = {"in": body, "http": http.as_json(), "opt": options}
    try:
        made = _run_request(dialect, operation, scope, Losses())
    except (RequestError, UpstreamError, TranslationError):
        raise
    except EngineError as error:
        raise _unreadable(dialect, operation, error) from error
    identifier = made.get("id")
    if not isinstance(identifier, str) or not identifier:
        raise missing("model")
    return identifier


def _run_request(dialect: DialectPlan, operation: OperationPlan, scope: Scope, losses: Losses) -> JsonObject:
    for rule in dialect.refuse:
        if rule.when(scope):
            rule.build(scope)
    for loss in dialect.losses:
        if loss.when(scope):
            losses.add(str(loss.build(scope)), loss.action, rule=f"{dialect.id}.losses.{loss.name}")
    request = operation.request(scope) if operation.request is not None else scope["in"]
    return request if isinstance(request, dict) else {}


def _with_unread(request: JsonObject, body: JsonObject, operation: OperationPlan) -> JsonObject:
    if "*" in operation.reads or body.keys() <= operation.reads:
        return request
    unread = {key: value for key, value in body.items() if key not in operation.reads and value is not None}
    own = request.get("extra") or {}
    if not unread or not isinstance(own, dict):
        return request
    return {**request, "extra": {**unread, **own}}


def own_answer(dialect: DialectPlan, operation: OperationPlan, scope: Scope, codec: Codec) -> ClientReply | None:
    """The answer that the dialect gives by itself to `{in, http, ctx, opt}`, or None where an upstream is to be asked.

    Raises RequestError where a value of the client's is of a type that a condition cannot work with.
    """
    for own in operation.answers if isinstance(scope["in"], dict) else ():
        try:
            holds = own.when(scope)
        except EngineError as error:
            raise _unreadable(dialect, operation, error) from error
        if holds:
            return _written(f"{dialect.id}.{operation.name}.{own.name}", own.answer, scope, codec)
    return None


def write_reply(
    dialect: DialectPlan, operation: OperationPlan, scope: Scope, codec: Codec, passed: bytes | None = None
) -> ClientReply:
    """Run the operation's `response` on `{req, out}`, `{models}` or `{model}` (with `ctx` and `opt`) and encode it.

    With `passed` that is the body, as it came from an upstream of the same wire.
    """
    return _written(f"{dialect.id}.{operation.name}", operation.response, scope, codec, passed)


def _written(place: str, answer: AnswerPlan, scope: Scope, codec: Codec, passed: bytes | None = None) -> ClientReply:
    try:
        body = answer.body(scope) if passed is None else None
        extra = answer.headers(scope) if answer.headers is not None else {}
    except EngineError as error:
        info = ErrorInfo("internal", "The answer could not be translated.", code="mapping_response_error")
        raise TranslationError(info, detail=f"{place}: {error}") from error
    headers = {**_JSON_HEADERS, **_header_texts(extra)}
    if passed is not None:
        return ClientReply(answer.status, headers, passed)
    if isinstance(body, str) and not headers["content-type"].startswith("application/json"):
        return ClientReply(answer.status, headers, body.encode())
    return ClientReply(answer.status, headers, codec.dumps(None if body is ABSENT else body))


def _header_texts(extra: Json) -> dict[str, str]:
    if not isinstance(extra, dict):
        return {}
    return {name.lower(): str(value) for name, value in extra.items() if value is not None}


def _own_error(dialect: DialectPlan, info: ErrorInfo, scope: Scope) -> tuple[int, JsonObject, Json]:
    """The dialect's shape of an error; a shape that fails on this one gives way to a plain object."""
    plain: JsonObject = {"error": {"message": info.message, "type": info.type, "param": info.param, "code": info.code}}
    try:
        status, extra, body = dialect.errors(scope)
    except (EngineError, TypeError, ValueError):
        return info.status, {}, plain
    return status, extra, body if isinstance(body, dict | list | str) else plain


def write_error(
    dialect: DialectPlan | None, info: ErrorInfo, request: JsonObject | None, ctx: JsonObject, codec: Codec
) -> ClientReply:
    """Write an error in the dialect's own shape, with `retry-after` and `x-should-retry` where they say something.

    `ctx` is the context as the dialect sees it.
    """
    scope: Scope = {"err": info.as_json(), "req": request, "ctx": ctx}
    no_headers: JsonObject = {}
    if dialect is None:
        status, extra = info.status, no_headers
        body: Json = {"error": {"message": info.message, "type": info.type, "param": info.param, "code": info.code}}
    else:
        status, extra, body = _own_error(dialect, info, scope)
    headers = {**_JSON_HEADERS, **_header_texts(extra), **info.headers}
    if info.retry_after_s is not None:
        headers["retry-after"] = str(info.retry_after_s)
    if info.retryable is False:
        headers.setdefault("x-should-retry", "false")
    return ClientReply(status, headers, codec.dumps(body))
