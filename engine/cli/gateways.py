"""Checking gateway files without the secrets they name, so that they can be validated where no secret is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from engine.cli.arguments import own_folders
from engine.cli.servable import unserved_text
from engine.errors import MappingError
from engine.language.catalog import Catalog, read_catalog
from engine.language.diagnostics import Problems
from engine.language.documents import Document
from engine.language.gateway_binding import bind_config
from engine.language.gateway_config import load_config
from engine.language.gateway_layers import GENERIC_PREFIX, NAMED_VARIABLES


class _AnySecret(Mapping[str, str]):
    """An environment in which every secret is set, to a placeholder, and nothing overrides the file."""

    def __getitem__(self, name: str) -> str:
        if name in NAMED_VARIABLES or name == "ENGINE_CONFIG" or name.startswith(GENERIC_PREFIX):
            raise KeyError(name)
        return f"placeholder-for-{name}"

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def check_gateway(document: Document, catalog: Catalog) -> str:
    """Check one gateway file against the mappings it would run with; problems go to the catalog's.

    Returns what its clients will be refused, as text.
    """
    problems = Problems()
    text = ""
    try:
        config = load_config(Path(document.file), environment=_AnySecret())
        folders = config.mappings or own_folders()
        used = read_catalog(folders) if folders else catalog
        if used is not catalog:
            # Mappings that were asked about have been told already, under the name by which they were.
            told = {Path(each.file).resolve() for each in catalog.documents}
            problems.items.extend(each for each in used.problems.errors if Path(each.mark.file).resolve() not in told)
            catalog.sources.update(used.sources)
        bound = bind_config(
            config, used.endpoints, environment=_AnySecret(), toolformats=used.toolformats, dialects=used.dialects
        )
        text = unserved_text(bound, used, document.file)
    except MappingError as error:
        problems.items.extend(error.diagnostics)
    catalog.problems.extend(problems)
    return text
