"""What belongs to another wire never reaches an endpoint: `ext` entries and reasoning state (DECISIONS section 1)."""

from __future__ import annotations

from engine.translate.losses import Losses
from engine.types import Json, JsonObject


def without_foreign_state(request: JsonObject, wire: str | None, client_wire: str | None, losses: Losses) -> JsonObject:
    """The request without what belongs to another wire: `ext` of other names, and reasoning state of other wires.

    `wire` is the endpoint's, `client_wire` the one the client's state came over, unless a thought says its own (see
    `keeping`). What is removed is a loss; a request that has nothing of it is given back.
    """
    if not any(_carries_state(message) for message in request["messages"]) and not _has_ext(request):
        return request
    cleaned = {key: value for key, value in _own_ext(request, wire, "request", losses).items() if key != "messages"}
    cleaned["messages"] = [
        _own_message(message, wire, f"messages[{index}]", losses, client_wire)
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


def _own_message(
    message: JsonObject, wire: str | None, where: str, losses: Losses, client_wire: str | None
) -> JsonObject:
    own = _own_ext(message, wire, where, losses)
    if isinstance(own.get("content"), list):
        own = {**own, "content": [_own_ext(p, wire, f"{where}.content", losses) for p in own["content"]]}
    if own.get("tool_calls"):
        own = {**own, "tool_calls": [_own_ext(c, wire, f"{where}.tool_calls", losses) for c in own["tool_calls"]]}
    thoughts = own.get("reasoning")
    if isinstance(thoughts, list):
        own = {**own, "reasoning": [_own_thought(each, wire, where, losses, client_wire) for each in thoughts]}
    return own


def _own_thought(thought: Json, wire: str | None, where: str, losses: Losses, client_wire: str | None) -> Json:
    """A thought, without its state where that is another wire's; its text stays."""
    if not isinstance(thought, dict) or "state" not in thought:
        return thought
    if wire is not None and thought.get("wire", client_wire) == wire:
        return {key: value for key, value in thought.items() if key != "wire"} if "wire" in thought else thought
    losses.add(f"{where}.reasoning.state", "dropped")
    return {key: value for key, value in thought.items() if key not in ("state", "wire")}
