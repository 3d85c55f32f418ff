"""Native tools: what a command offers, and the calls of a reply. Only both together are drafted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from engine.cli.sketch.leaves import Path, expression
from engine.cli.sketch.request import RequestDraft, constant
from engine.cli.sketch.words import plain_name, words
from engine.cli.sketch.yaml_text import Noted
from engine.types import Json, JsonObject

_AS_THEY_ARE: Final = "CHECK: calls and results as most APIs have them"
_CHOICES: Final = frozenset({"auto", "none", "required"})
IDS: Final = frozenset({"id", "callid", "toolcallid", "tooluseid"})
"""Names of a call's id."""


@dataclass(frozen=True, slots=True)
class Calls:
    """Where the calls of a sample stand: the list, the step from an item to its call, and which items are calls."""

    holder: Path
    inner: tuple[str, ...]
    item: JsonObject
    mixed: bool

    def each(self, root: str) -> JsonObject:
        """`$each` over the list below a root: the `tool_calls` of a response."""
        return {"$each": f"={expression(self.holder, root)}", "as": "c", **self._where(), "do": self.parts()}

    def parts(self) -> JsonObject:
        """`id`, `name` and `arguments` of an item `c`."""
        call: Json = self.item
        for step in self.inner:
            call = call[step]
        inner = ".".join(("c", *self.inner))
        ids = [f"=c.{key}" for key, each in self.item.items() if _is_id(key, each)]
        ids += [f"={inner}.{key}" for key, each in call.items() if _is_id(key, each)]
        named = {"name": f"={inner}.{_name_key(call)}", "arguments": f"={inner}.{_arguments_key(call)}"}
        return {"id": ids[0], **named} if ids else named

    def takes(self, item: Json) -> bool:
        """Whether an item of the list is a call."""
        return _call_in(item) is not None

    def _where(self) -> JsonObject:
        kind = next((key for key in self.item if plain_name(key) == "type" and isinstance(self.item[key], str)), None)
        if self.mixed and kind is not None:
            return {"where": f"=c.{kind} == '{self.item[kind]}'"}
        return {"where": f"=present(c.{'.'.join(self.inner)})"} if self.mixed and self.inner else {}


def common_calls(holder: Path) -> Calls:
    """Calls in the form that most APIs share, at a place where a sample shows none."""
    function: JsonObject = {"name": "", "arguments": "{}"}
    return Calls(holder, ("function",), {"id": "", "index": 0, "function": function}, mixed=False)


def find_calls(value: Json, path: Path = ()) -> Calls | None:
    """The first list with something that has a name and arguments."""
    if isinstance(value, list):
        for item in value:
            inner = _call_in(item)
            if inner is not None:
                return Calls(
                    path, inner, item, mixed=plain_name(path[-1] if path else "") not in words("reply", "calls")
                )
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return next((found for key, each in items if (found := find_calls(each, (*path, key))) is not None), None)


def _is_id(key: str, value: Json) -> bool:
    return plain_name(key) in IDS and isinstance(value, str)


def _call_in(item: Json) -> tuple[str, ...] | None:
    if not isinstance(item, dict):
        return None
    if _name_key(item) and _arguments_key(item):
        return ()
    return next((inner for inner in _inner_calls(item)), None)


def _inner_calls(item: JsonObject) -> Iterator[tuple[str, ...]]:
    for key, each in item.items():
        if isinstance(each, dict) and _name_key(each) and _arguments_key(each):
            yield (key,)


def _name_key(call: JsonObject) -> str | None:
    return next((key for key in call if plain_name(key) in ("name", "toolname", "functionname")), None)


def _arguments_key(call: JsonObject) -> str | None:
    for key, value in call.items():
        if plain_name(key) in words("reply", "arguments") and (isinstance(value, dict) or _is_json(value)):
            return key
    return None


def _is_json(value: Json) -> bool:
    try:
        return isinstance(value, str) and isinstance(json.loads(value or "{}"), dict)
    except ValueError:
        return False


def draft_tools(offered: JsonObject) -> JsonObject | None:
    """The keys of the body that offer tools; None where none of them has a shape that is understood."""
    made: JsonObject = {}
    understood = False
    for key, value in offered.items():
        tree = _offer(value)
        if tree is not None:
            understood = True
            made[key] = Noted(tree, "CHECK: the client's tools in the form of the command's")
        elif isinstance(value, str):
            made[key] = Noted("=req.tool_choice", "CHECK: its words") if value in _CHOICES else constant(value)
    return made if understood else None


def add_tools(draft: RequestDraft, offer: JsonObject) -> None:
    """Put an offer into the body and its tools into the sample's request, and into messages what calls need."""
    draft.tree = {**draft.tree, **offer}
    draft.request["tools"] = [tool for value in draft.tools.values() for tool in _canonical(value)]
    for value in draft.tools.values():
        if isinstance(value, str) and value in _CHOICES:
            draft.request["tool_choice"] = value
    turns = next(
        (each for each in draft.tree.values() if isinstance(each, dict) and each.get("$each") == "=req.messages"), None
    )
    if turns is not None and is_common(offer) and set(turns["do"]) == {"role", "content"}:
        turns["do"] |= {"tool_calls": Noted("=m.tool_calls", _AS_THEY_ARE), "tool_call_id": "=m.tool_call_id"}
    else:
        draft.notes.append(
            "CHECK: calls and results in the history (m.tool_calls; role tool, m.tool_call_id) are yours to write."
        )


def _offer(value: Json) -> Json:
    if not isinstance(value, list) or not value or not isinstance(value[0], dict):
        return None
    first = value[0]
    if isinstance(first.get("function"), dict) and _name_key(first["function"]):
        return "=req.tools" if first.get("type") == "function" else _each(_item(first, "function"))
    if _name_key(first) is not None:
        return _each(_item(first))
    wrapped = next((key for key, each in first.items() if _offer(each) is not None), None)
    return [{wrapped: _offer(first[wrapped])}] if len(value) == 1 and wrapped is not None else None


def is_common(offer: JsonObject | None) -> bool:
    """Whether an offer has the form that most APIs share, which is the canonical one."""
    return any(isinstance(each, Noted) and each.value == "=req.tools" for each in (offer or {}).values())


def _canonical(value: Json) -> Iterator[JsonObject]:
    """The tools of a command in canonical form."""
    for item in value if isinstance(value, list) else ():
        if isinstance(item, dict) and item.get("type") == "function" and isinstance(item.get("function"), dict):
            yield item
        elif isinstance(item, dict) and _name_key(item) is not None:
            told: JsonObject = {"name": item[str(_name_key(item))]}
            for key, each in item.items():
                if isinstance(each, dict) or plain_name(key) == "description":
                    told.setdefault("parameters" if isinstance(each, dict) else "description", each)
            yield {"type": "function", "function": told}
        elif isinstance(item, dict):
            for each in item.values():
                yield from _canonical(each if isinstance(each, list) else [each])


def _each(item: JsonObject) -> JsonObject:
    return {"$nonempty": {"$each": "=req.tools", "as": "t", "do": item}}


def _item(sample: JsonObject, inner: str | None = None) -> JsonObject:
    if inner is not None:
        return {key: _item(each) if key == inner else constant(each, key) for key, each in sample.items()}
    made: JsonObject = {}
    for key, value in sample.items():
        if key == _name_key(sample):
            made[key] = "=t.function.name"
        elif plain_name(key) == "description":
            made[key] = "=t.function.description"
        elif isinstance(value, dict):
            made[key] = "=t.function.parameters"
        else:
            made[key] = constant(value, key)
    return made
