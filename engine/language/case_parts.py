"""Which cases hold for a mapping: those whose sections a child or an overlay leaves as they are (DECISIONS 2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from engine.language.inherit import Resolved
from engine.language.reader import MappingNode, Node, to_json
from engine.types import Json, JsonObject

_REQUEST: Final = ("capabilities", "params", "refuse", "losses", "define", "options", "tools")
_READ: Final = ("read", "policy", "define")
_PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    # endpoints
    "body": (*_REQUEST, "request.body", "steps"),
    "wire": (*_REQUEST, "request", "steps", "base_url", "auth", "hosts"),
    "losses": (*_REQUEST, *_READ, "request.body", "operations"),
    "calls": (*_REQUEST, "steps", "request", "base_url", "auth", "hosts", "errors"),
    "result": ("response", "errors", "define", "options"),
    "models": ("models.list", "define", "options"),
    "sent": (*_REQUEST, "edits", "wire"),
    "passed": ("response", "errors", "define", "options", "edits", "wire"),
    # dialects; one with a single operation has its sections at the top
    "request": ("operations", "request", "refuse", "losses", "define", "options"),
    "response": ("operations", "response", "errors", "define", "options"),
    "chunks": ("operations", "stream", "errors", "define", "options"),
    "events": ("operations", "stream", "errors", "define", "options"),
    # toolformats
    "prompt": ("offer", "neutralise"),
    "history": ("history", "neutralise"),
    "results": ("history", "neutralise"),
    **dict.fromkeys(("content", "reasoning", "tool_calls", "near_misses", "spans"), _READ),
}
"""The sections that each part of `expect` exercises."""

_MAY_GROW: Final = frozenset({"define", "options", "hosts"})


def holds_for(given: JsonObject, expect: JsonObject, changed: Resolved, origin: Resolved) -> bool:
    """Whether a case of `origin` says something of `changed`: every section that it exercises is the same."""
    parts: set[str] = {"stream"} if "stream" in given else set()
    for key in expect:
        if key == "error":
            key = "result" if {"reply", "stream"} & set(given) else "body"
        parts.update(_PARTS.get(key, ()))
    return all(_same_part(changed, origin, part) for part in parts)


def _same_part(changed: Resolved, origin: Resolved, path: str) -> bool:
    """Whether a part is as it was; where names are only looked up, more of them change nothing."""
    mine, theirs = _part(changed, path), _part(origin, path)
    if path in _MAY_GROW and isinstance(mine, dict) and isinstance(theirs, dict):
        return all(mine.get(key) == value for key, value in theirs.items())
    return mine == theirs or (path in _MAY_GROW and theirs is None)


def _part(resolved: Resolved, path: str) -> Json:
    node: Node | None = resolved.root
    for step in path.split("."):
        node = node.get(step) if isinstance(node, MappingNode) else None
    return None if node is None else to_json(node)
