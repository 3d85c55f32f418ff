"""Several worker processes on one port: the parent holds the socket, its children accept from it.

The catalog is compiled once and the children are forked, so they share its memory. A child that dies is replaced after
a pause (F67); a signal to the parent goes to every child, a second one too, which ends them at once (F52).
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

RESTART_PAUSE_S: Final = 1.0
EARLY_DEATH_S: Final = 5.0
EARLY_DEATHS: Final = 5
"""So many workers in a row that die young mean that the next would too."""


class Supervisor:
    """Keeps `count` children running `work` (which returns the exit status) until a signal says stop."""

    def __init__(self, count: int, work: Callable[[], int]) -> None:
        self._count = count
        self._work = work
        self._born: dict[int, float] = {}
        self._stopping = False
        self._early_deaths = 0

    def run(self) -> int:
        """Run until all children have ended. Returns the exit status: 0 after an orderly stop."""
        if not hasattr(os, "fork"):
            sys.stderr.write("engine: several workers need a system that can fork; use --workers 1\n")
            return 1
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._forward)
        for _ in range(self._count):
            self._start()
        while self._born:
            self._reap()
        return 1 if self._early_deaths >= EARLY_DEATHS else 0

    def _start(self) -> None:
        pid = os.fork()
        if pid:
            self._born[pid] = time.monotonic()
            return
        os.setpgid(0, 0)  # the terminal's signals reach children through the parent only
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        status = 1
        try:
            status = self._work()
        finally:
            sys.stderr.flush()
            os._exit(status)  # the parent's own cleanup is not the child's

    def _reap(self) -> None:
        try:
            pid, _ = os.wait()
        except ChildProcessError:
            self._born.clear()
            return
        born = self._born.pop(pid, None)
        if born is None or self._stopping:
            return
        self._early_deaths = self._early_deaths + 1 if time.monotonic() - born < EARLY_DEATH_S else 0
        if self._early_deaths >= EARLY_DEATHS:
            sys.stderr.write("engine: workers keep dying at their start; giving up\n")
            self._forward(signal.SIGTERM, None)
            return
        sys.stderr.write(f"engine: worker {pid} died; starting another\n")
        time.sleep(RESTART_PAUSE_S)
        if not self._stopping:
            self._start()

    def _forward(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True
        for pid in self._born:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
