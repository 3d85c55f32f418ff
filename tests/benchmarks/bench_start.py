"""How long it takes to start, a whole process each time: `python tests/benchmarks/bench_start.py [runs]`.

`engine --help` is wall time; loading every shipped mapping is the processor time of that step alone, in a process that
did nothing else before. Exit code 1 when a median is over its budget.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent.parent
LOAD: Final = """
import time
from engine.language.catalog import load_catalog
begun = time.process_time()
load_catalog()
print(time.process_time() - begun)
"""


def help_ms() -> float:
    """Wall time of `engine --help`."""
    begun = time.perf_counter()
    _run("-m", "engine", "--help")
    return (time.perf_counter() - begun) * 1000


def load_ms() -> float:
    """Processor time of loading every shipped mapping."""
    return float(_run("-c", LOAD)) * 1000


def _run(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, check=True, text=True).stdout


MEASURED: Final[dict[str, tuple[Callable[[], float], int]]] = {
    "engine --help": (help_ms, 300),
    "loading all mappings": (load_ms, 1000),
}
"""What is measured, with its budget in milliseconds."""


def main(runs: int) -> int:
    """Print the median and the slowest of each; the first run, which fills the disk's cache, does not count."""
    over = 0
    for name, (measure, budget) in MEASURED.items():
        took = [measure() for _ in range(runs + 1)][1:]
        median = statistics.median(took)
        over += median > budget
        print(f"{name:22} median {median:4.0f} ms  slowest {max(took):4.0f} ms  budget {budget} ms")
    return int(over > 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10))
