"""From the PATHs of a command line to what is loaded: the given files first, then the shipped mappings."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from engine.cli.arguments import own_folders
from engine.language.catalog import Catalog, read_catalog
from engine.language.diagnostics import Diagnostic
from engine.language.documents import Document, mapping_files
from engine.language.shipped import MAPPINGS, TEMPLATES

_ID: Final = re.compile(r"^id:\s*[\"']?([a-z0-9_.-]+)", re.MULTILINE)
_EXTENDS: Final = re.compile(r"^extends:\s*[\"']?([a-z0-9_.-]+)", re.MULTILINE)
_SNIFFED_CHARACTERS: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Selection:
    """A loaded catalog, and which of its files the user asked about."""

    catalog: Catalog
    files: frozenset[str]

    def documents(self) -> list[Document]:
        """The mappings that the user asked about."""
        return [document for document in self.catalog.documents if document.file in self.files]

    def problems(self) -> list[Diagnostic]:
        """The problems of the files asked about and of those they are made from.

        Only other shipped files and other files read for the sake of a parent are left out.
        """
        concerned = self._concerned()
        others = {document.file for document in self.catalog.documents} - concerned
        found = self.catalog.problems.items
        return [
            item
            for item in found
            if item.mark.file in concerned or not (item.mark.file in others or _is_shipped(item.mark.file))
        ]

    def _concerned(self) -> set[str]:
        concerned = set(self.files)
        for resolved in self.catalog.resolved.values():
            if resolved.document.file in self.files:
                concerned.update(parent.document.file for parent in resolved.lineage)
                concerned.update(overlay.file for overlay in resolved.overlays)
        return concerned


def _is_shipped(file: str) -> bool:
    path = Path(file).absolute()
    return path.is_relative_to(MAPPINGS) or path.is_relative_to(TEMPLATES)


def select(paths: Sequence[str]) -> Selection:
    """Load what the PATHs name, or `./mappings` and the shipped mappings when there are none.

    Raises click.UsageError for a path that names no mapping file.
    """
    places = _expand(paths)
    if not places:
        own = own_folders()
        folders = own if own and own[0].resolve() == MAPPINGS else [*own, MAPPINGS]
        return Selection(read_catalog(folders), _files_of(folders))
    catalog = read_catalog([*places, *_parents_of(places)])
    return Selection(catalog, _files_of(places))


def _files_of(places: Sequence[Path]) -> frozenset[str]:
    return frozenset(str(path) for place in places for path in mapping_files(place))


def _expand(paths: Sequence[str]) -> list[Path]:
    places: list[Path] = []
    for text in paths:
        found = [Path(text)] if Path(text).exists() else _matches(text)
        if not found:
            raise click.UsageError(f"there is no file or folder {text!r}")
        if not any(True for place in found for _ in mapping_files(place)):
            raise click.UsageError(f"there is no mapping file (*.yaml) in {text!r}")
        places += found
    return list(dict.fromkeys(places))


def _matches(text: str) -> list[Path]:
    """`dir/...` is the folder with all below it, as everywhere; other patterns are globs."""
    if text.endswith("..."):
        folder = Path(text.removesuffix("...") or ".")
        return [folder] if folder.is_dir() else []
    return [
        Path(each)
        for each in sorted(glob.glob(text, recursive=True))
        if Path(each).suffix in (".yaml", ".yml") or Path(each).is_dir()
    ]


def _parents_of(places: Sequence[Path]) -> list[Path]:
    """Files beside a given single file that it is made from: the chain of its `extends`.

    Found by their text, so that a folder full of other things is neither loaded nor reported.
    """
    found: dict[Path, None] = {}
    for place in places:
        if place.is_file():
            neighbours = {each: path for path in _neighbours(place) for each in _ID.findall(_head(path))[:1]}
            step: Path | None = place
            while step is not None:
                wanted = _EXTENDS.search(_head(step))
                step = neighbours.pop(wanted[1], None) if wanted else None
                if step is not None and step not in places:
                    found[step] = None
    return list(found)


def _neighbours(place: Path) -> Iterator[Path]:
    root = next((folder for folder in place.absolute().parents if folder.name == "mappings"), None)
    beside = mapping_files(root) if root is not None else sorted(place.parent.glob("*.y*ml"))
    own = (path for folder in own_folders() for path in mapping_files(folder))
    for path in (*own, *beside):
        if path.resolve() != place.resolve() and not _is_shipped(str(path)):
            yield path


def _head(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_SNIFFED_CHARACTERS)
    except OSError:
        return ""
