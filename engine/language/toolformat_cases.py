"""Inline tests of toolformats: a text is read whole, one character at a time and cut at random, and all must agree.

Shapes   given {tools, text}     expect {content, tool_calls, reasoning, losses, near_misses, spans}
         given {tools, choice}   expect {prompt}
         given {calls, results}  expect {history, results}
`tools` is a list of canonical tools, or for short `{name: {parameter: type or schema}}`. Arguments are compared as
data, or as the text they are where the case writes a string.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from engine.errors import EngineError
from engine.language.case_given import UNRUNNABLE, why_unrunnable
from engine.language.cases import Case, Failure, compare
from engine.language.problems import Problems, did_you_mean
from engine.language.toolformat_given import wrong_toolformat_given
from engine.translate.tools.pieces import (
    CallArguments,
    CallEnd,
    CallStart,
    Note,
    Piece,
    ReasoningPiece,
    Span,
    TextPiece,
)
from engine.translate.tools.plan import ToolformatPlan
from engine.translate.tools.reader import ToolReader
from engine.types import Json, JsonObject

GIVEN: Final = ("tools", "text", "choice", "calls", "results", "also", "cut", "parallel")
EXPECT: Final = (
    "content", "reasoning", "tool_calls", "losses", "near_misses", "spans", "prompt", "history", "results",
)  # fmt: skip
RANDOM_CUTS: Final = 20
_CHOICE: Final[JsonObject] = {"mode": "auto", "names": [], "parallel": True}


def run_toolformat_case(
    plan: ToolformatPlan, case: Case, problems: Problems, formats: Mapping[str, ToolformatPlan]
) -> list[Failure]:
    """Run one case. `also: [id]` reads with more formats behind this one."""
    if not _check_keys(case, problems):
        return []
    wrong = tuple(wrong_toolformat_given(case.given, formats))
    if wrong:
        return [Failure(case, "given", wrong)]
    try:
        outcome, lines = _outcome(plan, case, formats)
    except EngineError as error:
        outcome, lines = {"error": {"message": str(error)}}, []
    except UNRUNNABLE as error:
        return [Failure(case, "given", (why_unrunnable(case.given, error),))]
    failures = compare(case, _as_expected(case.expect, outcome))
    if lines:
        failures.append(Failure(case, next(iter(case.expect), "text"), tuple(lines)))
    return failures


def _check_keys(case: Case, problems: Problems) -> bool:
    wrong: list[tuple[str, str, tuple[str, ...]]] = [("given", key, GIVEN) for key in case.given if key not in GIVEN]
    wrong += [("expect", key, EXPECT) for key in case.expect if key not in EXPECT]
    for part, key, known in wrong:
        problems.add(
            "E022", f"a test's {part!r} has no {key!r}", case.place(part, key), length=len(key),
            help=did_you_mean(key, known),
        )  # fmt: skip
    return not wrong


def _outcome(plan: ToolformatPlan, case: Case, formats: Mapping[str, ToolformatPlan]) -> tuple[JsonObject, list[str]]:
    given = case.given
    tools = tools_of(given.get("tools"))
    if "text" in given:
        plans = [plan, *(formats[each] for each in given.get("also") or ())]
        return _read(plans, tools, given)
    if "calls" in given or "results" in given:
        return _history(plan, given), []
    choice = {**_CHOICE, **(given.get("choice") or {})}
    functions = [each["function"] for each in tools]
    return {"prompt": plan.offer({"tools": functions, "choice": choice})}, []


def _history(plan: ToolformatPlan, given: JsonObject) -> JsonObject:
    calls = [_call(each, index) for index, each in enumerate(given.get("calls") or ())]
    outcome: JsonObject = {}
    if calls:
        texts = [plan.history_call({"call": call, "m": {"role": "assistant"}}) for call in calls]
        outcome["history"] = plan.calls_open + plan.join.join(texts) + plan.calls_close
    if given.get("results"):
        texts = [
            plan.history_result({
                "call": _call(each, index),
                "m": {"role": "tool", "content": each.get("content"), "is_error": each.get("is_error") or False},
            })
            for index, each in enumerate(given["results"])
        ]  # fmt: skip
        outcome["results"] = plan.join.join(texts)
    return outcome


def _call(given: JsonObject, index: int) -> JsonObject:
    args = given.get("args") or {}
    arguments = given.get("arguments")
    if not isinstance(arguments, str):
        arguments = json.dumps(args, ensure_ascii=False, separators=(",", ":"))
    return {"id": given.get("id") or f"call_{index}", "name": given["name"], "arguments": arguments, "args": args}


def tools_of(given: Json) -> list[JsonObject]:
    """Canonical tools from a list of them, or from `{name: {parameter: type or schema}}`."""
    if isinstance(given, list):
        return given
    found = []
    for name, parameters in (given or {}).items():
        properties = {
            key: {"type": each} if isinstance(each, str) else each
            for key, each in (parameters or {}).items()
            if key not in ("$description", "$required")
        }
        schema = {"type": "object", "properties": properties}
        if parameters and "$required" in parameters:
            schema["required"] = parameters["$required"]
        description = (parameters or {}).get("$description") or ""
        function = {"name": name, "description": description, "parameters": schema}
        found.append({"type": "function", "function": function})
    return found


# -- reading


def _read(plans: Sequence[ToolformatPlan], tools: list[JsonObject], given: JsonObject) -> tuple[JsonObject, list[str]]:
    text = given["text"]
    whole = read_pieces(plans, tools, [text], given)
    lines = []
    for name, parts in cuts_of(text):
        found = read_pieces(plans, tools, parts, given)
        if found != whole:
            lines.append(f"read {name} it gives another result: {found[0]} instead of {whole[0]}")
            break
    spans = whole[1]
    end = 0
    for span in spans:
        if span.start != end:
            lines.append(f"the spans leave out the characters {end} to {span.start}")
        end = span.end
    if end != len(text):
        lines.append(f"the spans end at {end} of {len(text)}")
    return _result(whole[0], spans, text), lines


def cuts_of(text: str) -> Iterable[tuple[str, list[str]]]:
    """Ways to cut a text: by character, and twenty at random, the same in every run."""
    yield "one character at a time", list(text)
    for seed in range(RANDOM_CUTS):
        chance = random.Random(seed)
        places = sorted(chance.sample(range(len(text) + 1), min(len(text), chance.randint(1, 8))))
        edges = [0, *places, len(text)]
        yield f"cut at {places}", [text[start:end] for start, end in itertools.pairwise(edges)]


def read_pieces(
    plans: Sequence[ToolformatPlan], tools: list[JsonObject], parts: Iterable[str], given: JsonObject
) -> tuple[list[Piece], list[Span]]:
    """Read a text in parts: the pieces with neighbours of one kind joined, and the spans."""
    reader = ToolReader(plans, tools, parallel=given.get("parallel") is not False)
    pieces = [piece for part in parts for piece in reader.feed(part)]
    pieces += reader.finish(cut=given.get("cut") is True)
    return joined(pieces), reader.spans


def joined(pieces: Iterable[Piece]) -> list[Piece]:
    """Pieces with neighbours of one kind joined, as every cut of the text must give them."""
    made: list[Piece] = []
    for piece in pieces:
        last = made[-1] if made else None
        if isinstance(piece, TextPiece) and isinstance(last, TextPiece):
            made[-1] = TextPiece(last.text + piece.text)
        elif isinstance(piece, ReasoningPiece) and isinstance(last, ReasoningPiece):
            made[-1] = ReasoningPiece(last.text + piece.text)
        elif isinstance(piece, CallArguments) and isinstance(last, CallArguments):
            made[-1] = CallArguments(piece.index, last.text + piece.text)
        else:
            made.append(piece)
    return made


def _result(pieces: list[Piece], spans: list[Span], text: str) -> JsonObject:
    starts = {piece.index: piece for piece in pieces if isinstance(piece, CallStart)}
    calls = []
    for piece in pieces:
        if isinstance(piece, CallEnd):
            start = starts[piece.index]
            call: JsonObject = {"name": start.name, "arguments": piece.arguments}
            calls.append({**call, "id": start.id} if start.id is not None else call)
    notes = [piece for piece in pieces if isinstance(piece, Note)]
    content = "".join(piece.text for piece in pieces if isinstance(piece, TextPiece))
    return {
        "content": content or (None if calls else ""),
        "reasoning": "".join(piece.text for piece in pieces if isinstance(piece, ReasoningPiece)),
        "tool_calls": calls,
        "losses": [
            {"action": each.action, "rule": each.rule, "detail": each.detail}
            for each in notes
            if each.action != "near_miss"
        ],
        "near_misses": [{"rule": each.rule, "detail": each.detail} for each in notes if each.action == "near_miss"],
        "spans": [{"kind": each.kind, "text": text[each.start : each.end]} for each in spans],
    }


def _as_expected(expect: JsonObject, outcome: JsonObject) -> JsonObject:
    """Arguments as data where the case writes data, else as text."""
    outcome = {**outcome, "near_misses": _as_named(expect.get("near_misses"), outcome.get("near_misses"))}
    wanted = expect.get("tool_calls")
    calls = outcome.get("tool_calls")
    if not isinstance(wanted, list) or not isinstance(calls, list):
        return outcome
    made = []
    for index, call in enumerate(calls):
        mine = wanted[index] if index < len(wanted) and isinstance(wanted[index], dict) else {}
        is_text = isinstance(mine.get("arguments"), str)
        made.append(call if is_text else {**call, "arguments": _decoded(call["arguments"])})
    return {**outcome, "tool_calls": made}


def _as_named(expected: Json, got: Json) -> Json:
    """Near misses as far as the case names their keys."""
    if not isinstance(expected, list) or not isinstance(got, list):
        return got
    wanted = {key for each in expected if isinstance(each, dict) for key in each}
    return [{key: value for key, value in each.items() if key in wanted} for each in got]


def _decoded(text: str) -> Json:
    try:
        return json.loads(text)
    except ValueError:
        return text
