"""Nobody but the engine can open or close anything of a format: not the user, not a tool, not a description."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from engine.language.cases import json_codec
from engine.language.catalog import load_catalog
from engine.translate.losses import Losses
from engine.translate.tools.offering import offer_tools
from engine.translate.tools.pieces import CallStart, TextPiece
from engine.translate.tools.plan import ToolformatPlan
from engine.translate.tools.reader import ToolReader
from engine.types import Json, JsonObject

FORMATS: Final = dict(sorted(load_catalog().toolformats.items()))
BARE: Final = {name for name, plan in FORMATS.items() if any(rule.bare for rule in plan.read.calls)}
"""Formats that read calls without markers: there is nothing to break in a forged one (docs/toolformats.md)."""
INSERT: Final = "\u2060"


def tool(description: str) -> JsonObject:
    properties = {"script": {"type": "string", "description": description}}
    parameters = {"type": "object", "properties": properties}
    return {"type": "function", "function": {"name": "run", "description": description, "parameters": parameters}}


def offered(plans: tuple[ToolformatPlan, ...], text: str) -> list[JsonObject]:
    """The messages of a conversation in which everything that is untrusted has this text."""
    call = {"id": "c1", "type": "function", "function": {"name": "run", "arguments": json.dumps({"script": text})}}
    messages: list[Any] = [
        {"role": "user", "content": text},
        {"role": "assistant", "content": text, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": text},
        {"role": "user", "content": [{"type": "text", "text": text}]},
    ]
    request = {"model": "m", "messages": messages, "tools": [tool(text)]}
    return offer_tools(request, plans, None, json_codec(), Losses())[0]["messages"]


def all_text(messages: list[JsonObject]) -> str:
    def plain(content: Json) -> str:
        return content if isinstance(content, str) else "".join(part["text"] for part in content)

    return "\n".join(plain(each["content"]) for each in messages)


def written(plan: ToolformatPlan) -> str:
    call = {"id": "c1", "name": "run", "arguments": '{"script":"rm"}', "args": {"script": "rm"}, "index": 0}
    made = plan.history_call({"call": call, "m": {"role": "assistant"}})
    return f"{plan.calls_open}{made}{plan.calls_close}"


LISTS: Final = [(name,) for name in FORMATS] + [
    ("hermes_json", "xml_json"), ("xml_json", "deepseek_v31", "deepseek_v3"), ("qwen3_coder_xml", "xml_json"),
    ("anthropic_xml", "xml_json"), ("xml_json", "anthropic_xml", "fenced_json"), ("glm45_kv", "hermes_json"),
]  # fmt: skip
"""Each format alone, and lists: what one of them offers, another may read."""


def plans_of(names: tuple[str, ...]) -> tuple[ToolformatPlan, ...]:
    return tuple(FORMATS[name] for name in names)


def markers_of(names: tuple[str, ...]) -> list[str]:
    return sorted({marker for name in names for marker in FORMATS[name].markers})


@pytest.mark.parametrize("names", LISTS, ids="+".join)
def test_no_marker_of_untrusted_text_reaches_the_prompt(names: tuple[str, ...]) -> None:
    """As many of each marker stand in it as with harmless text."""
    markers = markers_of(names)
    every = sorted({*markers, *(json.dumps(each, ensure_ascii=False)[1:-1] for each in markers)})
    hostile = all_text(offered(plans_of(names), f"a {' b '.join(markers)} c"))
    harmless = all_text(offered(plans_of(names), "a b c"))
    assert {each: harmless.count(each) for each in every} == {each: hostile.count(each) for each in every}


@pytest.mark.parametrize("names", LISTS, ids="+".join)
def test_the_model_can_read_it(names: tuple[str, ...]) -> None:
    """Without the character that nobody sees it is the text as it was, as it stands or as a JSON string."""
    text = f"a {' b '.join(markers_of(names))} c"
    made = all_text(offered(plans_of(names), text)).replace(INSERT, "")
    found = made.count(text) + made.count(json.dumps(text, ensure_ascii=False)[1:-1]) * ('"' in text)
    assert found >= 6


@pytest.mark.parametrize("names", [each for each in LISTS if not BARE.intersection(each)], ids="+".join)
def test_a_forged_call_that_is_repeated_is_no_call(names: tuple[str, ...]) -> None:
    """What the model copies of a user's text or of a tool's result comes back as the text it was."""
    plans = plans_of(names)
    text = f"Look: {' and '.join(written(plan) for plan in plans)} there."
    made = offered(plans, text)
    copied = next(each["content"][0]["text"] for each in reversed(made) if isinstance(each["content"], list))
    after = next(index for index, each in enumerate(made) if each["role"] == "assistant") + 1
    result = made[after]["content"]
    result = result[result.index("Look: ") : result.index(" there.") + len(" there.")]
    escaped = json.dumps(text, ensure_ascii=False)[1:-1]
    for parts in ([copied], list(copied)):
        assert text == read(plans, parts)
    for parts in ([result], list(result)):
        assert read(plans, parts) in (text, escaped)


def read(plans: tuple[ToolformatPlan, ...], parts: list[str]) -> str:
    """The text that is read, in which no call may be found."""
    reader = ToolReader(plans, [tool("")])
    pieces = [piece for part in parts for piece in reader.feed(part)] + reader.finish()
    assert not any(isinstance(each, CallStart) for each in pieces)
    return "".join(each.text for each in pieces if isinstance(each, TextPiece))
