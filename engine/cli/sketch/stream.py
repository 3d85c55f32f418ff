"""Find in a sample of a stream how it is framed, what its frames mean, and how it ends: guesses, for a person to check.

Frames are told apart by their event, or by a key such as `type`, where there are several kinds; else all are one kind.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
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
from engine.cli.sketch.reply import REASON_NOTE
from engine.cli.sketch.tools import IDS, Calls, find_calls
from engine.cli.sketch.words import plain_name, words
from engine.cli.sketch.yaml_text import Noted
from engine.errors import EngineError
from engine.translate.framing import FRAMERS, Frame
from engine.types import Json, JsonObject

_ROOT: Final = "ev.json"
_KIND_KEYS: Final = ("type", "event", "kind", "object")
_NAMES: Final = frozenset({"name", "toolname", "functionname"})
_ONLY: Final = ""
"""The kind of every frame where they are not told apart."""


@dataclass(slots=True)
class StreamDraft:
    """The tree of `stream`, notes above it, and what was found: the path of the text in a frame, calls, an end."""

    tree: JsonObject = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    text: Path = ()
    calls: Calls | None = None
    has_calls: bool = False
    has_finish: bool = False


@dataclass(frozen=True, slots=True)
class _Event:
    """A frame with its data decoded, of a kind."""

    kind: str
    data: Json


def framing_of(text: str) -> str | None:
    """The framing of a text that is a stream of several frames; None for what is none."""
    lines = [line for line in text.splitlines() if line.strip()]
    if any(line.startswith(("data:", "event:")) for line in lines[:20]):
        return "sse"
    return "ndjson" if len(lines) > 1 and all(_decoded(line) is not None for line in lines) else None


def draft_stream(text: str, framing: str) -> StreamDraft:
    """The section that a sample suggests. Raises UsageError where it cannot be read or has no text."""
    frames = list(_frames(text, framing))
    draft = StreamDraft({"framing": framing})
    if frames and _decoded(frames[-1].data) is None and len(frames[-1].data) < 40:
        draft.tree["done"] = f"=ev.data == '{frames.pop().data}'"
    select, kind_of = _selection(frames)
    events = [_Event(kind_of(frame), _decoded(frame.data)) for frame in frames]
    events = [each for each in events if isinstance(each.data, dict)]
    texts = _texts(events)
    if not texts:
        raise click.UsageError("the stream's sample has no text that looks like an answer")
    draft.text = texts[0][1]
    if select is None:
        rule = _Rule(draft, events, texts[0]).rule(_ONLY)
        if not draft.has_finish:
            draft.tree["at_end"] = Noted({"emit": {"finish_reason": "stop"}}, "CHECK: nothing tells that it is over")
        draft.tree |= rule
        return draft
    draft.tree["select"] = select
    cases: JsonObject = {}
    for kind in dict.fromkeys(event.kind for event in events):
        made = _Rule(draft, events, texts[0]).rule(kind)
        if made:
            cases[kind] = made
    _end(draft, cases, events)
    draft.tree["cases"] = cases
    draft.tree["default"] = Noted(
        "ignore", "CHECK: which kind tells of a failure?  KIND: {raise: {message: =ev.json.…}}"
    )
    return draft


def _frames(text: str, framing: str) -> Iterator[Frame]:
    framer = FRAMERS[framing]()
    try:
        yield from framer.feed(text.encode())
        yield from framer.flush()
    except EngineError as error:
        raise click.UsageError(f"the stream's sample cannot be read as {framing}: {error}") from error


def _decoded(text: str) -> Json:
    try:
        made = json.loads(text)
    except ValueError:
        return None
    return made if isinstance(made, dict | list) else None


def _selection(frames: list[Frame]) -> tuple[str | None, Callable[[Frame], str]]:
    """What tells kinds of frames apart, and the kind of each."""
    if len({frame.event for frame in frames}) > 1 and all(frame.event for frame in frames):
        return "=ev.event", lambda frame: str(frame.event)
    decoded = [_decoded(frame.data) for frame in frames]
    for key in _KIND_KEYS:
        said = [each.get(key) if isinstance(each, dict) else None for each in decoded]
        if all(isinstance(each, str) for each in said) and len(set(said)) > 1:
            return f"={_ROOT}.{key}", partial(_kind_of, key)
    return None, lambda frame: _ONLY


def _kind_of(key: str, frame: Frame) -> str:
    return str(_decoded(frame.data)[key])


def _texts(events: list[_Event]) -> list[tuple[str, Path]]:
    """Where the answer's text is, the likeliest first: by its name, then by how often it comes."""
    seen: dict[tuple[str, Path], list[int]] = {}
    for event in events:
        if plain_name(event.kind) in words("reply", "thoughts"):
            continue
        for path, value in leaves_of(event.data):
            if isinstance(value, str) and (found := score(path, value)) > 0:
                seen.setdefault((event.kind, path), []).append(found)
    return sorted(seen, key=lambda key: (-max(seen[key]), -len(seen[key])))


class _Rule:
    """The rule of one kind of frame."""

    def __init__(self, draft: StreamDraft, events: list[_Event], text: tuple[str, Path]) -> None:
        self._draft = draft
        self._events = events
        self._text_kind, self._text = text

    def rule(self, kind: str) -> JsonObject:
        """`emit` for what its frames bring; nothing for a kind that brings nothing."""
        events = [event for event in self._events if event.kind == kind]
        leaves = [leaf for event in events for leaf in leaves_of(event.data)]
        emit: JsonObject = {}
        for key, names in (("id", words("reply", "ids")), ("model", words("reply", "models"))):
            path = named(leaves, names, str)
            if path is not None and len(path) < 3 and kind == self._events[0].kind:
                emit[key] = f"={expression(path, _ROOT)}"
        emit |= self._spoken(kind, events, leaves)
        emit |= self._finish(events, leaves)
        counts = {key: f"={expression(path, _ROOT)}" for key, path in counts_of(leaves).items()}
        if counts:
            emit["usage"] = counts
        calls = self._calls(events)
        pieces = [calls] if calls is not None else self._parts_of_calls(events) if kind != _ONLY else []
        if pieces:
            return {"emit": Noted({"$concat": [*([emit] if emit else []), *pieces]}, "CHECK: the pieces of calls")}
        return {"emit": emit} if emit else {}

    def _spoken(self, kind: str, events: list[_Event], leaves: list[Leaf]) -> JsonObject:
        made: JsonObject = {}
        path = named(leaves, words("reply", "thoughts"), str)
        if plain_name(kind) in words("reply", "thoughts"):
            path = path or next((path for path, value in leaves if isinstance(value, str) and score(path, value)), None)
        if path is not None:
            made |= _piece("reasoning", path, events)
        return made | _piece("text", self._text, events) if kind == self._text_kind else made

    def _finish(self, events: list[_Event], leaves: list[Leaf]) -> JsonObject:
        found = finish_of([leaf for leaf in leaves if leaf[0] != self._text])
        if found is None or found[1] is None:
            return {}
        self._draft.has_finish = True
        path = found[0]
        values = [value for each, value in leaves if each == path and isinstance(value, str)]
        tree = finish_tree(path, values, _ROOT)
        tree["cases"] = Noted(tree["cases"], REASON_NOTE)
        always = len(values) == len(events)
        return {"finish_reason": tree if always else {"$if": f"=present({tree['$switch'][1:]})", "then": tree}}

    def _calls(self, events: list[_Event]) -> Json:
        found = next((calls for event in events if (calls := find_calls(event.data)) is not None), None)
        if found is None:
            return None
        self._draft.calls, self._draft.has_calls = found, True
        return stream_calls(found)

    def _parts_of_calls(self, events: list[_Event]) -> list[JsonObject]:
        """Calls whose name and whose arguments come in kinds of frames of their own."""
        made: list[JsonObject] = []
        for name, words_of in (("name", _NAMES), ("arguments", words("reply", "fragments"))):
            found = next((each for event in events for each in _call_leaves(event, words_of)), None)
            if found is None:
                continue
            event, path = found
            around = leaves_of(event.data)
            ids = [each for each, value in around if plain_name(each[-1]) in IDS and isinstance(value, str)]
            index: Path | None = ("index",) if isinstance(event.data.get("index"), int) else None
            if index is None and not ids:
                continue
            piece: JsonObject = {"key": f"={expression(index or ids[-1], _ROOT)}"}
            if name == "name" and ids:
                piece["id"] = f"={expression(ids[-1], _ROOT)}"
            read = f"={expression(path, _ROOT)}"
            piece[name] = read
            made.append({"$if": f"=present({read[1:]})", "then": {"tool_call": piece}})
            self._draft.has_calls = True
        return made


def _call_leaves(event: _Event, names: frozenset[str]) -> Iterator[tuple[_Event, Path]]:
    """Texts of a name in a frame that is about a call, by its kind or by a type inside."""
    leaves = list(leaves_of(event.data))
    about = [event.kind, *(str(value) for path, value in leaves if path and plain_name(path[-1]) == "type")]
    if any(word in plain_name(each) for each in about for word in ("tool", "call", "function", "json")):
        yield from ((event, path) for path, value in leaves if plain_name(path[-1]) in names and isinstance(value, str))


def add_calls(draft: StreamDraft, calls: Calls) -> None:
    """Calls that no sample shows, beside the text of a stream of one kind."""
    draft.has_calls = True
    emit = draft.tree["emit"]
    draft.tree["emit"] = Noted({"$concat": [emit, stream_calls(calls)]}, "CHECK: calls as most APIs have them")


def stream_calls(calls: Calls) -> JsonObject:
    """The pieces of calls that stand in a list of a frame."""
    parts = calls.parts()
    key = "=not_null(c.index, c.id, `0`)" if "index" in calls.item else parts.get("id", 0)
    each = calls.each(_ROOT)
    each.pop("where", None)
    return {**each, "do": {"tool_call": {"key": key, **parts}}}


def _piece(key: str, path: Path, events: list[_Event]) -> JsonObject:
    """More of a text, or all of it so far where each frame begins with what the one before had."""
    values = [value for event in events if isinstance(value := _value(event.data, path), str)]
    grows = len(values) > 1 and all(later.startswith(earlier) for earlier, later in pairwise(values))
    total = grows and len(set(values)) > 1 and len(values[0]) > 0
    read = f"={expression(path, _ROOT)}"
    return {f"{key}_total": Noted(read, "CHECK: all of it so far in each frame?")} if total else {key: read}


def _value(data: Json, path: Path) -> Json:
    try:
        return at(data, path)
    except (KeyError, IndexError, TypeError):
        return None


def _end(draft: StreamDraft, cases: JsonObject, events: list[_Event]) -> None:
    """Where no word ends the stream, the last kind does, if it comes only once."""
    last = events[-1].kind
    rule = cases.get(last, {})
    if not draft.has_finish and not isinstance(rule.get("emit"), Noted):
        rule = {"emit": {**rule.get("emit", {}), "finish_reason": "stop"}}
        draft.notes.append(f"CHECK: {last} is taken for the end; nothing of it says why the answer ended.")
        cases[last] = rule
    if "done" not in draft.tree and [event.kind for event in events].count(last) == 1:
        cases[last] = {**rule, "end": True}
