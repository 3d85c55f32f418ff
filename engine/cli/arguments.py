"""What several commands take from the command line: JSON files, `K=V` options, and mappings folders."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from engine.errors import MappingError
from engine.language.catalog import Catalog, read_catalog
from engine.language.diagnostics import did_you_mean, render_text
from engine.language.scalars import resolve_plain
from engine.translate.plan import DialectPlan, EndpointPlan, OptionSpec
from engine.types import Json, JsonObject

Command = TypeVar("Command", bound=Callable[..., Any])
Plan = TypeVar("Plan", EndpointPlan, DialectPlan)

OWN_FOLDER: Final = Path("mappings")
"""The folder of own mappings that is read where no other is named."""

mappings_option: Final = click.option(
    "--mappings", "folders", multiple=True, metavar="DIR", type=click.Path(exists=True, path_type=Path),
    help="A folder read before the shipped mappings (default: ./mappings if it is there); may be repeated.",
)  # fmt: skip

options_option: Final = click.option(
    "--option", "options", multiple=True, metavar="K=V", help="Set an option of the endpoint; may be repeated."
)


def load(folders: Sequence[Path]) -> Catalog:
    """The catalog of the folders and the shipped mappings. A broken mapping is a problem only when it is asked for."""
    return read_catalog(folders or own_folders())


def own_folders() -> list[Path]:
    """`./mappings`, if it is there (in a checkout it is the shipped folder itself)."""
    return [OWN_FOLDER] if OWN_FOLDER.is_dir() else []


def endpoint_of(catalog: Catalog, identifier: str) -> EndpointPlan:
    """The plan of an endpoint. Raises UsageError for an unknown one, MappingError for a broken one."""
    return _plan_of(catalog, catalog.endpoints.get(identifier), "endpoint", identifier)


def dialect_of(catalog: Catalog, identifier: str) -> DialectPlan:
    """The plan of a dialect. Raises UsageError for an unknown one, MappingError for a broken one."""
    return _plan_of(catalog, catalog.dialects.get(identifier), "dialect", identifier)


def _plan_of(catalog: Catalog, plan: Plan | None, kind: str, identifier: str) -> Plan:
    if plan is not None:
        return plan
    document = next((each for each in catalog.documents if each.kind == kind and each.id == identifier), None)
    if document is not None and document.flag("abstract"):
        raise click.UsageError(f"the {kind} {identifier!r} is abstract: it is a parent, and never served itself")
    if document is not None or _unreadable_own_file(catalog):
        errors = catalog.problems.errors
        raise MappingError(errors, render_text(errors, catalog.sources))
    known = catalog.endpoints if kind == "endpoint" else catalog.dialects
    raise click.UsageError(f"there is no {kind} {identifier!r}; {' '.join(did_you_mean(identifier, known))}")


def _unreadable_own_file(catalog: Catalog) -> bool:
    """Whether a file failed so early that its id is not known: the asked-for mapping may be in it."""
    read = {document.file for document in catalog.documents}
    return any(item.mark.file not in read for item in catalog.problems.errors)


def parse_options(texts: Iterable[str], specs: dict[str, OptionSpec] | None = None) -> JsonObject:
    """`K=V` texts to values: as the option's type says, else as YAML reads the text. `base_url` is always text."""
    values: JsonObject = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{text!r} is not of the form K=V", param_hint="--option")
        spec = (specs or {}).get(name)
        if specs is not None and spec is None and name != "base_url":
            known = [*specs, "base_url"]
            raise click.BadParameter(
                f"there is no option {name!r}; {' '.join(did_you_mean(name, known))}", param_hint="--option"
            )
        values[name] = value if name == "base_url" or (spec and spec.type == "string") else _typed(value)
    return values


def _typed(text: str) -> Json:
    if text[:1] in "[{":
        try:
            return json.loads(text)
        except ValueError:
            return text
    try:
        return resolve_plain(text)
    except ValueError:
        return text


def read_bytes(name: str) -> bytes:
    """The content of a file, or of standard input for `-`."""
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise click.UsageError(f"cannot read {name!r}: {error.strerror}") from error


def read_json(name: str) -> Json:
    """The JSON value of a file or of standard input. Raises UsageError where it is none."""
    try:
        return json.loads(read_bytes(name))
    except ValueError as error:
        raise click.UsageError(f"{name!r} is not JSON: {error}") from error


def dump(value: Json) -> str:
    """JSON for reading: two blanks, text as it is; what is secret stays `***`."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)
