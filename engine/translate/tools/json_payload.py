"""Payloads that are JSON: an object with name and arguments, a list of these, or an object that is the arguments."""

from __future__ import annotations

import html
import json
import re
from typing import Final

from engine.translate.tools.attempt import MAX_ARGUMENT_CHARS, MAX_HELD_CHARS, Attempt
from engine.translate.tools.jsontext import JsonText, Write, discard
from engine.translate.tools.plan import JsonPayload
from engine.translate.tools.schema import json_value
from engine.translate.tools.source import NotACall, Source, Wait

_USUAL: Final = frozenset({"type", "id", "index", "function"})
"""Keys that may stand beside name and arguments where no marker says that this is a call."""

_ALIASES: Final = {
    "name": ("name", "tool", "tool_name", "function_name", "function", "recipient_name"),
    "args": ("arguments", "parameters", "args", "params", "input", "tool_input", "action_input"),
}
_ESCAPED: Final = re.compile(r"[\[{]\s*(?:\{\s*)?&(?:quot|#34|#39);")
_NOT_ESCAPED: Final = re.compile(r"[\[{][\s{]*[^\s{&]")
_LONGEST_ESCAPE: Final = 64


def text_reader(attempt: Attempt) -> JsonText:
    """A reader of JSON for an attempt."""
    return JsonText(attempt.source, attempt.repairs, attempt.rule.ends, attempt.repaired)


def read_json(attempt: Attempt, at: int) -> Wait[int]:
    """Read an object or a list of objects, each a call; returns where the payload ends."""
    source = attempt.source
    at = yield from source.space(at)
    if "html_escaped" in attempt.repairs and (yield from _is_escaped(source, at)):
        return (yield from _read_escaped(attempt, at))
    return (yield from _read_values(attempt, at))


def _read_values(attempt: Attempt, at: int) -> Wait[int]:
    payload = attempt.rule.payload
    assert isinstance(payload, JsonPayload)
    at = yield from _one_value(attempt, payload, at)
    while payload.seps:
        after = yield from _separator(attempt, payload, at)
        if after < 0:
            break
        at = yield from _one_value(attempt, payload, after)
    return at


def _separator(attempt: Attempt, payload: JsonPayload, at: int) -> Wait[int]:
    """Where the next object begins, or -1."""
    source = attempt.source
    at = yield from source.space(at)
    found = yield from source.literal(at, payload.seps)
    if found is None and not (any(not each.strip() for each in payload.seps) and source.char(at) == "{"):
        return -1
    at = yield from source.space(at + len(found or ""))
    if source.char(at) not in ("{", "["):
        return -1
    return at


def _one_value(attempt: Attempt, payload: JsonPayload, at: int) -> Wait[int]:
    reader = text_reader(attempt)
    at, char = yield from reader.peek(at)
    if char == "[":
        if payload.list == "never" and not attempt.rule.bare:
            reader.allow("list_for_object", at, "a list stands where an object should")
        return (yield from _read_list(attempt, payload, reader, at))
    if char != "{" or payload.list == "always":
        raise NotACall("no JSON of a call follows", at)
    return (yield from _Object(attempt, payload, reader, at, in_list=False).read())


def _read_list(attempt: Attempt, payload: JsonPayload, reader: JsonText, at: int) -> Wait[int]:
    def item(place: int) -> Wait[int]:
        if attempt.source.char(place) != "{":
            raise reader.fail("an item of the list is no object", place)
        return (yield from _Object(attempt, payload, reader, place, in_list=True).read())

    end = yield from reader.elements(at, item)
    if not attempt.calls:
        raise NotACall("the list holds no call of an offered tool", end)
    return end


class _Object:
    """One object of a payload.

    State    the name comes before or after the arguments: what comes before is kept until the name is known.
    """

    def __init__(self, attempt: Attempt, payload: JsonPayload, reader: JsonText, at: int, *, in_list: bool) -> None:
        self.attempt = attempt
        self.payload = payload
        self.reader = reader
        self.start = at
        self.in_list = in_list
        self.name: str | None = None
        self.id: str | None = None
        self.kept: list[str] | None = None
        self.kept_chars = 0
        self.is_begun = False
        self.is_unknown = False
        self.had_items = False

    def read(self) -> Wait[int]:
        end = yield from self._walk(self.start, ())
        if self.is_unknown:
            self.attempt.aside(self.start, end)
        elif not self.had_items:
            self._finish(end)
        return end

    def _finish(self, end: int) -> None:
        if self.name is None:
            raise NotACall("no name of a tool in it", end)
        if not self.is_begun:
            if self.kept is None and self.payload.need_args:
                raise NotACall("no arguments in it", end)
            self._begin()
            self.attempt.write("".join(self.kept or ()) or "{}")
        self.attempt.end(end)

    def _begin(self) -> None:
        assert self.name is not None
        self.is_begun = True
        self.attempt.begin(self.start, self.name, self.id)

    def _walk(self, at: int, path: tuple[str, ...]) -> Wait[int]:
        def take(key: str, place: int) -> Wait[int]:
            return self._take((*path, key), place)

        return (yield from self.reader.members(at, take))

    # -- members

    def _take(self, path: tuple[str, ...], at: int) -> Wait[int]:
        role = self._role(path, self.reader.source.char(at))
        if role == "name":
            return (yield from self._take_name(at))
        if role == "args":
            return (yield from self._take_args(at))
        if role == "key":
            self._named(path[-1], at)
            return (yield from self._take_args(at))
        if role == "id":
            return (yield from self._take_id(at))
        if role == "inner":
            return (yield from self._walk(at, path))
        if role == "items":
            self.had_items = True
            return (yield from _read_list(self.attempt, self.payload, self.reader, at))
        return (yield from self.reader.value(at, discard))

    def _role(self, path: tuple[str, ...], char: str) -> str:
        """What a member is. Raises NotACall for a foreign key where no marker says that this is a call."""
        if self.payload.name_is_key:
            return "key" if self.name is None else "other"
        ways = {"name": self.payload.name, "args": self.payload.args, "id": self.payload.id}
        for role, paths in ways.items():
            if path in paths and (role != "name" or char in ('"', "'")):
                return role
        if char == "{" and any(len(each) > len(path) and each[: len(path)] == path for each in sum(ways.values(), ())):
            return "inner"
        if len(path) == 1 and path[0] in self.payload.items and char == "[":
            return "items"
        return self._alias(path, char)

    def _alias(self, path: tuple[str, ...], char: str) -> str:
        if len(path) == 1 and "aliases" in self.attempt.repairs:
            if self.name is None and path[0] in _ALIASES["name"] and char in ('"', "'"):
                self.attempt.repaired("aliases")
                return "name"
            if self.kept is None and not self.is_begun and path[0] in _ALIASES["args"] and char == "{":
                self.attempt.repaired("aliases")
                return "args"
        if self.attempt.rule.bare and len(path) == 1 and path[0] not in _USUAL:
            raise self.reader.fail(f"the key {path[0][:64]!r} is none of a call", self.start)
        return "other"

    def _take_name(self, at: int) -> Wait[int]:
        end, text = yield from self.reader.text(at, self.reader.string)
        if self.name is None:
            self._named(text, at)
        return end

    def _named(self, name: str, at: int) -> None:
        self.name = name
        if at - self.start > MAX_HELD_CHARS and not self.attempt.is_committed:
            raise NotACall("the name comes too late", at)
        if self.attempt.parameters(name) is not None:
            return
        if not self.in_list or self.attempt.rule.known:
            raise NotACall(f"no tool {name[:64]!r} was offered", at)
        self.is_unknown = True

    def _take_id(self, at: int) -> Wait[int]:
        if self.reader.source.char(at) != '"':
            return (yield from self.reader.value(at, discard))
        end, self.id = yield from self.reader.text(at, self.reader.string)
        return end

    # -- arguments

    def _take_args(self, at: int) -> Wait[int]:
        char = self.reader.source.char(at)
        if self.kept is not None or self.is_begun or self.is_unknown:
            return (yield from self.reader.value(at, discard))
        if char == "{":
            return (yield from self.reader.value(at, self._writer()))
        end, text = yield from arguments_text(self.attempt, self.reader, at)
        self._writer()(text)
        return end

    def _writer(self) -> Write:
        if self.name is not None:
            self._begin()
            return self.attempt.write
        self.kept = []
        return self._keep

    def _keep(self, text: str) -> None:
        assert self.kept is not None
        self.kept.append(text)
        self.kept_chars += len(text)
        if self.kept_chars > MAX_ARGUMENT_CHARS:
            raise self.reader.fail("arguments are too long", self.start)


def arguments_text(attempt: Attempt, reader: JsonText, at: int) -> Wait[tuple[int, str]]:
    """Arguments that are not written as an object: null, an empty list, or a string that holds the object."""
    char = reader.source.char(at)
    if char in ('"', "'"):
        end, text = yield from reader.text(at, reader.string)
        found = json_value(text, attempt.repairs) if text.strip() else "{}"
        if found is None or not found.startswith("{"):
            raise reader.fail("the arguments are a text that holds no object", at)
        reader.allow("double_encoded", at, "the arguments are a string")
        return end, found
    parts: list[str] = []
    end = yield from reader.value(at, parts.append)
    plain = json.loads("".join(parts))
    if plain is None or plain == []:
        return end, "{}"
    raise reader.fail("the arguments are no object", at)


def read_args(attempt: Attempt, at: int) -> Wait[int]:
    """Read an object that is the arguments; the name was in the head."""
    reader = text_reader(attempt)
    at, char = yield from reader.peek(at)
    name = attempt.captured.get("name", "")
    identifier = attempt.captured.get("id")
    if char == "{":
        attempt.begin(at, name, identifier)
        end = yield from reader.value(at, attempt.write)
    elif char in ('"', "'"):
        end, text = yield from arguments_text(attempt, reader, at)
        attempt.begin(at, name, identifier)
        attempt.write(text)
    elif attempt.rule.close and (yield from attempt.source.literal(at, attempt.rule.close[0])) is not None:
        end = at
        attempt.begin(at, name, identifier)
        attempt.write("{}")
    else:
        raise NotACall("no arguments follow the name", at)
    attempt.end(end)
    return end


# -- payloads whose quotes were escaped for HTML


def _is_escaped(source: Source, at: int) -> Wait[bool]:
    while True:
        window = source.cut(at, min(at + _LONGEST_ESCAPE, source.end))
        if _ESCAPED.match(window):
            return True
        if window[:1] not in ("", "{", "[") or len(window) >= _LONGEST_ESCAPE or _NOT_ESCAPED.match(window):
            return False
        after = window.lstrip("[{ \t\r\n")
        if (
            after
            and not "&quot;&#34;&#39;".startswith(after)
            and not any(each.startswith(after) for each in ("&quot;", "&#34;", "&#39;"))
        ):
            return False
        if not (yield from source.more(at)):
            return False


def _read_escaped(attempt: Attempt, at: int) -> Wait[int]:
    """Unescape what stands before the end marker, and read that. Positions inside count as the payload's end."""
    source = attempt.source
    place = scan = at
    found = ""
    while not found:
        place, found = source.nearest(at, attempt.rule.ends, scan)
        if place - at > MAX_ARGUMENT_CHARS:
            raise NotACall("too long to be unescaped", at)
        scan = place
        if not found and not (yield from source.more(at)):
            place = source.end
            break
    inner = Source(html.unescape(source.cut(at, place)), is_over=True)
    inner.is_cut = source.is_cut
    attempt.repaired("html_escaped")
    attempt.source, attempt.fixed = inner, (at, place)
    try:
        yield from _read_values(attempt, 0)
    except NotACall as failure:
        raise NotACall(failure.reason, place if attempt.is_committed else at) from None
    finally:
        attempt.source, attempt.fixed = source, None
    return place
