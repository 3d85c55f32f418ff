"""The client's side: bodies in, answers and errors out, in the dialect's own shape."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from engine.errors import EngineError, ErrorInfo, RequestError, TranslationError
from engine.language.cases import json_codec
from engine.translate.client import own_answer, read_client, write_error, write_reply
from engine.translate.losses import Losses
from engine.translate.wire import HttpInput
from engine.types import Json
from tests.conftest import DIALECT

Make = Callable[..., Any]
BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
HTTP = HttpInput("POST", "/talk")
CHAT = DIALECT["operations"]["chat"]
CTX = {"request_id": "req_1", "now": 5, "stream": False, "elapsed_ms": 0}


@pytest.fixture
def dialect(write_mapping: Make) -> Make:
    """Compile the smallest dialect with some sections changed, and its chat operation with others."""

    def make(chat: dict[str, Json] | None = None, **sections: Json) -> Any:
        catalog = write_mapping({**DIALECT, "operations": {"chat": {**CHAT, **(chat or {})}}, **sections})
        assert [] == [each.message for each in catalog.problems.errors]
        return catalog.dialects["acme.talk"]

    return make


def read(plan: Any, body: Json, losses: Losses | None = None) -> Any:
    return read_client(plan, plan.operations["chat"], body, HTTP, {}, losses or Losses())


def written(plan: Any, **scope: Json) -> Any:
    return write_reply(
        plan, plan.operations["chat"], {"req": BODY, "out": {}, "ctx": {}, "opt": {}, **scope}, json_codec()
    )


def test_unknown_top_level_fields_go_to_extra(dialect: Make) -> None:
    """What the dialect does not read is kept for the endpoint, in order; nulls are nothing."""
    request = read(dialect(), {"zeta": 1.0, **BODY, "alpha": {"a": None}, "none": None})

    assert {**BODY, "extra": {"zeta": 1.0, "alpha": {"a": None}}} == request
    assert ["zeta", "alpha"] == list(request["extra"])


@pytest.mark.parametrize("body", [None, [], "text", 5, True])
def test_a_body_that_is_no_object_is_400(dialect: Make, body: Json) -> None:
    """Named by its kind, without a param (trap 39)."""
    with pytest.raises(RequestError) as failure:
        read(dialect(), body)

    assert (400, None) == (failure.value.info.status, failure.value.info.param)


def test_the_result_is_checked(dialect: Make) -> None:
    """A missing or wrong field is refused by its path."""
    with pytest.raises(RequestError) as failure:
        read(dialect(), {"model": "m", "messages": [{"role": "user"}]})

    assert "messages[0].content" == failure.value.info.param


def test_refusals_and_losses_of_a_dialect(dialect: Make) -> None:
    """`refuse` is the client's fault; `losses` names what the dialect gives up."""
    plan = dialect(
        refuse={"old": {"when": "=in.legacy == `true`", "raise": {"message": "Too old.", "param": "legacy"}}},
        losses={"shade": {"when": "=present(in.shade)", "field": "shade"}},
    )
    losses = Losses()
    read(plan, {**BODY, "shade": 1}, losses)

    assert [("shade", "acme.talk.losses.shade")] == [(each.field, each.rule) for each in losses.items]
    with pytest.raises(RequestError) as failure:
        read(plan, {**BODY, "legacy": True})
    assert ("Too old.", "legacy", 400) == (
        failure.value.info.message,
        failure.value.info.param,
        failure.value.info.status,
    )


def test_a_value_of_a_wrong_type_is_the_clients_fault(dialect: Make) -> None:
    """An expression that cannot work with a client's value is 400 invalid_type, the place only in `detail`."""
    plan = dialect(chat={"request": {"model": "=join('', in.model)", "messages": "=in.messages"}})

    with pytest.raises(RequestError) as failure:
        read(plan, BODY)

    assert (400, "invalid_type", False, True) == (
        failure.value.info.status, failure.value.info.code,
        "yaml" in failure.value.info.message, "m0.yaml" in failure.value.detail,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("request_tree", "body"),
    [
        pytest.param(
            {"model": "=in.model", "messages": "=in.messages", "extra": "=in.extra_body"},
            {**BODY, "extra_body": "text", "odd": 1},
        ),
        ("=in.request", {"request": "text", "odd": 1}),
    ],
)
def test_a_field_of_a_wrong_type_is_the_clients_fault(dialect: Make, request_tree: Json, body: Json) -> None:
    """A client's text where the dialect expects an object is a refusal, also beside unknown fields."""
    with pytest.raises(RequestError):
        read(dialect(chat={"request": request_tree}), body)


def test_an_answer_is_json_with_lower_case_headers(dialect: Make) -> None:
    """The tree is the JSON that is sent, compact; absent headers are left out."""
    response = {
        "status": 201,
        "headers": {"X-Cost": "=out.cost.amount", "X-None": "=out.id"},
        "body": {"said": "=out.text"},
    }

    reply = written(dialect(chat={"response": response}), out={"text": "é", "cost": {"amount": 1.5}})

    assert (201, {"content-type": "application/json", "x-cost": "1.5"}) == (reply.status, reply.headers)
    assert '{"said":"é"}'.encode() == reply.body


def test_text_of_another_content_type_is_sent_raw(dialect: Make) -> None:
    """A string body with a content type that is not JSON is no JSON string."""
    response = {"headers": {"Content-Type": "text/plain"}, "body": "=out.text"}

    assert b"hi" == written(dialect(chat={"response": response}), out={"text": "hi"}).body


def test_a_dialect_answers_some_chats_by_itself(dialect: Make) -> None:
    """`answers:`: the first whose `when` holds; None where an upstream is to be asked; a wrong type is the client's."""
    answers = {
        "load": {
            "when": "=length(in.messages) == `0`",
            "status": 202,
            "headers": {"X-A": 1},
            "body": {"m": "=in.model"},
        },
        "ping": {"when": "=in.model == 'ping'", "body": {"at": "=ctx.now"}},
    }
    plan = dialect(chat={"answers": answers})

    def own(body: Json) -> Any:
        scope = {"in": body, "http": HTTP.as_json(), "ctx": CTX, "opt": {}}
        return own_answer(plan, plan.operations["chat"], scope, json_codec())

    loaded = own({"model": "ping", "messages": []})
    assert (202, "1", b'{"m":"ping"}') == (loaded.status, loaded.headers["x-a"], loaded.body)
    assert b'{"at":5}' == own({"model": "ping", "messages": [1]}).body
    assert [None, None] == [own(BODY), own("text")]
    with pytest.raises(RequestError) as failure:
        own({"model": "m", "messages": 5})
    assert (400, "invalid_type") == (failure.value.info.status, failure.value.info.code)


def test_an_answer_that_cannot_be_written_is_our_fault(dialect: Make) -> None:
    """A failing response tree is a 500 TranslationError."""
    with pytest.raises(TranslationError) as failure:
        written(dialect(chat={"response": {"body": "=join('', out.meta)"}}), out={"meta": "sesame"})

    assert (500, False) == (failure.value.info.status, "sesame" in failure.value.info.message + failure.value.detail)


def error(plan: Any, **values: Any) -> tuple[int, dict[str, str], Json]:
    reply = write_error(plan, ErrorInfo(**{"type": "upstream", "message": "m", **values}), None, CTX, json_codec())
    return reply.status, dict(reply.headers), json.loads(reply.body)


def test_an_error_in_the_dialects_shape(dialect: Make) -> None:
    """Status of the error, headers that say when and whether to retry."""
    plan = dialect()
    plain = {"content-type": "application/json"}

    assert (502, plain, {"oops": "m"}) == error(plan)
    assert (429, {**plain, "retry-after": "7"}, {"oops": "m"}) == error(
        plan, type="rate_limit", retry_after_s=7, retryable=True
    )
    assert (400, {**plain, "x-should-retry": "false"}, {"oops": "m"}) == error(
        plan, type="invalid_request", retryable=False
    )


def test_an_error_knows_its_request(dialect: Make) -> None:
    """`ctx` is in the scope of `errors`: a dialect may put the request's id into them."""
    plan = dialect(errors={"default": {"headers": {"x-id": "=ctx.request_id"}, "body": {"at": "=ctx.now"}}})

    status, headers, body = error(plan)
    assert (502, "req_1", {"at": 5}) == (status, headers["x-id"], body)


def test_an_error_without_a_dialect_has_all_four_keys() -> None:
    """Where no dialect is known the error is still an object that SDKs can read (trap 101)."""
    assert {"error": {"message": "m", "type": "upstream", "param": None, "code": None}} == error(None)[2]


@pytest.mark.parametrize("kind", ["invalid_request", "not_found", "rate_limit", "upstream", "internal", "overloaded"])
def test_the_shipped_dialects_write_every_error(shipped: Any, kind: str) -> None:
    """Each shipped dialect writes each kind of error, the message in it, no key lost (trap 101)."""
    for plan in shipped.dialects.values():
        status, _, body = error(plan, type=kind, message="words", code="c")
        assert status >= 400
        assert "words" in json.dumps(body)
        if plan.id == "openai.chat":
            assert {"message", "type", "param", "code"} == set(body["error"])


@pytest.mark.parametrize(
    "shape",
    [{"status": "=err.retry_after_s", "body": {}}, {"body": "=err.code"}, {"body": {"m": "=join('', err.details)"}}],
)
def test_an_error_shape_that_fails_still_gives_an_answer(dialect: Make, shape: Json) -> None:
    """An `errors` entry that meets null or fails falls back to a plain error with the right status."""
    try:
        status, _, _ = error(dialect(errors={"default": shape}), type="not_found", details=5)
    except (EngineError, TypeError):
        status = 0
    assert 404 == status
