"""What belongs to another wire never reaches an endpoint: `ext` entries and reasoning state (DECISIONS section 1)."""

from __future__ import annotations

from engine.translate.losses import Losses
from engine.types import Json, JsonObject


def without_foreign_state(request: JsonObject, wire: str | None, client_wire: str | None, losses: Losses) -> JsonObject:
    """The request without what belongs to another wire: `ext` of other names, and reasoning state of other wires.

    `wire` is the endpoint's, `client_wire` the one the client's state came over. What is removed is a loss; a request
    that has nothing of it is given back.
    """
    if not any(_carries_state(message) for message in request["messages"]) and not _has_ext(request):
        return request
    cleaned = {key: value for key, value in _own_ext(request, wire, "request", losses).items() if key != "messages"}
    cleaned["messages"] = [
        _own_message(message, wire, f"messages[{index}]", losses, keeps_state=wire is not None and wire == client_wire)
        for index, message in enumerate(request["messages"])
    ]
    if "tools" in request:
        cleaned["tools"] = [_own_ext(tool, wire, f"tools[{i}]", losses) for i, tool in enumerate(request["tools"])]
    return cleaned


def _has_ext(request: JsonObject) -> bool:
    return "ext" in request or any("ext" in tool for tool in request.get("tools") or ())


def _carries_state(message: JsonObject) -> bool:
    content = message.get("content")
    parts = content if isinstance(content, list) else ()
    calls = message.get("tool_calls") or ()
    return (
        "ext" in message
        or "reasoning" in message
        or any("ext" in part for part in parts)
        or any("ext" in call for call in calls)
    )


def _own_ext(holder: JsonObject, wire: str | None, where: str, losses: Losses) -> JsonObject:
    ext = holder.get("ext")
    if not isinstance(ext, dict):
        return holder
    for name in ext:
        if name != wire:
            losses.add(f"{where}.ext.{name}", "dropped")
    kept = {key: value for key, value in holder.items() if key != "ext"}
    return {**kept, "ext": {wire: ext[wire]}} if wire in ext else kept


def _own_message(message: JsonObject, wire: str | None, where: str, losses: Losses, *, keeps_state: bool) -> JsonObject:
    own = _own_ext(message, wire, where, losses)
    if isinstance(own.get("content"), list):
        own = {**own, "content": [_own_ext(p, wire, f"{where}.content", losses) for p in own["content"]]}
    if own.get("tool_calls"):
        own = {**own, "tool_calls": [_own_ext(c, wire, f"{where}.tool_calls", losses) for c in own["tool_calls"]]}
    thoughts = own.get("reasoning")
    if isinstance(thoughts, list) and not keeps_state:
        own = {**own, "reasoning": [_without_state(each, f"{where}.reasoning", losses) for each in thoughts]}
    return own


def _without_state(thought: Json, where: str, losses: Losses) -> Json:
    """A thought without its state; its text stays."""
    if not isinstance(thought, dict) or "state" not in thought:
        return thought
    losses.add(f"{where}.state", "dropped")
    return {key: value for key, value in thought.items() if key != "state"}
