"""Reading a secret from where the config says it is: a variable of the environment or a file.

Used at load only, by the config loader; a missing, empty or broken secret stops the start (fault F59). Messages name
the variable or the file and never quote the value.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from engine.config import SecretSource
from engine.types import Secret

SECRET_FILE_BYTES: Final = 65536

STAND_INS: Final = frozenset({"***", "mock-secret"})
"""What stands for a secret where its value is of no matter: in cases, and before a mock."""

SPLIT_PATTERN: Final = r"split\('([^']+)'(?:, *`([1-9][0-9]?)`)?\)"
"""`parse: split('.')` of a secret; with a second argument at most so many cuts, as the function has it."""

_SPLIT: Final = re.compile(SPLIT_PATTERN)

_VISIBLE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
"""What fits into a header value whole (RFC 9110 field-value, ASCII): anything else would fail at the first request."""

_PEM: Final = "-----BEGIN "
"""How a key begins that signs and is never sent; it has several lines."""


class SecretError(ValueError):
    """A secret cannot be used; the message names its place, never its value."""


def read_secret(source: SecretSource, environment: Mapping[str, str], folder: Path) -> SecretSource:
    """Return `source` with its value read. A relative `file` is taken from `folder`.

    A source of kind `client` is returned as it is: its value comes with each request. Raises SecretError.
    """
    if source.client is not None:
        return source
    where, text = _from_env(source.env, environment) if source.env else _from_file(source.file or "", folder)
    if source.parse:
        return replace(source, value=Secret(text), parsed=parse_secret(text, source.parse, where))
    if not _VISIBLE.fullmatch(text) and not text.startswith(_PEM):
        raise SecretError(f"{where} holds a line break, or a character that no HTTP header can carry")
    return replace(source, value=Secret(text))


def _from_env(name: str, environment: Mapping[str, str]) -> tuple[str, str]:
    where = f"the environment variable {name}"
    if name not in environment:
        raise SecretError(f"{where} is not set")
    if not environment[name].strip():
        raise SecretError(f"{where} is empty")
    return where, environment[name]


def _from_file(name: str, folder: Path) -> tuple[str, str]:
    where = f"the secret file {name}"
    try:
        descriptor = os.open(folder / Path(name).expanduser(), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as problem:
        raise SecretError(f"{where} cannot be read ({problem.strerror})") from None
    with os.fdopen(descriptor, "rb") as handle:
        if not stat.S_ISREG(os.fstat(handle.fileno()).st_mode):
            raise SecretError(f"{where} is not a regular file")
        raw = handle.read(SECRET_FILE_BYTES + 1)
    if len(raw) > SECRET_FILE_BYTES:
        raise SecretError(f"{where} is larger than {SECRET_FILE_BYTES} bytes")
    try:
        text = raw.decode("utf-8").strip()  # editors and `echo` end a file with a newline
    except UnicodeDecodeError:
        raise SecretError(f"{where} is not UTF-8") from None
    if not text:
        raise SecretError(f"{where} is empty")
    return where, text


def parse_secret(text: str, parse: str, where: str) -> Mapping[str, Secret] | Sequence[Secret]:
    """The parts of a secret. Raises SecretError where it is not what `parse` says."""
    split = _SPLIT.fullmatch(parse)
    if split is not None:
        return [Secret(part) for part in text.split(split[1], int(split[2] or -1))]
    try:
        members = json.loads(text)
    except ValueError:
        raise SecretError(f"{where} is not JSON") from None
    if not isinstance(members, dict) or not all(isinstance(value, str | int | float) for value in members.values()):
        raise SecretError(f"{where} must be a JSON object of plain values")
    return {key: Secret(str(value)) for key, value in members.items()}
