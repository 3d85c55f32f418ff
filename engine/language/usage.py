"""What the expressions of a section read: from this follows what an endpoint takes of a request (DECISIONS 2.11)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

Path = tuple[str, ...]

ARGUMENT: Final = "$use"
"""The head of a path whose root is an argument of a fragment; the second step names fragment and argument."""

_ELSEWHERE: Final = frozenset({"model", "opt", "ctx", "secret", "http"})


def may_be_message(path: Path) -> bool:
    """Whether a path can lead into the messages. What a loop or fragment names may be a message or part of one."""
    if path[0] == "req":
        return len(path) == 1 or path[1] == "messages"
    return path[0] not in _ELSEWHERE


class Usage:
    """What the expressions of a section read, gathered while it is compiled.

    `fields` and `constants` are those of expressions that may look at a message: `model.name` reads no message's name.
    `whole` are paths whose value stands in the result as it is, `literals` all texts that expressions hold. `broken`:
    some of it has an error, so that what it does not read means nothing.
    """

    def __init__(self) -> None:
        self.roots: set[str] = set()
        self.paths: set[Path] = set()
        self.fields: set[str] = set()
        self.constants: set[str] = set()
        self.whole: set[Path] = set()
        self.literals: set[str] = set()
        self.broken = False

    def note(
        self, roots: Collection[str], paths: Collection[Path], fields: Collection[str], constants: Collection[str]
    ) -> None:
        """Add what one expression or template reads."""
        self.roots.update(roots)
        self.paths.update(paths)
        self.literals.update(constants)
        if any(may_be_message(path) for path in paths):
            self.fields.update(fields)
            self.constants.update(constants)

    def merge(self, other: Usage, without: frozenset[str] = frozenset()) -> None:
        """Take over what an inner scope used, except its own names."""
        self.roots |= other.roots - without
        self.paths |= other.paths
        self.fields |= other.fields
        self.constants |= other.constants
        self.whole |= other.whole
        self.literals |= other.literals
        self.broken = self.broken or other.broken
