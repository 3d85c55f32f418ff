"""A dialect's answers may look at the client's own body (`in`): whole, streamed, and without an upstream."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.running import Running, serving

TALK = """mapping: dialect/1
id: acme.talk
operations:
  chat:
    route: {path: /talk}
    request: {model: =in.model, messages: [{role: user, content: =in.words}], stream: =in.live}
    response: {body: {said: =out.text, mark: =in.mark}}
    stream:
      framing: ndjson
      events: {text: {send: {said: =ev.text, mark: =in.mark}}, tool_call_done: ignore, end: ignore, error: ignore}
  count:
    route: {path: /count}
    kind: answer
    request: {model: =in.model, messages: [{role: user, content: =in.words}]}
    response: {body: {mark: =in.mark}}
errors: {default: {body: {oops: =err.message}}}
"""
BODY = {"model": "openai/gpt-4o-mini", "words": "ping", "mark": [1, {"a": None}]}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("mappings")
    (folder / "talk.yaml").write_text(TALK)
    with serving("--endpoint", "straico.chat.v2", "--mock", "--mappings", str(folder)) as server:
        yield server


@pytest.mark.parametrize(
    ("path", "more", "expected"),
    [
        ("/talk", {}, {"said": "pong"}),
        ("/talk", {"live": True}, {"said": "pong"}),
        ("/count", {}, {}),
    ],
)
def test_the_answer_knows_what_was_sent(
    gateway: Running, path: str, more: dict[str, bool], expected: dict[str, str]
) -> None:
    """What the canonical form has no place for is still there when the answer is written."""
    answer = httpx.post(f"{gateway.origin}{path}", json={**BODY, **more}, timeout=20)

    assert answer.status_code == 200, answer.text
    assert answer.json() == {**expected, "mark": BODY["mark"]}
