"""`endpoint/1`: what its sections refuse and warn about at load, and what the plan says of them."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.errors import TranslationError
from engine.types import Json, Secret
from tests.conftest import ENDPOINT

Make = Callable[..., Any]
BODY = {"model": "=model.name", "messages": "=req.messages"}
SECRET = {"api_key": {"env": "ACME_KEY"}}


def request(**changes: Json) -> dict[str, Json]:
    return {"path": "/chat", "body": BODY, **changes}


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({}, []),
        # what must stand
        ({"base_url": None}, ["E024"]),
        ({"request": None}, ["E024"]),
        ({"response": None}, ["E024"]),
        ({"errors": None}, ["E201"]),
        # paths
        ({"request": request(path="/{model}/chat")}, ["E160"]),
        ({"request": request(path_params={"model": "=model.name"})}, ["E160"]),
        ({"request": request(path="/{modle}", path_params={"model": "=model.name"})}, ["E160", "E160"]),
        ({"request": request(path="/{+model}", path_params={"model": "=model.name"})}, []),
        ({"request": request(path="/chat?key=1")}, ["E023"]),
        ({"request": request(path="chat")}, ["E023"]),
        ({"request": request(host="other")}, ["E160"]),
        ({"request": request(host="other"), "hosts": {"other": "https://o.test"}}, []),
        # headers
        ({"request": request(headers={"x-a": "1"})}, []),
        ({"request": request(headers={"bad name": "1"})}, ["E161"]),
        ({"request": request(headers={"Transfer-Encoding": "chunked"})}, ["E161"]),
        ({"request": request(headers={"proxy-x": "1"})}, ["E161"]),
        ({"request": request(headers={"Authorization": "=opt.key"}), "options": {"key": {"type": "string"}}}, ["E161"]),
        ({"request": request(headers={"x-a": {"$template": "t"}})}, ["E121"]),
        # origins
        ({"base_url": "http://api.acme.test"}, ["E162"]),
        ({"base_url": "http://api.acme.test", "insecure": True}, []),
        ({"base_url": "http://127.0.0.1:80"}, []),
        ({"base_url": "http://[::1]:80"}, []),
        ({"base_url": "http://localhost.evil.test"}, ["E162"]),
        ({"base_url": "https://user:pw@acme.test"}, ["E162"]),
        ({"base_url": "https://acme.test?x=1"}, ["E162"]),
        ({"base_url": "=opt.url"}, ["E023"]),
        ({"base_url": "https://"}, ["E023"]),
        ({"hosts": {"o": "http://o.test"}}, ["E162"]),
        # secrets
        ({"request": request(body={**BODY, "k": "=secret.api_key"}), "secrets": SECRET,
          "auth": {"bearer": "=secret.api_key"}}, ["E102"]),
        ({"response": {"text": "=secret.api_key"}}, ["E102"]),
        ({"secrets": SECRET}, ["W171"]),
        ({"secrets": SECRET, "auth": {"bearer": "=secret.api_ky"}}, ["E106"]),
        ({"secrets": {"api_key": {"env": "A", "file": "b"}}, "auth": {"none": True}}, ["E024"]),
        ({"secrets": SECRET, "auth": {"bearer": "=secret.api_key", "none": True}}, ["E024"]),
        ({"secrets": SECRET, "auth": {"header": {"x-key": "=secret.api_key"}}}, []),
        ({"secrets": SECRET, "auth": {"basic": {"user": "u", "password": "=secret.api_key"}}}, []),
        ({"secrets": SECRET, "auth": {"basic": {"user": "=secret.api_key"}}}, ["E024"]),
        ({"auth": {"bearer": "sk-abcdefghijklmnop1234567890"}}, ["E172"]),
        ({"options": {"k": {"type": "string", "default": "AIzaSyA1234567890abcdefghij"}}}, ["E172"]),
        # options
        ({"options": {"n": {"type": "integer", "default": "7"}}}, ["E023"]),
        ({"options": {"n": {"type": "integer", "default": True}}}, ["E023"]),
        ({"options": {"n": {"type": "whole"}}}, ["E023"]),
        ({"options": {"n": {"type": "integer"}}, "request": request(body={**BODY, "n": "=opt.m"})}, ["E106"]),
        # params
        ({"params": {"temperature": {"max": 2}}}, ["E180"]),
        ({"params": {"temperature": {"unsupported": "reject"}}}, []),
        ({"params": {"temperature": {"max": "2"}}}, ["E023"]),
        ({"params": {"temperature": {"over": "clip"}}}, ["E023"]),
        # capabilities
        ({"capabilities": {"tools": "native"}}, ["E181"]),
        ({"capabilities": {"system": {"*haiku*": "first_user"}}}, ["E135"]),
        ({"capabilities": {"system": {"*": "native", "*haiku*": "first_user"}}}, ["E134"]),
        ({"capabilities": {"system": "somewhere"}}, ["E023"]),
        ({"capabilities": {"max_stop": -1}}, ["E023"]),
        # the reply's vocabulary
        ({"response": {"txt": "=res.text"}}, ["E191"]),
        ({"response": {"text": "=res.text", "usage": {"prompt_tokens": "many"}}}, ["E107"]),
        ({"response": {"text": "=out.text"}}, ["E102"]),
        ({"request": request(body={"m": "=req.mesages"})}, ["E106"]),
        ({"request": request(body={"m": "=res.text"})}, ["E102"]),
        # error rules
        ({"errors": {"any": {"status": "4xx", "raise": {}}}}, ["E201"]),
        ({"errors": {"a": {"raise": {}}, "b": {"status": 500, "raise": {}}}}, ["E200"]),
        ({"errors": {"any": {"status": ["4xx", "5xx"], "raise": {"mesage": "x"}}}}, ["E191"]),
        ({"errors": {"any": {"status": ["4xx", "6xx"], "raise": {}}}}, ["E023", "E201"]),
        ({"errors": {"any": {"when": "=res.error", "status": ["4xx", "5xx"], "raise": {}}}}, ["E104", "E201"]),
        ({"refuse": {"r": {"when": "=req.tools", "raise": {"message": "no"}}}}, ["E104"]),
        ({"refuse": {"r": {"raise": {"message": "no"}}}}, ["E024"]),
        # models
        ({"models": {"request": {"path": "/m"}, "list": {"$each": "=res.data", "as": "m", "do": {"di": "=m.id"}}}}, ["E191"]),  # noqa: E501
        ({"models": {"request": {"path": "/m", "query": {"a": "=req.model"}}, "list": "=res.data"}}, ["E102"]),
    ],
)  # fmt: skip
def test_what_a_section_may_say(codes: Make, sections: dict[str, Json], expected: list[str]) -> None:
    """One mistake, its code; a good section, none. A shape error stops before the deeper checks."""
    found = codes(**sections)

    assert sorted(expected if "E023" not in expected else ["E023"]) == sorted(found)


def test_a_problem_names_line_and_column(write_mapping: Make) -> None:
    """Problems of sections stand at the key that is wrong."""
    text = (
        "mapping: endpoint/1\nid: a.b\nbase_url: https://a.test\n"
        "request:\n  path: /x/{m}\n  path_params: {mm: =model.name}\n  headers: {Host: x}\n  body: =req.messages\n"
        "response: {text: =res.t}\nerrors:\n  any: {raise: {}}\n  late: {status: 500, raise: {}}\n"
    )

    found = {(each.code, each.mark.line, each.mark.column) for each in write_mapping(text).problems.items}

    assert {("E160", 5, 9), ("E160", 6, 17), ("E161", 7, 13), ("E200", 12, 9)} == found


def test_capabilities_are_tables_by_model(endpoint: Make) -> None:
    """Any capability may be a table by pattern: case-insensitive, first match wins."""
    plan = endpoint(capabilities={"system": {"*Haiku*": "first_user", "*": "native"}, "max_stop": 2})

    assert ("first_user", "native", 2, "synthetic", "none") == (
        plan.capabilities.system.find("acme/HAIKU-4"), plan.capabilities.system.find("x"),
        plan.capabilities.max_stop, plan.capabilities.streaming.find("x"), plan.capabilities.tools.find("x"),
    )  # fmt: skip


def test_what_the_request_reads_is_derived(endpoint: Make) -> None:
    """Fields, extras and part types come from the expressions, through loops, `$let` and templates."""
    plan = endpoint(request={"path": "/c", "body": {
        "m": {"$each": "=req.messages", "as": "m", "do": {"$each": "=parts(m.content)", "as": "p", "do":
              {"$switch": "=p.type", "cases": {"text": "=p.text", "image_url": "=p.image_url.url"}, "default": {"$omit": True}}}},  # noqa: E501
        "t": {"$let": {"r": "=req.temperature"}, "in": "=r"},
        "s": {"$template": "{{ req.user }}"},
        "x": "=req.extra.special",
    }})  # fmt: skip

    assert {"messages", "temperature", "user", "extra"} == plan.reads.fields
    assert {"special"} == plan.reads.extra
    assert {"text", "image_url"} == plan.reads.parts


def test_an_empty_endpoint_option_may_be_null(codes: Make) -> None:
    """An option without a default is null until a config sets it; as a leaf it is absent."""
    assert [] == codes(options={"n": {"type": "integer"}}, request=request(body={**BODY, "n": "=opt.n"}))


@pytest.mark.parametrize(
    "sections",
    [
        pytest.param({"errors": {"any": {"status": ["4xx", "5xx"], "raise": {"type": "rate_limitt"}}}}, id="error type"),  # noqa: E501
        pytest.param({"refuse": {"r": {"when": "=present(req.user)", "raise": {"type": "odd", "message": "m"}}}},
                     id="refusal type"),
        pytest.param({"response": {"text": "=res.text", "finish_reason": "finished"}}, id="finish reason"),
    ],
)  # fmt: skip
def test_words_of_closed_lists_are_checked_at_load(codes: Make, sections: dict[str, Json]) -> None:
    """A misspelt error type or finish reason is found at load, not in the middle of a failure (4a E200)."""
    assert [] != codes(**sections)


@pytest.mark.parametrize("sections", [{"base_url": "https://[::1"}, {"hosts": {"h": "https://[x]"}}])
def test_a_url_that_does_not_parse_is_a_diagnostic(codes: Make, sections: dict[str, Json]) -> None:
    """A broken address is E162, never a traceback."""
    assert ["E162"] == codes(**sections)


def test_a_port_that_cannot_be_is_refused(codes: Make) -> None:
    """Port 99999 exists nowhere (E162)."""
    assert ["E162"] == codes(base_url="https://acme.test:99999")


@pytest.mark.parametrize("name", ["bad name", "Host", "content-length"])
def test_header_names_in_auth_are_checked(codes: Make, name: str) -> None:
    """`auth.header` cannot set what no header can be, nor the framing headers (E161)."""
    assert ["E161"] == codes(secrets=SECRET, auth={"header": {name: "=secret.api_key"}})


def test_native_tools_need_calls_in_the_response(codes: Make) -> None:
    """`tools: native` without `tool_calls` in the response is E181."""
    assert ["E181"] == codes(capabilities={"tools": "native"}, request=request(body={**BODY, "tools": "=req.tools"}))


def test_an_error_rule_without_any_condition_is_told_about(codes: Make) -> None:
    """A rule that also takes every 200 makes the endpoint useless: the author hears of it."""
    assert [] != codes(errors={"any": {"raise": {"message": "=res.error"}}})


def test_a_key_behind_its_scheme_looks_like_a_key(codes: Make) -> None:
    """`Bearer sk-…` is as much a key as `sk-…` (E172)."""
    assert "E172" in codes(request=request(headers={"x-a": "Bearer sk-abcdefghijklmnop1234567890"}))


def test_the_minimal_endpoint_is_as_small_as_it_looks() -> None:
    """The sample of these tests has no more than what an endpoint needs."""
    assert {"mapping", "id", "base_url", "request", "response", "errors"} == set(ENDPOINT)


def test_native_tools_need_calls_in_the_stream(codes: Make) -> None:
    """A stream that never emits a `tool_call` does not serve native tools; what is not known is trusted."""
    tools: dict[str, Any] = {
        "capabilities": {"tools": "native"},
        "request": request(body={**BODY, "tools": "=req.tools"}),
        "response": {"text": "=res.text", "tool_calls": "=res.calls"},
    }
    stream = {"framing": "sse", "done": "=ev.data == '[DONE]'", "emit": {"text": "=ev.json.text"}}

    assert ["E181"] == codes(**tools, stream=stream)
    assert [] == codes(**tools, stream={**stream, "emit": "=ev.json"})
    assert [] == codes(**{**tools, "response": "=res.out"})


@pytest.mark.parametrize("status", [[*range(400, 500), "5xx"], ["4xx", *range(500, 600)]])
def test_every_failed_status_must_meet_a_rule(codes: Make, status: list[Any]) -> None:
    """One status that no rule takes is enough for E201."""
    rule = {"raise": {"message": "=res.error"}}

    assert [] == codes(errors={"any": {"status": status, **rule}})
    assert ["E201"] == codes(errors={"any": {"status": [each for each in status if each not in (451, 521)], **rule}})


def test_cookies_are_credentials(codes: Make) -> None:
    """A cookie is set under `auth`, nowhere else."""
    assert ["E161"] == codes(request=request(headers={"Cookie": "a=b"}))
    assert [] == codes(secrets=SECRET, auth={"header": {"cookie": "=secret.api_key"}})


@pytest.mark.parametrize("auth", [{"bearer": "=secret.k"}, {"basic": {"user": "u", "password": "=secret.k"}},
                                  {"header": {"x-k": "=secret.k"}}, {"query": {"key": "=secret.k"}}])  # fmt: skip
def test_an_empty_credential_is_never_sent(endpoint: Make, auth: dict[str, Json]) -> None:
    """An empty secret is an error that names its slot, for the operator alone."""
    plan = endpoint(secrets={"k": {"env": "K"}}, auth=auth)

    with pytest.raises(TranslationError) as failure:
        plan.auth({"secret": {"k": Secret("")}, "req": {}, "model": {}, "opt": {}, "ctx": {}})

    slot = next(iter(auth))
    assert ("mapping_request_error", True) == (failure.value.info.code, f"auth.{slot}" in failure.value.detail)


def test_a_user_without_a_password_is_possible(endpoint: Make) -> None:
    """Basic authentication with the key as user needs an empty password, which the mapping writes itself."""
    plan = endpoint(secrets={"k": {"env": "K"}}, auth={"basic": {"user": "=secret.k", "password": ""}})

    made = plan.auth({"secret": {"k": Secret("key")}, "req": {}, "model": {}, "opt": {}, "ctx": {}})

    assert "Basic a2V5Og==" == made["headers"]["authorization"].reveal()
