"""The shipped mocks over real HTTP: what they refuse, what they answer, every shape of error."""

from __future__ import annotations

import httpx
import pytest
from mock_operations import PATHS, Operation

from engine.language.catalog import Catalog
from engine.mock.server import MockServer

MODEL = "openai/gpt-4o-mini"

STATUS_OF = {
    "bad_key": 401,
    "unknown_model": 422,
    "system_refused": 400,
    "forbidden": 403,
    "error_string": 422,
    "error_object": 400,
    "error_tree": 500,
    "message_form": 422,
    "openai_like": 400,
    "html_502": 502,
    "empty_503": 503,
    "gateway_timeout": 504,
    "server_error": 500,
    "success_false_200": 200,
    "model_failed_inside_201": 201,
    "context_overflow": 500,
    "no_coins": 400,
    "rate_limited": 429,
    "replaced_model": 201,
}
FAULTS = {"reset", "half_body", "silence", "bad_json", "wrong_length"}
SLOW = {"slow", "thinks", "fails_late"}


def forced_names(shipped: Catalog, endpoint: str) -> set[str]:
    plan = shipped.mocks[endpoint]
    ask = next(route for route in plan.routes if route.name == "ask")
    return {each.name for each in (*plan.refuse, *ask.behaviours)}


def test_each_endpoint_has_a_mock(shipped: Catalog) -> None:
    """No endpoint is without its stand-in."""
    assert set(shipped.endpoints) == {each for plan in shipped.mocks.values() for each in plan.serves}


def test_each_behaviour_answers_when_its_name_is_in_the_text(operation: Operation, shipped: Catalog) -> None:
    """Every behaviour can be forced from the user's text, on every endpoint, with its own status."""
    for name in sorted(forced_names(shipped, operation.endpoint) - FAULTS - SLOW):
        response = operation.ask(f"please mock:{name} now")
        assert (name, STATUS_OF.get(name, operation.success)) == (name, response.status_code)
        if name not in ("html_502", "gateway_timeout", "empty_503"):
            response.json()


def test_each_behaviour_answers_when_the_header_names_it(operation: Operation, shipped: Catalog) -> None:
    """The header forces a behaviour past all checks, even without a body."""
    for name in sorted(forced_names(shipped, operation.endpoint) - FAULTS - SLOW):
        response = operation.client.post(operation.url, headers={"x-mock": name, "authorization": ""})
        assert (name, STATUS_OF.get(name, 200)) == (name, response.status_code)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("What is the capital of France?", "The capital of France is Paris."),
        ("ping", "pong"),
        ("echo: say this", "say this"),
        ("Good morning.", "This is a mock answer."),
    ],
)
def test_the_same_text_gets_the_same_answer(operation: Operation, text: str, answer: str) -> None:
    """All four endpoints say the same."""
    response = operation.ask(text)

    assert operation.text(response).removesuffix("</user>") == answer


@pytest.mark.parametrize("key", ["", "Bearer bad-key", "Basic abc"])
def test_a_bad_key_is_refused_everywhere(operation: Operation, key: str) -> None:
    """A missing, wrong or odd credential gets 401, before the body is looked at; model lists too."""
    refused = operation.client.post(operation.url, json={}, headers={"authorization": key})
    models = operation.client.get("/v0/models", headers={"authorization": key})

    assert (refused.status_code, models.status_code) == (401, 401)


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 3},
        {"temperature": "warm"},
        {"max_tokens": 0},
        {"replace_failed_models": "yes"},
        {"smart_llm_selector": "quality"},
        {"model": None, "models": None},
        {"model": 5, "models": "openai/gpt-4o-mini"},
        {"model": "", "models": []},
        {"messages": None, "message": None},
        {"messages": [], "message": ""},
        {"messages": [{"role": "developer", "content": "x"}], "message": 1},
        {"messages": [{"role": "user", "content": None}], "message": None},
        {"messages": [{"role": "user", "content": [{"type": "audio"}]}], "message": ["x"]},
        {"messages": [{"role": "tool", "content": "x"}], "message": {}},
    ],
)
def test_what_the_real_api_refuses(operation: Operation, server: MockServer, change: dict[str, object]) -> None:
    """A body outside the schema gets 422, and the ledger says why."""
    others = {"model", "models", "message", "messages"} - set(operation.body("hello"))
    body = {key: value for key, value in (operation.body("hello") | change).items() if key not in others}

    response = operation.client.post(operation.url, json=body)

    assert response.status_code == 422
    assert server.requests()[-1]["refused"].startswith("body")


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[1]", b'"text"', b""])
def test_a_body_that_is_no_object_is_refused(operation: Operation, content: bytes) -> None:
    """Broken JSON and JSON of another kind get 422."""
    response = operation.client.post(operation.url, content=content, headers={"content-type": "application/json"})

    assert response.status_code == 422


@pytest.mark.parametrize("keys", [("model", "models"), ("message", "messages")])
def test_a_body_that_lacks_what_it_needs_is_refused(operation: Operation, keys: tuple[str, str]) -> None:
    """No model and no selector, or nothing to answer: 422."""
    body = {key: value for key, value in operation.body("hello").items() if key not in keys}

    assert operation.client.post(operation.url, json=body).status_code == 422


def test_an_unknown_model_is_refused(operation: Operation) -> None:
    """The message names the model that was asked for."""
    response = operation.client.post(operation.url, json=operation.body("hello", model="acme/none"))

    assert response.status_code == 422
    assert "acme/none" in response.json()["error"]


def test_stream_tools_and_other_fields_are_ignored(operation: Operation) -> None:
    """Like the real API, the mock is silent about what it does not read."""
    body = operation.body("ping") | {"stream": True, "tools": [], "top_p": 2}

    assert operation.text(operation.client.post(operation.url, json=body)) == "pong"


def test_a_selector_instead_of_a_model(operation: Operation) -> None:
    """The answer justifies the choice."""
    selector = {"quantity": 1, "pricing_method": "balance"} if operation.endpoint == "straico.prompt.v1" else "balance"
    body = {key: value for key, value in operation.body("ping").items() if key not in ("model", "models")}
    response = operation.client.post(operation.url, json=body | {"smart_llm_selector": selector})

    assert operation.text(response) == "pong"
    assert "model_selector_justification" in response.text


def test_a_script_answers_by_turn(operation: Operation) -> None:
    """Step n of a conversation gets answer n, and the last answer goes on."""
    talk: list[str] = ["script:three please"]
    heard = []
    for _ in range(4):
        answer = operation.text(operation.ask(*talk))
        heard.append(answer)
        talk += [answer, "go on"]

    assert heard == ["The first answer.", "The second answer.", "The third answer.", "The third answer."]


def test_a_script_may_name_behaviours(operation: Operation) -> None:
    """The second turn has no coins, however often it is tried."""
    statuses = [operation.ask("script:broke").status_code]
    statuses += [operation.ask("script:broke", "well", "more").status_code for _ in range(2)]

    assert statuses == [operation.success, 400, 400]


@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        ("<user>", "</user><assistant>a</assistant>"),
        ("\n\nHuman: ", "\n\nAssistant: a"),
        ("[INST]", "[/INST]a"),
        ("<|START_OF_TURN_TOKEN|><|USER_TOKEN|>", "<|END_OF_TURN_TOKEN|>"),
        ("<|im_start|>user\n", "<|im_end|>"),
        ("<|start_header_id|>user<|end_header_id|>", "<|eot_id|>"),
        ("<｜User｜>", "<｜Assistant｜>a"),
    ],
)
def test_the_turns_of_a_prompt_are_counted_in_every_family(
    client: httpx.Client, server: MockServer, opening: str, closing: str
) -> None:
    """Two user turns in a prompt are step 1, a system text in between notwithstanding."""
    message = f"[INST] <<SYS>>s [/INST]{opening}script:three{closing}{opening}go on"
    url = server.base_url + PATHS["straico.prompt.v0"]
    response = client.post(url, json={"model": MODEL, "message": message})

    assert response.json()["data"]["completion"]["choices"][0]["message"]["content"] == "The second answer."


def test_the_last_forced_name_wins(operation: Operation) -> None:
    """A later turn can force another behaviour than an earlier one."""
    assert operation.ask("mock:no_coins", "sorry", "mock:rate_limited").status_code == 429


def test_a_name_that_no_behaviour_has_is_loud(operation: Operation) -> None:
    """A slip in a test shows itself, with the names there are."""
    response = operation.ask("mock:no_coin")

    assert response.status_code == 501
    assert "no_coins" in response.json()["mock_error"]


def test_slow_answers_wait(operation: Operation, server: MockServer) -> None:
    """The slow behaviour outlasts an impatient caller, which counts as cancelled."""
    with pytest.raises(httpx.ReadTimeout):
        operation.client.post(operation.url, json=operation.body("mock:slow"), timeout=0.2)


def test_model_lists(client: httpx.Client) -> None:
    """Three shapes of lists hold the same chat models, and one model can be asked for, its slash escaped or not."""
    v0 = [each["model"] for each in client.get("/v0/models").json()["data"]]
    v1 = [each["model"] for each in client.get("/v1/models").json()["data"]["chat"]]
    v2 = [each["id"] for each in client.get("/v2/models").json()["data"] if each["model_type"] == "chat"]
    plain = client.get(f"/v2/models/{MODEL}").json()
    escaped = client.get(f"/v2/models/{MODEL.replace('/', '%2F')}").json()

    assert MODEL in v0
    assert v0 == v1 == v2
    assert plain == escaped
    assert plain["data"]["id"] == MODEL
    assert client.get("/v2/models/acme/none").status_code == 404


def test_headers_of_an_answer(operation: Operation) -> None:
    """A behaviour's own headers arrive; text under another content type is sent as it is."""
    limited, html = operation.ask("mock:rate_limited"), operation.ask("mock:html_502")

    assert limited.headers["retry-after"] == "7"
    assert html.headers["content-type"] == "text/html"
    assert html.text.startswith("<html>")
