"""Tools for an endpoint that has none: the definitions in the prompt, earlier calls and results as text (DESIGN 8).

The request that comes out has no tools, no tool calls and no tool messages; an endpoint's mapping sees plain text.
Untrusted text that contains the format's markers is neutralised, so that nobody can forge a call or close the block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from engine.errors import ErrorInfo, RequestError
from engine.translate.canonical import refuse
from engine.translate.losses import Losses
from engine.translate.plan import Codec
from engine.translate.tools.history import History, plain
from engine.translate.tools.plan import ToolformatPlan
from engine.types import JsonObject


@dataclass(frozen=True, slots=True)
class Choice:
    """What the client wants of the tools: `mode` is auto, none, required, named or allowed; `names` for the last two.

    `must_call` says whether an answer without a call breaks it.
    """

    mode: str = "auto"
    names: tuple[str, ...] = ()
    parallel: bool = True
    must_call: bool = False

    def as_json(self) -> JsonObject:
        """The object that a format's `offer` sees as `choice`."""
        return {"mode": self.mode, "names": list(self.names), "parallel": self.parallel}


def choice_of(request: JsonObject) -> Choice:
    """Read `tool_choice` and `parallel_tool_calls`. Raises RequestError for a tool that is not offered."""
    choice = request.get("tool_choice")
    parallel = request.get("parallel_tool_calls") is not False
    offered = [tool["function"]["name"] for tool in request.get("tools") or ()]
    if choice is None or isinstance(choice, str):
        mode = choice or "auto"
        return Choice(mode, (), parallel, mode == "required")
    if choice.get("type") == "function":
        names = (choice["function"]["name"],)
        result = Choice("named", names, parallel=parallel, must_call=True)
    else:
        allowed = choice["allowed_tools"]
        names = tuple(each["function"]["name"] for each in allowed["tools"])
        result = Choice("allowed", names, parallel, allowed.get("mode") == "required")
    for name in result.names:
        if name not in offered:
            raise refuse(f"'tool_choice' names the tool '{name}', which 'tools' does not offer.", "tool_choice")
    return result


@dataclass(frozen=True, slots=True)
class Offer:
    """What was offered, kept until the answer is read: the formats, the tools that may be called, the choice."""

    formats: tuple[ToolformatPlan, ...]
    tools: tuple[JsonObject, ...]
    choice: Choice


def needs_offer(request: JsonObject) -> bool:
    """Whether a request has tools, or a history with calls or results, so that a format is needed."""
    if request.get("tools"):
        return True
    return any(message["role"] == "tool" or message.get("tool_calls") for message in request["messages"])


def offer_tools(
    request: JsonObject, formats: tuple[ToolformatPlan, ...], place: str | None, codec: Codec, losses: Losses
) -> tuple[JsonObject, Offer]:
    """Write tools and history into the prompt. The first format offers and renders, all of them are read.

    Raises RequestError (400) when there is no place for the definitions, or a result answers no call.
    """
    choice = choice_of(request)
    tools = tuple(request.get("tools") or ())
    if choice.mode in ("named", "allowed"):
        tools = tuple(tool for tool in tools if tool["function"]["name"] in choice.names)
    if choice.mode == "none":
        tools = ()
    own = formats[0]
    history = History.of(formats, codec, losses)
    messages = history.render(request["messages"])
    if tools:
        functions = [history.others.apply_inside(_function(tool)) for tool in tools]
        prompt = own.offer({"tools": functions, "choice": choice.as_json()})
        if isinstance(prompt, str) and prompt:
            messages = PLACES[place or own.place or "first_user"](messages, prompt)
    kept = {key: value for key, value in request.items() if key not in _CONSUMED}
    return {**kept, "messages": messages}, Offer(formats, tools, choice)


_CONSUMED: Final = frozenset({"tools", "tool_choice", "parallel_tool_calls"})


def _function(tool: JsonObject) -> JsonObject:
    function = tool["function"]
    return {
        "name": function["name"],
        "description": function.get("description") or "",
        "parameters": function.get("parameters") or {"type": "object", "properties": {}},
    }


# -- places


def _no_place(what: str) -> RequestError:
    return RequestError(
        ErrorInfo(
            "invalid_request",
            f"Tools cannot be offered to this model: the conversation has no {what} message to carry them.",
            code="invalid_value",
            param="messages",
            retryable=False,
        )
    )


def _with_block(message: JsonObject, block: str) -> JsonObject:
    """Block, blank line, the message's own text; array content stays an array."""
    content = message.get("content")
    if isinstance(content, list):
        if content and content[0].get("type") == "text":
            first = {**content[0], "text": f"{block}\n\n{content[0]['text']}"}
            return {**message, "content": [first, *content[1:]]}
        return {**message, "content": [{"type": "text", "text": block}, *content]}
    return {**message, "content": f"{block}\n\n{content}" if content else block}


def _into(role: str, *, last: bool = False) -> Callable[[list[JsonObject], str], list[JsonObject]]:
    def place(messages: list[JsonObject], block: str) -> list[JsonObject]:
        order = range(len(messages) - 1, -1, -1) if last else range(len(messages))
        for index in order:
            if messages[index]["role"] == role:
                return [*messages[:index], _with_block(messages[index], block), *messages[index + 1 :]]
        raise _no_place(role)

    return place


def _first_system(messages: list[JsonObject], block: str) -> list[JsonObject]:
    """Behind the text of the first system message, or in one of its own at the head."""
    for index, message in enumerate(messages):
        if message["role"] in ("system", "developer"):
            whole = {**message, "content": f"{plain(message['content'])}\n\n{block}"}
            return [*messages[:index], whole, *messages[index + 1 :]]
    return [{"role": "system", "content": block}, *messages]


def _last_system(messages: list[JsonObject], block: str) -> list[JsonObject]:
    return [*messages, {"role": "system", "content": block}]


def _own_message(messages: list[JsonObject], block: str) -> list[JsonObject]:
    """A user message of its own before the first turn that is not a system message."""
    head = next((index for index, each in enumerate(messages) if each["role"] not in ("system", "developer")), 0)
    return [*messages[:head], {"role": "user", "content": block}, *messages[head:]]


PLACES: Final[Mapping[str, Callable[[list[JsonObject], str], list[JsonObject]]]] = {
    "first_user": _into("user"),
    "last_user": _into("user", last=True),
    "first_system": _first_system,
    "last_system": _last_system,
    "own_message": _own_message,
}
"""Where the definitions may stand."""
