"""The edge of the command line: exit codes, internal errors, broken pipes, start time."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from engine.cli.group import COMMANDS, root
from tests.cli.desk import Cli

ROOT = Path(__file__).parent.parent.parent


def _engine(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "engine", *arguments]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str, cli: Cli) -> None:
    """The text says what it does and shows a line to type."""
    done = cli(name, "--help")

    assert done.code == 0
    assert f"  engine {name}" in done.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained(name: str) -> None:
    """No flag without a sentence."""
    command = root.get_command(click.Context(root), name)
    assert command is not None

    assert [each.name for each in command.params if isinstance(each, click.Option) and not each.help] == []


def test_the_overview_imports_no_command(cli: Cli) -> None:
    """Help costs the group alone."""
    code = (
        "import sys; from engine.cli.group import run; run(['--help']); print([m for m in sys.modules if 'yaml' in m])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.endswith("[]\n")


def test_an_unknown_command_is_answered_with_the_nearest(cli: Cli) -> None:
    """Exit code 2."""
    done = cli("validte")

    assert done.code == 2
    assert "did you mean 'validate'?" in done.err


def test_the_version_is_printed(cli: Cli) -> None:
    """`engine 0.1.0`."""
    assert cli("--version").out.startswith("engine ")


def test_an_internal_error_is_one_message(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 70, no traceback, unless it is asked for."""
    monkeypatch.setattr("engine.cli.selection.read_catalog", lambda _: 1 / 0)

    quiet = cli("validate")
    monkeypatch.setenv("ENGINE_DEBUG", "1")
    loud = cli("validate")

    assert quiet.code == loud.code == 70
    assert quiet.err.startswith("engine: internal error: ZeroDivisionError")
    assert "Traceback" not in quiet.err
    assert "Traceback" in loud.err


def test_a_broken_pipe_is_quiet() -> None:
    """`engine schema endpoint | true` makes no complaint."""
    process = subprocess.Popen(
        _engine("schema", "endpoint"), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()  # long before the process has started, so its first write fails
    error = process.stderr.read()
    process.stderr.close()
    process.wait(timeout=20)

    assert error == b""
    assert process.returncode == 0


def _children_cpu_s() -> float:
    """Processor time of ended children: a machine busy with other things does not lengthen it."""
    spent = os.times()
    return spent.children_user + spent.children_system


def test_help_comes_at_once() -> None:
    """The budget is 300 ms; `tests/benchmarks/bench_budgets.py` measures, this only sounds an alarm."""
    took = []
    for _ in range(3):
        begun = _children_cpu_s()
        subprocess.run(_engine("--help"), cwd=ROOT, capture_output=True, check=True)
        took.append(_children_cpu_s() - begun)

    assert min(took) < 0.4


def test_loading_keeps_its_distance_from_libyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    """All mappings with cases and mocks: five times what libyaml's own loader takes; an alarm sounds at seven."""
    monkeypatch.syspath_prepend(ROOT / "tests" / "benchmarks")
    bench = importlib.import_module("bench_budgets")
    bare = min(bench.libyaml_ms() for _ in range(3))
    loaded = min(bench.read_ms() for _ in range(3))
    print(f"loaded in {loaded:.0f} ms of processor time, {loaded / bare:.1f} x libyaml's {bare:.0f} ms")

    assert loaded < 7 * bare
