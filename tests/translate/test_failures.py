"""Upstream failures: which rule applies, which status a client sees, and what of the upstream's text it gets (R4)."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from engine.errors import EngineError, UpstreamError
from engine.language.cases import json_codec, target_for
from engine.translate.exchange import read_reply, request_scope
from engine.translate.failures import MESSAGE_CHARS, clean_message
from engine.translate.received import retry_after_s
from engine.translate.wire import Context, Target, UpstreamReply
from engine.types import Json, Secret

Make = Callable[..., Any]
KEY = "sk-secret-0123456789"
REQUEST = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def target(plan: Any, *, caller_key: bool = False, secrets: dict[str, Json] | None = None) -> Target:
    base = target_for(plan, {})
    return Target(base.name, plan, base.base_url, base.hosts, base.options, secrets or {"k": Secret(KEY)}, caller_key)


def read(plan: Any, status: int, body: Json, headers: dict[str, str] | None = None, **more: Any) -> Json:
    aim = target(plan, **more)
    scope = request_scope(aim, REQUEST, {"id": "m", "name": "m", "meta": None}, Context("req_1", 1))
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_reply(aim, plan.response, scope, UpstreamReply(status, headers or {}, data), json_codec())


def info(plan: Any, status: int, body: Json, headers: dict[str, str] | None = None, **more: Any) -> Any:
    with pytest.raises(UpstreamError) as failure:
        read(plan, status, body, headers, **more)
    return failure.value.info


def errors(**raised: Json) -> dict[str, Json]:
    return {"any": {"status": ["4xx", "5xx"], "raise": {"message": "=res.error", **raised}}}


@pytest.mark.parametrize(
    ("status", "kind", "seen", "code", "retryable"),
    [
        (400, "invalid_request", 400, None, False),
        (422, "invalid_request", 400, None, False),
        (404, "not_found", 404, None, False),
        (409, "invalid_request", 409, None, False),
        (413, "too_large", 413, None, False),
        (408, "timeout", 408, "upstream_timeout", True),
        (429, "rate_limit", 429, "rate_limit_exceeded", True),
        (500, "upstream", 502, "upstream_error", False),
        (503, "overloaded", 503, "upstream_overloaded", True),
        (504, "timeout", 504, "upstream_timeout", True),
        (529, "overloaded", 503, "upstream_overloaded", True),
        (401, "upstream", 502, "upstream_auth", False),
        (403, "upstream", 502, "upstream_auth", False),
    ],
)
def test_the_status_decides_where_the_rule_does_not(
    endpoint: Make, status: int, kind: str, seen: int, code: str, retryable: bool
) -> None:
    """Type, status and code of a failure without a `type` in its rule (DECISIONS 1, F20)."""
    found = info(endpoint(), status, {"error": "words"})

    assert (kind, seen, code, retryable) == (found.type, found.status, found.code, found.retryable)


@pytest.mark.parametrize(
    ("status", "kind", "code"), [(401, "authentication", "invalid_api_key"), (403, "permission", None)]
)
def test_a_refused_key_of_the_caller_is_the_callers_to_see(endpoint: Make, status: int, kind: str, code: str) -> None:
    """With the caller's own key 401 and 403 stay; with ours they are 502 upstream_auth and say nothing more."""
    mine, ours = info(endpoint(), status, {"error": "bad"}, caller_key=True), info(endpoint(), status, {"error": "bad"})

    assert (kind, status, code, "bad") == (mine.type, mine.status, mine.code, mine.message)
    assert ("upstream", 502, "upstream_auth", False) == (ours.type, ours.status, ours.code, "bad" in ours.message)


def test_the_first_rule_that_applies_decides(endpoint: Make) -> None:
    """Rules run in order, by status and condition, also on 200."""
    plan = endpoint(errors={
        "quota": {"status": 429, "when": "=res.code == 'money'", "raise": {"type": "rate_limit", "code": "insufficient_quota"}},  # noqa: E501
        "inside": {"when": "=present(res.error)", "raise": {"message": "=res.error"}},
        "any": {"status": ["4xx", "5xx"], "raise": {"code": "last"}},
    })  # fmt: skip

    assert "insufficient_quota" == info(plan, 429, {"code": "money"}).code
    assert ("upstream", 502, "boom") == tuple(
        getattr(info(plan, 200, {"error": "boom"}), k) for k in ("type", "status", "message")
    )
    assert "last" == info(plan, 429, {}).code
    assert {"text": "ok"} == read(plan, 200, {"text": "ok"})
    assert {"text": "ok"} == read(plan, 201, {"text": "ok"})


def test_a_rules_type_brings_its_own_status(endpoint: Make) -> None:
    """`type: context_length` on a 500 is 400 context_length_exceeded (trap 101); a written status stands above it."""
    found = info(endpoint(errors=errors(type="context_length")), 500, {"error": "Excessively long"})
    assert (400, "context_length_exceeded") == (found.status, found.code)
    assert 418 == info(endpoint(errors=errors(type="upstream", status=418)), 500, {}).status


@pytest.mark.parametrize("status", [301, 302, 418, 599])
def test_a_status_that_no_rule_takes_is_still_a_failure(endpoint: Make, status: int) -> None:
    """Redirects and odd statuses never reach `response`."""
    plan = endpoint()

    assert info(plan, status, {"text": "t"}).status in (status, 502)


@pytest.mark.parametrize(
    "message",
    [
        "<!DOCTYPE html><p>x",
        "<html><body>oops",
        "  <HTML>",
        "text then <head>",
        5,
        None,
        ["a"],
        {"a": 1},
        "",
        "\x00\x1b",
        " \n ",
    ],
)
def test_what_is_no_message_becomes_a_general_one(endpoint: Make, message: Json) -> None:
    """Pages of markup, non-text and blanks are replaced by words of ours."""
    assert "The upstream does not know what was asked for." == info(endpoint(), 404, {"error": message}).message


def test_a_message_is_cut_stripped_and_scrubbed(endpoint: Make) -> None:
    """500 characters, no control or direction characters, no secret (R4)."""
    found = info(endpoint(), 400, {"error": f"a\r\nb\u202e\x1b[31mc {KEY} " + "x" * 1000}).message

    assert found.startswith("a b [31mc *** xxx")
    assert (MESSAGE_CHARS, "…") == (len(found), found[-1])


def test_clean_message_leaves_good_text_alone() -> None:
    """Ordinary text, umlauts and angle brackets stay."""
    assert "Größe <5 & 7> ok" == clean_message("Größe <5 & 7> ok", [])


def test_the_parts_of_a_parsed_secret_are_scrubbed(endpoint: Make) -> None:
    """A secret with `parse: json` is scrubbed from messages part by part (R3, R4)."""
    found = info(endpoint(), 400, {"error": f"bad key {KEY}"}, secrets={"k": {"id": Secret("me"), "key": Secret(KEY)}})

    assert KEY not in found.message


@pytest.mark.parametrize("field", ["code", "param", "details"])
def test_every_string_that_a_rule_picks_is_scrubbed(endpoint: Make, field: str) -> None:
    """A rule may pick a code or details from the upstream's body: no secret, no kilobytes (R4)."""
    found = info(endpoint(errors=errors(**{field: "=res.error"})), 400, {"error": f"{KEY}" + "x" * 1000})

    assert KEY not in str(getattr(found, field))
    assert len(str(getattr(found, field))) <= MESSAGE_CHARS


@pytest.mark.parametrize("text", [f"key {KEY}", "<html><body>page", "x" * 2000, "a\x1b[31m"])
def test_a_raise_in_the_response_is_cleaned_too(endpoint: Make, text: str) -> None:
    """`$raise` in `response` follows the same rules as `errors` (R4)."""
    plan = endpoint(response={"text": {"$first": ["=res.text", {"$raise": {"message": "=res.problem"}}]}})

    message = info(plan, 200, {"problem": text}).message

    assert (False, False, False) == (
        KEY in message,
        "<html>" in message or "\x1b" in message,
        len(message) > MESSAGE_CHARS,
    )


def test_a_raise_in_the_response_is_settled_too(endpoint: Make) -> None:
    """The gateway's own key refused inside a 200 is 502 upstream_auth, wherever the mapping says it (DECISIONS 1)."""
    plan = endpoint(
        response={"text": {"$first": ["=res.text", {"$raise": {"type": "authentication", "message": "no"}}]}}
    )

    assert 502 == info(plan, 200, {}).status


@pytest.mark.parametrize(
    "raised",
    [
        {"type": "=res.kind"},
        {"status": "=res.kind"},
        {"code": "=res.kind"},
        {"retryable": "=res.kind"},
        {"retry_after_s": "=res.kind"},
    ],
)
@pytest.mark.parametrize("kind", ["odd", 7, True, [1], {"a": 1}, None])
def test_odd_data_in_a_rule_is_an_engine_error(endpoint: Make, raised: dict[str, Json], kind: Json) -> None:
    """Whatever the upstream puts where a rule looks, an engine error with an HTTP status comes out."""
    plan = endpoint(errors=errors(**raised))

    with pytest.raises(EngineError) as failure:
        read(plan, 500, {"kind": kind, "error": "e"})

    assert 400 <= failure.value.info.status < 600  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", [b'{"wait": 1e999}', b'{"wait": NaN}'])
def test_a_wait_without_end_is_no_crash(endpoint: Make, text: bytes) -> None:
    """A number that is infinite as a float is ignored as a wait."""
    assert info(endpoint(errors=errors(retry_after_s="=res.wait")), 429, text).retry_after_s is None


# -- retry-after


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),  # F17
        ({"retry-after": "0"}, 1),
        ({"retry-after": "1.6"}, 2),
        ({"retry-after-ms": "2500", "retry-after": "9"}, 3),
        ({"retry-after-ms": "1"}, 1),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 30),  # F18
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT", "date": "Wed, 21 Oct 2015 07:28:30 GMT"}, 1),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 -0000", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 +99999999999", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, None),
    ],
)  # fmt: skip
def test_retry_after_in_all_its_forms(headers: dict[str, str], expected: int | None) -> None:
    """Seconds, milliseconds, dates, past dates and garbage (F17, F18)."""
    assert expected == retry_after_s(headers)


@pytest.mark.parametrize(
    ("status", "wait", "expected"), [(429, "7", 7), (503, "99999", 3600), (429, None, None), (400, "7", None)]
)
def test_the_wait_reaches_a_client_that_may_retry(
    endpoint: Make, status: int, wait: str | None, expected: int | None
) -> None:
    """429 and 503 keep `Retry-After`, at most an hour (trap 101); where a retry cannot help there is none."""
    headers = {} if wait is None else {"retry-after": wait}

    assert expected == info(endpoint(), status, {}, headers).retry_after_s


def test_a_rules_own_wait_stands_above_the_header(endpoint: Make) -> None:
    """`retry_after_s` of the rule wins."""
    plan = endpoint(errors=errors(retry_after_s="=res.wait"))

    assert 3 == info(plan, 429, {"wait": 3}, {"retry-after": "9"}).retry_after_s
