"""Find in a sample of a reply what the canonical reply needs, and say how each is read: guesses, for a person to check.

Names are compared without case and without `_` and `-`. Of several texts that could be the answer the most likely one
is taken and the others are told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import click

from engine.cli.sketch.words import plain_name
from engine.cli.sketch.yaml_text import Noted
from engine.types import Json, JsonObject

ANY_KEY: Final = "*"
"""A step over an object whose only key is no name but data, such as the name of a model."""

Path = tuple[str | int, ...]

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_TEXT: Final = {
    **dict.fromkeys(("outputtext", "generatedtext", "completiontext", "answertext"), 7),
    **dict.fromkeys(("content", "text", "completion", "response", "answer", "assistant", "markdown"), 5),
    **dict.fromkeys(("output", "reply", "message", "result", "msg", "value", "generation"), 3),
}
_AROUND: Final = frozenset({"choices", "message", "candidates", "output", "outputs", "data", "result", "completion",
                            "completions", "generations", "response", "content", "parts", "messages"})  # fmt: skip
_NEVER: Final = frozenset({"id", "model", "role", "type", "object", "status", "created", "createdat", "error", "usage",
                           "prompt", "input", "question", "query", "version", "finishreason", "stopreason", "logprobs",
                           "provider", "url", "name", "key", "token", "signature", "warning", "title"})  # fmt: skip
_THOUGHT: Final = frozenset({"reasoning", "reasoningcontent", "thinking", "thought", "reasoningtext"})
_FINISH: Final = frozenset({"finishreason", "stopreason", "donereason", "completionreason", "endreason", "reason"})
_MODEL: Final = frozenset({"model", "modelid", "modelname", "modelversion", "engine"})
_COUNTS: Final[Mapping[str, frozenset[str]]] = {
    "prompt_tokens": frozenset({"prompttokens", "inputtokens", "prompttokencount", "promptevalcount", "tokensin",
                                "inputtokencount", "tokensinput", "promptlength", "numinputtokens"}),
    "completion_tokens": frozenset({"completiontokens", "outputtokens", "candidatestokencount", "evalcount",
                                    "tokensout", "outputtokencount", "tokensoutput", "generatedtokens",
                                    "completiontokencount", "numoutputtokens", "numgeneratedtokens"}),
    "cached_tokens": frozenset({"cachedtokens", "cachereadinputtokens", "cachedcontenttokencount"}),
    "reasoning_tokens": frozenset({"reasoningtokens", "thoughtstokencount", "thinkingtokens"}),
}  # fmt: skip
_MEANING: Final = {
    **dict.fromkeys(("length", "maxtokens", "maxlength", "maxoutputtokens", "tokenlimit", "truncated"), "length"),
    **dict.fromkeys(("toolcalls", "tooluse", "toolcall", "functioncall"), "tool_calls"),
    **dict.fromkeys(("contentfilter", "safety", "refusal", "blocked", "filtered"), "content_filter"),
}


@dataclass(slots=True)
class ReplyDraft:
    """The tree of `response`, and the notes that stand above it."""

    tree: JsonObject
    notes: list[str]


def draft_reply(sample: Json) -> ReplyDraft:
    """The `response` that a sample suggests. Raises UsageError where no text in it can be the answer."""
    leaves = list(_leaves(sample, ()))
    texts = sorted(
        ((score, path, text) for path, text in leaves if isinstance(text, str) and (score := _score(path, text)) > 0),
        key=lambda each: (-each[0], -len(each[2])),
    )
    if not texts:
        found = ", ".join(expression(path) for path, text in leaves if isinstance(text, str)) or "none"
        raise click.UsageError(f"the sample has no text that looks like an answer; its texts: {found}")
    _, path, _ = texts[0]
    notes = ["Guessed from the sample; check each path with:  engine eval 'res.…' --reply SAMPLE"]
    others = list(dict.fromkeys(_text_of(sample, each) for _, each, _ in texts[1:5]))
    others = [each for each in others if each != _text_of(sample, path)]
    if others:
        notes.append(f"Other texts that could be the answer: {', '.join(others)}")
    tree: JsonObject = {}
    tree |= _named(leaves, "id", frozenset({"id", "requestid", "messageid", "responseid"}), str)
    tree |= _named(leaves, "model", _MODEL, str)
    tree["text"] = {"$require": f"={_text_of(sample, path)}", "message": "the reply holds no text"}
    tree |= _named(leaves, "reasoning", _THOUGHT, str)
    tree |= _finish(leaves)
    tree |= _usage(leaves)
    return ReplyDraft(tree, notes)


def _leaves(value: Json, path: Path) -> Iterator[tuple[Path, Json]]:
    if isinstance(value, dict):
        only_data = len(value) == 1 and not _WORDY.fullmatch(next(iter(value)))
        for key, each in value.items():
            yield from _leaves(each, (*path, ANY_KEY if only_data else key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _leaves(each, (*path, index))
    else:
        yield path, value


def _score(path: Path, text: str) -> int:
    names = [plain_name(step) for step in path if isinstance(step, str)]
    if not text.strip() or not names or any(name in _NEVER or name in _THOUGHT for name in names[-1:]):
        return 0
    if {"error", "usage", "prompt", "request", "logprobs"} & set(names[:-1]):
        return 0
    score = _TEXT.get(names[-1], 0) + sum(2 for name in set(names[:-1]) if name in _AROUND)
    return score + (1 if " " in text.strip() else 0) - sum(1 for step in path if isinstance(step, int) and step > 0)


def expression(path: Path) -> str:
    """A path as an expression over `res`."""
    text = "res"
    for step in path:
        if step == ANY_KEY:
            text = f"values({text})[0]"
        elif isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if _NAME.fullmatch(step) else f'."{step}"'
    return text


def _text_of(sample: Json, path: Path) -> str:
    """How the answer's text is read: where it stands in a list of typed parts, all parts of that type together."""
    if len(path) > 1 and isinstance(path[-2], int):
        item = _at(sample, path[:-1])
        kind = item.get("type") if isinstance(item, dict) else None
        holder = expression(path[:-2])
        if isinstance(kind, str):
            return f"join('', {holder}[?type == '{kind}'].{path[-1]})"
        if plain_name(path[-3]) == "parts" if len(path) > 2 else False:
            return f"join('', {holder}[].{path[-1]})"
    return expression(path)


def _at(value: Json, path: Path) -> Json:
    for step in path:
        value = next(iter(value.values())) if step == ANY_KEY else value[step]
    return value


def _named(leaves: list[tuple[Path, Json]], key: str, names: frozenset[str], kind: type) -> JsonObject:
    """The shallowest value of a name."""
    found = [path for path, value in leaves if path and plain_name(path[-1]) in names and isinstance(value, kind)]
    return {key: f"={expression(min(found, key=len))}"} if found else {}


def _finish(leaves: list[tuple[Path, Json]]) -> JsonObject:
    found = [(path, value) for path, value in leaves if path and plain_name(path[-1]) in _FINISH]
    found = [(path, value) for path, value in found if value is None or isinstance(value, str)]
    if not found:
        return {}
    path, value = min(found, key=lambda each: len(each[0]))
    cases = {str(value): _MEANING.get(plain_name(value), "stop")} if value else {}
    shout = bool(value) and value.isupper()
    for word in ("length", "max_tokens", "content_filter"):
        cases.setdefault(word.upper() if shout else word, _MEANING[plain_name(word)])
    note = "only the sample's own word is known; look the others up"
    return {"finish_reason": {"$switch": f"={expression(path)}", "cases": Noted(cases, note), "default": "stop"}}


def _usage(leaves: list[tuple[Path, Json]]) -> JsonObject:
    usage: JsonObject = {}
    for key, names in _COUNTS.items():
        usage |= _named([(p, v) for p, v in leaves if not isinstance(v, bool)], key, names, int)
    return {"usage": usage} if usage else {}
