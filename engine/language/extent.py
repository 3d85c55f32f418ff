"""How large the trees of a file are, fragments written out: what decides whether Python's limits are in doubt.

A tree becomes one function (`writing.py`). Python nests blocks twenty deep, and a fragment that uses another twice
doubles it; both can only happen to trees of some depth or size, so that others need not be written out to know.
Only operators write blocks around what lies in them: plain objects and lists add nothing to the depth.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

_SAFE_DEPTH: Final = 13
_SAFE_NODES: Final = 1500


@dataclass(slots=True)
class Measure:
    """The extent of one tree: its nodes, and how many operators lie in one another."""

    nodes: int = 0
    depth: int = 0

    @property
    def is_large(self) -> bool:
        """Whether the tree might not become a function."""
        return self.nodes > _SAFE_NODES or self.depth > _SAFE_DEPTH


class Extent:
    """Counts nodes and depth while a compiler walks its trees."""

    __slots__ = ("_deepest", "_depth", "_nodes")

    def __init__(self) -> None:
        self._nodes = 0
        self._depth = 0
        self._deepest = 0

    def count(self) -> None:
        """A node that is no operator."""
        self._nodes += 1

    def enter(self) -> None:
        """An operator begins; what follows until `leave` lies in it."""
        self._nodes += 1
        self._depth += 1
        if self._depth > self._deepest:
            self._deepest = self._depth

    def leave(self) -> None:
        """The operator ends."""
        self._depth -= 1

    @contextmanager
    def measured(self) -> Iterator[Measure]:
        """Measure what is walked inside the block; the result is filled in at its end."""
        measure = Measure()
        nodes, deepest = self._nodes, self._deepest
        self._deepest = self._depth
        yield measure
        measure.nodes = self._nodes - nodes
        measure.depth = self._deepest - self._depth
        self._deepest = max(deepest, self._deepest)

    def add(self, measure: Measure) -> None:
        """Count a fragment again that was walked before."""
        self._nodes += measure.nodes
        self._deepest = max(self._deepest, self._depth + measure.depth)
