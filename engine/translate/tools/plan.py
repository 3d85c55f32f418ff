"""The compiled form of a `toolformat/1`: how tools are offered, how calls stand in the history, how they are read.

`engine.language` makes these plans. Regular expressions come in as compiled matchers of a linear-time engine, so that
this package imports no third party. Plans compare by identity: they are keys of the reader's table cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from engine.types import Build

REPAIRS: Final[Mapping[str, str]] = {
    "trailing_comma": "A comma before a closing bracket is left out.",
    "single_quotes": "A string in single quotes is read as a string.",
    "python_literals": "True, False and None are read as true, false and null.",
    "bare_keys": "A key without quotes gets them.",
    "comments": "Comments (`//`, `/* */`, `#`) are left out.",
    "raw_newlines": "A raw newline or tab inside a string is escaped.",
    "bad_escapes": "A backslash that escapes nothing is kept as a backslash.",
    "missing_closers": "Brackets that are missing before the end marker, or at the end of the text, are added.",
    "extra_closers": "Closing brackets too many before the end marker are left out.",
    "double_encoded": "Arguments that are a string holding an object become that object.",
    "aliases": "Other usual keys for the name and the arguments are accepted.",
    "list_for_object": "A list of calls is accepted where one object is expected.",
    "html_escaped": "A payload whose quotes are `&quot;` is unescaped first.",
}
"""Every repair that a format may declare, with what it does. None of them invents a key or a value."""

PLACES: Final = ("first_user", "last_user", "first_system", "last_system", "own_message")
"""Where a format's definitions may stand in the conversation."""


class Found(Protocol):
    """What a matcher gives: the parts of `re.Match` that are used."""

    def end(self) -> int:
        """Where the match ends."""
        ...

    def group(self, name: str) -> str | None:
        """The text of a named group."""
        ...


class Matcher(Protocol):
    """A compiled regular expression of the linear-time engine."""

    def match(self, text: str) -> Found | None:
        """Match at the beginning."""
        ...

    def fullmatch(self, text: str) -> Found | None:
        """Match the whole text."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Literals:
    """A token that is one of several literals, the longest first."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """A token that a regular expression describes; `kind` is name, id, key, type or skip.

    `until` are the literals that end it; without any, the expression is one character class and takes what it can.
    """

    kind: str
    match: Matcher
    until: tuple[str, ...] = ()


Token = Literals | Pattern
Tokens = tuple[Token, ...]


@dataclass(frozen=True, slots=True, eq=False)
class JsonPayload:
    """One object, or a list of them (`list` is never, also or always), each a call.

    Paths lead to the name, the arguments and the id.
    """

    name: tuple[tuple[str, ...], ...]
    args: tuple[tuple[str, ...], ...]
    id: tuple[tuple[str, ...], ...] = ()
    items: tuple[str, ...] = ()
    name_is_key: bool = False
    seps: tuple[str, ...] = ()
    need_args: bool = False
    list: str = "never"
    kind: str = "json"


@dataclass(frozen=True, slots=True, eq=False)
class ArgsPayload:
    """The object is the arguments; the name stands in the head."""

    kind: str = "args"


@dataclass(frozen=True, slots=True, eq=False)
class ParamsPayload:
    """Raw values between tags, typed by the schema or by an attribute.

    `close_by_key` is a pair of literals around the key that end a value; `attr` says of a captured type whether the
    value is `string` or `json`.
    """

    open: tuple[Tokens, ...]
    close: tuple[str, ...] = ()
    close_by_key: tuple[str, str] | None = None
    known_keys: bool = False
    trim: str = "none"
    unescape: str = "none"
    typing: str = "schema"
    attr: Mapping[str, str] = field(default_factory=dict)
    kind: str = "params"


@dataclass(frozen=True, slots=True, eq=False)
class PythonPayload:
    """Calls in Python notation with keyword arguments: a list, or one call a line. `wrappers` are peeled: print."""

    wrappers: tuple[str, ...] = ()
    kind: str = "python"


@dataclass(frozen=True, slots=True, eq=False)
class BracedPayload:
    """`{key:value}` with bare keys, and strings between `delim`."""

    delim: str
    kind: str = "braced"


Payload = JsonPayload | ArgsPayload | ParamsPayload | PythonPayload | BracedPayload


@dataclass(frozen=True, slots=True, eq=False)
class CallRule:
    """One way to write a call.

    `heads` are alternative token sequences; without any the payload stands bare and begins with a character of `bare`.
    `close` is a sequence of end markers, each with its spellings; `ends` are all literals that may follow a payload.
    `commit` is `head` or `call`. With `known` every name must be offered, else nothing of it is a call.
    """

    name: str
    heads: tuple[Tokens, ...]
    payload: Payload
    close: tuple[tuple[str, ...], ...] = ()
    ends: tuple[str, ...] = ()
    anchor: str = "any"
    bare: str = ""
    known: bool = False
    name_from: Matcher | None = None
    commit: str = "head"


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A stretch that is never searched for calls. `kind` is verbatim, content or reasoning."""

    name: str
    open: tuple[str, ...]
    close: tuple[str, ...]
    kind: str = "verbatim"
    anchor: str = "any"
    keeps_close: bool = False
    """The closing literal is not part of the region (`close_before`)."""


@dataclass(frozen=True, slots=True, eq=False)
class Section:
    """Markers around all calls. When it is not optional, calls count only inside it."""

    open: tuple[str, ...]
    close: tuple[str, ...]
    optional: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class ReadPlan:
    """How calls are found. `orphans` are all end markers: right after a call they are swallowed."""

    calls: tuple[CallRule, ...]
    regions: tuple[Region, ...] = ()
    drop: tuple[str, ...] = ()
    section: Section | None = None
    fence: bool = False
    orphans: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class ReadPolicy:
    """What is done in doubt: `around` is keep or before_only, `stream_arguments` strings or none."""

    repair: frozenset[str] = frozenset()
    around: str = "keep"
    calls_in_reasoning: str = "never"
    stream_arguments: str = "strings"


@dataclass(frozen=True, slots=True, eq=False)
class ToolformatPlan:
    """A compiled `toolformat/1`.

    `offer` takes a scope with `tools` and `choice` to the prompt; `history_call` one with `call` and `m`,
    `history_result` one with `m`, to text. Both neutralise every value that they print. Calls of one message are joined
    by `join`, between `calls_open` and `calls_close`. `markers` are what untrusted text must not contain as it stands.
    """

    id: str
    title: str
    file: str
    digest: str
    offer: Build
    place: str | None
    history_call: Build
    history_result: Build
    result_role: str
    join: str
    read: ReadPlan
    policy: ReadPolicy
    neutralise: str
    markers: tuple[str, ...]
    calls_open: str = ""
    calls_close: str = ""
