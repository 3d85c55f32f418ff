"""Read a curl command as documentation shows it: the method, the URL, headers, credentials and the body.

Understood are quotes, `$'…'`, line continuations, comments before the command, and the options that say what is sent.
Options that say how (timeouts, output, verbosity) are passed over. Nothing is run and no variable is looked up.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

import click

from engine.types import Json

_ANSI: Final = re.compile(r"\$'((?:[^'\\]|\\.)*)'", re.DOTALL)
_DATA: Final = frozenset({"--data", "--data-raw", "--data-binary", "--data-ascii", "--json", "--data-urlencode"})
_TAKES_VALUE: Final = _DATA | {
    "--request", "--header", "--user", "--url", "--form", "--form-string", "--output", "--max-time",
    "--user-agent", "--referer", "--cookie", "--cookie-jar", "--proxy", "--cacert", "--cert", "--key", "--retry",
    "--connect-timeout", "--resolve", "--write-out", "--oauth2-bearer", "--url-query",
}  # fmt: skip
_SHORT: Final = {
    "X": "--request", "H": "--header", "d": "--data", "u": "--user", "F": "--form", "o": "--output", "m": "--max-time",
    "A": "--user-agent", "e": "--referer", "b": "--cookie", "c": "--cookie-jar", "x": "--proxy", "E": "--cert",
    "w": "--write-out", "G": "--get",
}  # fmt: skip

_AS_HEADER: Final = {"--oauth2-bearer": ("authorization", "Bearer {}"), "--cookie": ("cookie", "{}")}


@dataclass(slots=True)
class CurlCall:
    """What a command sends. `body` is a JSON value or a form's fields, `encode` how it is written, as in a mapping."""

    method: str = ""
    url: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    user: str | None = None
    body: Json = None
    encode: str = "json"

    @property
    def origin(self) -> str:
        """Scheme and host."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def path(self) -> str:
        """The path as text, its escapes read."""
        return unquote(urlsplit(self.url).path) or "/"


def read_curl(text: str, folder: Path) -> CurlCall:
    """The call of a command's text; `folder` is where `@file` bodies are looked up. Raises UsageError."""
    call = CurlCall()
    data: list[tuple[str, str]] = []
    forms: list[str] = []
    asked: list[str] = []
    gathered = {"--form": forms, "--form-string": forms, "--url-query": asked}
    for name, value in _options(_words(text)):
        if name == "--request":
            call.method = value.upper()
        elif name == "--url":
            call.url = value
        elif name == "--header":
            title, _, content = value.partition(":")
            call.headers[title.strip().lower()] = content.strip()
        elif name == "--user":
            call.user = value
        elif name in _AS_HEADER:
            title, form = _AS_HEADER[name]
            call.headers[title] = form.format(value)
        elif name in gathered:
            gathered[name].append(value)
        elif name == "--get":
            call.method = "GET"
        elif name in _DATA:
            data.append((name, _content(value, folder) if name != "--data-raw" else value))
    _check_url(call)
    call.query |= dict(parse_qsl("&".join(asked), keep_blank_values=True))
    _read_body(call, data, forms)
    call.method = call.method or ("POST" if call.body is not None else "GET")
    return call


def _words(text: str) -> list[str]:
    lines = [line for line in text.strip().splitlines() if not line.lstrip().startswith(("#", "//"))]
    joined = re.sub(r"[\\^]\s*\n", " ", "\n".join(lines) + "\n")
    joined = _ANSI.sub(lambda found: shlex.quote(_unescaped(found[1])), joined)
    try:
        words = shlex.split(joined)
    except ValueError as error:
        raise click.UsageError(
            f"the curl command cannot be read: {str(error).lower()} (a quote that is never closed?)"
        ) from error
    while words and words[0] in ("$", "%"):
        words = words[1:]
    if not words or words[0].rsplit("/", 1)[-1].removesuffix(".exe") != "curl":
        raise click.UsageError("the file does not begin with a curl command")
    if "curl" in words[1:]:
        raise click.UsageError("the file holds more than one curl command; leave the one that asks for a chat")
    return words[1:]


def _unescaped(text: str) -> str:
    return text.encode("latin-1", "backslashreplace").decode("unicode_escape")


def _options(words: list[str]) -> Iterator[tuple[str, str]]:
    """Each option by its long name, with its value or ""."""
    rest = iter(words)
    for word in rest:
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            yield name, value if equals else _value(name, rest) if name in _TAKES_VALUE else ""
        elif word.startswith("-") and word != "-":
            yield from _short(word[1:], rest)
        elif word in ("|", ">", ">>", ";", "&&"):
            return
        else:
            yield "--url", word


def _short(letters: str, rest: Iterator[str]) -> Iterator[tuple[str, str]]:
    for index, letter in enumerate(letters):
        name = _SHORT.get(letter, "")
        if name in _TAKES_VALUE:
            yield name, letters[index + 1 :] or _value(f"-{letter}", rest)
            return
        if name:
            yield name, ""


def _value(name: str, rest: Iterator[str]) -> str:
    value = next(rest, None)
    if value is None:
        raise click.UsageError(f"the curl command ends after {name}, which takes a value")
    return value


def _content(value: str, folder: Path) -> str:
    if not value.startswith("@"):
        return value
    try:
        return (folder / value[1:]).read_text(encoding="utf-8")
    except OSError as error:
        raise click.UsageError(
            f"the command's body is in {value[1:]!r}, which cannot be read: {error.strerror}"
        ) from error


def _check_url(call: CurlCall) -> None:
    if call.url and "://" not in call.url:
        call.url = f"https://{call.url}"
    parts = urlsplit(call.url)
    if parts.scheme not in ("http", "https") or not parts.netloc or "$" in parts.netloc:
        shown = call.url or "none"
        raise click.UsageError(f"the command has no URL with a host that is written out (found: {shown})")
    if parts.username is not None:
        call.user = f"{parts.username}:{parts.password or ''}"
        call.url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    call.query = dict(parse_qsl(parts.query, keep_blank_values=True))


def _read_body(call: CurlCall, data: list[tuple[str, str]], forms: list[str]) -> None:
    if forms:
        call.encode = "multipart"
        call.body = {name: value for name, _, value in (each.partition("=") for each in forms)}
        return
    if not data:
        return
    joined = "&".join(value for _, value in data)
    kind = call.headers.get("content-type", "").lower()
    pairs = dict(parse_qsl(joined, keep_blank_values=True))
    if call.method == "GET":
        call.query |= pairs
    elif joined.lstrip().startswith(("{", "[")) or "json" in kind:
        call.body = _json(joined)
    elif pairs:
        call.encode, call.body = "form", pairs
    else:
        raise click.UsageError("the command's body is neither JSON nor a form")


def _json(text: str) -> Json:
    try:
        return json.loads(text, strict=False)
    except ValueError as error:
        raise click.UsageError(
            f"the command's body is not JSON: {error}; replace what stands for something by a value"
        ) from error
