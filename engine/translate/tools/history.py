"""Earlier calls and results as text, in the way of the format that the model will read.

The messages that come out have no tool calls and no tool messages. What is untrusted in them is neutralised: values
that the format's templates print by the templates themselves, all else here.
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from typing import Final, Self

from engine.translate.canonical import refuse
from engine.translate.losses import Losses
from engine.translate.plan import Codec
from engine.translate.tools.neutral import Neutraliser
from engine.translate.tools.plan import ToolformatPlan
from engine.types import Json, JsonObject

_LONG_NUMBER: Final = re.compile(r"\d{17}")
_DEEPEST: Final = 100


@dataclass(frozen=True, slots=True)
class History:
    """Writes one conversation. `own` is the format that writes; the markers of all formats that read are broken.

    Its templates break their own markers; `others` are those of the other formats.
    """

    own: ToolformatPlan
    every: Neutraliser
    others: Neutraliser
    codec: Codec
    losses: Losses

    @classmethod
    def of(cls, formats: tuple[ToolformatPlan, ...], codec: Codec, losses: Losses) -> Self:
        """For formats in order of preference: the first writes."""
        return cls(formats[0], *_neutralisers(formats), codec, losses)

    def render(self, messages: list[JsonObject]) -> list[JsonObject]:
        """Calls and results as text; neighbouring results become one message."""
        rendered: list[JsonObject] = []
        calls: dict[str, JsonObject] = {}
        results: list[str] = []
        pictures: list[Json] = []
        for index, message in enumerate(messages):
            if message["role"] == "tool":
                call = calls.get(message["tool_call_id"]) or _unknown_call(message, index)
                results.append(self._result(message, call))
                pictures += _not_text(message.get("content"))
                continue
            self._close_results(rendered, results, pictures)
            rendered.append(self._message(message, index, calls))
        self._close_results(rendered, results, pictures)
        return rendered

    def _close_results(self, rendered: list[JsonObject], results: list[str], pictures: list[Json]) -> None:
        """One message for neighbouring results; what is no text in them follows, for the endpoint to take or refuse."""
        if results:
            content: Json = self.own.join.join(results)
            if pictures:
                content = [{"type": "text", "text": content}, *pictures]
            rendered.append({"role": self.own.result_role, "content": content})
            results.clear()
            pictures.clear()

    def _result(self, message: JsonObject, call: JsonObject) -> str:
        scope = {"call": call, "m": {**message, "content": plain(message.get("content"))}}
        return _text(self.own.history_result(self.others.apply_inside(scope)))

    def _message(self, message: JsonObject, index: int, calls: dict[str, JsonObject]) -> JsonObject:
        trusted = message["role"] in ("system", "developer")
        content = message.get("content") if trusted else _neutral(message.get("content"), self.every)
        kept = {key: value for key, value in message.items() if key not in ("content", "tool_calls")}
        texts = []
        for position, call in enumerate(message.get("tool_calls") or ()):
            known = self._call(call, f"messages[{index}].tool_calls[{position}]")
            calls[known["id"]] = known
            texts.append(_text(self.own.history_call(self.others.apply_inside({"call": known, "m": message}))))
        if not texts:
            return {**kept, "content": content}
        block = self.own.calls_open + self.own.join.join(texts) + self.own.calls_close
        return {**kept, "content": _after(content, block)}

    def _call(self, call: JsonObject, where: str) -> JsonObject:
        """A call. No arguments are `{}`; broken ones are a loss, and kept as the text they are (trap 11)."""
        function = call["function"]
        arguments = function.get("arguments")
        if isinstance(arguments, dict):
            text, decoded = self.codec.dumps(arguments).decode(), arguments
        else:
            text = arguments if isinstance(arguments, str) and arguments.strip() not in ("", "null") else "{}"
            decoded = self._decoded(text)
        if not isinstance(decoded, dict):
            self.losses.add(f"{where}.function.arguments", "damaged")
        call_id = call.get("id")
        return {
            "id": call_id if isinstance(call_id, str) else where,
            "name": function["name"],
            "arguments": text,
            "args": decoded if isinstance(decoded, dict) else {},
        }

    def _decoded(self, text: str) -> Json:
        """The arguments as data; the standard library keeps integers that have more digits than the codec does."""
        try:
            value = self.codec.loads(text.encode("utf-8", "surrogatepass"))
            value = json.loads(text) if _LONG_NUMBER.search(text) else value
        except (ValueError, RecursionError):
            return None
        return None if _is_deeper(value, _DEEPEST) else value


@functools.lru_cache(maxsize=256)
def _neutralisers(formats: tuple[ToolformatPlan, ...]) -> tuple[Neutraliser, Neutraliser]:
    """For the markers of all formats, and for those that the first one's templates do not break."""
    own = formats[0]
    markers = [marker for each in formats for marker in each.markers]
    others = [marker for marker in markers if marker not in own.markers]
    return Neutraliser(markers, own.neutralise), Neutraliser(others, own.neutralise, own.markers)


def _unknown_call(message: JsonObject, index: int) -> JsonObject:
    """A result whose call is not in the history: told apart by the name it carries, else refused."""
    if isinstance(message.get("name"), str):
        return {"id": message["tool_call_id"], "name": message["name"], "arguments": "{}", "args": {}}
    raise refuse(
        f"'messages[{index}].tool_call_id' answers no tool call of an assistant message before it.",
        f"messages[{index}].tool_call_id",
        "invalid_value",
    )


def _is_deeper(value: Json, most: int) -> bool:
    """Whether lists and objects lie in one another more than so many levels: templates cannot write such data."""
    level = [value]
    for _ in range(most + 1):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return False
    return True


def _not_text(content: Json) -> list[Json]:
    return [part for part in content if part.get("type") != "text"] if isinstance(content, list) else []


def _after(content: Json, block: str) -> Json:
    """The calls behind what the assistant said."""
    if isinstance(content, list):
        return [*content, {"type": "text", "text": block}]
    return f"{content}\n\n{block}" if content else block


def _text(made: Json) -> str:
    return made if isinstance(made, str) else ""


def plain(content: Json) -> str:
    """The text of a message."""
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content if part.get("type") == "text")
    return content or ""


def _neutral(content: Json, neutraliser: Neutraliser) -> Json:
    if isinstance(content, str):
        return neutraliser.apply(content)
    if isinstance(content, list):
        return [
            {**part, "text": neutraliser.apply(part["text"])} if part.get("type") == "text" else part
            for part in content
        ]
    return content
