"""Run the inline tests of a whole catalog; failures are E300, what is untested W401, what is unfinished W404."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final

from engine.language.cases import Case, Failure, cases_of, run_dialect_case, run_endpoint_case
from engine.language.catalog import Catalog
from engine.language.inherit import Resolved
from engine.language.leftovers import warn_left_checks
from engine.language.problems import Problems
from engine.language.toolformat_cases import run_toolformat_case

_REQUEST_PROOF: Final = ("body", "wire", "calls")


@dataclass(slots=True)
class TestReport:
    """How a run of the inline tests went. `ran` counts cases per mapping, `kind:id`; `problems` say what is wrong."""

    __test__ = False

    ran: dict[str, int] = field(default_factory=dict)
    failed: list[Failure] = field(default_factory=list)
    problems: Problems = field(default_factory=Problems)

    @property
    def total(self) -> int:
        """How many cases ran."""
        return sum(self.ran.values())


def run_tests(catalog: Catalog, only: Collection[str] = ()) -> TestReport:
    """Run the cases of every served mapping (or of the files and ids in `only`).

    What is wrong is in the report's problems, and once in the catalog's, where the CLI looks.
    """
    report = TestReport()
    for (kind, identifier), resolved in catalog.resolved.items():
        if only and not _selected(resolved, only):
            continue
        run = _runner(catalog, kind, identifier)
        if run is None:
            continue
        cases = list(cases_of(resolved))
        report.ran[f"{kind}:{identifier}"] = len(cases)
        for case in cases:
            for failure in run(case, report.problems):
                report.failed.append(failure)
                _report(failure, report.problems)
        _warn_untested(kind, resolved, cases, report.problems)
    for document in catalog.documents:
        if not only or document.id in only or document.file in only:
            warn_left_checks(document.file, catalog.sources.text(document.file), report.problems)
    catalog.problems.extend(report.problems)
    return report


def _selected(resolved: Resolved, only: Collection[str]) -> bool:
    return resolved.id in only or resolved.document.file in only


def _runner(catalog: Catalog, kind: str, identifier: str) -> Callable[[Case, Problems], list[Failure]] | None:
    if kind == "endpoint" and identifier in catalog.endpoints:
        plan = catalog.endpoints[identifier]
        return lambda case, problems: run_endpoint_case(plan, case, problems)
    if kind == "dialect" and identifier in catalog.dialects:
        dialect = catalog.dialects[identifier]
        return lambda case, problems: run_dialect_case(dialect, case, problems)
    if kind == "toolformat" and identifier in catalog.toolformats:
        toolformat = catalog.toolformats[identifier]
        return lambda case, problems: run_toolformat_case(toolformat, case, problems, catalog.toolformats)
    return None


def _report(failure: Failure, problems: Problems) -> None:
    case = failure.case
    inherited = f" (inherited by {case.mapping})" if case.inherited else ""
    problems.add(
        "E300",
        f'test "{case.name}" failed{inherited}',
        case.place("given") if failure.part == "given" else case.place("expect", failure.part),
        length=len(failure.part),
        notes=failure.lines[:20],
    )


def _warn_untested(kind: str, resolved: Resolved, cases: list[Case], problems: Problems) -> None:
    """W401: an endpoint needs a case for its request and one for its reply."""
    if kind != "endpoint":
        return
    if not any(key in case.expect for case in cases for key in _REQUEST_PROOF):
        problems.add("W401", f"{resolved.id} has no test of its request", resolved.document.mark,
                     help=("add a case: given: {request: …}, expect: {body: …}",))  # fmt: skip
    if not any("result" in case.expect for case in cases):
        problems.add("W401", f"{resolved.id} has no test of its reply", resolved.document.mark,
                     help=("add a case: given: {reply: …}, expect: {result: …}",))  # fmt: skip
