"""One upstream request out of its plan: path, query, headers and body from their trees, the credentials last.

Where a token or a signature belongs in it, the request is finished only when it is sent: see `sealing`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit

from engine.errors import CredentialError, EngineError, ErrorInfo, RequestError, TranslationError, UpstreamError
from engine.translate.failures import settled
from engine.translate.plan import CallPlan, Codec
from engine.translate.sealing import Token, make_seal, signature
from engine.translate.wire import Target, UpstreamRequest
from engine.types import ABSENT, Build, Json, JsonObject, Scope, Secret

_ACCEPT: Final = ("accept", "application/json")
_CONTENT_TYPES: Final[Mapping[str, str]] = {
    "json": "application/json",
    "form": "application/x-www-form-urlencoded",
}

Pairs = list[tuple[str, Json]]


@dataclass(frozen=True, slots=True)
class _Draft:
    """A request without its credentials; `body` is the tree, or finished bytes, or ABSENT."""

    call: CallPlan
    url: str
    query: Pairs
    headers: Pairs
    body: Json


def build_call(
    target: Target, call: CallPlan, scope: Scope, codec: Codec, passed: bytes | None = None
) -> UpstreamRequest:
    """Build one upstream request with the endpoint's credentials in it; `passed` stands for what its tree would make.

    Raises RequestError where the client's data cannot stand in it, TranslationError where the mapping's cannot.
    """
    plan = target.plan
    draft = _draft(target, call, scope, passed)
    if plan.token is None and plan.sign is None:
        return _finished(target, draft, scope, codec)

    def finish(token: Token | None, now: int) -> UpstreamRequest:
        at = {**scope, "ctx": {**scope["ctx"], "now": now}}
        if token is not None:
            at["token"] = token.value
        return _finished(target, draft, at, codec)

    def token_call(now: int) -> UpstreamRequest:
        assert plan.token is not None
        own = {"opt": target.options, "ctx": {**scope["ctx"], "now": now}, "secret": target.secrets}
        for need in plan.token.needs:
            _credential(need, own, target)
        return _encoded(_draft(target, plan.token.call, own), {}, own, codec)

    seal = make_seal(target, finish, token_call if plan.token is not None else None, scope, codec)
    return UpstreamRequest(call.method, draft.url, tuple(draft.query), (), None, _origin(draft.url), seal)


def _draft(target: Target, call: CallPlan, scope: Scope, passed: bytes | None = None) -> _Draft:
    url, query = _address(target, call, scope)
    query += _pairs(run(call.query, scope, target, "request") if call.query else None)
    own: Pairs = []
    if call.headers is not None:
        made = run(call.headers, scope, target, "request")
        own = [(name, _header_value(value)) for name, value in (made.items() if isinstance(made, dict) else ())]
    body: Json = passed
    if passed is None:
        body = run(call.body, scope, target, "request") if call.body is not None else ABSENT
    return _Draft(call, url, query, own, body)


def _address(target: Target, call: CallPlan, scope: Scope) -> tuple[str, Pairs]:
    if call.url is not None:
        return _found_url(target, run(call.url, scope, target, "request"))
    name = run(call.host, scope, target, "request") if call.host is not None else None
    base = target.base_url if name is None or name is ABSENT else target.hosts.get(name)
    if base is None:
        message = f"The mapping {target.plan.id} names no host of its own."
        info = ErrorInfo("internal", message, code="mapping_request_error", retryable=False)
        raise TranslationError(info, detail=f"request.host gave {str(name)[:80]!r}")
    return base.rstrip("/") + run(call.path, scope, target, "request"), []


def _found_url(target: Target, url: Json) -> tuple[str, Pairs]:
    """An address out of an earlier answer: only on the origins that the config binds this upstream to (rule R1)."""
    if not isinstance(url, str) or not url:
        info = ErrorInfo("upstream", "The upstream gave no address for the next call.", code="upstream_bad_response")
        raise UpstreamError(info, detail=f"a step's `url` of {target.plan.id} gave no text; is the path to it right?")
    parts = _split(url)
    known = {urlsplit(each)[:2] for each in (target.base_url, *target.hosts.values())}
    if parts[:2] not in known:
        info = ErrorInfo("upstream", "The upstream named an address that is not its own.", code="upstream_bad_response")
        origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"[:200]
        raise UpstreamError(info, detail=f"a step's `url` is on {origin!r}, no origin of `base_url` and `hosts`")
    query: Pairs = list(parse_qsl(parts.query, keep_blank_values=True))
    return f"{parts.scheme}://{parts.netloc}{parts.path}", query


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # brackets that hold no address
        return SplitResult("", "", "", "", "")


def _finished(target: Target, draft: _Draft, scope: Scope, codec: Codec) -> UpstreamRequest:
    """The request with its credentials, and signed where the mapping says so."""
    plan = target.plan
    if plan.auth is None and plan.sign is None:
        return _encoded(draft, {}, scope, codec)
    own = {**scope, "secret": target.secrets}
    credentials = _credential(plan.auth, own, target) if plan.auth is not None else {}
    request = _encoded(draft, credentials, scope, codec)
    sign = plan.sign
    return request if sign is None else run(lambda seen: signature(sign, request, seen), own, target, "request")


def _credential(build: Build, scope: Scope, target: Target) -> Json:
    """What a part of `auth` gives. A missing credential is the caller's to mend where it is the caller's own."""
    try:
        return run(build, scope, target, "request")
    except CredentialError as error:
        if target.caller_key:
            raise incomplete_key(error.detail) from error
        raise


def incomplete_key(detail: str) -> RequestError:
    """The failure of a caller whose own key lacks what the upstream's credentials need."""
    message = "The API key that was sent does not have the parts that this upstream needs."
    return RequestError(ErrorInfo("authentication", message, code="invalid_api_key", retryable=False), detail=detail)


def _encoded(draft: _Draft, credentials: JsonObject, scope: Scope, codec: Codec) -> UpstreamRequest:
    body, content_type = _body(draft, credentials.get("body"), scope, codec)
    named = {name.lower() for name, _ in draft.headers}
    first: Pairs = [("content-type", content_type)] if content_type is not None and "content-type" not in named else []
    last: Pairs = [*([] if "accept" in named else [_ACCEPT]), *credentials.get("headers", {}).items()]
    return UpstreamRequest(
        method=draft.call.method,
        url=draft.url,
        query=(*draft.query, *credentials.get("query", {}).items()),
        headers=(*first, *draft.headers, *last),
        body=body,
        origin=_origin(draft.url),
    )


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _body(draft: _Draft, credentials: JsonObject | None, scope: Scope, codec: Codec) -> tuple[bytes | None, str | None]:
    body, encode = draft.body, draft.call.encode
    if isinstance(body, bytes):  # the client's own (see `passing`)
        return body, _CONTENT_TYPES["json"]
    if credentials:
        body = {**(body if isinstance(body, dict) else {}), **credentials}
    if body is ABSENT:
        return None, None
    if encode == "form":
        return urlencode([(name, _shown(value)) for name, value in _pairs(body)]).encode(), _CONTENT_TYPES[encode]
    if encode == "raw":
        return _shown(_scalar(body)).encode(), None
    if encode == "multipart":
        return _multipart(body, str(scope["ctx"].get("request_id")))
    return codec.dumps(revealed(body) if credentials or "secret" in scope else body), _CONTENT_TYPES["json"]


def _multipart(body: Json, seed: str) -> tuple[bytes, str]:
    """A form of fields and files (RFC 7578). A file is `{filename, content_type, data}`, or `base64` for `data`."""
    boundary = "engine-" + hashlib.sha256(seed.encode()).hexdigest()[:32]
    out = b""
    for name, value in body.items() if isinstance(body, dict) else ():
        for each in value if isinstance(value, list) else [value]:
            head, data = _field(name, each)
            out += f"--{boundary}\r\n{head}\r\n\r\n".encode() + data + b"\r\n"
    return out + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def _field(name: str, value: Json) -> tuple[str, bytes]:
    head = f'content-disposition: form-data; name="{_quoted(name)}"'
    if not isinstance(value, dict):
        return head, _shown(_scalar(value)).encode()
    head += f'; filename="{_quoted(str(value.get("filename") or "file"))}"'
    head += f"\r\ncontent-type: {_header_value(value.get('content_type') or 'application/octet-stream')}"
    if value.get("base64") is None and value.get("data") is None:
        said = "A file of the request has no content; send it as a data URL."
        info = ErrorInfo("invalid_request", said, code="invalid_value", retryable=False)
        raise RequestError(info, detail=f"the form field {name} has neither `data` nor `base64`")
    if "base64" not in value:
        return head, _shown(_scalar(value.get("data"))).encode()
    try:
        return head, base64.b64decode(str(value["base64"]), validate=True)
    except (binascii.Error, ValueError):
        info = ErrorInfo("invalid_request", "A file of the request is not valid base64.", code="invalid_value")
        raise RequestError(info, detail=f"base64 of the form field {name}") from None


def _quoted(text: str) -> str:
    """A name within quotes, as browsers write it."""
    return text.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")


def _pairs(value: Json) -> Pairs:
    """An object as pairs in order; a list repeats its key."""
    if not isinstance(value, dict):
        return []
    pairs: Pairs = []
    for key, item in value.items():
        pairs += [(key, _scalar(one)) for one in (item if isinstance(item, list) else [item])]
    return pairs


def _header_value(value: Json) -> str | Secret:
    """A header value. Control characters would let a client's text add headers (LANGUAGE 3.4)."""
    text = _scalar(value)
    if isinstance(text, str) and any(ord(char) < 32 or ord(char) == 127 for char in text):
        raise RequestError(
            ErrorInfo("invalid_request", "A value of the request cannot stand in an HTTP header.", retryable=False),
            detail="a control character in a header value",
        )
    return text


def _scalar(value: Json) -> str | Secret:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    if isinstance(value, Secret):
        return value
    if isinstance(value, str | int | float):
        return str(value)
    raise TranslationError(
        ErrorInfo("internal", "A header or query value of the mapping is not a scalar.", code="mapping_request_error")
    )


def _shown(text: str | Secret) -> str:
    return text.reveal() if isinstance(text, Secret) else text


def revealed(value: Json) -> Json:
    """A body with its secrets as text: the last thing before it is bytes, and only where `auth` put them in."""
    if isinstance(value, dict):
        return {key: revealed(each) for key, each in value.items()}
    if isinstance(value, list):
        return [revealed(each) for each in value]
    return value.reveal() if isinstance(value, Secret) else value


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


def expand_path(template: tuple[str | tuple[str, bool], ...], values: JsonObject) -> str:
    """Fill a path template: literals stand, `{x}` is percent-encoded, `{+x}` keeps its slashes (RFC 6570 subset).

    Raises RequestError when a value is no scalar, or makes a `.` or `..` segment (threat T2).
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


def missing_in_path(name: str, source: str, *, of_step: bool) -> EngineError:
    """The failure of a call whose path lacks a value: what an earlier answer did not hold, or the request did not."""
    detail = f"path parameter {name} is absent ({source})"
    if of_step:
        message = "The upstream's answer lacks what the next call needs."
        return UpstreamError(ErrorInfo("upstream", message, code="upstream_bad_response"), detail=detail)
    message = "The request lacks a value that stands in this upstream's path."
    return RequestError(ErrorInfo("invalid_request", message, retryable=False), detail=detail)


def _bad_path(name: str) -> RequestError:
    return RequestError(
        ErrorInfo("invalid_request", "The model's name cannot stand in this upstream's path.", param="model"),
        detail=f"path parameter {name}",
    )
