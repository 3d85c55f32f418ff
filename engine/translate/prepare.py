"""The pre-pass: fit a canonical request to what one endpoint can take, before its mapping sees it.

Every difference follows a declared policy: it is served, emulated, clamped or dropped with a loss, or refused by name
(DECISIONS.md section 1). What a mapping takes is derived from what its expressions read, never declared twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from engine.errors import ErrorInfo, RequestError
from engine.translate.foreign import without_foreign_state
from engine.translate.losses import Losses
from engine.translate.plan import EndpointPlan, ParamPolicy
from engine.types import Json, JsonObject

ALWAYS_KNOWN: Final = frozenset({"model", "messages", "stream", "stream_options", "extra", "ext"})

REFUSED_WHEN_UNREAD: Final = frozenset({"tools", "functions", "n", "response_format", "modalities", "audio"})
"""Fields whose loss would change what the answer is; the others are dropped with a loss (DECISIONS.md section 1)."""

NEUTRAL: Final[Mapping[str, tuple[Json, ...]]] = {
    "n": (1,),
    "tools": ([],),
    "functions": ([],),
    "logprobs": (False,),
    "store": (False,),
    "logit_bias": ({},),
    "metadata": ({},),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "parallel_tool_calls": (True,),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "tool_choice": ("auto", "none"),
    "service_tier": ("auto", "default"),
    "stop": ([], ""),
}
"""Values that say what holds anyway: an endpoint without the field loses nothing."""

SAME_MEANING: Final = {"max_completion_tokens": "max_tokens", "max_tokens": "max_completion_tokens"}
"""Two names of one thing: a client may use either, an endpoint may read either (trap 20)."""

_MESSAGE_KEYS: Final = frozenset({"role", "content", "tool_calls", "tool_call_id"})


def unsupported(message: str, param: str) -> RequestError:
    """A legal request that this endpoint cannot serve: 400 `unsupported_feature`, nothing was sent upstream."""
    return RequestError(ErrorInfo("invalid_request", message, code="unsupported_feature", param=param, retryable=False))


def prepare(
    plan: EndpointPlan, request: JsonObject, model_id: str, losses: Losses, client_wire: str | None = None
) -> JsonObject:
    """Return the request as the endpoint's mapping shall see it; `request` itself is not changed.

    Raises RequestError (400) naming the field for what the endpoint cannot take and policy does not let go.
    """
    request = without_foreign_state(request, plan.wire, client_wire, losses)
    _refuse_tools(plan, request, model_id)
    kept = _fit_fields(plan, request, losses)
    for name, policy in plan.params.items():
        for each in (name, SAME_MEANING.get(name)):
            if each in kept and (each == name or each not in plan.params):
                _apply_limits(plan, kept, each, policy, losses)
    _limit_stops(plan, kept, losses)
    _check_parts(plan, kept, losses)
    if plan.capabilities.system.find(model_id) != "native":
        kept["messages"] = FOLDS[plan.capabilities.system.find(model_id)](kept["messages"], losses)
    if plan.capabilities.alternate.find(model_id) is True:
        kept["messages"] = _alternating(kept["messages"], losses)
    return kept


def _limit_stops(plan: EndpointPlan, kept: JsonObject, losses: Losses) -> None:
    """More stop sequences than the endpoint takes: the first ones are kept, and the client hears of it (trap 22)."""
    most, stops = plan.capabilities.max_stop, kept.get("stop")
    if most is not None and isinstance(stops, list) and len(stops) > most:
        kept["stop"] = stops[:most]
        losses.add("stop", "clamped", rule=f"{plan.id}.capabilities.max_stop")


def _refuse_tools(plan: EndpointPlan, request: JsonObject, model_id: str) -> None:
    if plan.capabilities.tools.find(model_id) == "native":
        _refuse_custom_tools(plan, request)
        return
    for field in ("tools", "functions"):
        if request.get(field):
            raise unsupported(f"Tools are not supported by {plan.id} yet.", field)
    for index, message in enumerate(request["messages"]):
        if message["role"] in ("tool", "function") or message.get("tool_calls"):
            raise unsupported(f"Tool messages are not supported by {plan.id} yet.", f"messages[{index}]")


def _refuse_custom_tools(plan: EndpointPlan, request: JsonObject) -> None:
    """Tools that take text instead of JSON, for a mapping that never looks at them: they would go up as functions."""
    if plan.reads.custom_tools:
        return
    for index, tool in enumerate(request.get("tools") or ()):
        if tool["type"] == "custom":
            raise unsupported(f"{plan.id} takes no custom tools; offer function tools.", f"tools[{index}]")
    for index, message in enumerate(request["messages"]):
        if any(call["type"] == "custom" for call in message.get("tool_calls") or ()):
            raise unsupported(f"{plan.id} takes no calls of custom tools.", f"messages[{index}].tool_calls")


def _fit_fields(plan: EndpointPlan, request: JsonObject, losses: Losses) -> JsonObject:
    reads = plan.reads.fields
    kept: JsonObject = {}
    for field, value in request.items():
        twin = SAME_MEANING.get(field)
        if field in ALWAYS_KNOWN or field in reads or "*" in reads:
            kept[field] = value
        elif twin is not None and twin in reads:
            if twin in request:
                losses.add(field, "dropped")
            else:
                kept[twin] = value
        elif value not in NEUTRAL.get(field, ()):
            _let_go(plan, field, losses)
    extra = request.get("extra")
    if extra:
        for field in extra:
            if field not in plan.reads.extra and "*" not in plan.reads.extra:
                losses.add(field, "unread")
    return kept


def _let_go(plan: EndpointPlan, field: str, losses: Losses) -> None:
    policy = plan.params.get(field)
    action = policy.unsupported if policy and policy.unsupported else None
    if action is None:
        action = "reject" if field in REFUSED_WHEN_UNREAD else "drop"
    if action == "reject":
        raise unsupported(f"'{field}' is not supported by {plan.id}.", field)
    losses.add(field, "dropped", rule=f"{plan.id}.params.{field}" if policy else "")


def _apply_limits(plan: EndpointPlan, kept: JsonObject, name: str, policy: ParamPolicy, losses: Losses) -> None:
    value = kept[name]
    if not isinstance(value, int | float) or isinstance(value, bool):
        return
    low, high = policy.min, policy.max
    inside = min(max(value, value if low is None else low), value if high is None else high)
    if inside == value:
        return
    rule = f"{plan.id}.params.{name}"
    if policy.over == "clamp":
        kept[name] = int(inside) if isinstance(value, int) and float(inside).is_integer() else inside
        losses.add(name, "clamped", rule=rule)
    elif policy.over == "drop":
        del kept[name]
        losses.add(name, "dropped", rule=rule)
    elif policy.over == "reject":
        bounds = " and ".join(
            f"{word} {bound:g}" for word, bound in (("at least", low), ("at most", high)) if bound is not None
        )
        raise RequestError(
            ErrorInfo(
                "invalid_request",
                f"Invalid value for '{name}': {plan.id} takes {bounds}.",
                code="invalid_value",
                param=name,
                retryable=False,
            )
        )


def _check_parts(plan: EndpointPlan, kept: JsonObject, losses: Losses) -> None:
    known = plan.reads.parts
    names = plan.reads.names
    for index, message in enumerate(kept["messages"]):
        content = message.get("content")
        if type(content) is list:
            for position, part in enumerate(content):
                kind = part["type"]
                if kind != "text" and kind not in known:
                    place = f"messages[{index}].content[{position}]"
                    raise unsupported(f"{plan.id} cannot take a content part of type '{kind}'.", place)
        if "*" not in names and not message.keys() <= _MESSAGE_KEYS:
            unread = [key for key in message if key not in _MESSAGE_KEYS and key not in names]
            for key in unread:
                if message[key] is not None:
                    losses.add(f"messages[{index}].{key}", "dropped")
            # Where a mapping sends messages as they are, what is called lost must not go along.
            kept["messages"] = [*kept["messages"]]
            kept["messages"][index] = {key: value for key, value in message.items() if key not in unread}


def _fold_into_first_user(messages: list[JsonObject], losses: Losses) -> list[JsonObject]:
    """Put all system and developer text, a blank line after each, before the first user message's own text."""
    systems = [message for message in messages if message["role"] in ("system", "developer")]
    if not systems:
        return messages
    texts = [_plain(message) for message in systems]
    rest = [message for message in messages if message["role"] not in ("system", "developer")]
    losses.add("messages", "merged", rule="capabilities.system")
    lead = "\n\n".join(texts)
    for index, message in enumerate(rest):
        if message["role"] == "user":
            rest[index] = {**message, "content": _with_lead(lead, message["content"])}
            return rest
    return [{"role": "user", "content": lead}, *rest]


def _hoist(messages: list[JsonObject], losses: Losses) -> list[JsonObject]:
    """Join all system and developer messages into one system message at the head."""
    systems = [message for message in messages if message["role"] in ("system", "developer")]
    if not systems or (len(systems) == 1 and messages[0] is systems[0]):
        return messages
    losses.add("messages", "merged", rule="capabilities.system")
    lead = "\n\n".join(_plain(message) for message in systems)
    rest = [message for message in messages if message["role"] not in ("system", "developer")]
    return [{"role": "system", "content": lead}, *rest]


def _plain(message: JsonObject) -> str:
    """The text of a system message. Anything else in it has no place in another message and is refused by name."""
    content = message["content"]
    if isinstance(content, str):
        return content
    for part in content or []:
        if part["type"] != "text":
            raise unsupported(
                f"A system message for this model cannot hold a part of type '{part['type']}'.", "messages"
            )
    return "".join(part["text"] for part in content or [])


def _alternating(messages: list[JsonObject], losses: Losses) -> list[JsonObject]:
    """Neighbours of one role become one message, for endpoints whose turns must alternate."""
    merged: list[JsonObject] = []
    for message in messages:
        last = merged[-1] if merged else None
        if last is not None and last["role"] == message["role"] and message["role"] in ("user", "assistant"):
            merged[-1] = {**last, **message, "content": _together(last.get("content"), message.get("content"))}
            losses.add("messages", "merged", rule="capabilities.alternate")
        else:
            merged.append(message)
    return merged


def _together(first: Json, second: Json) -> Json:
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}\n\n{second}" if first and second else first or second
    return [*_parts(first), *_parts(second)]


def _parts(content: Json) -> list[Json]:
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if content else []


def _with_lead(lead: str, content: Json) -> Json:
    if isinstance(content, list):
        return [{"type": "text", "text": f"{lead}\n\n"}, *content]
    return f"{lead}\n\n{content}"


FOLDS: Final = {"first_user": _fold_into_first_user, "hoist": _hoist}
"""How a system message reaches a model that does not take one where it stands (`capabilities.system`)."""
