"""The budgets of starting and translating, in one command: `python tests/benchmarks/bench_budgets.py [runs]`.

`engine --help` is the wall time of a whole process. Loading is the processor time of that step alone, in a process that
did nothing before: the mappings as a server loads them, and with their cases and mocks as `engine validate` does; the
ratio to libyaml's own loader on the same text changes little on a busy machine. Translating is request and reply of a
chat of 20 messages without JSON (`bench_translation.py` has every endpoint). The least of the runs counts: other work
on the machine only ever adds. Exit code 1 when a figure is over its budget.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import bench_translation
import yaml

from engine.language.catalog import load_catalog
from engine.language.documents import mapping_files
from engine.language.shipped import MAPPINGS

ROOT: Final = Path(__file__).parent.parent.parent
LOAD: Final = """
import time
from engine.language.catalog import load_catalog, read_catalog
begun = time.process_time()
{}()
print(time.process_time() - begun)
"""
TRANSLATED: Final = ("straico.chat.v0", "straico.chat.v2", "straico.prompt.v0", "straico.prompt.v1")


def help_ms() -> float:
    """Wall time of `engine --help`."""
    begun = time.perf_counter()
    _run("-m", "engine", "--help")
    return (time.perf_counter() - begun) * 1000


def load_ms() -> float:
    """Processor time of loading every shipped mapping, to serve."""
    return float(_run("-c", LOAD.format("load_catalog"))) * 1000


def read_ms() -> float:
    """Processor time of loading every shipped mapping with its cases and mocks."""
    return float(_run("-c", LOAD.format("read_catalog"))) * 1000


def libyaml_ms() -> float:
    """Processor time of libyaml's loader for the text of every shipped mapping."""
    texts = [path.read_bytes() for path in mapping_files(MAPPINGS)]
    begun = time.process_time()
    for text in texts:
        yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return (time.process_time() - begun) * 1000


def _run(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, check=True, text=True).stdout


MEASURED: Final[dict[str, tuple[Callable[[], float], int]]] = {
    "engine --help": (help_ms, 300),
    "load all mappings, to serve": (load_ms, 800),
    "load all, cases and mocks": (read_ms, 1000),
}
"""What is measured, with its budget in milliseconds."""


def main(runs: int) -> int:
    """Print each figure with its budget."""
    over = 0
    yaml_ms = min(libyaml_ms() for _ in range(runs))
    for name, (measure, budget) in MEASURED.items():
        took = min(measure() for _ in range(runs))
        over += took > budget
        ratio = f"  {took / yaml_ms:4.1f} x libyaml's loader ({yaml_ms:.0f} ms)" if measure is not help_ms else ""
        print(f"{name:28} {took:6.0f} ms  budget {budget:5} ms{ratio}")
    catalog = load_catalog()
    for endpoint in TRANSLATED:
        took = sum(bench_translation.first_read(catalog, endpoint).values())
        over += took > bench_translation.BUDGET_US
        print(f"{'translate, ' + endpoint:28} {took:6.1f} us  budget {bench_translation.BUDGET_US:5} us")
    return int(over > 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10))
