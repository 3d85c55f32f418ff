"""Which result answers which call, for clients that give no ids.

A call without an id gets one from its place in the conversation. A result without `tool_call_id` belongs to the first
call of the assistant's last calling turn that has no result yet, among those of its `name` where it gives one.
Conversations in which every id is given come through untouched.
"""

from __future__ import annotations

from engine.types import Json, JsonObject


def pair_results(messages: Json) -> Json:
    """The messages with an id on every call, and on every result that answers one.

    A result that answers none is left without, and refused like any other. Messages of a wrong shape are left to the
    check of the request.
    """
    if not isinstance(messages, list) or not any(_lacks_id(message) for message in messages):
        return messages
    paired: list[Json] = []
    waiting: list[tuple[str, Json]] = []
    for index, message in enumerate(messages):
        if isinstance(message, dict) and isinstance(message.get("tool_calls"), list):
            message = {**message, "tool_calls": _with_ids(message["tool_calls"], index)}
            waiting = [_id_and_name(call) for call in message["tool_calls"] if isinstance(call, dict)]
        elif isinstance(message, dict) and message.get("role") == "tool":
            message = _answering(message, waiting)
        paired.append(message)
    return paired


def _lacks_id(message: Json) -> bool:
    if not isinstance(message, dict):
        return False
    if message.get("role") == "tool":
        return message.get("tool_call_id") is None
    calls = message.get("tool_calls")
    return isinstance(calls, list) and any(isinstance(call, dict) and call.get("id") is None for call in calls)


def _with_ids(calls: list[Json], turn: int) -> list[Json]:
    return [
        {"id": f"call_{turn}_{number}", **{key: value for key, value in call.items() if key != "id"}}
        if isinstance(call, dict) and call.get("id") is None
        else call
        for number, call in enumerate(calls)
    ]


def _id_and_name(call: JsonObject) -> tuple[str, Json]:
    function = call.get("function")
    return str(call["id"]), function.get("name") if isinstance(function, dict) else None


def _answering(message: JsonObject, waiting: list[tuple[str, Json]]) -> JsonObject:
    """The result with its call's id; the call waits no longer."""
    own, name = message.get("tool_call_id"), message.get("name")
    for number, (identifier, called) in enumerate(waiting):
        if own == identifier if own is not None else name in (None, called):
            del waiting[number]
            # A name that was there to pair by is the call's own and needs no second place.
            rest = {key: value for key, value in message.items() if own is not None or key != "name"}
            return {**rest, "tool_call_id": identifier}
    return message
