"""How a client speaks each dialect over plain HTTP, and what it hears: one question in, one `Heard` out.

A speaker knows the wire format of its dialect and nothing of the gateway; the same conversation in all of them is what
the matrix compares.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

PARAMETERS: Final = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
PICTURE: Final = "iVBORw0KGgo="


@dataclass
class Turn:
    """One question: its text, whether a tool is offered, a picture shown, and the calls that were answered before."""

    text: str
    stream: bool = False
    tools: bool = False
    picture: bool = False
    answered: list[dict[str, str]] = field(default_factory=list)
    said: str = ""
    as_json: bool = False


@dataclass
class Heard:
    """What a client gets, in words of no dialect."""

    status: int
    text: str = ""
    reasoning: str = ""
    calls: list[dict[str, str]] = field(default_factory=list)
    finish: str | None = None
    usage: tuple[int, int] | None = None
    error: dict[str, Any] | None = None
    ended: bool = True


class Speaker:
    """One dialect: its path, a request's body, a whole answer, a stream's events."""

    path = ""
    does: frozenset[str] = frozenset({"text", "stream", "tools", "picture", "reasoning", "json"})

    def body(self, model: str, turn: Turn) -> dict[str, Any]:
        raise NotImplementedError

    def whole(self, answer: Any) -> Heard:
        raise NotImplementedError

    def streamed(self, events: Iterator[tuple[str, Any]]) -> Heard:
        raise NotImplementedError

    def failure(self, status: int, answer: Any) -> Heard:
        return Heard(status, error=answer["error"])

    def ask(self, origin: str, model: str, turn: Turn, upstream: str) -> Heard:
        """One call."""
        headers = {"authorization": "Bearer tester", "x-api-key": "tester", "x-engine-upstream": upstream}
        answer = httpx.post(origin + self.path, json=self.body(model, turn), headers=headers, timeout=30)
        kind = answer.headers.get("content-type", "")
        if answer.status_code != 200:
            return self.failure(answer.status_code, answer.json())
        if turn.stream:
            assert "json" not in kind or "ndjson" in kind, answer.text
            return self.streamed(_events(answer.text, ndjson="ndjson" in kind))
        return self.whole(answer.json())


def _events(text: str, *, ndjson: bool) -> Iterator[tuple[str, Any]]:
    if ndjson:
        for line in text.splitlines():
            if line:
                yield "", json.loads(line)
        return
    for block in text.split("\n\n"):
        lines = block.split("\n")
        name = "".join(line[7:] for line in lines if line.startswith("event: "))
        data = "\n".join(line[6:] for line in lines if line.startswith("data: "))
        if data:
            yield name, data if data == "[DONE]" else json.loads(data)


def _call(name: str, arguments: Any) -> dict[str, str]:
    return {"name": name, "arguments": arguments if isinstance(arguments, str) else json.dumps(arguments)}


class OpenAIChat(Speaker):
    path = "/v1/chat/completions"

    def body(self, model: str, turn: Turn) -> dict[str, Any]:
        content: Any = turn.text
        if turn.picture:
            url = f"data:image/png;base64,{PICTURE}"
            content = [{"type": "text", "text": turn.text}, {"type": "image_url", "image_url": {"url": url}}]
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        if turn.answered:
            calls = [
                {"id": each["id"], "type": "function", "function": {key: each[key] for key in ("name", "arguments")}}
                for each in turn.answered
            ]
            messages.append({"role": "assistant", "content": turn.said, "tool_calls": calls})
            messages += [{"role": "tool", "tool_call_id": each["id"], "content": "21"} for each in turn.answered]
        tool = {"type": "function", "function": {"name": "get_weather", "description": "W", "parameters": PARAMETERS}}
        return {
            "model": model,
            "messages": messages,
            "stream": turn.stream,
            **({"stream_options": {"include_usage": True}} if turn.stream else {}),
            **({"tools": [tool]} if turn.tools else {}),
            **({"response_format": {"type": "json_object"}} if turn.as_json else {}),
        }

    def whole(self, answer: Any) -> Heard:
        [choice] = answer["choices"]
        message, usage = choice["message"], answer["usage"]
        calls = [{"id": each["id"], **_call(**each["function"])} for each in message.get("tool_calls") or []]
        tokens = (usage["prompt_tokens"], usage["completion_tokens"]) if usage else None
        reasoning = message.get("reasoning_content") or ""
        return Heard(200, message["content"] or "", reasoning, calls, choice["finish_reason"], tokens)

    def streamed(self, events: Iterator[tuple[str, Any]]) -> Heard:
        heard, ended = Heard(200), False
        for _, data in events:
            assert not ended
            if data == "[DONE]":
                ended = True
            elif "error" in data:
                heard.error = data["error"]
            else:
                if data.get("usage"):
                    heard.usage = (data["usage"]["prompt_tokens"], data["usage"]["completion_tokens"])
                for choice in data["choices"]:
                    self._delta(heard, choice)
        heard.ended = ended
        return heard

    @staticmethod
    def _delta(heard: Heard, choice: Any) -> None:
        delta = choice["delta"]
        heard.text += delta.get("content") or ""
        heard.reasoning += delta.get("reasoning_content") or ""
        for each in delta.get("tool_calls") or []:
            if each["index"] == len(heard.calls):
                heard.calls.append({"id": each["id"], "name": each["function"]["name"], "arguments": ""})
            heard.calls[each["index"]]["arguments"] += each["function"].get("arguments") or ""
        if choice["finish_reason"]:
            assert heard.finish is None
            heard.finish = choice["finish_reason"]


class OpenAIResponses(Speaker):
    path = "/v1/responses"

    def body(self, model: str, turn: Turn) -> dict[str, Any]:
        content: list[dict[str, Any]] = [{"type": "input_text", "text": turn.text}]
        if turn.picture:
            content.append({"type": "input_image", "image_url": f"data:image/png;base64,{PICTURE}"})
        items: list[dict[str, Any]] = [{"role": "user", "content": content}]
        for each in turn.answered:
            items.append(
                {"type": "function_call", "call_id": each["id"], "name": each["name"], "arguments": each["arguments"]}
            )
        items += [{"type": "function_call_output", "call_id": each["id"], "output": "21"} for each in turn.answered]
        tool = {
            "type": "function",
            "name": "get_weather",
            "description": "W",
            "parameters": PARAMETERS,
            "strict": False,
        }
        return {
            "model": model, "input": items, "stream": turn.stream, "store": False,
            **({"tools": [tool]} if turn.tools else {}),
            **({"text": {"format": {"type": "json_object"}}} if turn.as_json else {}),
        }  # fmt: skip

    def whole(self, answer: Any) -> Heard:
        heard = Heard(200)
        for item in answer["output"]:
            if item["type"] == "message":
                heard.text += "".join(each.get("text", "") for each in item["content"])
            elif item["type"] == "reasoning":
                heard.reasoning += "".join(each["text"] for each in [*item["summary"], *(item.get("content") or [])])
            elif item["type"] == "function_call":
                heard.calls.append({"id": item["call_id"], **_call(item["name"], item["arguments"])})
        heard.usage = (answer["usage"]["input_tokens"], answer["usage"]["output_tokens"])
        heard.finish = _of_response(answer, heard)
        return heard

    def streamed(self, events: Iterator[tuple[str, Any]]) -> Heard:
        text, arguments, last = "", "", -1
        heard = Heard(200, ended=False)
        for name, data in events:
            assert name in ("", data["type"])
            assert data["sequence_number"] == last + 1
            last = data["sequence_number"]
            kind = data["type"]
            if kind == "response.output_text.delta":
                text += data["delta"]
            elif kind == "response.function_call_arguments.delta":
                arguments += data["delta"]
            elif kind in ("response.completed", "response.incomplete"):
                heard = self.whole(data["response"])
                assert text == heard.text
                assert arguments == "".join(each["arguments"] for each in heard.calls)
            elif kind == "error" or kind == "response.failed":
                failed = data["response"]["error"] if kind == "response.failed" else data
                heard = Heard(200, text, error=failed)
        return heard


def _of_response(answer: Any, heard: Heard) -> str:
    if answer["status"] == "incomplete":
        return "length" if answer["incomplete_details"]["reason"] == "max_output_tokens" else "content_filter"
    return "tool_calls" if heard.calls else "stop"


class OpenAICompletions(Speaker):
    path = "/v1/completions"
    does = frozenset({"text", "stream"})

    def body(self, model: str, turn: Turn) -> dict[str, Any]:
        more = {"stream_options": {"include_usage": True}} if turn.stream else {}
        return {"model": model, "prompt": turn.text, "stream": turn.stream, "max_tokens": 100, **more}

    def whole(self, answer: Any) -> Heard:
        [choice] = answer["choices"]
        tokens = (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"])
        return Heard(200, choice["text"], finish=choice["finish_reason"], usage=tokens)

    def streamed(self, events: Iterator[tuple[str, Any]]) -> Heard:
        heard = Heard(200, ended=False)
        for _, data in events:
            if data == "[DONE]":
                heard.ended = True
            elif "error" in data:
                heard.error = data["error"]
            else:
                if data.get("usage"):
                    heard.usage = (data["usage"]["prompt_tokens"], data["usage"]["completion_tokens"])
                for choice in data["choices"]:
                    heard.text += choice["text"]
                    heard.finish = choice["finish_reason"] or heard.finish
        return heard


class AnthropicMessages(Speaker):
    path = "/v1/messages"
    does = frozenset({"text", "stream", "tools", "picture", "reasoning"})

    def body(self, model: str, turn: Turn) -> dict[str, Any]:
        content: list[dict[str, Any]] = [{"type": "text", "text": turn.text}]
        if turn.picture:
            source = {"type": "base64", "media_type": "image/png", "data": PICTURE}
            content.append({"type": "image", "source": source})
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        if turn.answered:
            said = [{"type": "text", "text": turn.said}] if turn.said else []
            uses = [
                {"type": "tool_use", "id": each["id"], "name": each["name"], "input": json.loads(each["arguments"])}
                for each in turn.answered
            ]
            results = [{"type": "tool_result", "tool_use_id": each["id"], "content": "21"} for each in turn.answered]
            messages += [{"role": "assistant", "content": [*said, *uses]}, {"role": "user", "content": results}]
        tool = {"name": "get_weather", "description": "W", "input_schema": PARAMETERS}
        return {
            "model": model, "max_tokens": 100, "messages": messages, "stream": turn.stream,
            **({"tools": [tool]} if turn.tools else {}),
        }  # fmt: skip

    def whole(self, answer: Any) -> Heard:
        heard = Heard(200, usage=_anthropic_usage(answer["usage"]), finish=_ANTHROPIC[answer["stop_reason"]])
        for block in answer["content"]:
            if block["type"] == "text":
                heard.text += block["text"]
            elif block["type"] == "thinking":
                heard.reasoning += block["thinking"]
            else:
                heard.calls.append({"id": block["id"], **_call(block["name"], block["input"])})
        return heard

    def streamed(self, events: Iterator[tuple[str, Any]]) -> Heard:  # noqa: C901  # one branch per kind of event
        heard, open_block, usage = Heard(200, ended=False), None, {}
        for name, data in events:
            assert name == data["type"]
            if name == "message_start":
                usage = dict(data["message"]["usage"])
            elif name == "content_block_start":
                assert open_block is None
                open_block, block = data["index"], data["content_block"]
                if block["type"] == "tool_use":
                    heard.calls.append({"id": block["id"], "name": block["name"], "arguments": ""})
            elif name == "content_block_delta":
                assert open_block == data["index"]
                delta = data["delta"]
                heard.text += delta.get("text", "")
                heard.reasoning += delta.get("thinking", "")
                if "partial_json" in delta:
                    heard.calls[-1]["arguments"] += delta["partial_json"]
            elif name == "content_block_stop":
                assert open_block == data["index"]
                open_block = None
            elif name == "message_delta":
                heard.finish = _ANTHROPIC[data["delta"]["stop_reason"]]
                usage |= data["usage"]
                heard.usage = _anthropic_usage(usage)
            elif name == "message_stop":
                heard.ended = True
            elif name == "error":
                heard.error, heard.ended = data["error"], True
        return heard


_ANTHROPIC: Final = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls",
                     "refusal": "content_filter"}  # fmt: skip


def _anthropic_usage(usage: Any) -> tuple[int, int]:
    cached = (usage.get("cache_read_input_tokens") or 0) + (usage.get("cache_creation_input_tokens") or 0)
    return usage["input_tokens"] + cached, usage["output_tokens"]


class Ollama(Speaker):
    path = "/api/chat"

    def body(self, model: str, turn: Turn) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "user", "content": turn.text}
        if turn.picture:
            message["images"] = [PICTURE]
        messages = [message]
        if turn.answered:
            calls = [
                {"function": {"name": each["name"], "arguments": json.loads(each["arguments"])}}
                for each in turn.answered
            ]
            messages.append({"role": "assistant", "content": turn.said, "tool_calls": calls})
            messages += [{"role": "tool", "tool_name": each["name"], "content": "21"} for each in turn.answered]
        tool = {"type": "function", "function": {"name": "get_weather", "description": "W", "parameters": PARAMETERS}}
        return {
            "model": model, "messages": messages, "stream": turn.stream,
            **({"tools": [tool]} if turn.tools else {}), **({"format": "json"} if turn.as_json else {}),
        }  # fmt: skip

    def whole(self, answer: Any) -> Heard:
        heard = Heard(200, ended=False)
        self._line(heard, answer)
        return heard

    def streamed(self, events: Iterator[tuple[str, Any]]) -> Heard:
        heard = Heard(200, ended=False)
        for _, data in events:
            if "error" in data:
                heard.error, heard.ended = {"message": data["error"]}, True
            else:
                self._line(heard, data)
        return heard

    @staticmethod
    def _line(heard: Heard, data: Any) -> None:
        message = data.get("message") or {}
        heard.text += message.get("content") or ""
        heard.reasoning += message.get("thinking") or ""
        for each in message.get("tool_calls") or []:
            heard.calls.append({"id": "", **_call(each["function"]["name"], each["function"]["arguments"])})
        if data.get("done"):
            heard.ended = True
            heard.finish = "tool_calls" if heard.calls else data["done_reason"]
            heard.usage = (data.get("prompt_eval_count") or 0, data.get("eval_count") or 0)

    def failure(self, status: int, answer: Any) -> Heard:
        assert isinstance(answer["error"], str)
        return Heard(status, error={"message": answer["error"]})


SPEAKERS: Final[dict[str, Speaker]] = {
    "openai.chat": OpenAIChat(),
    "openai.responses": OpenAIResponses(),
    "openai.completions": OpenAICompletions(),
    "anthropic.messages": AnthropicMessages(),
    "ollama": Ollama(),
}
"""Every shipped dialect by its id."""
