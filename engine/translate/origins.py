"""Where a value of the canonical request came from: errors name the client's own field (DECISIONS.md section 1).

Nothing is kept while a request is served. When an error names a canonical path, the two trees that are there anyway,
the client's body and the request made of it, are compared: a value that was handed on is the same object in both. What
the dialect built itself came from where its parts came from. What is left is found by trial, the dialect's request
being made again from a changed body: with marks at the places that may be meant, until one arrives at the path; or with
members left out, until what the error speaks of is gone. Trials have a budget, since an error must not cost more than
an answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from engine.errors import EngineError, ErrorInfo
from engine.translate.prepare import SAME_MEANING
from engine.types import ABSENT, Json, JsonObject

Path = tuple[str | int, ...]

TRIALS: Final = 100
_TRIED_VALUES: Final = 200_000
"""A request is made again at most so often to find one field, less often where its body holds many values."""
_SHORTEST_PART: Final = 8
_SHORTEST_WHOLE: Final = 16
_SEARCHES: Final = 50
"""A text that is part of another is taken for its origin from some length on; so often it is looked for."""
_PATH_CHARS: Final = 200
_STEP: Final = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


@dataclass(slots=True)
class Origins:
    """The client's body, the canonical request that was made of it, and how to make it again from another body.

    `names` are the fields that the dialect reads.
    """

    body: JsonObject
    request: JsonObject
    again: Callable[[JsonObject], Json]
    names: frozenset[str] = frozenset()
    _places: dict[int, Path] = field(default_factory=dict)
    _trials: int = 0
    _searches: int = 0

    def named(self, info: ErrorInfo) -> ErrorInfo:
        """The error with the client's field as `param`, in its message too; as it is where none is found."""
        steps = parse_path(info.param) if info.param is not None else ()
        found, lacks = self.of(steps) if steps else (None, "")
        if not found or found == steps or len(path_text(found)) > _PATH_CHARS:
            return info
        name = path_text(found)
        message = info.message.replace(f"'{info.param}'", f"'{lacks}' in '{name}'") if lacks else info.message
        return info.changed(param=name, message=message.replace(f"'{info.param}", f"'{name}"))

    def of(self, steps: Path) -> tuple[Path | None, str]:
        """The path in the client's body of a canonical path; None where it came from nowhere in particular.

        Of a field that is missing it is the field that the client should have given. Where that is not known it is the
        thing that lacks it, and the canonical name of the field is given too.
        """
        if self.request.get(str(steps[0])) is None:
            steps = (SAME_MEANING.get(str(steps[0]), steps[0]), *steps[1:])
        self._prepare()
        node: Json = self.request
        trail: list[Json] = []
        for done, step in enumerate(steps):
            child = at(node, (step,))
            if child is None:
                return self._of_missing(steps, steps[:done])
            known = self._known(child)
            if known is not None:
                return known + steps[done + 1 :], ""
            trail.append(child)
            node = child
        found = self._of_built(node) if isinstance(node, dict | list) else self._of_value(node, steps)
        return found or self._of_holder(trail[:-1]) or self._needed_for(steps), ""

    def of_failure(self) -> Path:
        """The innermost place in the client's body without which a request can be made."""
        self._prepare()

        def fails(body: JsonObject) -> bool:
            try:
                self.again(body)
            except EngineError:
                return True
            return False

        return self._narrowed(fails, leaves=True)

    def _prepare(self) -> None:
        self._note(self.body, ())
        self._trials = min(TRIALS, _TRIED_VALUES // max(len(self._places), 1))
        self._searches = _SEARCHES

    def _note(self, node: Json, path: Path) -> None:
        """Where each object of the body stands."""
        if _is_unique(node):
            self._places[id(node)] = path
        for step, child in _members(node):
            self._note(child, (*path, step))

    def _known(self, node: Json) -> Path | None:
        return self._places.get(id(node)) if _is_unique(node) else None

    # -- by what was handed on

    def _of_built(self, node: Json) -> Path | None:
        """What the dialect built came from the place that holds all its parts."""
        known = self._known(node)
        if known is not None:
            return known
        if isinstance(node, str):
            return self._of_part(node)
        found = {path for _, child in _members(node) if (path := self._of_built(child)) is not None}
        if not found:
            return None
        shared = _common(list(found))
        is_step = shared and isinstance(shared[-1], str if isinstance(node, dict) else int)
        return shared[:-1] if len(found) == 1 and is_step and len(shared) > 1 else shared

    def _of_part(self, text: str) -> Path | None:
        """A text that was put together: the longest text of the body that it holds."""
        if len(text) < _SHORTEST_WHOLE or self._searches <= 0:
            return None
        self._searches -= 1
        length, place = _SHORTEST_PART - 1, None
        for path, leaf in _leaves(self.body):
            if isinstance(leaf, str) and length < len(leaf) < len(text) and leaf in text:
                length, place = len(leaf), path
        return place

    def _of_holder(self, trail: Sequence[Json]) -> Path | None:
        """The innermost thing around a value of which it is known where it came from."""
        return next((found for node in reversed(trail) if (found := self._of_built(node))), None)

    # -- by trial

    def _of_value(self, value: Json, steps: Path) -> Path | None:
        """A value without an identity of its own: an equal one of the body; else what it was made of."""
        equal = [path for path, leaf in _leaves(self.body) if type(leaf) is type(value) and leaf == value]
        found = self._arriving(equal, steps)
        return found or (self._of_part(value) if isinstance(value, str) else None)

    def _of_missing(self, steps: Path, holder: Path) -> tuple[Path | None, str]:
        """The field that the client would have had to give; failing that, the thing that lacks it and a name."""
        place = self._needed_for(holder) if holder else ()
        handed_on = {id(child) for _, child in _members(at(self.request, holder))}
        while place and id(at(self.body, place)) in handed_on:  # what went on as it is lacks nothing
            place = place[:-1]
        for depth in range(len(place), -1, -1):
            node = at(self.body, place[:depth])
            if isinstance(node, dict):
                found = self._arriving([(*place[:depth], name) for name in sorted(self.names - node.keys())], steps)
                if found is not None:
                    return found, ""
        return place or None, str(steps[-1])

    def _arriving(self, places: Sequence[Path], steps: Path) -> Path | None:
        """Which of some places of the body gives the value at a canonical path."""
        around = steps[:-1]
        stands = at(self.request, around)
        waiting = [list(places)]
        while waiting and self._trials > 0:
            group = waiting.pop()
            if not group:
                continue
            self._trials -= 1
            marks = {path: f"\ue000{number}\ue001" for number, path in enumerate(group)}
            made = self._made(_changed(self.body, marks), around)
            arrived = at(made, steps[-1:])
            found = next((path for path, mark in marks.items() if isinstance(arrived, str) and mark in arrived), None)
            if found is not None:
                return found
            # Where nothing changed none of them matters; else one may have kept another from arriving.
            half = len(group) // 2 if made != stands else 0
            waiting += [group[half:], group[:half]] if half else []
        return None

    def _needed_for(self, steps: Path) -> Path:
        """The innermost place in the body without which something else stands at a canonical path."""
        stands = at(self.request, steps)
        return self._narrowed(lambda body: bool(self._made(body, steps) == stands), leaves=False)

    def _narrowed(self, shows: Callable[[JsonObject], bool], *, leaves: bool) -> Path:
        """The innermost place in the body without which `shows` is false; `leaves`: it may be a single value."""
        place: Path = ()
        while True:
            node = at(self.body, place)
            inner: str | int | None = self._last_needed(node, place, shows) if isinstance(node, list) else None
            for step, child in _members(node) if isinstance(node, dict) else ():
                if leaves or isinstance(child, dict | list):
                    if self._trials <= 0:
                        return place
                    self._trials -= 1
                    if not shows(_changed(self.body, {(*place, step): None})):
                        inner = step
                        break
            if inner is None:
                return place
            place = (*place, inner)

    def _last_needed(self, items: list[Json], place: Path, shows: Callable[[JsonObject], bool]) -> int | None:
        """Of a list the item with which, read from the front, it begins to show."""
        low, high = 0, len(items)
        while low < high and self._trials > 0:
            self._trials -= 1
            middle = (low + high) // 2
            if shows(_changed(self.body, {place: items[:middle]})):
                high = middle
            else:
                low = middle + 1
        return high - 1 if low == high and high > 0 else None

    def _made(self, body: JsonObject, steps: Path) -> Json:
        """What stands at a canonical path of the request that is made of a body; ABSENT where none can be made."""
        try:
            return at(self.again(body), steps)
        except EngineError:
            return ABSENT


def parse_path(text: str) -> Path:
    """The steps of `messages[1].content`; none where the text is no path."""
    steps: list[str | int] = []
    end = 0
    for found in _STEP.finditer(text):
        gap = text[end : found.start()]
        if gap != ("." if found[1] and steps else ""):
            return ()
        steps.append(found[1] if found[1] else int(found[2]))
        end = found.end()
    return tuple(steps) if end == len(text) else ()


def path_text(path: Path) -> str:
    """A path as errors write it."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def _is_unique(node: Json) -> bool:
    """Whether no other value can be the same object: not so for small numbers, single characters and the constants."""
    if isinstance(node, str):
        return len(node) > 1
    return isinstance(node, dict | list | float) or (type(node) is int and not -6 < node < 257)


def _members(node: Json) -> Iterator[tuple[str | int, Json]]:
    if isinstance(node, dict):
        yield from node.items()
    elif isinstance(node, list):
        yield from enumerate(node)


def _leaves(node: Json, path: Path = ()) -> Iterator[tuple[Path, Json]]:
    if not isinstance(node, dict | list):
        yield path, node
    for step, child in _members(node):
        yield from _leaves(child, (*path, step))


def at(node: Json, path: Path) -> Json:
    """What stands at a path; None where nothing does."""
    for step in path:
        if isinstance(step, int):
            node = node[step] if isinstance(node, list) and step < len(node) else None
        else:
            node = node.get(step) if isinstance(node, dict) else None
    return node


def _common(paths: Sequence[Path]) -> Path:
    """The longest beginning that all paths share."""
    shortest = min(paths, key=len)
    for place, step in enumerate(shortest):
        if any(path[place] != step for path in paths):
            return shortest[:place]
    return shortest


def _changed(node: Json, values: Mapping[Path, Json]) -> Json:
    """A copy of a body with other values at some paths; what holds none of them is not copied."""
    made: Json = node.copy()
    inner: dict[str | int, dict[Path, Json]] = {}
    for path, value in values.items():
        if len(path) == 1:
            made[path[0]] = value
        else:
            inner.setdefault(path[0], {})[path[1:]] = value
    for step, deeper in inner.items():
        made[step] = _changed(node[step], deeper)
    return made
