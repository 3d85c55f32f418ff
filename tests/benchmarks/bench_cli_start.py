"""How long `engine --help` takes, a whole process each time: python tests/benchmarks/bench_cli_start.py [runs]."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

BUDGET_MS = 300
ROOT = Path(__file__).parent.parent.parent


def main(runs: int) -> int:
    """Print the median and the slowest; exit 1 when the median is over the budget."""
    command = [sys.executable, "-m", "engine", "--help"]
    took: list[float] = []
    for _ in range(runs + 1):
        begun = time.perf_counter()
        subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
        took.append((time.perf_counter() - begun) * 1000)
    median = statistics.median(took[1:])
    print(f"engine --help: median {median:.0f} ms, slowest {max(took[1:]):.0f} ms, budget {BUDGET_MS} ms")
    return int(median > BUDGET_MS)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
