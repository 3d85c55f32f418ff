"""Message content: text and parts, data URLs, and an estimate of tokens."""

from __future__ import annotations

import json
import math
import re
from typing import Final

from engine.language.canonical import PART
from engine.language.expressions.signatures import Parameter, function, text_parameter
from engine.language.static_types import ANY, NULL, NUMBER, OBJECT, STRING, array_of, object_of, union
from engine.types import Json, JsonObject

_CONTENT: Final = Parameter("content", union(STRING, array_of(ANY), NULL))
_DATA_URL: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w.+-]+=[^;,]*)*);base64,", re.ASCII | re.IGNORECASE)

CHARACTERS_PER_TOKEN: Final = 4.0
WIDE_CHARACTERS_PER_TOKEN: Final = 1.5
TOKENS_PER_MESSAGE: Final = 4
TOKENS_PER_IMAGE: Final = 800


def _text_of(part: Json) -> str:
    """The text of one part; a part without a type, or whose type ends in `text`, is one."""
    if isinstance(part, str):
        return part
    if isinstance(part, dict) and isinstance(part.get("text"), str):
        kind = part.get("type", "text")
        return part["text"] if isinstance(kind, str) and kind.endswith("text") else ""
    return ""


@function(
    "text",
    [_CONTENT],
    STRING,
    "The text of a message's content: a text as it is, the text parts of a list put together without anything between "
    "them, null as an empty text. Other parts have no text.",
    examples=[
        ("text(m.content)", {"m": {"content": "Hi"}}, "Hi"),
        ("text(m.content)", {"m": {"content": [{"type": "text", "text": "Hi"}]}}, "Hi"),
        (
            "text(c)",
            {"c": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "x"}}, "b"]},
            "ab",
        ),
        ("text(m.content)", {"m": {"content": None}}, ""),
    ],
    takes_null=True,
)
def _text(content: Json) -> Json:
    if content is None:
        return ""
    return content if isinstance(content, str) else "".join(map(_text_of, content))


@function(
    "parts",
    [_CONTENT],
    array_of(PART),
    "A message's content as a list of parts: a text as one text part, a list as it is (a bare text in it becomes a "
    "text part), null as an empty list.",
    examples=[
        ("parts(m.content)", {"m": {"content": "Hi"}}, [{"type": "text", "text": "Hi"}]),
        (
            "parts(c)",
            {"c": [{"type": "text", "text": "a"}, "b"]},
            [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        ),
        ("parts(m.content)", {"m": {}}, []),
    ],
    takes_null=True,
)
def _parts(content: Json) -> Json:
    if content is None:
        return []
    listed = [content] if isinstance(content, str) else content
    return [{"type": "text", "text": each} if isinstance(each, str) else each for each in listed]


@function(
    "data_url",
    [text_parameter("url")],
    object_of({"mime": STRING, "data": STRING}).optional(),
    "What a base64 data URL carries, as {mime, data}; null for any other URL. The data is not decoded.",
    examples=[
        ("data_url(v)", {"v": "data:image/png;base64,iVBO"}, {"mime": "image/png", "data": "iVBO"}),
        ("data_url(v)", {"v": "https://host/a.png"}, None),
    ],
)
def _data_url(url: str) -> Json:
    head = _DATA_URL.match(url[:500])
    if head is None:
        return None
    return {"mime": (head[1] or "text/plain").lower(), "data": url[head.end() :]}


@function(
    "estimate_tokens",
    [Parameter("request", OBJECT)],
    NUMBER,
    "An estimate of the tokens that a canonical request costs: for all text and tool JSON, ASCII characters / 4 and "
    "others / 1.5, 4 more per message, 800 per image. It is never shown as real usage.",
    examples=[
        ("estimate_tokens(req)", {"req": {"messages": [{"role": "user", "content": "12345678"}]}}, 6),
        ("estimate_tokens(req)", {"req": {"messages": []}}, 0),
        ("estimate_tokens(req)", {"req": {"messages": [{"role": "user", "content": "日本語"}]}}, 6),
    ],
)
def _estimate_tokens(request: JsonObject) -> Json:
    messages = [each for each in request.get("messages") or [] if isinstance(each, dict)]
    tokens = _tokens(request.get("tools")) + _tokens(request.get("response_format"))
    for message in messages:
        tokens += TOKENS_PER_MESSAGE + _tokens(message.get("tool_calls"))
        tokens += sum(map(_part_tokens, _parts(message["content"]) if _is_content(message.get("content")) else []))
    return math.ceil(tokens)


def _is_content(value: Json) -> bool:
    return isinstance(value, str | list)


def _part_tokens(part: Json) -> float:
    if isinstance(part, dict) and str(part.get("type", "")).startswith("image"):
        return TOKENS_PER_IMAGE
    return _weight(_text_of(part))


def _tokens(value: Json) -> float:
    return _weight(json.dumps(value, ensure_ascii=False)) if value else 0.0


def _weight(text: str) -> float:
    narrow = len(text.encode("ascii", "ignore"))
    return narrow / CHARACTERS_PER_TOKEN + (len(text) - narrow) / WIDE_CHARACTERS_PER_TOKEN
