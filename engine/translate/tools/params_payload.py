"""Raw values between tags: `<parameter=K>V</parameter>` and its like, typed by schema or by an attribute.

A value ends at the first end tag that something sensible follows: the next parameter, the call's end, the section's end
or the end of the text. A value that can only be a string flows out while it comes; all others wait for their end.
"""

from __future__ import annotations

import re
from typing import Final

from engine.translate.tools.attempt import MAX_ARGUMENT_CHARS, Attempt
from engine.translate.tools.heads import match_tokens
from engine.translate.tools.jsontext import quoted
from engine.translate.tools.plan import ParamsPayload
from engine.translate.tools.schema import Parameters, coerce, json_value
from engine.translate.tools.source import NotACall, Wait

_STRING: Final = frozenset({"string"})
_ANY: Final = frozenset({"null", "boolean", "number", "integer", "object", "array", "string"})
_ENTITY: Final = re.compile(r"<!\[CDATA\[(.*?)\]\]>|&(lt|gt|amp|quot|apos);", re.DOTALL)
_ENTITIES: Final = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}


def read_params(attempt: Attempt, at: int) -> Wait[int]:
    """Read parameters until something else comes; returns where the last one ended."""
    return (yield from _Params(attempt).read(at))


class _Params:
    """State    `written` are the keys so far; the call begins with the first parameter, or with its end marker."""

    def __init__(self, attempt: Attempt) -> None:
        payload = attempt.rule.payload
        assert isinstance(payload, ParamsPayload)
        self.attempt = attempt
        self.source = attempt.source
        self.payload = payload
        self.parameters = attempt.parameters(attempt.captured.get("name", "")) or Parameters({})
        self.written: set[str] = set()

    def read(self, at: int) -> Wait[int]:
        name = attempt_name(self.attempt)
        end = at
        while True:
            at = yield from self.source.space(end)
            found = yield from self._open(at)
            if found is None:
                break
            if not self.attempt.is_open:
                self.attempt.begin(at, name, self.attempt.captured.get("id"))
                self.attempt.write("{")
            end = yield from self._parameter(*found)
        if not self.attempt.is_open:
            yield from self._without(at, name)
        self.attempt.write("}")
        self.attempt.end(end)
        return end

    def _without(self, at: int, name: str) -> Wait[None]:
        """A call without parameters: its end marker, or the end of the text, must follow."""
        ends = self.attempt.rule.ends
        if self.source.char(at) and (yield from self.source.literal(at, ends)) is None:
            raise NotACall("neither a parameter nor the end of the call follows the name", at)
        if not self.source.char(at) and self.source.is_cut:
            raise NotACall("the text ends after the name", at)
        self.attempt.begin(at, name, self.attempt.captured.get("id"))
        self.attempt.write("{")

    def _open(self, at: int) -> Wait[tuple[int, dict[str, str]] | None]:
        for tokens in self.payload.open:
            found = yield from match_tokens(self.source, at, tokens)
            if found is not None and (not self.payload.known_keys or self.parameters.knows(found[1]["key"].strip())):
                return found
        return None

    def _parameter(self, at: int, captured: dict[str, str]) -> Wait[int]:
        key = captured["key"].strip()
        is_new = key not in self.written
        types, is_raw = self._types(key, captured.get("type"))
        closes = self._closes(key)
        lead = f"{',' if self.written else ''}{quoted(key)}:"
        if not is_new:
            self.attempt.note("damaged", f"the parameter {key[:64]!r} stands twice")
            end, _ = yield from self._whole(at, closes)
            return end
        self.written.add(key)
        if types == _STRING and self.payload.unescape == "none" and not is_raw:
            self.attempt.write(lead + '"')
            end = yield from self._stream(at, closes)
            self.attempt.write('"')
            return end
        end, text = yield from self._whole(at, closes)
        self.attempt.write(lead + self._typed(text, types, is_raw))
        return end

    def _types(self, key: str, named: str | None) -> tuple[frozenset[str], bool]:
        """The types a value may have, and whether it is to be taken as JSON if it is JSON."""
        if self.payload.typing == "json":
            return _ANY, True
        if self.payload.typing == "attr" and named is not None:
            kind = self.payload.attr.get(named.strip().lower(), "string")
            return (_STRING, False) if kind == "string" else (_ANY, True)
        return self.parameters.types(key), False

    def _typed(self, text: str, types: frozenset[str], is_raw: bool) -> str:
        if self.payload.unescape == "xml":
            text = _ENTITY.sub(lambda found: found[1] if found[2] is None else _ENTITIES[found[2]], text)
        if is_raw:
            found = json_value(text, self.attempt.repairs)
            return quoted(text) if found is None else found
        return coerce(text, types, self.attempt.repairs)

    def _closes(self, key: str) -> tuple[str, ...]:
        around = self.payload.close_by_key
        return self.payload.close if around is None else (f"{around[0]}{key}{around[1]}",)

    # -- the end of a value

    def _find(self, start: int, scan: int, closes: tuple[str, ...]) -> Wait[tuple[int, int]]:
        """Where a value ends and what follows goes on; `(n, -1)` if it goes on to `n` at least."""
        ends = self.attempt.rule.ends if "missing_closers" in self.attempt.repairs else ()
        wanted = closes + ends
        while True:
            place, found = self.source.nearest(start, wanted, scan)
            if not found:
                return place, -1
            pin = self.source.pin
            self.source.pin = start if pin < 0 else min(pin, start)
            after = place + len(found) if found in closes else place
            is_end = yield from (self._is_end(after) if found in closes else self._is_final(place))
            self.source.pin = pin
            if is_end:
                return place, after
            scan = place + 1

    def _is_end(self, at: int) -> Wait[bool]:
        """Whether something sensible follows an end tag: a parameter, an end marker, another call, or nothing."""
        after = yield from self.source.space(at)
        if not self.source.char(after):
            return True
        if (yield from self.source.literal(after, self.attempt.rule.ends)) is not None:
            return True
        return (yield from self._open(after)) is not None

    def _is_final(self, at: int) -> Wait[bool]:
        """Whether nothing but end markers follows: then the value's own end tag is missing."""
        while True:
            found = yield from self.source.literal(at, self.attempt.rule.ends)
            if found is None:
                return False
            at = yield from self.source.space(at + len(found))
            if not self.source.char(at):
                return True

    def _missing(self, place: int, what: str) -> None:
        """The text is over inside a value: a repair, or damage."""
        if "missing_closers" not in self.attempt.repairs or self.source.is_cut:
            raise NotACall(what, place)
        self.attempt.repaired("missing_closers")

    def _whole(self, at: int, closes: tuple[str, ...]) -> Wait[tuple[int, str]]:
        scan = at
        while True:
            place, after = yield from self._find(at, scan, closes)
            if place - at > MAX_ARGUMENT_CHARS:
                raise NotACall("a value is too long", at + MAX_ARGUMENT_CHARS)
            if after == place:
                self._missing(place, "the end of a value is missing")
            if after >= 0:
                return after, self._trim(self.source.cut(at, place))
            scan = place
            if self.source.is_over:
                self._missing(self.source.end, "the text ends inside a value")
                return self.source.end, self._trim(self.source.cut(at, self.source.end))
            yield from self.source.more(at)

    def _trim(self, text: str) -> str:
        if self.payload.trim == "all":
            return text.strip()
        if self.payload.trim == "newline":
            text = text[2:] if text.startswith("\r\n") else text.removeprefix("\n")
            return text[:-2] if text.endswith("\r\n") else text.removesuffix("\n")
        return text

    # -- values that flow

    def _stream(self, at: int, closes: tuple[str, ...]) -> Wait[int]:
        at = scan = yield from self._lead(at)
        while True:
            place, after = yield from self._find(at, scan, closes)
            is_over = self.source.is_over
            if after >= 0 or is_over:
                self._flow(self._trail(self.source.cut(at, place)))
                if after <= place:
                    self._missing(place, "the text ends inside a value")
                return max(after, place)
            at, scan = self._flow_safe(at, place), place
            yield from self.source.more(at)

    def _flow_safe(self, at: int, upto: int) -> int:
        """Send what is surely part of the value; white space at its end may yet be markup."""
        text = self.source.cut(at, upto)
        kept = self._trail(text)
        if self.payload.trim == "newline" and kept == text:
            kept = text.removesuffix("\r")
        self._flow(kept)
        return at + len(kept)

    def _flow(self, text: str) -> None:
        if text:
            self.attempt.write(quoted(text)[1:-1])

    def _lead(self, at: int) -> Wait[int]:
        """Step over the white space at the beginning of a value that is markup."""
        if self.payload.trim == "all":
            return (yield from self.source.space(at))
        if self.payload.trim == "newline":
            found = yield from self.source.literal(at, ("\r\n", "\n"))
            return at + len(found or "")
        return at

    def _trail(self, text: str) -> str:
        if self.payload.trim == "all":
            return text.rstrip()
        if self.payload.trim == "newline":
            return text[:-2] if text.endswith("\r\n") else text.removesuffix("\n")
        return text


def attempt_name(attempt: Attempt) -> str:
    """The name in the head. Raises NotACall at once if it is not offered."""
    name = attempt.captured.get("name", "")
    if attempt.parameters(name) is None:
        raise NotACall(f"no tool {attempt.clean_name(name)[:64]!r} was offered", attempt.source.floor)
    return name
