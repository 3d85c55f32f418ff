"""How the reader compares with PyYAML on one file: `python tests/benchmarks/bench_reader.py FILE`.

Prints milliseconds (best of 20) for our reader, `yaml.load` on libyaml, and `yaml.load` in Python.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from engine.language.diagnostics import Problems
from engine.language.reader import read_document


def best_ms(run: Callable[[], object], repetitions: int = 20) -> float:
    """The shortest of several runs, in milliseconds."""
    best = float("inf")
    for _ in range(repetitions):
        started = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - started)
    return best * 1000


def main(path: Path) -> None:
    """Measure one file and print a line."""
    data = path.read_bytes()
    ours = best_ms(lambda: read_document(data, str(path), Problems()))
    libyaml = best_ms(lambda: yaml.load(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    python = best_ms(lambda: yaml.load(data, Loader=yaml.SafeLoader), 3)
    print(f"{path.name}: {len(data)} bytes; reader {ours:.2f} ms, libyaml {libyaml:.2f} ms, python {python:.2f} ms")
    print(f"ratio to libyaml: {ours / libyaml:.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
