"""The exchange, driven by hand: what is sent upstream, where the secrets are, and what comes of every kind of reply."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from engine.errors import EngineError, RequestError, TranslationError, UpstreamError
from engine.language.cases import json_codec, target_for
from engine.server.run import json_codec as server_codec
from engine.translate.calls import expand_path
from engine.translate.chat import chat_exchange
from engine.translate.exchange import models_exchange
from engine.translate.losses import Losses
from engine.translate.wire import Context, Target, UpstreamReply, UpstreamRequest
from engine.types import Json, Secret

Make = Callable[..., Any]
KEY = "sk-secret-0123456789"
CONTEXT = Context("req_0123456789abcdef01234567", 1_700_000_000)
USER = {"role": "user", "content": "hi"}


def target(plan: Any, base_url: str | None = None, secrets: dict[str, Json] | None = None, **options: Json) -> Target:
    base = target_for(plan, options)
    return Target(base.name, plan, base_url or base.base_url, base.hosts, base.options, secrets or {"k": Secret(KEY)})


def start(aim: Target, model: str = "m", **fields: Json) -> tuple[Any, UpstreamRequest]:
    request = {"model": model, "messages": [USER], **fields}
    exchange = chat_exchange(aim, request, {"id": model, "name": model, "meta": None}, CONTEXT, Losses(), json_codec())
    return exchange, next(exchange)


def sent(plan: Any, **fields: Json) -> UpstreamRequest:
    return start(target(plan), **fields)[1]


def answer(exchange: Any, status: int, body: bytes, **headers: str) -> Any:
    with pytest.raises(StopIteration) as done:
        exchange.send(UpstreamReply(status, headers, body))
    return done.value.value


def test_a_whole_conversation(endpoint: Make) -> None:
    """One request goes out, one reply comes in, the canonical reply comes back; 200 and 201 are the same."""
    for status in (200, 201):
        exchange, request = start(target(endpoint()))

        assert ("POST", "https://api.acme.test/v9/chat", (), "https://api.acme.test") == (
            request.method, request.url, request.query, request.origin,
        )  # fmt: skip
        assert b'{"model":"m","messages":[{"role":"user","content":"hi"}]}' == request.body
        assert [("content-type", "application/json"), ("accept", "application/json")] == list(request.headers)
        out = answer(exchange, status, b'{"text": "hello"}')
        assert ("hello", "m") == (out["text"], out["model"])


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("https://h.test", "https://h.test/chat"),
        ("https://h.test/", "https://h.test/chat"),
        ("https://h.test:8443/a/b/", "https://h.test:8443/a/b/chat"),
    ],
)
def test_path_and_base_url_are_joined_by_one_slash(endpoint: Make, base_url: str, expected: str) -> None:
    """A prefix of the base URL is kept, its last slash not doubled."""
    request = start(target(endpoint(), base_url))[1]

    assert (expected, expected.rsplit("/", 1)[0].startswith(request.origin)) == (request.url, True)


def test_query_headers_and_named_hosts(endpoint: Make) -> None:
    """Lists repeat the key, absent values vanish, scalars become text; `host` names another origin."""
    plan = endpoint(
        hosts={"other": "https://o.test/p"},
        options={"flag": {"type": "boolean", "default": True}},
        request={
            "path": "/c", "host": "other", "body": {"m": "=req.messages"},
            "query": {"a": ["x", "=req.user", 2], "b": "=req.seed", "c": "=opt.flag", "d": 1.5, "e": "ä&="},
            "headers": {"x-t": "=req.temperature", "x-u": "=req.user", "x-f": False},
        },
    )  # fmt: skip

    request = sent(plan, temperature=0.0)

    assert (("a", "x"), ("a", "2"), ("c", "true"), ("d", "1.5"), ("e", "ä&=")) == request.query
    assert ("https://o.test/p/c", "https://o.test") == (request.url, request.origin)
    assert [("x-t", "0.0"), ("x-f", "false")] == list(request.headers)[1:3]


@pytest.mark.parametrize("place", ["query", "headers"])
@pytest.mark.parametrize("value", ["=req.metadata", {"a": 1}])
def test_an_object_is_no_header_or_query_value(endpoint: Make, place: str, value: Json) -> None:
    """What is no scalar is an error of ours, not `{'a': 1}` on the wire."""
    plan = endpoint(request={"path": "/c", "body": {"m": "=req.messages"}, place: {"x": value}})

    with pytest.raises(TranslationError):
        sent(plan, metadata={"a": 1})


@pytest.mark.parametrize("name", ["Accept", "content-type"])
def test_a_mapping_may_choose_its_content_type(endpoint: Make, name: str) -> None:
    """A header that the mapping sets stands once, with the mapping's value."""
    request = sent(
        endpoint(request={"path": "/c", "body": {"m": "=req.messages"}, "headers": {name: "application/x+json"}})
    )

    assert ["application/x+json"] == [str(value) for header, value in request.headers if header.lower() == name.lower()]


def test_control_characters_in_a_header_are_refused(endpoint: Make) -> None:
    """A client's text cannot add a header."""
    plan = endpoint(request={"path": "/c", "body": {"m": "=req.messages"}, "headers": {"x-user": "=req.user"}})

    with pytest.raises(EngineError):
        sent(plan, user="a\r\nx-evil: 1")


@pytest.mark.parametrize(
    ("encode", "body", "expected", "kind"),
    [
        (
            "form",
            {"a": ["=req.user", 1], "b": "=req.seed", "c": "x y&"},
            b"a=u&a=1&c=x+y%26",
            "application/x-www-form-urlencoded",
        ),
        ("raw", "=req.user", b"u", None),
        ("json", "=req.user", b'"u"', "application/json"),
        ("json", "=req.seed", None, None),
    ],
)
def test_a_body_is_encoded_as_the_mapping_says(
    endpoint: Make, encode: str, body: Json, expected: Json, kind: Json
) -> None:
    """json, form and raw; an absent body is no body."""
    request = sent(endpoint(request={"path": "/c", "body": body, "encode": encode}), user="u")

    assert (expected, kind) == (request.body, dict(request.headers).get("content-type"))


def test_a_big_integer_survives_with_the_servers_own_codec(endpoint: Make) -> None:
    """The JSON writer of the real server takes every integer that a client may send (P3)."""
    exchange = chat_exchange(
        target(endpoint(request={"path": "/c", "body": {"s": "=req.seed"}})),
        {"model": "m", "messages": [USER], "seed": 2**64}, {"id": "m", "name": "m"}, CONTEXT, Losses(), server_codec(),
    )  # fmt: skip

    assert b'{"s":18446744073709551616}' == next(exchange).body


# -- secrets


@pytest.mark.parametrize(
    ("auth", "where", "value"),
    [
        ({"bearer": "=secret.k"}, "headers", ("authorization", f"Bearer {KEY}")),
        ({"header": {"x-api-key": "=secret.k"}}, "headers", ("x-api-key", KEY)),
        ({"query": {"key": "=secret.k"}}, "query", ("key", KEY)),
        (
            {"basic": {"user": "u", "password": "=secret.k"}},
            "headers",
            ("authorization", "Basic dTpzay1zZWNyZXQtMDEyMzQ1Njc4OQ=="),
        ),
    ],
)
def test_secrets_stand_last_and_masked(endpoint: Make, auth: Json, where: str, value: tuple[str, str]) -> None:
    """Credentials are opaque until the edge: no repr, str or format of request or target shows them (R3)."""
    aim = target(endpoint(secrets={"k": {"env": "K"}}, auth=auth))
    request = start(aim)[1]

    name, secret = getattr(request, where)[-1]
    assert value == (name, secret.reveal())
    shown = f"{request} {request!r} {aim} {aim!r} {secret} {secret!r} {secret:>20}"
    assert (False, False) == (KEY in shown, value[1] in shown)
    assert not (request.body or b"").count(KEY.encode())


def test_a_secret_is_never_serialized() -> None:
    """Neither JSON nor pickle takes a Secret."""
    with pytest.raises(TypeError):
        json.dumps(Secret(KEY))
    with pytest.raises(TypeError):
        Secret(KEY).__reduce__()


def test_a_secret_may_be_joined_inside_auth(endpoint: Make) -> None:
    """`join` over a secret is legal inside `auth` and stays masked (LANGUAGE 3.6)."""
    plan = endpoint(secrets={"k": {"env": "K"}}, auth={"header": {"x-key": "=join(' ', ['Key', secret.k])"}})

    request = sent(plan)

    assert f"Key {KEY}" == dict(request.headers)["x-key"].reveal()  # type: ignore[union-attr]
    assert KEY not in repr(request)


def test_a_missing_credential_is_not_sent_as_an_empty_one(endpoint: Make) -> None:
    """A part that a parsed secret does not have is an error before anything is sent."""
    plan = endpoint(secrets={"k": {"env": "K", "parse": "json"}}, auth={"bearer": "=secret.k.token"})

    with pytest.raises(EngineError):
        start(target(plan, secrets={"k": {"other": Secret(KEY)}}))


# -- paths


@pytest.mark.parametrize(
    ("template", "value", "expected"),
    [
        ((("m", False),), "a/b c", "a%2Fb%20c"),
        ((("m", True),), "a/b c", "a/b%20c"),
        (("/x/", ("m", False), "/y"), "é?#%2e", "/x/%C3%A9%3F%23%252e/y"),
        (("/x/", ("m", False)), 7, "/x/7"),
        (("/x/", ("m", True)), "a/..b/c..", "/x/a/..b/c.."),
        (("/x/", ("m", True)), "..\\a", "/x/..%5Ca"),
    ],
)
def test_a_path_value_is_percent_encoded(template: Any, value: Json, expected: str) -> None:
    """`{x}` encodes slashes, `{+x}` keeps them; nothing becomes a query."""
    assert expected == expand_path(template, {"m": value})


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("value", ["..", ".", None, True, [], {}])
def test_a_path_value_cannot_climb(keep: bool, value: Json) -> None:
    """`.` and `..` segments, and what is no scalar, are refused (T2)."""
    with pytest.raises(RequestError):
        expand_path(("/a/", ("m", keep)), {} if value is None else {"m": value})


@pytest.mark.parametrize("model", ["../admin", "a/../../b", "a/.", "./a", "a/..", ".."])
def test_a_models_name_cannot_leave_its_place(endpoint: Make, model: str) -> None:
    """Through a whole exchange: 400 naming `model`, and nothing is sent."""
    plan = endpoint(request={"path": "/m/{+m}", "path_params": {"m": "=model.name"}, "body": {"m": "=req.messages"}})

    with pytest.raises(RequestError) as failure:
        start(target(plan), model)

    assert "model" == failure.value.info.param


# -- replies


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (200, b"", "upstream_bad_response"),
        (200, b"<html>ok</html>", "upstream_bad_response"),
        (200, b'{"text": "a', "upstream_bad_response"),
        (200, b"\xff\xfe", "upstream_bad_response"),
        (204, b"", "upstream_bad_response"),
        (200, b"{}", "upstream_empty"),
        (200, b"null", "upstream_empty"),
        (200, b"[]", "upstream_empty"),
        (500, b"<html>oops</html>", "upstream_error"),
        (302, b"", "upstream_error"),
        (200, b'{"error": "no money"}', "inside"),
    ],
)
def test_a_reply_that_is_no_answer(endpoint: Make, status: int, body: bytes, code: str) -> None:
    """Broken JSON, pages, empty answers and errors inside a 200 (trap 54) are upstream errors, 502."""
    errors = {
        "inside": {
            "when": "=present(res.error)",
            "raise": {"type": "upstream", "code": "inside", "message": "=res.error"},
        },
        "any": {"status": ["4xx", "5xx"], "raise": {"message": "=raw"}},
    }
    exchange, _ = start(target(endpoint(errors=errors)))

    with pytest.raises(UpstreamError) as failure:
        exchange.send(UpstreamReply(status, {}, body))

    assert (502, code) == (failure.value.info.status, failure.value.info.code)
    assert "<html>" not in failure.value.info.message


def test_a_mapping_that_cannot_read_an_answer_is_named_without_the_data(endpoint: Make) -> None:
    """A failing expression on a reply is 502 mapping_response_error; the place is for the operator only (F42)."""
    exchange, _ = start(target(endpoint(response={"text": "=join('', res.text)"})))

    with pytest.raises(TranslationError) as failure:
        exchange.send(UpstreamReply(200, {}, b'{"text": "sesame"}'))

    info = failure.value.info
    assert (502, "mapping_response_error", False) == (info.status, info.code, "m0.yaml" in info.message)
    assert ("m0.yaml" in failure.value.detail, "sesame" in failure.value.detail + info.message) == (True, False)


def test_a_mapping_that_fails_on_a_request_is_our_fault(endpoint: Make) -> None:
    """A failing expression on a request is 500 mapping_request_error, not to be retried, and nothing is sent (F43)."""
    plan = endpoint(request={"path": "/c", "body": {"m": "=req.messages", "u": "=sum(req.metadata.a)"}})

    with pytest.raises(TranslationError) as failure:
        sent(plan, metadata={"a": "x"})

    info = failure.value.info
    assert (500, "mapping_request_error", False) == (info.status, info.code, info.retryable)


def test_a_failing_error_rule_is_still_an_upstream_failure(endpoint: Make) -> None:
    """An error rule that cannot read the reply gives 502, not a crash."""
    errors = {"any": {"status": ["4xx", "5xx"], "raise": {"message": "=join('', res.error)"}}}
    exchange, _ = start(target(endpoint(errors=errors)))

    with pytest.raises(TranslationError) as failure:
        exchange.send(UpstreamReply(500, {}, b'{"error": 5}'))

    assert 502 == failure.value.info.status


def test_refusals_and_losses_of_the_mapping(endpoint: Make) -> None:
    """`refuse` stops a request before anything is sent; `losses` reports what the mapping gives up."""
    plan = endpoint(
        request={"path": "/c", "body": {"m": "=req.messages", "u": "=req.user"}},
        refuse={
            "no-bob": {"when": "=req.user == 'bob'", "raise": {"message": "No Bob.", "param": "user", "status": 403}}
        },
        losses={"cut": {"when": "=length(not_null(req.user, '')) > `3`", "field": "user"}},
    )
    losses = Losses()
    request = {"model": "m", "messages": [USER], "user": "alice"}
    next(chat_exchange(target(plan), request, {"id": "m", "name": "m"}, CONTEXT, losses, json_codec()))

    assert [
        {"field": "user", "action": "dropped", "stage": "request", "rule": "acme.chat.losses.cut"}
    ] == losses.as_json()
    with pytest.raises(RequestError) as failure:
        sent(plan, user="bob")
    assert ("No Bob.", "user", 403) == (failure.value.info.message, failure.value.info.param, failure.value.info.status)


def test_a_loss_without_a_field_is_not_called_absent(endpoint: Make) -> None:
    """Where the computed field is null, no loss named `ABSENT` reaches the client."""
    plan = endpoint(losses={"odd": {"when": "=present(req.model)", "field": "=req.user"}})
    losses = Losses()
    next(
        chat_exchange(
            target(plan), {"model": "m", "messages": [USER]}, {"id": "m", "name": "m"}, CONTEXT, losses, json_codec()
        )
    )

    assert "ABSENT" not in losses.header()


# -- models


MODELS = {
    "request": {"path": "/models", "method": "GET"},
    "list": {"$each": "=res.data", "as": "x", "do": {"id": "=x.id"}},
}


def test_models_are_listed(endpoint: Make) -> None:
    """One GET; entries without a text id are left out; an endpoint without `models` lists none."""
    exchange = models_exchange(target(endpoint(models=MODELS)), CONTEXT, json_codec())
    request = next(exchange)

    assert ("GET", "https://api.acme.test/v9/models", None) == (request.method, request.url, request.body)
    assert [{"id": "a"}] == answer(exchange, 200, b'{"data": [{"id": "a"}, {}, {"id": 5}]}')
    with pytest.raises(StopIteration) as done:
        next(models_exchange(target(endpoint()), CONTEXT, json_codec()))
    assert [] == done.value.value


@pytest.mark.parametrize("body", [b"{}", b'{"data": null}', b'{"data": {"a": 1}}', b"[]"])
def test_a_model_list_that_is_none_is_an_error(endpoint: Make, body: bytes) -> None:
    """What cannot be read as a list is 502 mapping_response_error."""
    exchange = models_exchange(target(endpoint(models=MODELS)), CONTEXT, json_codec())
    next(exchange)

    with pytest.raises(TranslationError) as failure:
        exchange.send(UpstreamReply(200, {}, body))

    assert 502 == failure.value.info.status
