"""Edits on the top-level keys of JSON text that leave every other byte as it is (DECISIONS 2.16).

A round trip through values would change `1.0`, `1e5` and spaces. Here the text is cut at the members that change, and
nothing else is written. Only as much of it is read as lies before the last of them, and none where nothing changes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator
from typing import Final, NamedTuple

from engine.types import Json, JsonObject

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_read: Final = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode
"""Reads one value and says where it ends; numbers stay text, since nobody looks at them."""


class _Member(NamedTuple):
    """Where a member of an object stands in its text: it begins, its value begins, it ends."""

    key: str
    begin: int
    value: int
    end: int


def edited(
    text: bytes, value: JsonObject, changes: JsonObject, removed: Collection[str], dumps: Callable[[Json], bytes]
) -> bytes:
    """The JSON text of an object with some of its members set and others removed.

    `value` is what the text says. A key that is set keeps its place, a new one stands last; one that has the value
    already keeps its spelling. Raises ValueError when the text nests too deep to be read.
    """
    news = {key: new for key, new in changes.items() if key not in value or not _same(value[key], new)}
    gone = {key for key in removed if key in value and key not in changes}
    if not news and not gone:
        return text
    if len(news) == 1 and not gone:
        ((key, new),) = news.items()
        swapped = _swapped(text, key, value.get(key), new, dumps)
        if swapped is not None:
            return swapped
    try:
        return _edited(text.decode(), news, gone, value, dumps).encode()
    except RecursionError:
        raise ValueError("the JSON text nests too deep") from None


def _same(old: Json, new: Json) -> bool:
    return type(old) is type(new) and bool(old == new)


def _swapped(text: bytes, key: str, old: Json, new: Json, dumps: Callable[[Json], bytes]) -> bytes | None:
    """The text with one text value changed, where it takes no reading to find it: its key stands there but once.

    A quote within a string is escaped, so what looks like the key is a whole string; with no escapes of letters at all
    no other spelling can hide the key itself.
    """
    name = dumps(key)
    if not isinstance(old, str) or text.count(name) != 1 or b"\\u" in text:
        return None
    before, _, behind = text.partition(name)
    rest = behind.lstrip(b": \t\r\n")
    spelled = dumps(old)
    if not rest.startswith(spelled):
        return None
    return b"%b%b%b%b%b" % (before, name, behind[: len(behind) - len(rest)], dumps(new), rest[len(spelled) :])


def _edited(text: str, news: JsonObject, gone: set[str], value: JsonObject, dumps: Callable[[Json], bytes]) -> str:
    """The text cut and put together again. `at` is how far it was copied, `kept` where the last kept member ends."""
    waiting = gone | (news.keys() & value.keys())
    at = kept = text.index("{") + 1
    made, holds_members = [text[:at]], False
    for member in _members(text, at) if waiting else ():
        if member.key not in gone:
            holds_members, kept = True, member.end
            if member.key in news:
                made += (text[at : member.value], dumps(news[member.key]).decode())
                at = member.end
        elif holds_members:
            made.append(text[at : max(at, kept)])
            at = member.end
        else:
            at = _next(text, member.end)
        waiting.discard(member.key)
        if not waiting:
            break
    added = ",".join(f"{dumps(key).decode()}:{dumps(new).decode()}" for key, new in news.items() if key not in value)
    if not added:
        return "".join((*made, text[at:]))
    close = text.rindex("}")
    rest = text[at:close]
    inner = rest.rstrip()
    comma = "," if holds_members or inner.lstrip() else ""
    return "".join((*made, inner, comma, added, rest[len(inner) :], text[close:]))


def _members(text: str, at: int) -> Iterator[_Member]:
    """The members of an object that is known to be sound; `at` is behind its brace."""
    at = _space(text, at)
    while text[at] != "}":
        key, end = _read(text, at)
        value = _space(text, _space(text, end) + 1)
        _, end = _read(text, value)
        yield _Member(key, at, value, end)
        at = _next(text, end)


def _next(text: str, end: int) -> int:
    """Where the member behind one that ends here begins, or the object's brace stands."""
    at = _space(text, end)
    return _space(text, at + 1) if text[at] == "," else at


def _space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
