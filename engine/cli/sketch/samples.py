"""Read the samples of an API: whole replies and recorded streams, told apart by what they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import click

from engine.cli.arguments import read_bytes
from engine.cli.sketch.stream import framing_of
from engine.types import Json


@dataclass(frozen=True, slots=True)
class Samples:
    """What the API answered: a whole reply, the text of a stream with its framing, or both."""

    reply: Json = None
    stream: str | None = None
    framing: str = ""


def read_samples(names: Sequence[str]) -> Samples:
    """The samples of files, at most one of each sort. Raises UsageError."""
    made = Samples()
    for name in names:
        text = read_bytes(name).decode("utf-8", "replace")
        framing, reply = framing_of(text), None
        if framing is None:
            try:
                reply = json.loads(text)
            except ValueError as error:
                raise click.UsageError(f"{name!r} is neither JSON nor a stream: {error}") from error
        if (made.reply if framing is None else made.stream) is not None:
            raise click.UsageError(f"{name!r} is a second {'reply' if framing is None else 'stream'}; give one of each")
        made = (
            replace(made, reply=reply)
            if framing is None
            else replace(made, stream=text.rstrip("\n") + "\n", framing=framing)
        )
    return made
