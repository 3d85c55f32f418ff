"""What a draft leaves behind: comments that say CHECK, for whoever forgot to (W404)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

from engine.language.problems import Mark, Problems, split_lines

_LOADER: Final[Any] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_WORD: Final = "CHECK"
_COMMENT: Final = re.compile(rf"(?:^|(?<=\s))#.*?\b({_WORD})\b")
_SHOWN: Final = 8


def warn_left_checks(file: str, text: str, problems: Problems) -> None:
    """One W404 for a file that still has such comments, at the first of them."""
    if _WORD not in text:
        return
    found = list(_checks(text))
    if not found:
        return
    first, *more = found
    lines = ", ".join(str(line) for line, _ in more[:_SHOWN]) + (", …" if len(more) > _SHOWN else "")
    problems.add(
        "W404", "a draft's CHECK is still here", Mark(file, *first), length=len(_WORD),
        notes=(f"and in line{'s' if len(more) > 1 else ''} {lines}",) if more else (),
        help=("look at what it says, mend the line if it is wrong, and remove the comment",),
    )  # fmt: skip


def _checks(text: str) -> Iterator[tuple[int, int]]:
    """Line and column, from 1, of the word in each comment."""
    scalars = list(_scalars(text))
    for number, line in enumerate(split_lines(text)):
        for found in _COMMENT.finditer(line):
            at = (number, found.start())
            if not any(start <= at < end for start, end in scalars):
                yield number + 1, found.start(1) + 1


def _scalars(text: str) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Where the values stand that are not comments, whatever they hold; a block begins behind its first line."""
    try:
        for token in yaml.scan(text, Loader=_LOADER):
            if isinstance(token, yaml.ScalarToken):
                start, end = token.start_mark, token.end_mark
                begin = (start.line + 1, 0) if token.style in ("|", ">") else (start.line, start.column)
                yield begin, (end.line, end.column)
    except yaml.YAMLError:
        return
