"""The reader: what flows when, commit points, limits, and what is reported."""

from __future__ import annotations

import json

import pytest

from engine.language.catalog import read_catalog
from engine.language.toolformat_cases import joined
from engine.translate.tools.attempt import MAX_ARGUMENT_CHARS, MAX_CALLS
from engine.translate.tools.pieces import CallArguments, CallEnd, CallStart, Note, Piece, TextPiece
from engine.translate.tools.plan import ToolformatPlan
from engine.translate.tools.reader import ToolReader
from engine.types import JsonObject

FORMATS = read_catalog().toolformats
TOOLS: list[JsonObject] = [
    {
        "type": "function",
        "function": {
            "name": "run",
            "parameters": {
                "type": "object",
                "properties": {"script": {"type": "string"}, "count": {"type": "integer"}},
            },
        },
    }
]
CALL = '<tool_call>{"name": "run", "arguments": {"script": "ls"}}</tool_call>'


def reader(*names: str, parallel: bool = True) -> ToolReader:
    return ToolReader([FORMATS[name] for name in names or ("xml_json",)], TOOLS, parallel=parallel)


def read(text: str, *names: str, cut: bool = False) -> list[Piece]:
    each = reader(*names)
    return joined([*each.feed(text), *each.finish(cut=cut)])


def calls(pieces: list[Piece]) -> list[str]:
    return [piece.arguments for piece in pieces if isinstance(piece, CallEnd)]


def content(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces if isinstance(piece, TextPiece))


def notes(pieces: list[Piece], action: str) -> list[str]:
    return [piece.detail for piece in pieces if isinstance(piece, Note) and piece.action == action]


def test_plain_text_flows_at_once() -> None:
    """Nothing is held back where nothing can begin, but for white space at the end."""
    each = reader()
    assert each.feed("Hello there. ") == [TextPiece("Hello there.")]
    assert each.feed("And more") == [TextPiece(" And more")]
    assert each.finish() == []


def test_only_a_possible_marker_is_held() -> None:
    each = reader()
    assert each.feed("a <tool") == [TextPiece("a")]
    assert each.feed("box> b") == [TextPiece(" <toolbox> b")]


def test_a_call_commits_at_its_name_and_flows() -> None:
    """From the commit on, pieces of arguments come as they arrive."""
    each = reader()
    assert each.feed('<tool_call>{"name": "run", "argum') == []
    assert each.feed('ents": {"script": "l') == [CallStart(0, "run", None), CallArguments(0, '{"script": "l')]
    assert each.feed('s"}') == [CallArguments(0, 's"}')]
    assert each.feed("}</tool_call>") == [CallEnd(0, '{"script": "ls"}')]


def test_a_string_parameter_flows_and_others_wait() -> None:
    each = reader("qwen3_coder_xml")
    started = each.feed("<function=run>\n<parameter=script>\nab")
    assert started == [CallStart(0, "run", None), CallArguments(0, '{"script":"ab')]
    assert each.feed("\n</parameter>\n<parameter=count>\n1") == [CallArguments(0, '"')]
    assert each.feed("2\n</parameter>\n</function>") == [
        CallArguments(0, ',"count":12}'),
        CallEnd(0, '{"script":"ab","count":12}'),
    ]


def test_before_the_commit_damage_is_text_character_for_character() -> None:
    text = 'See <tool_call>\n{"nome": "run"} \n</tool_call> there.'
    assert content(read(text)) == text


def test_after_the_commit_damage_stays_a_call() -> None:
    """It keeps what it has; what is left of it, up to its end marker, is dropped, and said."""
    pieces = read('A <tool_call>{"name": "run", "arguments": {"count": 1 oops}}</tool_call> B')
    assert calls(pieces) == ['{"count": 1 ']
    assert content(pieces) == "A B"
    assert notes(pieces, "damaged")


@pytest.mark.parametrize("cut", [True, False])
def test_a_cut_call_stays_a_call(cut: bool) -> None:
    pieces = read('<tool_call>{"name": "run", "arguments": {"script": "l', cut=cut)
    assert calls(pieces) == ['{"script": "l']
    assert notes(pieces, "damaged") == [
        "the answer was cut inside the call" if cut else "the text ends inside a string"
    ]


def test_brackets_are_added_only_if_the_answer_was_not_cut() -> None:
    text = '<tool_call>{"name": "run", "arguments": {"count": 1'
    assert calls(read(text)) == ['{"count": 1}']
    assert calls(read(text, cut=True)) == ['{"count": 1']


def test_numbers_keep_every_digit() -> None:
    text = '<tool_call>{"name": "run", "arguments": {"a": 1.0, "b": 1e5, "c": 18446744073709551617}}</tool_call>'
    assert calls(read(text)) == ['{"a": 1.0, "b": 1e5, "c": 18446744073709551617}']


def test_a_neutralised_marker_is_given_back_in_text_and_arguments() -> None:
    text = f"Use <\u2060tool_call>. {CALL.replace('ls', 'echo <' + chr(0x2060) + '/tool_call>')}"
    pieces = read(text)
    assert content(pieces) == "Use <tool_call>."
    assert calls(pieces) == ['{"script": "echo </tool_call>"}']


def test_the_inserted_character_stays_where_no_marker_is() -> None:
    assert content(read("a\u2060b <\u2060x> <\u2060")) == "a\u2060b <\u2060x> <\u2060"


def test_only_so_many_calls_are_read() -> None:
    pieces = read(CALL * (MAX_CALLS + 1))
    assert len(calls(pieces)) == MAX_CALLS
    assert content(pieces) == CALL


@pytest.mark.parametrize("step", [1000, 1 << 22])
def test_long_arguments_are_cut_at_the_same_character(step: int) -> None:
    text = (
        '<tool_call>{"name": "run", "arguments": {"script": "'
        + "x" * (MAX_ARGUMENT_CHARS + 5000)
        + '"}}</tool_call> end'
    )
    each = reader()
    pieces = joined([*(p for at in range(0, len(text), step) for p in each.feed(text[at : at + step])), *each.finish()])
    assert [len(found) for found in calls(pieces)] == [MAX_ARGUMENT_CHARS]
    assert content(pieces) == "end"
    assert len(notes(pieces, "damaged")) == 1


def test_a_second_call_is_passed_over_where_one_was_wanted() -> None:
    each = reader(parallel=False)
    pieces = joined([*each.feed(f"{CALL}\n{CALL}\nDone."), *each.finish()])
    assert len(calls(pieces)) == 1
    assert content(pieces) == "Done."
    assert {span.kind for span in each.spans} == {"call", "markup", "dropped", "text"}


def test_white_space_between_text_and_call_is_markup() -> None:
    """It stays only where text comes before and after the call, so that their words do not run together."""
    assert content(read(f"\n\n{CALL}\n\n")) == ""
    assert content(read(f"Before.\n\n{CALL}")) == "Before."
    assert content(read(f"{CALL}\n\nAfter.")) == "After."
    assert content(read(f"Before.\n\n{CALL}\n\nAfter.")) == "Before.\n\nAfter."


def test_near_misses_say_why() -> None:
    found = notes(read('<tool_call>{"name": "erase"}</tool_call> and <tool_call> alone'), "near_miss")
    assert found == ["at 0: no tool 'erase' was offered", "at 45: no JSON of a call follows"]


def test_formats_of_a_list_are_tried_in_order() -> None:
    text = "<tool_call>\n<function=run>\n<parameter=count>\n3\n</parameter>\n</function>\n</tool_call>"
    assert calls(read(text, "hermes_json", "glm45_kv", "qwen3_coder_xml")) == ['{"count":3}']
    text = "<tool_call>run\n<arg_key>count</arg_key>\n<arg_value>3</arg_value>\n</tool_call>"
    assert calls(read(text, "hermes_json", "qwen3_coder_xml", "glm45_kv")) == ['{"count":3}']


def test_arguments_are_one_valid_object_after_every_repair() -> None:
    text = (
        "<tool_call>{'name': 'run', 'arguments': {count: 1, 'script': 'a\"b\\'c\n', /* x */ 'd': None,},}</tool_call>"
    )
    (found,) = calls(read(text))
    assert json.loads(found) == {"count": 1, "script": "a\"b'c\n", "d": None}


def test_plans_compare_by_identity() -> None:
    """They are keys of the table cache."""
    plan: ToolformatPlan = FORMATS["xml_json"]
    assert {plan: 1}[plan] == 1
