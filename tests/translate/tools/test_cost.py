"""The cost of reading stays linear and small; figures in full: `python tests/benchmarks/bench_tools.py`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def _bench() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "bench_tools.py"
    spec = importlib.util.spec_from_file_location("bench_tools", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_tools"] = module
    spec.loader.exec_module(module)
    return module


BENCH = _bench()


def test_plain_text_costs_little() -> None:
    """Under 2 µs for a 40-character delta; four times that is allowed on a busy machine."""
    found = BENCH.plain_us()
    print(f"{found:.2f} µs per delta")
    assert found < 8


@pytest.mark.parametrize("name", list(BENCH.HOSTILE))
@pytest.mark.parametrize("step", [40, 1 << 22])
def test_hostile_text_costs_twice_as_much_for_twice_the_size(name: str, step: int) -> None:
    """t(2n)/t(n) ≤ 2.3 is measured at 1 MB; here at 64 KB, loosely."""
    once, twice = BENCH.growth(name, step, 1 << 16)
    assert twice <= 3.2 * once + 0.02


@pytest.mark.parametrize("bit", ["<", "openers", "unclosed calls"])
@pytest.mark.parametrize("name", list(BENCH.shipped()))
def test_every_format_reads_its_own_hostile_text_in_linear_time(name: str, bit: str) -> None:
    """Of each shipped format: 10,000 `<`, openers and unclosed calls a megabyte, here at 16 KB, loosely."""
    once, twice = BENCH.own_growth(name, bit, 40, 1 << 14)
    assert twice <= 3.2 * once + 0.02
