"""Compile `stream` of a mock: how a route streams its answers, and what one behaviour does otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from engine.language.kinds.sections import literal_text
from engine.language.nodes import Entry, MappingNode, Node
from engine.language.static_types import ANY, NUMBER, OBJECT, Type, array_of, object_of
from engine.language.tree import Env, TreeCompiler, Usage
from engine.translate.mock_plan import STREAM_FRAMINGS, MockStream
from engine.types import Build

REPLY: Final = object_of({}, {"status": NUMBER, "headers": OBJECT, "body": ANY})
"""What a behaviour's `reply` yields, and what `reply` is in the trees of a stream."""


class StreamCompiler:
    """Compiles the streams of one mock. `names` is the scope of its expressions."""

    def __init__(self, compiler: TreeCompiler, names: Mapping[str, Type]) -> None:
        self._compiler = compiler
        self._names = {**names, "reply": REPLY}

    def of_route(self, route: MappingNode, where: str) -> MockStream | None:
        """The stream of a route's good answers; None where the route does not stream."""
        node = route.get("stream")
        return self._stream(node, f"{where}.stream") if isinstance(node, MappingNode) else None

    def of_behaviour(self, own: Node | None, route: MappingNode | None, where: str) -> MockStream | None:
        """A behaviour's own stream over what the route says; None where it says nothing itself."""
        if not isinstance(own, MappingNode):
            return None
        shared = route.get("stream") if route is not None else None
        entries: dict[str, Entry] = dict(shared.entries) if isinstance(shared, MappingNode) else {}
        return self._stream(MappingNode(own.mark, {**entries, **own.entries}), f"{where}.stream")

    def _stream(self, node: MappingNode, where: str) -> MockStream | None:
        framing = literal_text(node.get("framing")) or "sse"
        frames = self._tree(node, "frames", where, array_of(ANY))
        if frames is None:
            self._compiler.problems.add("E024", f"{where} lacks the key 'frames'", node.mark)
            return None
        when = node.get("when")
        return MockStream(
            framing=framing,
            content_type=literal_text(node.get("content_type")) or STREAM_FRAMINGS.get(framing, ""),
            frames=frames,
            when=None if when is None else self._compiler.condition(when, self._env(f"{where}.when")),
            every_ms=self._tree(node, "every_ms", where, NUMBER),
            delay_s=self._tree(node, "delay_s", where, NUMBER),
            done=literal_text(node.get("done")),
            error=self._tree(node, "error", where, ANY),
            fault=literal_text(node.get("fault")),
        )

    def _tree(self, node: MappingNode, key: str, where: str, expected: Type) -> Build | None:
        tree = node.get(key)
        return None if tree is None else self._compiler.function(tree, self._env(f"{where}.{key}"), expected)

    def _env(self, where: str) -> Env:
        return Env(self._names, where, "reply", Usage(), unknown_key="E022")
