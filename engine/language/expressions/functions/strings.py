"""Text."""

from __future__ import annotations

import base64
import binascii
import urllib.parse
from collections.abc import Sequence

from engine.language.expressions.problems import closest
from engine.language.expressions.runtime import FunctionError
from engine.language.expressions.signatures import Parameter, function, text_parameter
from engine.language.static_types import ANY, BOOLEAN, NUMBER, STRING, Type, array_of, union
from engine.types import Json

MAX_REPLACED_CHARACTERS = 20_000_000
"""The longest text that `replace` makes: a short text and a long replacement would multiply."""

_TEXT = text_parameter()


def _same(arguments: Sequence[Type]) -> Type:
    return arguments[0].required() if arguments else union(STRING, array_of(ANY))


@function(
    "contains",
    [Parameter("subject", union(STRING, array_of(ANY))), Parameter("search", ANY)],
    BOOLEAN,
    "Whether a text contains a text, or a list contains a value.",
    examples=[
        ("contains(model.id, 'mini')", {"model": {"id": "small-mini"}}, True),
        ("contains(v, 'x')", {"v": ["a", "b"]}, False),
        ("contains(v, 'x')", {}, None),
    ],
)
def _contains(subject: Json, search: Json) -> Json:
    if isinstance(subject, str) and not isinstance(search, str):
        raise FunctionError("a text can only contain a string")
    return search in subject


@function(
    "starts_with",
    [_TEXT, text_parameter("prefix")],
    BOOLEAN,
    "Whether a text begins with another.",
    examples=[("starts_with(v, 'data:')", {"v": "data:x"}, True), ("starts_with(v, 'b')", {"v": "ab"}, False)],
)
def _starts_with(text: str, prefix: str) -> Json:
    return text.startswith(prefix)


@function(
    "ends_with",
    [_TEXT, text_parameter("suffix")],
    BOOLEAN,
    "Whether a text ends with another.",
    examples=[("ends_with(v, 'b')", {"v": "ab"}, True), ("ends_with(v, 'a')", {"v": "ab"}, False)],
)
def _ends_with(text: str, suffix: str) -> Json:
    return text.endswith(suffix)


@function(
    "join",
    [text_parameter("separator"), Parameter("texts", array_of(STRING))],
    STRING,
    "The texts of a list put together with a separator between them.",
    examples=[
        ("join(', ', v)", {"v": ["a", "b"]}, "a, b"),
        ("join('', res.parts[?type == 'text'].text)", {"res": {"parts": [{"type": "text", "text": "hi"}]}}, "hi"),
        ("join(', ', v)", {}, None),
    ],
)
def _join(separator: str, texts: list[str]) -> Json:
    return separator.join(texts)


@function(
    "reverse",
    [Parameter("value", union(STRING, array_of(ANY)))],
    _same,
    "A list or a text from its end to its beginning.",
    examples=[("reverse(v)", {"v": [1, 2, 3]}, [3, 2, 1]), ("reverse(v)", {"v": "ab"}, "ba")],
)
def _reverse(value: Json) -> Json:
    return value[::-1]


@function(
    "split",
    [_TEXT, text_parameter("separator"), Parameter("times", NUMBER)],
    array_of(STRING),
    "The pieces of a text between the separators; with a third argument at most so many cuts.",
    examples=[
        ("split(v, '/')", {"v": "a/b/c"}, ["a", "b", "c"]),
        ("split(v, '/', `1`)", {"v": "a/b/c"}, ["a", "b/c"]),
        ("split(v, '/')", {"v": ""}, [""]),
    ],
    optional=1,
)
def _split(text: str, separator: str, times: Json = -1) -> Json:
    if not separator:
        raise FunctionError("the separator is empty")
    return text.split(separator, int(times))


@function(
    "replace",
    [_TEXT, text_parameter("old"), text_parameter("new")],
    STRING,
    "The text with every occurrence of one text replaced by another.",
    examples=[("replace(v, '.', '-')", {"v": "a.b.c"}, "a-b-c"), ("replace(v, 'x', '')", {"v": "ab"}, "ab")],
)
def _replace(text: str, old: str, new: str) -> Json:
    if not old:
        raise FunctionError("the text to replace is empty")
    if len(text) + text.count(old) * (len(new) - len(old)) > MAX_REPLACED_CHARACTERS:
        raise FunctionError("the result is too long")
    return text.replace(old, new)


@function(
    "trim",
    [_TEXT],
    STRING,
    "The text without white space at its ends.",
    examples=[("trim(v)", {"v": "  a b\n"}, "a b"), ("trim(v)", {"v": " "}, "")],
)
def _trim(text: str) -> Json:
    return text.strip()


@function(
    "lower",
    [_TEXT],
    STRING,
    "The text in lower case.",
    examples=[("lower(v)", {"v": "STOP"}, "stop"), ("lower(v)", {}, None)],
)
def _lower(text: str) -> Json:
    return text.lower()


@function(
    "upper",
    [_TEXT],
    STRING,
    "The text in upper case.",
    examples=[("upper(v)", {"v": "stop"}, "STOP"), ("upper(v)", {"v": "é"}, "É")],
)
def _upper(text: str) -> Json:
    return text.upper()


@function(
    "substr_after",
    [_TEXT, text_parameter("marker")],
    STRING.optional(),
    "What follows the first occurrence of a marker; null if it does not occur.",
    examples=[
        ("substr_after(model.id, '/')", {"model": {"id": "vendor/name/x"}}, "name/x"),
        ("substr_after(model.id, '/')", {"model": {"id": "name"}}, None),
    ],
)
def _substr_after(text: str, marker: str) -> Json:
    _, hit, rest = text.partition(marker) if marker else ("", "x", text)
    return rest if hit else None


@function(
    "url_encode",
    [_TEXT],
    STRING,
    "The text percent-encoded for any place in a URL; only letters, digits and -._~ stay.",
    examples=[("url_encode(v)", {"v": "a/b c"}, "a%2Fb%20c"), ("url_encode(v)", {"v": "é"}, "%C3%A9")],
)
def _url_encode(text: str) -> Json:
    return urllib.parse.quote(text, safe="")


@function(
    "base64",
    [_TEXT],
    STRING,
    "The UTF-8 bytes of a text in base64.",
    examples=[("base64(v)", {"v": "user:pass"}, "dXNlcjpwYXNz"), ("base64(v)", {"v": ""}, "")],
)
def _base64(text: str) -> Json:
    return base64.b64encode(text.encode()).decode("ascii")


@function(
    "base64_decode",
    [_TEXT],
    STRING.optional(),
    "The text that base64 (either alphabet, padded or not) hides; null if it is not base64 of UTF-8 text.",
    examples=[
        ("base64_decode(v)", {"v": "aGk="}, "hi"),
        ("base64_decode(v)", {"v": "aGk"}, "hi"),
        ("base64_decode(v)", {"v": "*"}, None),
    ],
)
def _base64_decode(text: str) -> Json:
    plain = text.translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True).decode()
    except (binascii.Error, UnicodeError, ValueError):
        return None


@function(
    "nearest",
    [text_parameter("name"), Parameter("candidates", array_of(ANY))],
    STRING.optional(),
    "The text of a list that looks most like a name, or null if none is near; letter case does not count.",
    examples=[
        ("nearest('alpha-4-mni', models)", {"models": ["alpha-4", "alpha-4-mini"]}, "alpha-4-mini"),
        ("nearest('ALPHA-4', models)", {"models": ["alpha-4"]}, "alpha-4"),
        ("nearest('zzz', models)", {"models": ["alpha-4"]}, None),
    ],
)
def _nearest(name: str, candidates: list[Json]) -> Json:
    # Bounded, since the name comes from a client and the comparison is quadratic in its length.
    known = {each[:200].lower(): each for each in candidates[:5_000] if isinstance(each, str)}
    found = closest(name[:200].lower(), known)
    return known[found] if found is not None else None
