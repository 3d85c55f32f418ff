"""The operator's load script of `examples/load-streams`, a tenth of it: every stream complete, heartbeats on time."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import ROOT, serving


@pytest.mark.slow
def test_many_streams_at_once(tmp_path: Path) -> None:
    """20 clients for 3 s: nothing cut, signs of life within half a second, memory back."""
    folder = shutil.copytree(ROOT / "examples" / "load-streams", tmp_path / "load")
    config = folder / "engine.yaml"
    config.write_text(config.read_text().replace("every_s: 3", "every_s: 0.8"))
    with serving("--config", "engine.yaml", "--mock", folder=folder) as server:
        done = subprocess.run(
            [sys.executable, "load.py", "--url", f"{server.base_url}/chat/completions", "--count", "20", "--seconds",
             "3", "--every-s", "0.8", "--text", "mock:slow", "--pid", str(server.process.pid)],
            cwd=folder, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    assert (0, told["streams"], 0) == (done.returncode, told["complete"], told["off_by_more_than_0.5_s"]), told
    assert 40 <= told["streams"] <= 60
    assert told["heartbeats"] >= told["streams"]
