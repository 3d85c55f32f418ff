"""`engine translate --reply` and `engine explain` say which rule read which call, and why a near miss stayed text."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.desk import Cli

WHO = ("--dialect", "openai.chat", "--endpoint", "straico.chat.v2")
TEXT = (
    'Let me look. <tool_call>{"name": "get_weather", "arguments": {"city": "Paris",}}</tool_call>'
    ' or <tool_call>{"name": "no_such", "arguments": {}}</tool_call> done'
)


def files(folder: Path, text: str) -> list[str]:
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
    request = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": [tool]}
    reply = {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}
    (folder / "ask.json").write_text(json.dumps(request))
    (folder / "reply.json").write_text(json.dumps(reply))
    return [str(folder / "ask.json"), "--reply", str(folder / "reply.json")]


def test_translate_offers_tools_in_the_prompt(cli: Cli, tmp_path: Path) -> None:
    """What the upstream would be sent holds the definitions, and no `tools`."""
    done = cli("translate", *WHO, files(tmp_path, "")[0])

    assert "tools" not in done.json["body"]
    assert '"name":"get_weather"' in done.json["body"]["messages"][0]["content"][0]["text"]


def test_the_rule_behind_each_call(cli: Cli, tmp_path: Path) -> None:
    """On standard error beside the client's answer: spans with their rule, repairs, near misses with the reason."""
    done = cli("translate", *WHO, *files(tmp_path, TEXT))

    [call] = done.json["body"]["choices"][0]["message"]["tool_calls"]
    assert {"name": "get_weather", "arguments": '{"city": "Paris"}'} == call["function"]
    assert "24-80       call      xml_json.block" in done.err
    assert "repaired: xml_json.block trailing_comma" in done.err
    assert "left as text: xml_json.block at 96: no tool 'no_such' was offered" in done.err


def test_text_alone_needs_no_words(cli: Cli, tmp_path: Path) -> None:
    """An answer without anything like a call says nothing of its reading."""
    assert "reading of the text" not in cli("translate", *WHO, *files(tmp_path, "Nothing here.")).err


def test_explain_has_it_as_data(cli: Cli, tmp_path: Path) -> None:
    """The spans account for every character of the text, in order."""
    done = cli("explain", *WHO, *files(tmp_path, TEXT), "--json")

    [reading] = done.json["readings"]
    assert TEXT == "".join(span["text"] for span in reading["spans"])
    assert ["text", "markup", "call", "markup", "text"] == [span["kind"] for span in reading["spans"]]
    assert ["repaired", "near_miss"] == [note["action"] for note in reading["notes"]]
    assert "left as text" in cli("explain", *WHO, *files(tmp_path, TEXT)).out
