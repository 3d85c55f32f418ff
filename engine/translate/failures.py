"""Upstream failures: which rule of `errors:` applies, and what of it a client may see.

The rules run after every upstream call, on any status, before `response` (DECISIONS.md section 1). What no rule knows
gets a general message: an upstream's own text reaches a client only when a rule picked that very string, and then
capped, stripped of control characters and scrubbed of secrets (rule R4).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from math import ceil
from typing import Final

from engine.errors import ERROR_TYPES, TYPE_OF_STATUS, ErrorInfo, TranslationError, UpstreamError
from engine.translate.plan import ErrorRule
from engine.translate.wire import Target
from engine.types import ABSENT, Json, JsonObject, Scope, Secret

MESSAGE_CHARS: Final = 500
_DETAILS_ITEMS: Final = 20
_SHORTEST_SECRET: Final = 4
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_MARKUP: Final = re.compile(r"(?i)<\s*(?:!doctype|html|head|body|center|title)\b")
_GENERAL: Final = {
    "invalid_request": "The upstream refused the request.",
    "not_found": "The upstream does not know what was asked for.",
    "too_large": "The request is too large for the upstream.",
    "rate_limit": "The upstream's rate limit is reached.",
    "timeout": "The upstream took too long.",
    "overloaded": "The upstream is overloaded.",
    "authentication": "The upstream refused the key.",
    "permission": "The upstream refused access.",
}
_RETRYABLE: Final = frozenset({"rate_limit", "overloaded", "timeout"})
RETRY_AFTER_CAP_S: Final = 3600
REFUSED_KEY: Final = "upstream_auth"
"""The code of a failure that is the gateway's own key."""

NO_TOKEN: Final = "The upstream gave no token for the gateway's credentials."

STATUS_FOR_CLIENT: Final = {529: 503, 422: 400}
"""Upstream statuses that clients' SDKs do not know or that mean the same (F20)."""


def check_reply(target: Target, status: int, scope: Scope, retry_after_s: int | None) -> None:
    """Raise UpstreamError when a rule of the endpoint, or the status itself, says that the call failed."""
    for rule in target.plan.errors:
        if _applies(rule, status, scope):
            raise _failure(target, rule, status, scope, retry_after_s)
    if status >= 300:
        info = ErrorInfo(
            _type_of(status), _general(_type_of(status)), status=_client_status(status), code="upstream_error"
        )
        raise UpstreamError(_settle(target, info, retry_after_s), detail=f"upstream status {status}, no rule applied")


def _applies(rule: ErrorRule, status: int, scope: Scope) -> bool:
    if rule.matches is not None and not rule.matches(status):
        return False
    return rule.when is None or rule.when(scope)


def token_failure(target: Target, status: int, scope: Scope, retry_after_s: int | None) -> UpstreamError:
    """The failure of a call for a token, by the rules of the endpoint.

    Where they do not say otherwise, it is the credentials that are refused, unless the status says that a later call
    may do better.
    """
    rule = next((rule for rule in target.plan.errors if _applies(rule, status, scope)), None)
    rule = rule or ErrorRule("none", None, None, lambda scope: {})
    failure = _failure(target, rule, status, scope, retry_after_s, type_of=_token_type)
    info = failure.info
    if info.code == REFUSED_KEY:
        info = info.changed(message=NO_TOKEN)
    return UpstreamError(info, detail=f"auth.token: {failure.detail}")


def _token_type(status: int) -> str:
    kind = _type_of(status)
    return kind if status >= 500 or kind in _RETRYABLE else "authentication"


def _failure(
    target: Target,
    rule: ErrorRule,
    status: int,
    scope: Scope,
    retry_after_s: int | None,
    type_of: Callable[[int], str] | None = None,
) -> UpstreamError:
    """The failure that a rule describes. `type_of` says of a status what it means, where that is not the usual."""
    built = rule.build(scope)
    raised: JsonObject = built if isinstance(built, dict) else {}
    kind = raised.get("type") or (type_of or _type_of)(status)
    if not isinstance(kind, str) or kind not in ERROR_TYPES:
        raise TranslationError(
            ErrorInfo(
                "internal", "The mapping of this upstream has a broken error rule.", code="mapping_response_error"
            ),
            detail=f"errors.{rule.name} of {target.plan.id} gave a type that does not exist",
        )
    is_plain = "type" not in raised and type_of is None and status >= 400
    default_status = _client_status(status) if is_plain else ERROR_TYPES[kind]
    secrets = target.secrets.values()
    info = ErrorInfo(
        kind,
        clean_message(raised.get("message"), secrets) or _general(kind),
        status=http_status(raised.get("status")) or default_status,
        code=_text(raised.get("code"), secrets),
        param=_text(raised.get("param"), secrets),
        details=clean_details(raised.get("details"), secrets),
        retryable=raised["retryable"] if isinstance(raised.get("retryable"), bool) else None,
    )
    wait = _seconds(raised.get("retry_after_s"))
    detail = f"upstream status {status}, rule errors.{rule.name}"
    return UpstreamError(_settle(target, info, retry_after_s if wait is None else wait), detail=detail)


def http_status(value: Json) -> int | None:
    """A status that may go to a client as a failure: a whole number from 400 to 599; anything else is none."""
    is_status = isinstance(value, int) and not isinstance(value, bool) and 400 <= value <= 599
    return value if is_status else None


def _seconds(value: Json) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e9:
        return None
    return ceil(value)  # rounded down, a client would come back too early


def raised_in_stream(target: Target, raised: Json, place: str) -> UpstreamError:
    """The failure that a `raise` of a stream rule describes; the same object as in `errors`."""
    rule = ErrorRule(place, None, None, lambda scope: raised)
    failure = _failure(target, rule, 502, {}, None)
    return UpstreamError(failure.info, detail=f"a frame of the stream, rule at {place}")


def settled(target: Target, failure: UpstreamError) -> UpstreamError:
    """A failure that a mapping's `response` raised, under the same rules as one of `errors`.

    Text out of the upstream's answer is cleaned (R4), and the gateway's own key refused is 502 (DECISIONS 1).
    """
    secrets, info = target.secrets.values(), failure.info
    clean = info.changed(
        message=clean_message(info.message, secrets) or _general(info.type),
        code=_text(info.code, secrets),
        param=_text(info.param, secrets),
        details=clean_details(info.details, secrets),
    )
    return UpstreamError(_settle(target, clean, info.retry_after_s), detail=failure.detail)


def _text(value: Json, secrets: Iterable[Json]) -> str | None:
    return None if value is None or value is ABSENT else clean_message(str(value), secrets)


def clean_details(value: Json, secrets: Iterable[Json]) -> Json:
    """`details` without secrets and of bounded size: texts are cleaned, what is large is left out."""
    if isinstance(value, str):
        return clean_message(value, secrets)
    if isinstance(value, list):
        return [clean_details(each, secrets) for each in value[:_DETAILS_ITEMS]]
    if isinstance(value, dict):
        return {str(key)[:80]: clean_details(each, secrets) for key, each in list(value.items())[:_DETAILS_ITEMS]}
    return value


def _settle(target: Target, info: ErrorInfo, retry_after_s: int | None) -> ErrorInfo:
    """The rules that hold for every mapping: whose key was refused, how long to wait, whether a retry can help."""
    if info.type in ("authentication", "permission") and not target.caller_key:
        return ErrorInfo(
            "upstream", "The upstream refused the gateway's key.", status=502, code=REFUSED_KEY, retryable=False
        )
    retryable = info.type in _RETRYABLE if info.retryable is None else info.retryable
    wait = None if retry_after_s is None or not retryable else max(1, min(retry_after_s, RETRY_AFTER_CAP_S))
    code = info.code or _CODES.get(info.type)
    return info.changed(retryable=retryable, retry_after_s=wait, code=code)


_CODES: Final = {
    "rate_limit": "rate_limit_exceeded",
    "context_length": "context_length_exceeded",
    "content_filter": "content_filter",
    "overloaded": "upstream_overloaded",
    "timeout": "upstream_timeout",
    "upstream": "upstream_error",
    "authentication": "invalid_api_key",
}


def _type_of(status: int) -> str:
    if status in TYPE_OF_STATUS:
        return TYPE_OF_STATUS[status]
    return "invalid_request" if status in (405, 406, 409, 415) else "upstream"


def _client_status(status: int) -> int:
    if status in STATUS_FOR_CLIENT:
        return STATUS_FOR_CLIENT[status]
    if 400 <= status < 500:
        return status
    return status if status in (503, 504) else 502


def _general(kind: str) -> str:
    return _GENERAL.get(kind, "The upstream failed.")


def clean_message(value: Json, secrets: Iterable[Json]) -> str | None:
    """Make an upstream's string fit for a client, or None when it is not a message at all (a page of markup)."""
    if not isinstance(value, str) or _MARKUP.search(value):
        return None
    for secret in _flat(secrets):
        value = value.replace(secret, "***")
    text = _CONTROL.sub(" ", value).strip()
    return text if len(text) <= MESSAGE_CHARS else text[: MESSAGE_CHARS - 1] + "…"


def _flat(secrets: Iterable[Json]) -> Iterator[str]:
    """The texts of secrets, those with parts part by part; a very short one would blank out ordinary words."""
    for secret in secrets:
        if isinstance(secret, Secret):
            if len(secret.reveal()) >= _SHORTEST_SECRET:
                yield secret.reveal()
        elif isinstance(secret, dict):
            yield from _flat(secret.values())
        elif isinstance(secret, list):
            yield from _flat(secret)
