"""The command line. One command, one file; each is imported when it is used.

`main` is the edge: every failure ends here as one message and an exit code, never as a traceback.
0 good, 1 problems were found, 2 wrong usage, 70 a fault of the engine itself, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

__all__ = ["main"]

EXIT_INTERNAL = 70
_REPORT_HINT = "please report it with the command; ENGINE_DEBUG=1 shows the traceback"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code. Never returns."""
    sys.exit(_guarded(arguments))


def _guarded(arguments: Sequence[str] | None) -> int:
    from engine.cli.group import run
    from engine.errors import EngineError

    try:
        code = run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        return _quiet_pipe()
    except EngineError as error:
        # A mapping error is many diagnostics already rendered; others are one line.
        print(str(error).rstrip("\n"), file=sys.stderr)
        return 1
    except Exception as error:  # noqa: BLE001  # the CLI edge: one of the two places of STYLE B7
        if os.environ.get("ENGINE_DEBUG") == "1":
            import traceback

            traceback.print_exc()
        print(f"engine: internal error: {type(error).__name__}: {error}\n  {_REPORT_HINT}", file=sys.stderr)
        return EXIT_INTERNAL
    return code


def _quiet_pipe() -> int:
    """The reader of our output went away (`engine list | head`): no message, and none from Python's own exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
