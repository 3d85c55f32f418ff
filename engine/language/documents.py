"""Files on disk to documents: which kind of mapping a file is, its id, and where it was found.

A mappings folder is searched recursively for `*.yaml`; folders come in order, and an id in an earlier folder hides the
same id in a later one, so that a user's own file can stand in for a shipped one (DECISIONS 2.1, DESIGN 3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.language.problems import Mark, Problems, Sources, did_you_mean
from engine.language.reader import MappingNode, Node, ScalarNode, read_file

KINDS: Final = ("endpoint", "dialect", "toolformat", "gateway", "mock", "overlay")
VERSION: Final = 1
ID_PATTERN: Final = r"[a-z0-9][a-z0-9_]*(?:[.-][a-z0-9_]+)*"
_HEAD: Final = re.compile(r"([a-z_]+)/([0-9]{1,9})")
_SHOWN_CHARACTERS: Final = 80


@dataclass(frozen=True, slots=True)
class Document:
    """One mapping file as written. `folder` is the mappings folder it was found in, `root` its content."""

    kind: str
    id: str
    file: str
    folder: Path
    root: MappingNode

    @property
    def mark(self) -> Mark:
        """Where the document begins."""
        return self.root.mark

    def section(self, name: str) -> Node | None:
        """The value of a top-level key, if it is there."""
        entry = self.root.entries.get(name)
        return entry.value if entry is not None else None

    def flag(self, name: str) -> bool:
        """Whether a top-level key is the literal true."""
        node = self.section(name)
        return isinstance(node, ScalarNode) and node.value is True

    def text(self, name: str) -> str | None:
        """The value of a top-level key that is a string."""
        node = self.section(name)
        return node.value if isinstance(node, ScalarNode) and isinstance(node.value, str) else None


def mapping_files(folder: Path) -> Iterator[Path]:
    """The YAML files below a folder, in a stable order; hidden files and folders are passed over."""
    if folder.is_file():
        yield folder
        return
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.suffix in (".yaml", ".yml") and not any(part.startswith(".") for part in parts) and path.is_file():
            yield path


def read_documents(
    folders: Sequence[Path], problems: Problems, sources: Sources, *, cases: bool = True
) -> list[Document]:
    """Read every mapping of the folders, with their `cases` or without.

    Files that cannot be read, or are of no kind, become problems.
    """
    documents: list[Document] = []
    for folder in folders:
        if not folder.exists():
            problems.add("E001", "there is no such file or folder", Mark(str(folder), 1, 1))
            continue
        found = [
            document
            for path in mapping_files(folder)
            if (document := _read(path, folder, problems, sources, cases=cases)) is not None
        ]
        _check_unique(found, problems)
        documents += found
    return documents


def _read(path: Path, folder: Path, problems: Problems, sources: Sources, *, cases: bool) -> Document | None:
    node = read_file(path, problems, sources, cases=cases)
    if node is None:
        return None
    return document_of(node, str(path), folder, problems)


def document_of(node: Node, file: str, folder: Path, problems: Problems) -> Document | None:
    """Make a document of a file's content, or report why it is none (E020, E021)."""
    if not isinstance(node, MappingNode):
        problems.add(
            "E020", "a mapping file is a mapping of keys to values", node.mark,
            help=("begin it with  mapping: endpoint/1  and  id: acme.chat",),
        )  # fmt: skip
        return None
    kind = _kind(node, problems)
    if kind is None:
        return None
    identifier = _identifier(kind, node, problems)
    return None if identifier is None else Document(kind, identifier, file, folder, node)


def _kind(node: MappingNode, problems: Problems) -> str | None:
    first = next(iter(node.entries), None)
    entry = node.entries.get("mapping")
    listed = ", ".join(f"{kind}/{VERSION}" for kind in KINDS)
    if entry is None or first != "mapping":
        problems.add("E020", "the first key must be `mapping: kind/1`", node.mark, help=(f"kinds: {listed}",))
        return None
    value = entry.value.value if isinstance(entry.value, ScalarNode) else None
    head = _HEAD.fullmatch(value) if isinstance(value, str) else None
    if head is None or head[1] not in KINDS:
        problems.add(
            "E020", f"{str(value)[:_SHOWN_CHARACTERS]!r} is not a kind of mapping", entry.value.mark,
            length=len(str(value)),
            help=did_you_mean(str(value), [f"{kind}/{VERSION}" for kind in KINDS]) or (f"kinds: {listed}",),
        )  # fmt: skip
        return None
    if int(head[2]) != VERSION:
        what = "upgrade the file: engine upgrade" if int(head[2]) < VERSION else "the file is for a newer engine"
        problems.add("E020", f"this engine reads {head[1]}/{VERSION}, not {value}", entry.value.mark, help=(what,))
        return None
    return head[1]


def _identifier(kind: str, node: MappingNode, problems: Problems) -> str | None:
    if kind == "gateway":
        return "gateway"
    key = "target" if kind == "overlay" else "id"
    entry = node.entries.get(key)
    if entry is None:
        sample = "target: endpoint:acme.chat" if kind == "overlay" else "id: acme.chat"
        problems.add("E024", f"{kind}/{VERSION} lacks the key {key!r}", node.mark, help=(f"e.g. {sample}",))
        return None
    value = entry.value.value if isinstance(entry.value, ScalarNode) else None
    pattern = rf"(?:{'|'.join(KINDS)}):{ID_PATTERN}" if kind == "overlay" else ID_PATTERN
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        shape = "kind:ID, such as endpoint:acme.chat" if kind == "overlay" else "lower-case words joined by dots"
        example = () if kind == "overlay" else ("for example: acme.chat.v1",)
        problems.add("E021", f"{key} must be {shape}", entry.value.mark, length=len(str(value)), help=example)
        return None
    return value


def _check_unique(documents: Iterable[Document], problems: Problems) -> None:
    seen: dict[tuple[str, str], Document] = {}
    for document in documents:
        if document.kind in ("overlay", "gateway"):
            continue
        first = seen.setdefault((document.kind, document.id), document)
        if first is not document:
            place = document.root.entries["id"].value.mark
            problems.add(
                "E021", f"the {document.kind} id {document.id!r} exists already", place, length=len(document.id),
                notes=(f"first at {first.root.entries['id'].value.mark}",),
                help=(f"give it another id; a child of the first one says `extends: {document.id}`",),
            )  # fmt: skip
