"""Find in a sample of a reply what the canonical reply needs, and say how each is read: guesses, for a person to check.

Of several texts that could be the answer the most likely one is taken, and the others are told; so is what is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import click

from engine.cli.sketch.leaves import (
    Leaf,
    Path,
    at,
    counts_of,
    expression,
    finish_of,
    finish_tree,
    leaves_of,
    named,
    score,
)
from engine.cli.sketch.tools import Calls
from engine.cli.sketch.words import plain_name, words
from engine.cli.sketch.yaml_text import Noted
from engine.types import Json, JsonObject

REASON_NOTE: Final = "CHECK: only the sample's own word is known; look the others up"
_MISSING: Final = {
    "id": "=res.…",
    "model": "=res.…",
    "finish_reason": "{$switch: =res.…, cases: {…: length, …: content_filter}, default: stop}",
    "usage": "{prompt_tokens: =res.…, completion_tokens: =res.…}",
}
_CALLS_NOTE: Final = "CHECK: the calls of an answer"
_MESSAGES: Final = ("res.error.message", "res.error", "res.message", "res.detail", "res.reason")


@dataclass(slots=True)
class ReplyDraft:
    """The tree of `response`, the notes that stand above it, and what the sample does not show."""

    tree: JsonObject
    notes: list[str] = field(default_factory=list)
    text: Path | None = None

    def missing(self) -> Iterator[str]:
        """Lines for what was not found, to be filled in."""
        for key, line in _MISSING.items():
            if key not in self.tree:
                yield f"not found: {key}; if the reply has it:  {key}: {line}"


def draft_reply(sample: Json, model: Path | None, calls: Calls | None) -> ReplyDraft:
    """The `response` that a sample suggests; `model` is a place where the model stands, `calls` reads tool calls.

    Raises UsageError where no text in it can be the answer, and no call either.
    """
    leaves = list(leaves_of(sample))
    texts = _texts(sample, leaves, calls)
    if not texts and calls is None:
        known = ", ".join(expression(path) for path, text in leaves if isinstance(text, str)) or "none"
        raise click.UsageError(f"the sample has no text that looks like an answer; its texts: {known}")
    draft = ReplyDraft({}, ["Guessed from the sample; check each path with:  engine eval 'res.…' --reply SAMPLE"])
    tree = draft.tree
    tree |= _read("id", named(leaves, words("reply", "ids"), str))
    tree |= _read("model", named(leaves, words("reply", "models"), str) or model)
    if texts:
        draft.text = texts[0][1]
        taken = _text_of(sample, draft.text)
        others = dict.fromkeys(_text_of(sample, path) for _, path, _ in texts[1:5])
        others.pop(taken, None)
        if others:
            draft.notes.append(f"CHECK: other texts that could be the answer: {', '.join(others)}")
        whole = {"$require": f"={taken}", "message": "the reply holds no text"}
        tree["text"] = whole if calls is None else f"={taken}"
    else:
        draft.notes.append("CHECK: the sample has no text beside its calls; add  text: =res.…")
    tree |= _reasoning(sample, leaves)
    if calls is not None:
        tree["tool_calls"] = Noted(calls.each("res"), _CALLS_NOTE)
    tree |= _finish(leaves)
    tree |= _usage(leaves)
    return draft


def _texts(sample: Json, leaves: list[Leaf], calls: Calls | None) -> list[tuple[int, Path, str]]:
    """What could be the answer, the likeliest first; beside calls also a place that is null."""
    found: list[tuple[int, Path, str]] = []
    for path, value in leaves:
        text = "" if value is None and calls is not None else value
        of_call = calls is not None and path[: len(calls.holder)] == calls.holder and not calls.mixed
        if isinstance(text, str) and not of_call and not _is_thought(sample, path):
            points = score(path, text or "null")
            if points > 0 and not (calls is not None and calls.mixed and _is_call(sample, path, calls)):
                found.append((points, path, text))
    return sorted(found, key=lambda each: (-each[0], -len(each[2])))


def _is_call(sample: Json, path: Path, calls: Calls) -> bool:
    """Whether a value is a part of an item that is a call."""
    return path[: len(calls.holder)] == calls.holder and calls.takes(at(sample, path[: len(calls.holder) + 1]))


def _is_thought(sample: Json, path: Path) -> bool:
    """Whether a value stands in a part whose type is a word for thoughts."""
    if len(path) < 2 or not isinstance(path[-2], int):
        return False
    item = at(sample, path[:-1])
    return isinstance(item, dict) and plain_name(str(item.get("type"))) in words("reply", "thoughts")


def _reasoning(sample: Json, leaves: list[Leaf]) -> JsonObject:
    path = named(leaves, words("reply", "thoughts"), str)
    if path is None:
        path = next((each for each, value in leaves if isinstance(value, str) and _is_thought_text(sample, each)), None)
    return {} if path is None else {"reasoning": f"={_text_of(sample, path)}"}


def _is_thought_text(sample: Json, path: Path) -> bool:
    return _is_thought(sample, path) and plain_name(path[-1]) in words("request", "contents")


def guess_reply(text: Path, calls: Calls | None) -> ReplyDraft:
    """A `response` where only a stream is known: the text where the stream has it, or in a message for a delta."""
    path = whole_path(text)
    draft = ReplyDraft({}, ["CHECK: no whole reply was given; this is a guess from the stream."], path)
    whole = {"$require": f"={expression(path)}", "message": "the reply holds no text"}
    draft.tree["text"] = whole if calls is None else f"={expression(path)}"
    if calls is not None:
        draft.tree["tool_calls"] = Noted(calls.each("res"), _CALLS_NOTE)
    return draft


def whole_path(path: Path) -> Path:
    """The path of a piece in a stream, as whole replies would have it."""
    return tuple("message" if step == "delta" else step for step in path)


def _read(key: str, path: Path | None) -> JsonObject:
    return {} if path is None else {key: f"={expression(path)}"}


def _text_of(sample: Json, path: Path) -> str:
    """How the answer's text is read: where it stands in a list of typed parts, all parts of that type together."""
    if len(path) > 1 and isinstance(path[-2], int):
        item = at(sample, path[:-1])
        kind = item.get("type") if isinstance(item, dict) else None
        holder = expression(path[:-2])
        if isinstance(kind, str):
            return f"join('', {holder}[?type == '{kind}'].{path[-1]})"
        if plain_name(path[-3]) == "parts" if len(path) > 2 else False:
            return f"join('', {holder}[].{path[-1]})"
    return expression(path)


def _finish(leaves: list[Leaf]) -> JsonObject:
    found = finish_of(leaves)
    if found is not None:
        path, value = found
        tree = finish_tree(path, [value] if value else [], "res")
        return {"finish_reason": {**tree, "cases": Noted(tree["cases"], REASON_NOTE)}}
    for path, value in leaves:
        if isinstance(value, bool) and plain_name(path[-1]) in words("reply", "meanings", "length"):
            cut = {"$if": f"={expression(path)} == `true`", "then": "length", "else": "stop"}
            return {"finish_reason": Noted(cut, "CHECK: does this flag say so?")}
    return {}


def _usage(leaves: list[Leaf]) -> JsonObject:
    usage = {key: f"={expression(path)}" for key, path in counts_of(leaves).items()}
    if "prompt_tokens" in usage and "completion_tokens" in usage:
        return {"usage": usage}
    return {"usage": Noted(usage, "CHECK: not all counts were found")} if usage else {}


def draft_errors(sample: Json) -> JsonObject:
    """The error rules: one for a flag of the sample that says whether it went well, and one for the status."""
    rules: JsonObject = {}
    message = {"$first": [f"=as_string({each})" for each in _MESSAGES]}
    for path, value in leaves_of(sample):
        name = plain_name(path[-1]) if path else ""
        if any(isinstance(step, int) for step in path) or len(path) > 2:
            continue
        if isinstance(value, bool) and name in words("reply", "flags") | words("reply", "bad_flags"):
            when = f"={expression(path)} == `{str(name in words('reply', 'bad_flags')).lower()}`"
        elif value is None and name in ("error", "errors"):
            when = f"=present({expression(path)})"
        else:
            continue
        raised: JsonObject = {"message": {"$first": [*message["$first"], "The upstream failed."]}}
        rules["refused"] = Noted({"when": when, "raise": raised}, "CHECK: does a failure inside a 200 say so?")
        break
    rules["any"] = {"status": ["4xx", "5xx"], "raise": {"message": {"$first": [*message["$first"], "=raw"]}}}
    return rules
