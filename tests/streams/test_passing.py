"""Equal wires pass through: a client's own bytes go up, the upstream's come back, but for declared edits."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

import asyncio
import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import ollama
import pytest

from tests.gateway.fake_upstream import Behaviour, FakeUpstream, Seen, Wire, reply, reply_json
from tests.streams.stage import Stage, staged

SSE = "content-type: text/event-stream\r\n"
BODY = (
    '{ "top_p": 1.0, "new": [1e5, 18446744073709551616],\n'
    ' "model": "mine", "messages": [{"role": "user", "content": "hi", "odd": 1.50}]%s }'
)
ANSWER = (
    b'{"id": "c1", "model": "mine", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."},'
    b' "finish_reason": "stop"}], "new": 1.0, "usage": {"prompt_tokens": 3, "completion_tokens": 2}}'
)
ROLE = b'data: {"id":"c1","model":"mine","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
TEXT = b'data: {"id":"c1", "model":"mine","choices":[{"index":0,"delta":{"content":"Hi."}}],"new":1.0}\n\n'
FINISH = b'data: {"id":"c1","model":"mine","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE = b'data: {"id":"c1","model":"mine","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
DONE = b"data: [DONE]\n\n"


def _stage(
    folder: Path, upstream: FakeUpstream, endpoint: str = "openai.chat", more: str = ""
) -> AbstractContextManager[Stage]:
    keys = {"OPENAI_API_KEY": "sk-upstream-secret-1234567890", "ANTHROPIC_API_KEY": "sk-upstream-secret-1234567890"}
    return staged(endpoint, url=upstream.url, upstream=more, folder=folder, environment=keys)


def _post(stage: Stage, body: str, path: str = "/v1/chat/completions") -> httpx.Response:
    return httpx.post(f"{stage.origin}{path}", content=body, headers={"content-type": "application/json"}, timeout=30)


def test_a_whole_chat_keeps_its_bytes(tmp_path: Path, records: list[dict[str, Any]]) -> None:
    """Spaces, unknown fields and the spelling of numbers survive both ways; usage is in the log, nothing is lost."""
    with FakeUpstream(reply(ANSWER)) as upstream, _stage(tmp_path, upstream) as stage:
        answer = _post(stage, BODY % "")
        stage.wait_for(lambda: bool(records))

    assert BODY % "" == upstream.requests[0].body.decode()
    assert ANSWER == answer.content
    assert "x-engine-losses" not in answer.headers
    assert (True, 3) == (records[0]["passed"], records[0]["usage"]["prompt_tokens"])


def test_only_what_is_declared_changes(tmp_path: Path) -> None:
    """The model's name upstream, the name of the maximum; the asked name comes back."""
    with (
        FakeUpstream(reply(ANSWER.replace(b'"mine"', b'"gpt-5.2-2026"'))) as upstream,
        _stage(tmp_path, upstream, more=", models: {mine: gpt-5.2}") as stage,
    ):
        answer = _post(stage, BODY % ', "max_tokens": 9')

    sent = BODY.replace('"mine"', '"gpt-5.2"') % ',"max_completion_tokens":9'
    assert sent == upstream.requests[0].body.decode()
    assert ANSWER == answer.content


@pytest.mark.parametrize("asks", [True, False])
def test_a_stream_keeps_its_bytes(tmp_path: Path, records: list[dict[str, Any]], asks: bool) -> None:
    """Frames pass as they are; usage is always asked for, and its frame goes to a client that asked."""
    wanted = ', "stream_options": {"include_usage": true}' if asks else ""
    script = reply(ROLE + TEXT + b": a comment\n\n" + FINISH + USAGE + DONE, headers=SSE)
    with FakeUpstream(script) as upstream, _stage(tmp_path, upstream) as stage:
        answer = _post(stage, BODY % f', "stream": true{wanted}')
        stage.wait_for(lambda: bool(records))

    assert ROLE + TEXT + FINISH + (USAGE if asks else b"") + DONE == answer.content
    assert {"include_usage": True} == json.loads(upstream.requests[0].body)["stream_options"]
    assert (True, "native", 2) == (
        records[0]["passed"],
        records[0]["streamed"],
        records[0]["usage"]["completion_tokens"],
    )


def test_a_stream_without_terminator_gets_the_dialects(tmp_path: Path) -> None:
    """An upstream that closes after its finish reason: the client's stream still ends in its terminator."""
    with FakeUpstream(reply(ROLE + TEXT + FINISH, headers=SSE)) as upstream, _stage(tmp_path, upstream) as stage:
        answer = _post(stage, BODY % ', "stream": true')

    assert ROLE + TEXT + FINISH + DONE == answer.content


def test_a_stream_that_fails_before_its_text(tmp_path: Path) -> None:
    """Frames without content are held, so that a failure has its true status, and a whole answer may still be had."""
    failed = ROLE + b'data: {"error":{"message":"Busy.","code":"rate_limit_exceeded"}}\n\n'
    script = (reply(failed, headers=SSE), reply(ROLE, headers=SSE), reply(ANSWER))
    with FakeUpstream(*script) as upstream, _stage(tmp_path, upstream) as stage:
        refused = _post(stage, BODY % ', "stream": true')
        answer = _post(stage, BODY % ', "stream": true')

    assert 429 == refused.status_code
    assert [True, True, None] == [json.loads(each.body).get("stream") for each in upstream.requests]
    assert (200, 1) == (answer.status_code, answer.text.count('"role":"assistant"'))
    assert "Hi." in answer.text
    assert "new=unread, messages[0].odd=dropped" == answer.headers["x-engine-losses"]


@pytest.mark.parametrize("together", [True, False], ids=["in one piece", "one by one"])
def test_a_stream_that_fails_after_its_finish_reason(tmp_path: Path, together: bool) -> None:
    """The text stays, the finish reason does not: an error event is the last that is said (R13)."""
    frames = [ROLE, TEXT, FINISH, b'data: {"error":{"message":"Down."}}\n\n']
    script = reply(b"".join(frames), headers=SSE) if together else _slowly(frames)
    with FakeUpstream(script) as upstream, _stage(tmp_path, upstream) as stage:
        answer = _post(stage, BODY % ', "stream": true')

    assert answer.content.startswith(ROLE + TEXT + b'data: {"error":')
    assert "finish_reason" not in answer.text
    assert answer.content.endswith(DONE)


def _slowly(frames: list[bytes]) -> Behaviour:
    async def play(wire: Wire, seen: Seen) -> bool:
        await wire.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        for frame in frames:
            await wire.send(frame)
            await asyncio.sleep(0.05)
        return False

    return play


def test_a_stream_that_breaks_off(tmp_path: Path) -> None:
    """What came passes, then an error in the client's dialect: a stream that failed never looks finished."""
    with FakeUpstream(reply(ROLE + TEXT, headers=SSE)) as upstream, _stage(tmp_path, upstream) as stage:
        answer = _post(stage, BODY % ', "stream": true')

    assert answer.content.startswith(ROLE + TEXT + b'data: {"error":')
    assert "upstream_incomplete" in answer.text
    assert answer.content.endswith(DONE)


@pytest.mark.parametrize(
    ("fields", "losses"),
    [(', "temperature": 3', "temperature=clamped"), (', "top_k": 3', "top_k=dropped")],
)
def test_what_needs_more_than_edits_goes_the_normal_way(tmp_path: Path, fields: str, losses: str) -> None:
    """A clamp, a field that the endpoint is known not to take: the request is translated, and the loss told."""
    with FakeUpstream(reply(ANSWER)) as upstream, _stage(tmp_path, upstream) as stage:
        answer = _post(stage, BODY % fields)

    assert losses in answer.headers["x-engine-losses"]
    assert "new=unread" in answer.headers["x-engine-losses"]
    assert "new" not in json.loads(upstream.requests[0].body)


def test_what_a_dialect_does_not_let_pass_is_translated(tmp_path: Path) -> None:
    """Deprecated functions go up as the tools that the endpoint knows."""
    with FakeUpstream(reply(ANSWER)) as upstream, _stage(tmp_path, upstream) as stage:
        answer = _post(stage, BODY % ', "functions": [{"name": "f"}]')

    sent = json.loads(upstream.requests[0].body)
    assert 200 == answer.status_code
    assert ([{"type": "function", "function": {"name": "f"}}], None) == (sent["tools"], sent.get("functions"))


def test_what_is_refused_stays_refused(tmp_path: Path) -> None:
    """A rule of `refuse` and an unsupported feature hold for a body that would pass."""
    with FakeUpstream(reply(ANSWER)) as upstream, _stage(tmp_path, upstream) as stage:
        answers = [_post(stage, BODY % fields) for fields in (', "modalities": ["audio"]', ', "n": 0')]

    assert [400, 400] == [each.status_code for each in answers]
    assert [] == upstream.requests


def test_errors_are_still_translated(tmp_path: Path) -> None:
    """An upstream's failure comes in the dialect's shape, with our own rules for keys."""
    script = reply_json({"error": {"message": "Bad key."}}, "401 No")
    with FakeUpstream(script) as upstream, _stage(tmp_path, upstream) as stage:
        answer = _post(stage, BODY % "")

    assert (502, "upstream_auth") == (answer.status_code, answer.json()["error"]["code"])


def test_another_wire_is_translated(tmp_path: Path) -> None:
    """The same client over an endpoint of another wire: nothing passes."""
    said = {"id": "m1", "model": "x", "content": [{"type": "text", "text": "Hi."}], "stop_reason": "end_turn"}
    with FakeUpstream(reply_json(said)) as upstream, _stage(tmp_path, upstream, "anthropic.messages") as stage:
        answer = _post(stage, BODY % "")

    assert "new=unread" in answer.headers["x-engine-losses"]
    assert "Hi." == answer.json()["choices"][0]["message"]["content"]
    assert "max_tokens" in json.loads(upstream.requests[0].body)


def _ollama(done: bool) -> Behaviour:
    value = {"model": "llama", "message": {"role": "assistant", "content": "Hi."}, "done": done, "done_reason": "stop"}
    return reply_json(value)


def test_an_operation_of_another_format_is_translated(tmp_path: Path) -> None:
    """Only the chat of a dialect speaks the endpoint's wire; its other operations have a wire of their own."""
    with FakeUpstream(_ollama(True)) as upstream, _stage(tmp_path, upstream, "ollama.chat") as stage:
        chat = (
            '{"model": "llama", "stream": false, "messages": [{"role": "user", "content": "hi"}], "options": {"x": 2}}'
        )
        _post(stage, chat, "/api/chat")
        answer = _post(stage, '{"model": "llama", "stream": false, "prompt": "hi"}', "/api/generate")

    assert chat == upstream.requests[0].body.decode()
    assert "messages" in json.loads(upstream.requests[1].body)
    assert "Hi." == answer.json()["response"]


def test_the_beta_features_that_a_client_asks_for_go_up_with_its_body(tmp_path: Path) -> None:
    """A body that passes may hold fields of a beta; without the header the upstream would refuse them."""
    said = {"id": "m1", "model": "c", "content": [{"type": "text", "text": "Hi."}], "stop_reason": "end_turn"}
    body = '{"model": "c", "max_tokens": 9, "new_field": {"a": 1}, "messages": [{"role": "user", "content": "hi"}]}'
    with FakeUpstream(reply_json(said)) as upstream, _stage(tmp_path, upstream, "anthropic.messages") as stage:
        headers = {"content-type": "application/json", "anthropic-beta": "files-2025,new-2026"}
        answer = httpx.post(f"{stage.origin}/v1/messages", content=body, headers=headers, timeout=30)

    assert 200 == answer.status_code
    assert ("files-2025,new-2026", body) == (
        upstream.requests[0].headers["anthropic-beta"],
        upstream.requests[0].body.decode(),
    )


def test_lines_hold_nothing_that_a_client_takes_for_their_end(tmp_path: Path) -> None:
    """Also where an upstream's own lines pass: ollama-python splits at U+2028 and its like."""
    text = "a\u2028b\u2029c\u0085d"
    lines = [{"message": {"role": "assistant", "content": text}, "done": False},
             {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"}]  # fmt: skip
    sent = "".join(json.dumps({"model": "m", **line}, ensure_ascii=False) + "\n" for line in lines).encode()
    with (
        FakeUpstream(reply(sent, headers="content-type: application/x-ndjson\r\n")) as upstream,
        _stage(tmp_path, upstream, "ollama.chat") as stage,
        ollama.Client(stage.origin) as client,
    ):
        chat = client.chat("m", [{"role": "user", "content": "hi"}], stream=True)
        heard = "".join(part.message.content or "" for part in chat)

    assert text == heard
    assert len(upstream.requests) == 1
