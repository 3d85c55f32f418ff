"""What an endpoint does of what a client may ask for: by itself, emulated, or refused by name.

Nothing is declared for this; each feature is tried on the compiled plan, up to its first call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from engine.errors import RequestError
from engine.language.cases import FIXED_ID, FIXED_NOW, json_codec, target_for
from engine.translate.chat import Chat
from engine.translate.losses import Losses
from engine.translate.plan import EndpointPlan
from engine.translate.wire import Context, Target
from engine.types import Json, JsonObject

NATIVE: Final = "native"
EMULATED: Final = "emulated"
REFUSED: Final = "refused"

_STREAMING: Final[Mapping[str, str]] = {"native": NATIVE, "only": NATIVE, "synthetic": EMULATED, "probe": "as it comes"}
_TOOL: Final[JsonObject] = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
_PARTS: Final[Mapping[str, JsonObject]] = {
    "pictures": {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
    "files": {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="}},
    "audio": {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
}

FEATURES: Final = ("streaming", "tools", "forced tools", "JSON answers", *_PARTS)
"""What is tried, in the order of the table in the docs."""


def features_of(plan: EndpointPlan, model: str = "any-model", target: Target | None = None) -> dict[str, str]:
    """Each feature as `native`, `emulated` or `refused`; streams that are probed for are `as it comes`.

    `target` is the endpoint as a gateway has it, with its options and toolformats.
    """
    target = target or target_for(plan, {})
    tools = {"tools": [_TOOL]}
    return {
        "streaming": _STREAMING[plan.capabilities.streaming.find(model)],
        "tools": _tried(target, model, tools),
        "forced tools": _tried(target, model, {**tools, "tool_choice": "required"}),
        "JSON answers": _tried(target, model, {"response_format": {"type": "json_object"}}),
        **{name: _tried(target, model, {}, part) for name, part in _PARTS.items()},
    }


def _tried(target: Target, model: str, more: JsonObject, *parts: JsonObject) -> str:
    content: Json = [{"type": "text", "text": "hi"}, *parts] if parts else "hi"
    request = {"model": model, "messages": [{"role": "user", "content": content}], **more}
    described = {"id": model, "name": model, "meta": None}
    try:
        chat = Chat(target, request, described, Context(FIXED_ID, FIXED_NOW), Losses(), json_codec())
        next(chat.opened())
    except RequestError:
        return REFUSED
    except StopIteration:
        pass
    return EMULATED if chat.emulates else NATIVE
