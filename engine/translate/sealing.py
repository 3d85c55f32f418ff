"""What finishes a request at the moment it is sent: a token that was had for the credentials, and a signature.

Both depend on the time of sending, and a token on what earlier requests got. So a request carries its seal to the
sender, which keeps the tokens and has the clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

from engine.errors import EngineError, ErrorInfo, UpstreamError
from engine.translate.failures import NO_TOKEN, REFUSED_KEY, token_failure
from engine.translate.plan import Codec, SignPlan, TokenPlan
from engine.translate.received import received, retry_after_s
from engine.translate.wire import Target, UpstreamReply, UpstreamRequest
from engine.types import ABSENT, Build, Json, JsonObject, Scope, Secret

_UNRESERVED: Final = "-_.~"

_EARLY_PART: Final = 0.1
"""A token of a short life is renewed this part of it before its end, if that is less than `early_s`."""


@dataclass(frozen=True, slots=True)
class Token:
    """What an upstream gave for the credentials. `until` is the Unix time from which a new one is fetched."""

    value: Secret
    until: float | None


@dataclass(frozen=True, slots=True)
class Seal:
    """How a request is finished: `finish(token, now)`.

    `holder` says whose token it is. `ask` makes the call for a new one (None: no token is needed), `read` takes it
    out of the answer, and `refused` says of an answer that the token is not taken any more.
    """

    finish: Callable[[Token | None, int], UpstreamRequest]
    holder: str
    ask: Callable[[int], UpstreamRequest] | None
    read: Callable[[UpstreamReply, int], Token]
    refused: Callable[[UpstreamReply], bool] | None


def make_seal(
    target: Target,
    finish: Callable[[Token | None, int], UpstreamRequest],
    ask: Callable[[int], UpstreamRequest] | None,
    scope: Scope,
    codec: Codec,
) -> Seal:
    """The seal of one request to a target whose `auth` has a token or a signature."""
    plan = target.plan.token
    refused = plan.refused if plan is not None else None

    def read(reply: UpstreamReply, now: int) -> Token:
        assert plan is not None
        # Neither `req` nor `step`: the token is for all, and so is the failure.
        own = {"req": None, "model": None, "step": {}, "opt": target.options, "ctx": {**scope["ctx"], "now": now}}
        seen, _ = received(target, own, reply, codec)
        token = _token(plan, reply, seen, now)
        if token is None:
            raise _no_token(target, reply, seen, now)
        return token

    def is_refused(reply: UpstreamReply) -> bool:
        assert refused is not None
        # Where the condition cannot be worked out, the answer is judged like any other.
        return _read(refused, received(target, scope, reply, codec)[0]) is True

    holder = f"{target.name}\n{target.credential_id}"
    return Seal(finish, holder, ask, read, is_refused if refused is not None else None)


def _token(plan: TokenPlan, reply: UpstreamReply, seen: Scope, now: int) -> Token | None:
    """The token of an answer, None where there is none in it: nothing is sent without it."""
    value = _read(plan.value, seen) if 200 <= reply.status < 300 else None
    if not isinstance(value, str) or not value:
        return None
    lasts, ends = _number(plan.lasts, seen), _number(plan.ends, seen)
    if lasts is not None:
        life = lasts * plan.unit_s
    elif ends is not None:
        life = ends * plan.unit_s - now
    else:
        return Token(Secret(value), None)
    return Token(Secret(value), now + life - min(plan.early_s, life * _EARLY_PART))


def _no_token(target: Target, reply: UpstreamReply, seen: Scope, now: int) -> UpstreamError:
    """Why there is no token: what the endpoint's error rules say of the answer."""
    try:
        return token_failure(target, reply.status, seen, retry_after_s(reply.headers, now))
    except EngineError as error:
        info = ErrorInfo("upstream", NO_TOKEN, code=REFUSED_KEY, retryable=False)
        return UpstreamError(info, detail=f"auth.token: status {reply.status}; errors of {target.plan.id}: {error}")


def _number(build: Build | None, scope: Scope) -> float | None:
    value = _read(build, scope) if build is not None else None
    try:
        return None if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None


def _read(build: Build, scope: Scope) -> Json:
    try:
        value = build(scope)
    except EngineError:
        return None
    return None if value is ABSENT else value


def signature(plan: SignPlan, request: UpstreamRequest, scope: Scope) -> UpstreamRequest:
    """The request with the headers and query that sign it. `wire` is the request as it will be sent."""
    own = {**scope, "wire": _wire(request, scope)}
    for name, build in plan.values:
        value = build(own)
        own[name] = None if value is ABSENT else value
    headers = _made(plan.headers, own)
    named = {name.lower() for name, _ in headers}
    kept = [pair for pair in request.headers if pair[0].lower() not in named]
    return replace(request, headers=(*kept, *headers), query=(*request.query, *_made(plan.query, own)))


def _made(builds: Mapping[str, Build], scope: Scope) -> list[tuple[str, Secret | str]]:
    made = [(name, build(scope)) for name, build in builds.items()]
    return [(name, value if isinstance(value, Secret) else str(value)) for name, value in made if value is not ABSENT]


def _wire(request: UpstreamRequest, scope: Scope) -> JsonObject:
    """The finished request as `auth.sign` sees it: everything that a signature may cover, as it will be sent."""
    parts = urlsplit(request.url)
    body = request.body or b""
    pairs = [(name, value.reveal() if isinstance(value, Secret) else value) for name, value in request.query]
    encoded = sorted((quote(name, safe=_UNRESERVED), quote(value, safe=_UNRESERVED)) for name, value in pairs)
    try:
        text: str | None = body.decode()
    except UnicodeDecodeError:
        text = None
    return {
        "method": request.method,
        "host": parts.netloc,
        "path": parts.path or "/",
        "query": urlencode(pairs),
        "query_sorted": "&".join(f"{name}={value}" for name, value in encoded),
        "headers": {name.lower(): value for name, value in request.headers},
        "body": text,
        "body_sha256": hashlib.sha256(body).hexdigest(),
        "now": scope["ctx"]["now"],
    }
