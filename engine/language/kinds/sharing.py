"""Sections that several mappings inherit unchanged are compiled once per load.

A child's merged tree holds its parent's very nodes where it changes nothing. A section that is the same node, with the
same fragments and options, means the same; so its plan, what its expressions read and what is wrong with it are too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from engine.language.problems import Problems
from engine.language.reader import MappingNode, Node
from engine.language.tree import TreeCompiler
from engine.language.usage import Usage
from engine.types import Json

Made = TypeVar("Made")


class SharedSections:
    """What one load has compiled so far. The nodes are kept alive, so that their identity is theirs alone."""

    def __init__(self) -> None:
        self._made: dict[tuple[Json, ...], tuple[Json, Usage, Problems, tuple[Node | None, ...]]] = {}

    def section(
        self,
        where: str,
        node: Node | None,
        root: MappingNode,
        compiler: TreeCompiler,
        usage: Usage,
        make: Callable[[Usage], Made],
    ) -> Made:
        """The section's plan, from `make` if it was not made before; its reads go to `usage`, its problems on."""
        surroundings = (node, root.get("define"), root.get("options"), root.get("secrets"), root.get("steps"))
        key = (where, *(id(each) for each in surroundings))
        if key not in self._made:
            fresh, found, outer = Usage(), Problems(), compiler.problems
            compiler.problems = found
            try:
                made = make(fresh)
            finally:
                compiler.problems = outer
            self._made[key] = (made, fresh, found, surroundings)
        made, used, found, _ = self._made[key]
        usage.merge(used)
        usage.broken = usage.broken or used.broken
        compiler.problems.extend(found)
        result: Made = made
        return result
