"""The README is run: its commands in their order, in an empty folder, against a server that it says how to start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.running import ROOT, Running, environment, serving
from tests.test_docs import Block, blocks

README = ROOT / "README.md"
SETUP = "pip install"


def outcome(command: list[str], folder: Path) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def run_block(block: Block, server: Running, folder: Path) -> str:
    """Run a block of shell or Python, with the server's own address in place of the one that is shown."""
    text = block.text.replace("http://127.0.0.1:8000", server.origin)
    program = [sys.executable, "-c"] if block.info == "python" else ["bash", "-euc"]
    return outcome([*program, text], folder)


def test_every_command_does_what_is_shown(tmp_path: Path) -> None:
    """Each block runs; where a block of text follows, it is part of what was printed, to the letter."""
    found = blocks(README)
    serve = next(block.text for block in found if "engine serve" in block.text)
    arguments = serve.split("engine serve ")[1].split()
    with serving(*arguments, folder=tmp_path) as server:
        ran = 0
        for index, block in enumerate(found):
            if block.info not in ("sh", "python") or SETUP in block.text:
                continue
            printed = run_block(block, server, tmp_path)
            follower = found[index + 1] if index + 1 < len(found) else None
            if follower is not None and follower.info == "text":
                assert follower.text in printed, f"{README}:{block.line}\n{printed}"
            if "curl" in block.text:
                assert "The capital of France is Paris." in printed
            ran += 1
    assert ran >= 5


def test_the_set_up_is_what_ci_does() -> None:
    """The README installs and tests with the commands that CI runs, so that they are known to work."""
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    setups = [block.text for block in blocks(README) if SETUP in block.text]
    assert len(setups) == 2
    assert all(each.startswith("python3 -m venv .venv && .venv/bin/pip install -q ") for each in setups)
    tests = next(each for each in setups if "pytest" in each)
    assert "-e '.[test]'" in tests
    assert "-e '.[test]'" in ci
    assert "python3 -m venv" in ci
    assert "/pytest" in ci


def test_the_supported_python_is_the_packages() -> None:
    """The README and the package agree on the least version of Python."""
    assert 'requires-python = ">=3.11"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert "Python 3.11 or later" in README.read_text(encoding="utf-8")
