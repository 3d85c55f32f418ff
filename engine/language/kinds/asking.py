"""What a dialect's operation has a word for: the features that its canonical request can ask for.

Read off the tree of the request: a key that is written nowhere in it is never asked for. Messages that are passed on as
they come may hold any part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from engine.language.reader import MappingNode, Node, ScalarNode, SequenceNode

STREAMING: Final = "streaming"
KEYS: Final[Mapping[str, str]] = {
    "tools": "tools",
    "tool_choice": "forced tools",
    "response_format": "JSON answers",
}
PARTS: Final[Mapping[str, str]] = {"image_url": "pictures", "file": "files", "input_audio": "audio"}


def asked_features(request: Node | None, define: Node | None, *, streams: bool) -> frozenset[str]:
    """The features by the names of `engine.language.features`."""
    found = {STREAMING} if streams else set()
    for key, value in _entries(request, define, set()):
        if key in KEYS:
            found.add(KEYS[key])
        text = str(value.value) if isinstance(value, ScalarNode) else ""
        if key == "type" and text in PARTS:
            found.add(PARTS[text])
        if (key == "messages" and text.startswith("=")) or (text == "=in.messages" and not key.startswith("$")):
            found.update(PARTS.values())
    return frozenset(found)


def _entries(node: Node | None, define: Node | None, seen: set[str]) -> Iterator[tuple[str, Node]]:
    """Every key with its value in a tree and in the fragments that it uses; arguments are no keys of a request."""
    if isinstance(node, SequenceNode):
        for item in node.items:
            yield from _entries(item, define, seen)
    if not isinstance(node, MappingNode):
        return
    used = node.get("$use")
    for key, entry in node.entries.items():
        if used is None:
            yield key, entry.value
        deeper = _inside if key == "with" and used is not None else _entries
        yield from deeper(entry.value, define, seen)
    if isinstance(used, ScalarNode) and str(used.value) not in seen and isinstance(define, MappingNode):
        seen.add(str(used.value))
        fragment = define.get(str(used.value))
        yield from _entries(fragment.get("value") if isinstance(fragment, MappingNode) else None, define, seen)


def _inside(arguments: Node, define: Node | None, seen: set[str]) -> Iterator[tuple[str, Node]]:
    """What stands deeper in the arguments of a fragment; their own names say nothing."""
    for entry in arguments.entries.values() if isinstance(arguments, MappingNode) else ():
        yield from _entries(entry.value, define, seen)
