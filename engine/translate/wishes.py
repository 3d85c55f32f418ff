"""What a client wished of an answer, and what became of it: a required call, strict arguments, a JSON answer."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from engine.translate.plan import Codec, UncheckedError
from engine.translate.structured import JsonWish, read_json
from engine.translate.tools.offering import Offer
from engine.types import Json, JsonObject, Scope


@dataclass(frozen=True, slots=True)
class Problem:
    """A wish that an answer broke: the request field it stands in, the loss it is, and the scope of a retry's text.

    Where `scope` is empty another try is of no use.
    """

    field: str
    action: str
    scope: Scope = dataclasses.field(default_factory=dict)


def find_problem(emitted: JsonObject, offer: Offer, codec: Codec) -> Problem | None:
    """The first wish about tools that an answer broke."""
    calls = emitted.get("tool_calls") or ()
    choice = offer.choice.as_json()
    if offer.choice.must_call and not calls:
        return Problem("tool_choice", "dropped", {"choice": choice, "problem": "no function was called"})
    schemas = {
        tool["function"]["name"]: tool["function"].get("parameters")
        for tool in offer.tools
        if tool["function"].get("strict") is True
    }
    for call in calls:
        try:
            problem = _broken(call, schemas.get(call["name"]), codec)
        except UncheckedError:
            return Problem("tools", "dropped")
        if problem is not None:
            said = f"the arguments of {call['name']} do not fit its schema: {problem}"
            return Problem("tools", "damaged", {"choice": choice, "problem": said})
    return None


def _broken(call: JsonObject, schema: Json, codec: Codec) -> str | None:
    if not isinstance(schema, dict) or codec.violation is None:
        return None
    try:
        value = codec.loads(call["arguments"].encode("utf-8", "surrogatepass"))
    except ValueError:
        return "they are not JSON"
    return codec.violation(value, schema)


def with_json(emitted: JsonObject, wish: JsonWish, codec: Codec) -> tuple[JsonObject, Problem | None]:
    """The answer with its text reduced to the JSON in it, and what is wrong with that."""
    try:
        text, problem = read_json(emitted.get("text") or "", wish, codec)
    except UncheckedError:
        text, _ = read_json(emitted.get("text") or "", dataclasses.replace(wish, schema={}), codec)
        return {**emitted, "text": text}, Problem("response_format", "dropped")
    if problem is None:
        return {**emitted, "text": text}, None
    scope = {"schema": wish.schema, "name": wish.name, "problem": problem}
    return emitted, Problem("response_format", "damaged", scope)


def with_both_costs(first: JsonObject, second: JsonObject) -> JsonObject:
    """The second answer with the tokens and the cost of both."""
    usage, cost = _sum(first.get("usage"), second.get("usage")), second.get("cost")
    if isinstance(cost, dict) and isinstance(first.get("cost"), dict):
        amounts = (first["cost"].get("amount"), cost.get("amount"))
        if all(isinstance(each, int | float) for each in amounts):
            cost = {**cost, "amount": round(sum(amounts), 6)}
    return {**second, "usage": usage, "cost": cost}


def _sum(first: Json, second: Json) -> Json:
    if not isinstance(first, dict) or not isinstance(second, dict):
        return second
    return {key: _added(first.get(key), value) for key, value in second.items()}


def _added(first: Json, second: Json) -> Json:
    if isinstance(first, bool) or isinstance(second, bool):
        return bool(first) or bool(second)
    if isinstance(first, int) and isinstance(second, int):
        return first + second
    return first if second is None else second
