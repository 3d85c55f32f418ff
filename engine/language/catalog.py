"""The catalog: all mappings of a load, checked and compiled together (LANGUAGE 3.9).

read -> resolve (`extends`, overlays) -> check -> compile. Problems of all files are gathered in one run; a mapping with
an error has no plan, the others do. The catalog is immutable once it is loaded and carries a digest of its content.
"""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final

from engine.errors import MappingError
from engine.language import operators
from engine.language.diagnostics import Problems, Sources, did_you_mean, render_text
from engine.language.documents import Document, read_documents
from engine.language.inherit import Resolved, Resolver
from engine.language.kinds.auth import check_for_keys
from engine.language.kinds.dialect import check_dialect, compile_dialect
from engine.language.kinds.endpoint import check_endpoint, compile_endpoint
from engine.language.kinds.linking import link_toolformats
from engine.language.kinds.mock import check_mock, compile_mock
from engine.language.kinds.sharing import SharedSections
from engine.language.kinds.toolformat import check_toolformat, compile_toolformat
from engine.language.reader import ScalarNode
from engine.language.shipped import MAPPINGS
from engine.language.template_files import TemplateFiles
from engine.translate.mock_plan import MockPlan
from engine.translate.plan import DialectPlan, EndpointPlan
from engine.translate.tools.plan import ToolformatPlan
from engine.types import Json

__all__ = ["Catalog", "load_catalog", "read_catalog"]

_REGISTERED: Final = operators.__all__


@dataclass(frozen=True, slots=True)
class Catalog:
    """Every mapping of one load. `problems` holds what was found, warnings too; `sources` the text for showing it."""

    folders: tuple[Path, ...]
    resolved: Mapping[tuple[str, str], Resolved]
    endpoints: Mapping[str, EndpointPlan]
    dialects: Mapping[str, DialectPlan]
    problems: Problems
    sources: Sources
    digest: str
    documents: tuple[Document, ...] = field(default=())
    mocks: Mapping[str, MockPlan] = field(default_factory=dict)
    toolformats: Mapping[str, ToolformatPlan] = field(default_factory=dict)

    def recompile_endpoint(self, identifier: str) -> EndpointPlan | None:
        """Compile one endpoint again so that what it builds remembers its origins (`engine explain`)."""
        resolved = self.resolved.get(("endpoint", identifier))
        if resolved is None:
            return None
        plan = compile_endpoint(resolved, Problems(), TemplateFiles(self.folders, Problems()), trace=True)
        return None if plan is None else link_toolformats(plan, resolved, self.toolformats, Problems())

    def recompile_dialect(self, identifier: str) -> DialectPlan | None:
        """Compile one dialect again so that what it builds remembers its origins (`engine explain`)."""
        resolved = self.resolved.get(("dialect", identifier))
        if resolved is None:
            return None
        return compile_dialect(resolved, Problems(), TemplateFiles(self.folders, Problems()), trace=True)


def load_catalog(folders: Sequence[Path] = (), *, shipped: bool = True) -> Catalog:
    """Load all mappings of `folders`, then the shipped ones, to be used: their cases are not read.

    Raises MappingError with every problem there is.
    """
    catalog = read_catalog(folders, shipped=shipped, cases=False)
    if catalog.problems.has_errors():
        raise MappingError(catalog.problems.errors, render_text(catalog.problems.errors, catalog.sources))
    return catalog


def read_catalog(folders: Sequence[Path] = (), *, shipped: bool = True, cases: bool = True) -> Catalog:
    """The same with their cases, and with the problems kept in the catalog instead of raised.

    The garbage collector rests meanwhile: a load makes a hundred thousand objects that stay, and nothing to collect.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        return _read(folders, shipped=shipped, cases=cases)
    finally:
        if was_on:
            gc.enable()


def _read(folders: Sequence[Path], *, shipped: bool, cases: bool) -> Catalog:
    problems, sources = Problems(), Sources()
    places = list(folders)
    if shipped and all(place.resolve() != MAPPINGS for place in places):
        places.append(MAPPINGS)
    documents = read_documents(places, problems, sources, cases=cases)
    chosen: dict[tuple[str, str], Document] = {}
    overlays = [document for document in documents if document.kind == "overlay"]
    for document in documents:
        if document.kind not in ("overlay", "gateway"):
            chosen.setdefault((document.kind, document.id), document)
    _check_overlays(overlays, chosen, problems)
    for document in documents:
        check_for_keys(document.root, problems)
    resolver = Resolver(chosen, overlays, problems)
    resolved = {key: found for key, each in chosen.items() if (found := resolver.resolve(each)) is not None}
    later = not cases  # whoever uses mappings needs no mock, but for a server that stands before one
    kinds = [kind for kind in _CHECKS if not (later and kind == "mock")]
    plans = _compile_all(kinds, resolved, tuple(places), problems)
    endpoints: dict[str, EndpointPlan] = {
        name: link_toolformats(plan, resolved[("endpoint", name)], plans["toolformat"], problems)
        for name, plan in plans["endpoint"].items()
    }
    return Catalog(
        folders=tuple(places),
        resolved=resolved,
        endpoints=endpoints,
        dialects=plans["dialect"],
        problems=problems,
        sources=sources,
        digest=_digest([*endpoints.values(), *plans["dialect"].values(), *plans["toolformat"].values()]),
        documents=tuple(documents),
        mocks=_LaterMocks(resolved, tuple(places), sources) if later else plans["mock"],
        toolformats=plans["toolformat"],
    )


_CHECKS: Final[Mapping[str, Callable[[Resolved, Problems], bool]]] = {
    "endpoint": check_endpoint,
    "dialect": check_dialect,
    "mock": check_mock,
    "toolformat": check_toolformat,
}


class _LaterMocks(Mapping[str, MockPlan]):
    """The mocks of a load, compiled when they are first looked at. Raises MappingError then for what is wrong."""

    def __init__(
        self, resolved: Mapping[tuple[str, str], Resolved], places: tuple[Path, ...], sources: Sources
    ) -> None:
        self._make = partial(_compile_all, ["mock"], resolved, places)
        self._sources = sources

    @cached_property
    def _plans(self) -> Mapping[str, MockPlan]:
        problems = Problems()
        plans = self._make(problems)["mock"]
        if problems.has_errors():
            raise MappingError(problems.errors, render_text(problems.errors, self._sources))
        return plans

    def __getitem__(self, key: str) -> MockPlan:
        return self._plans[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._plans)

    def __len__(self) -> int:
        return len(self._plans)


def _compile_all(
    kinds: Collection[str], resolved: Mapping[tuple[str, str], Resolved], places: tuple[Path, ...], problems: Problems
) -> dict[str, dict[str, Json]]:
    """The plan of every mapping of these kinds that is served, by kind and id; one with an error has none."""
    served = [key[1] for key, each in resolved.items() if key[0] == "endpoint" and not each.document.flag("abstract")]
    compilers: Mapping[str, Callable[..., Any]] = {
        "endpoint": partial(compile_endpoint, shared=SharedSections()),
        "dialect": compile_dialect,
        "mock": partial(compile_mock, endpoints=served),
        "toolformat": compile_toolformat,
    }
    plans: dict[str, dict[str, Json]] = {kind: {} for kind in compilers}
    for (kind, identifier), each in resolved.items():
        if kind not in kinds:
            continue
        # Problems of its own: an error in a shared parent counts for each child, though it is shown once.
        mine = Problems()
        sound = _CHECKS[kind](each, mine)
        if each.document.flag("abstract"):
            problems.extend(_without_missing(mine))
            continue
        load = TemplateFiles(places, mine)
        plan = compilers[kind](each, mine, load) if sound else None
        if plan is not None:
            plans[kind][identifier] = replace(plan, digest=load.digest(plan.digest))
        problems.extend(mine)
    return plans


def _without_missing(found: Problems) -> Problems:
    """What is wrong with an abstract mapping: keys that are missing are its children's to bring (E024)."""
    kept = Problems()
    for each in found.items:
        if each.code != "E024":
            kept.keep(each)
    return kept


def _digest(plans: Sequence[EndpointPlan | DialectPlan | ToolformatPlan]) -> str:
    """The hash of a catalog's content: 12 hexadecimal digits."""
    digests = [f"{plan.id}={plan.digest}" for plan in plans]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:12]


def _check_overlays(overlays: list[Document], chosen: Mapping[tuple[str, str], Document], problems: Problems) -> None:
    for overlay in overlays:
        kind, _, identifier = overlay.id.partition(":")
        node = overlay.root.entries["target"].value
        assert isinstance(node, ScalarNode)
        target = chosen.get((kind, identifier))
        if target is None:
            problems.add(
                "E032", f"there is no {kind} {identifier!r} to change", node.mark, length=node.length,
                help=did_you_mean(overlay.id, [f"{each}:{name}" for each, name in chosen]),
            )  # fmt: skip
        elif target.flag("abstract"):
            made = [f"{kind}:{each.id}" for each in chosen.values() if each.text("extends") == identifier]
            problems.add(
                "E032", f"{overlay.id} is abstract and never served: an overlay changes one served mapping", node.mark,
                length=node.length, help=(f"name one that is made from it: {', '.join(made) or 'there is none'}",),
            )  # fmt: skip
