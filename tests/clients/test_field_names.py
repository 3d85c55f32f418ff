"""Over real HTTP: whoever finds a mistake, dialect, engine or endpoint, speaks of the client's own field."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.clients.conftest import MODEL, Servers

pytestmark = pytest.mark.clients

USER = {"role": "user", "content": "hi"}
FILE = {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}
LOOK = [{"type": "input_text", "text": "Look."}, FILE]


def error_of(http: httpx.Client, origin: str, path: str, body: dict[str, Any]) -> Any:
    answer = http.post(f"{origin}{path}", json={"model": MODEL, **body}, headers={"x-api-key": "any"})
    assert answer.status_code == 400, answer.text
    return answer.json()["error"]


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": [USER, {"role": "wizard", "content": "hi"}]}, "input[1].role"),
        ({"input": [USER, {"type": "function_call_output", "output": "x"}]}, "input[1].call_id"),
        ({"input": "hi", "max_output_tokens": 0}, "max_output_tokens"),
        ({"input": "hi", "tools": [{"type": "function", "name": "a b"}]}, "tools[0].name"),
        ({"input": [USER, {"role": "user", "content": LOOK}], "instructions": "Be."}, "input[1].content[1]"),
    ],
)
def test_items(servers: Servers, http: httpx.Client, body: dict[str, Any], param: str, streams: bool) -> None:
    """The Responses API names items, not messages; the last one is refused by an endpoint that takes no files."""
    endpoint = "straico.prompt.v0" if "instructions" in body else "straico.chat.v2"
    error = error_of(http, servers[endpoint].origin, "/v1/responses", {**body, "stream": streams})

    assert error["param"] == param
    assert "messages" not in error["message"]


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/v1/messages", {"max_tokens": 5, "system": 5, "messages": [USER]}, "'system'"),
        ("/v1/messages", {"max_tokens": 5, "messages": [{"role": "user", "content": [{"type": "tool_result"}]}]},
         "'messages[0].content[0].tool_use_id'"),
        ("/api/chat", {"messages": [USER], "options": {"temperature": "hot"}}, "'options.temperature'"),
        ("/api/chat", {"messages": [{"role": "user", "content": "hi", "images": [5]}]}, "'messages[0].images[0]'"),
        ("/v1/completions", {"prompt": "hi", "max_tokens": 0}, "'max_tokens'"),
    ],
)  # fmt: skip
def test_words(servers: Servers, http: httpx.Client, path: str, body: dict[str, Any], said: str) -> None:
    """Dialects whose errors have no `param` say it in the message."""
    error = error_of(http, servers["straico.chat.v2"].origin, path, body)

    assert said in (error if isinstance(error, str) else error["message"])
