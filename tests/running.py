"""A real `engine serve` in a process of its own, for tests that stand where a user stands.

The process listens on a free port, which its banner tells; it is ready when `/readyz` says so, within a deadline. It is
stopped by its process id. When the test inside the block fails, the process's log is printed.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
START_DEADLINE_S = 90
STOP_DEADLINE_S = 15
_PLACE = re.compile(r"^endpoint-engine \S+ on (http://\S+:\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class Running:
    """A server that is ready. `origin` is `http://host:port`; `base_url` is what an OpenAI client is given."""

    origin: str
    process: subprocess.Popen[bytes]
    log_file: Path

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v1"

    @property
    def log(self) -> str:
        """Everything it has written so far; the log is written by a thread, so wait for what you look for."""
        return self.log_file.read_text(errors="replace")

    def wait_for(self, text: str, count: int = 1, deadline_s: float = 5) -> str:
        """The log, once `text` stands in it `count` times."""
        end = time.monotonic() + deadline_s
        while self.log.count(text) < count:
            assert time.monotonic() < end, f"{text!r} is not in the log {count} times:\n{self.log}"
            time.sleep(0.02)
        return self.log


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """A small environment: nothing of the machine's but what a program needs to start."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    scripts = str(Path(sys.executable).parent)
    kept["PATH"] = f"{scripts}{os.pathsep}{kept.get('PATH', '')}"
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "NO_COLOR": "1", **(more or {})}


def run_engine(
    arguments: Sequence[str], folder: Path, more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one `engine` command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "engine", *arguments],
        cwd=folder,
        env=environment(more),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@contextlib.contextmanager
def serving(
    *arguments: str, folder: Path | None = None, more: Mapping[str, str] | None = None, port: int = 0
) -> Iterator[Running]:
    """Run `engine serve ARGUMENTS --port PORT` until the block ends."""
    command = [sys.executable, "-m", "engine", "serve", *arguments, "--port", str(port)]
    with running(command, folder=folder, more=more) as server:
        yield server


@contextlib.contextmanager
def running(
    command: Sequence[str], folder: Path | None = None, more: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """Run a command that serves, from the moment it is ready until the block ends."""
    with tempfile.TemporaryDirectory() as home:
        log_file = Path(home) / "log"
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                command, cwd=folder or home, env=environment(more), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            yield Running(_when_ready(process, log_file), process, log_file)
        except BaseException:
            print(f"--- the log of {' '.join(command)}\n{log_file.read_text(errors='replace')}---", file=sys.stderr)
            raise
        finally:
            _stop(process)


def _when_ready(process: subprocess.Popen[bytes], log_file: Path) -> str:
    """Where the server is, once it is ready."""
    end = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < end:
        found = _PLACE.search(log_file.read_text(errors="replace"))
        if found and _is_ready(found[1]):
            return found[1]
        assert process.poll() is None, f"the server ended with status {process.returncode}"
        time.sleep(0.05)
    raise AssertionError(f"the server was not ready within {START_DEADLINE_S} seconds")


def _is_ready(origin: str) -> bool:
    try:
        with urllib.request.urlopen(f"{origin}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise AssertionError(f"the server did not stop within {STOP_DEADLINE_S} seconds") from None
