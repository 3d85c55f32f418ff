"""`extends` and overlays: a document merged with its parent or changed by a user's overlay (LANGUAGE 3.6, P16).

Maps merge by key; scalars and lists replace; null is data. `$replace` replaces a map or an operator node, `$remove`
deletes and must hit. In an overlay every key must exist in the target, new ones go inside `$add`. Every node keeps the
mark of the file it came from, so a problem in an inherited line points at the parent.

`edits` say what a body lacks that passes a mapping by. So a file that changes the request or the reply and says
nothing of them does not inherit them: its own changes would have no effect on such a body.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from engine.language.documents import Document
from engine.language.problems import Problems, did_you_mean
from engine.language.reader import Entry, MappingNode, Node, ScalarNode, SequenceNode

NOT_INHERITED: Final = frozenset({"mapping", "id", "title", "doc", "abstract", "extends", "tests"})
_STANDS_FOR: Final = frozenset({"request", "response", "stream", "steps"})
"""The sections that a body does not come to where it passes with `edits`."""

_MERGE_WORDS: Final = frozenset({"$replace", "$remove", "$add"})


@dataclass(frozen=True, slots=True)
class Resolved:
    """A document with its ancestors and overlays merged in. `lineage` names the parents, nearest first.

    `base` is the same without the overlays, where there are any.
    """

    document: Document
    root: MappingNode
    lineage: tuple[Resolved, ...] = ()
    overlays: tuple[Document, ...] = ()
    base: Resolved | None = None

    @property
    def id(self) -> str:
        """The document's id."""
        return self.document.id

    def section(self, name: str) -> Node | None:
        """The merged value of a section."""
        entry = self.root.entries.get(name)
        return entry.value if entry is not None else None


class Resolver:
    """Resolves the documents of one load. Each document is resolved once; problems are reported once."""

    def __init__(self, documents: Mapping[tuple[str, str], Document], overlays: list[Document], problems: Problems):
        self._documents = documents
        self._overlays = overlays
        self._problems = problems
        self._bases: dict[tuple[str, str], Resolved | None] = {}
        self._busy: list[tuple[str, str]] = []

    def resolve(self, document: Document) -> Resolved | None:
        """The document with its parent and its overlays; None when its parent cannot be resolved."""
        base = self._base(document)
        if base is None:
            return None
        mine = [each for each in self._overlays if each.id == f"{document.kind}:{document.id}"]
        root = base.root
        for overlay in mine:
            changes = MappingNode(
                overlay.root.mark,
                {
                    key: each
                    for key, each in overlay.root.entries.items()
                    if key not in ("mapping", "target", "doc", "title")
                },
            )
            root = _without_stale_edits(root, changes)
            root = _Merge(self._problems, overlay=True, owner=base.id).mapping(root, changes, "")
        return replace(base, root=root, overlays=tuple(mine), base=base) if mine else base

    def _base(self, document: Document) -> Resolved | None:
        key = (document.kind, document.id)
        if key in self._bases:
            return self._bases[key]
        if key in self._busy:
            chain = " -> ".join([*(name for _, name in self._busy[self._busy.index(key) :]), document.id])
            node = document.root.entries["extends"].value
            length = len(document.text("extends") or "")
            way_out = ("one of them has to extend nothing, or something else",)
            self._problems.add(
                "E030", f"`extends` leads back to itself: {chain}", node.mark, length=length, help=way_out
            )
            return None
        self._busy.append(key)
        found = self._extended(document)
        self._busy.pop()
        self._bases[key] = found
        return found

    def _extended(self, document: Document) -> Resolved | None:
        node = document.section("extends")
        if node is None:
            _refuse_merge_words(document.root, self._problems)
            return Resolved(document, document.root)
        name = node.value if isinstance(node, ScalarNode) else None
        if not isinstance(name, str):
            self._problems.add(
                "E030", "`extends` takes the id of one parent", node.mark,
                help=("extends: acme.chat", "what several mappings share stands in a parent that both extend in turn"),
            )  # fmt: skip
            return None
        parent_document = self._documents.get((document.kind, name))
        if parent_document is None:
            ids = [each for kind, each in self._documents if kind == document.kind]
            self._problems.add(
                "E030", f"there is no {document.kind} {name!r} to extend", node.mark, length=len(name),
                help=did_you_mean(name, ids),
            )  # fmt: skip
            return None
        parent = self._base(parent_document)
        if parent is None:
            return None
        inherited = MappingNode(
            parent.root.mark, {key: each for key, each in parent.root.entries.items() if key not in NOT_INHERITED}
        )
        inherited = _without_stale_edits(inherited, document.root)
        merged = _Merge(self._problems, overlay=False, owner=parent.id).mapping(inherited, document.root, "")
        return Resolved(document, merged, (parent, *parent.lineage))


def _without_stale_edits(base: MappingNode, over: MappingNode) -> MappingNode:
    """The base without its `edits`, where `over` changes what they stand for and has none of its own."""
    added = over.get("$add")
    own = over.entries.keys() | (added.entries.keys() if isinstance(added, MappingNode) else set())
    if "edits" not in base.entries or "edits" in own or not own & _STANDS_FOR:
        return base
    return MappingNode(base.mark, {key: each for key, each in base.entries.items() if key != "edits"})


def _refuse_merge_words(node: Node, problems: Problems) -> None:
    if isinstance(node, SequenceNode):
        for item in node.items:
            _refuse_merge_words(item, problems)
    elif isinstance(node, MappingNode):
        for key, entry in node.entries.items():
            if key in _MERGE_WORDS:
                problems.add(
                    "E031",
                    f"{key} has no parent to change: this file extends nothing",
                    entry.key.mark,
                    length=len(key),
                    help=("write the section as it shall be, or name a parent with `extends`",),
                )
            elif key != "$literal":
                _refuse_merge_words(entry.value, problems)


def operator_of(node: Node) -> str | None:
    """The `$operator` key of a node, if it is an operator node."""
    if not isinstance(node, MappingNode):
        return None
    return next((key for key in node.entries if key.startswith("$") and key not in _MERGE_WORDS), None)


def merged(base: MappingNode, over: MappingNode, problems: Problems, path: str) -> MappingNode:
    """A section with another of the same file merged over it, by the rules of `extends`."""
    return _Merge(problems, overlay=False, owner=path).mapping(base, over, path)


class _Merge:
    """One merge of a child or overlay over a base."""

    def __init__(self, problems: Problems, *, overlay: bool, owner: str) -> None:
        self._problems = problems
        self._overlay = overlay
        self._owner = owner

    def mapping(self, base: MappingNode, over: MappingNode, path: str) -> MappingNode:
        """Merge two maps by key, the base's order first.

        Of `errors` the first rule that fits counts and the last takes every failure: new ones go to the head.
        """
        entries = dict(base.entries)
        for key, entry in over.entries.items():
            place = f"{path}.{key}" if path else key
            if key == "$add" and self._overlay:
                self._add(entries, entry, path)
            elif key in entries:
                self._over(entries, key, entry, place)
            elif self._overlay:
                self._misses(key, entry, base, path)
            else:
                self._new(entries, key, entry, place)
        if path == "errors":
            new = {key: entry for key, entry in entries.items() if key not in base.entries}
            entries = {**new, **{key: entry for key, entry in entries.items() if key not in new}}
        return MappingNode(over.mark, entries)

    def _over(self, entries: dict[str, Entry], key: str, entry: Entry, place: str) -> None:
        if _only_key(entry.value) == "$remove":
            self._check_remove(entry.value)
            del entries[key]
            return
        merged = self._value(entries[key].value, entry.value, place)
        entries[key] = Entry(entry.key, merged)

    def _check_remove(self, node: Node) -> None:
        value = node.get("$remove") if isinstance(node, MappingNode) else None
        if value is not None and not (isinstance(value, ScalarNode) and value.value is True):
            self._problems.add("E023", "`$remove` takes the literal true", value.mark, help=("$remove: true",))

    def _value(self, base: Node, over: Node, place: str) -> Node:
        if _only_key(over) == "$replace":
            assert isinstance(over, MappingNode)
            return over.entries["$replace"].value
        if not (isinstance(base, MappingNode) and isinstance(over, MappingNode)):
            return over
        base_operator, over_operator = operator_of(base), operator_of(over)
        if base_operator != over_operator:
            what = f"the operator {base_operator}" if base_operator else "a plain map"
            self._problems.add(
                "E033",
                f"{place} is {what} in {self._owner}; this would mix the two",
                over.mark,
                help=("write the new value under `$replace:`",),
            )
            return over
        # The same operator merges by key: that is how a child adds a case to a `$switch`.
        return self.mapping(base, over, place)

    def _new(self, entries: dict[str, Entry], key: str, entry: Entry, place: str) -> None:
        word = _only_key(entry.value)
        if word == "$remove":
            self._problems.add(
                "E031", f"there is no {place} in {self._owner} to remove", entry.key.mark, length=len(key),
                help=did_you_mean(key, entries),
            )  # fmt: skip
        elif word == "$replace":
            assert isinstance(entry.value, MappingNode)
            entries[key] = Entry(entry.key, entry.value.entries["$replace"].value)
        else:
            entries[key] = entry

    def _add(self, entries: dict[str, Entry], entry: Entry, path: str) -> None:
        if not isinstance(entry.value, MappingNode):
            self._problems.add(
                "E023", "`$add` takes a mapping of new keys", entry.value.mark, help=("$add: {top_k: =req.top_k}",)
            )
            return
        for key, new in entry.value.entries.items():
            if key in entries:
                self._problems.add(
                    "E031",
                    f"{path or 'the target'} has {key!r} already; `$add` is for new keys",
                    new.key.mark,
                    length=len(key),
                )
            entries[key] = new

    def _misses(self, key: str, entry: Entry, base: MappingNode, path: str) -> None:
        self._problems.add(
            "E031",
            f"overlay path does not exist in its target: {path + '.' if path else ''}{key}",
            entry.key.mark,
            length=len(key),
            notes=(f"{path or self._owner} of {self._owner} has: {', '.join(base.entries)}",),
            help=(*did_you_mean(key, base.entries)[:1], "new keys go inside `$add:`"),
        )


def _only_key(node: Node) -> str | None:
    if isinstance(node, MappingNode) and len(node.entries) == 1:
        key = next(iter(node.entries))
        return key if key in _MERGE_WORDS else None
    return None
