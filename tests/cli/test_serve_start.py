"""`engine serve` makes the code of the plans it uses before the first request."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import jinja2
import pytest

from engine.language import writing
from engine.language.catalog import Catalog, load_catalog, read_catalog
from engine.language.testing import run_tests
from tests.cli.desk import Cli


@pytest.fixture
def no_more_code(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function after whose call nothing can be compiled any more."""

    def too_late(*_: object, **__: object) -> NoReturn:
        raise AssertionError("code is made while a request waits")

    def stop() -> None:
        monkeypatch.setattr(writing, "assemble", too_late)
        monkeypatch.setattr(writing, "compile", too_late, raising=False)
        monkeypatch.setattr(jinja2.Environment, "compile", too_late)

    return stop


def test_a_warm_plan_has_all_its_code(no_more_code: Any) -> None:
    """Every case of every shipped mapping runs without one more function being made."""
    catalog = read_catalog()
    for plans in (catalog.endpoints, catalog.dialects, catalog.toolformats):
        writing.warm(plans)
    no_more_code()
    report = run_tests(catalog)

    assert [] == [f"{each.case.mapping} {each.case.name}: {each.lines}" for each in report.failed]
    assert 1000 < report.total


def test_a_cold_plan_has_not(no_more_code: Any) -> None:
    """The proof above can fail: loading makes next to no code."""
    plan = load_catalog().endpoints["straico.chat.v2"]
    no_more_code()

    assert plan.call.body is not None
    with pytest.raises(AssertionError):
        plan.call.body({})


def test_serve_warms_what_it_uses(desk: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, no_more_code: Any) -> None:
    """The endpoints of the config and every dialect, before workers are forked."""
    served: list[Catalog] = []

    def run(_config: object, catalog: Catalog) -> int:
        no_more_code()
        served.append(catalog)
        return 0

    monkeypatch.setattr("engine.server.run.run", run)

    assert 0 == cli("serve", "--mock", "--endpoint", "acme.chat", "--port", "0").code
    [catalog] = served
    body = catalog.endpoints["acme.chat"].call.body
    [operation] = catalog.dialects["acme.api"].operations.values()
    assert body is not None
    assert operation.response.body is not None
    assert {"model": "m"} == {key: value for key, value in body({"model": {"name": "m"}}).items() if key == "model"}
    assert {} == operation.response.body({"out": {}})
