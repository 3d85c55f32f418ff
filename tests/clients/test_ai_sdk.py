"""The Vercel AI SDK in front of the gateway. Opt-in: skipped unless `AI_SDK_MODULES` names a node_modules folder.

npm install ai @ai-sdk/openai @ai-sdk/openai-compatible @ai-sdk/anthropic zod
AI_SDK_MODULES=$PWD/node_modules pytest tests/clients/test_ai_sdk.py
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import Servers
from tests.running import environment

pytestmark = pytest.mark.frameworks

MODULES = os.environ.get("AI_SDK_MODULES", "")
PARIS = "The capital of France is Paris."
LAST = "It is 21 degrees in Paris and 9 in Oslo."
CITIES = ["Paris", "Oslo", "Oslo"]


@pytest.fixture(params=["chat", "responses", "compatible", "anthropic"])
def report(request: pytest.FixtureRequest, servers: Servers, tmp_path: Path) -> Any:
    """What the SDK saw with one of its providers, and the provider's name."""
    node = shutil.which("node")
    if not node or not Path(MODULES or "nowhere").is_dir():
        pytest.skip("AI_SDK_MODULES names no folder, or there is no node")
    (tmp_path / "node_modules").symlink_to(MODULES)
    script = shutil.copy(Path(__file__).parent / "ai_sdk.mjs", tmp_path)
    command = [node, script, servers["straico.chat.v2"].origin, request.param]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=environment())
    return {**json.loads(done.stdout.splitlines()[-1]), "provider": request.param}


def test_what_the_sdk_sees(report: Any) -> None:
    """Text, streams, loops of tools, objects, errors; items of a store that is not there are refused by name."""
    assert report["text"] == PARIS
    assert report["stream"] == [PARIS, "stop", 12]
    assert report["loop"] == [LAST, CITIES]
    assert report["streamed_loop"] == [LAST, CITIES]
    assert report["error"] == ["AI_APICallError", 429, "Too many requests"]
    if report["provider"] == "anthropic":
        return  # there the object is asked for by a forced tool, which the mock's script does not call
    assert report["object"] == {"city": "Paris", "degrees": 21}
    if report["provider"] == "responses":
        status, said = report["references"]
        assert status == 400
        assert "item_reference" in said
