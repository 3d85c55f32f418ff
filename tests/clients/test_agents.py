"""Coding agents do a small file job through the gateway. Opt-in: skipped unless `ENGINE_AGENTS_DIR` is set.

    npm install --prefix DIR @anthropic-ai/claude-code @openai/codex opencode-ai
    python3 -m venv DIR/aider && DIR/aider/bin/pip install aider-chat
    ENGINE_AGENTS_DIR=DIR pytest -m agents

An agent that is not in the folder is looked for on PATH.
Each runs headless in a fresh home, in front of a mock that leads it through the job (see the mock's own file): it
reads, writes, mends and runs a program by its own tools. It can reach nothing but the gateway: what it asks of other
hosts goes to a proxy that refuses and remembers.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import MODEL
from tests.running import Running, serving

pytestmark = pytest.mark.agents

INSTALLED = os.environ.get("ENGINE_AGENTS_DIR", "")
MOCK = Path(__file__).parent / "agents"
DEADLINE_S = 120
DONE = "Done, it says hello and 42."
PROGRAM = r"""# Says hello; "quotes", </tags> and back\slashes are data.
greeting = 'hello, "Zoë" & <all>'
if greeting:
    print(greeting, 6 * 7, "\\o/", sep="\t")
"""


def _found(name: str) -> str | None:
    """Where an agent's program is; nowhere, unless the suite is asked for."""
    if not INSTALLED:
        return None
    places = [f"{INSTALLED}/node_modules/.bin", f"{INSTALLED}/{name}/bin"]
    return shutil.which(name, path=os.pathsep.join([*places, os.environ["PATH"]]))


def _needs(name: str) -> pytest.MarkDecorator:
    """Skips a test where the agent is not installed."""
    reason = f"{name} is neither in ENGINE_AGENTS_DIR nor on PATH" if INSTALLED else "ENGINE_AGENTS_DIR is not set"
    return pytest.mark.skipif(_found(name) is None, reason=reason)


@dataclass
class Place:
    """Where an agent works: a fresh home and a fresh folder."""

    home: Path
    folder: Path
    gateway: Running
    proxy: str
    asked_elsewhere: list[str] = field(default_factory=list)

    def run(self, agent: str, arguments: list[str], more: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Run the agent with nothing of the machine's environment."""
        program = _found(agent)
        assert program is not None
        elsewhere = {"HTTP_PROXY": self.proxy, "HTTPS_PROXY": self.proxy, "NO_PROXY": "127.0.0.1,localhost"}
        return subprocess.run(
            [program, *arguments],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(self.home), **elsewhere, **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )

    def requests(self) -> list[dict[str, Any]]:
        """The line of the log for each request of the agent."""
        lines = [json.loads(line) for line in self.gateway.log.splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("event") == "request"]


@contextmanager
def _refusing() -> Iterator[tuple[str, list[str]]]:
    """A proxy that lets nothing through, and what was asked of it."""
    asked: list[str] = []

    class Refuses(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:  # what HTTPS through a proxy begins with
            asked.append(self.path)
            self.send_error(502)

        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Refuses) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A fresh home and folder, and a gateway of its own whose mock knows the folder."""
    home, folder = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    folder.mkdir()
    (folder / "notes.txt").write_text('Greet "Zoë" & <all>.\n')
    options = ["--mappings", str(MOCK), "--mock-option", f"folder={folder}", "--log-format", "json"]
    with (
        _refusing() as (proxy, asked),
        serving("--endpoint", "straico.chat.v2", "--mock", *options) as gateway,
    ):
        yield Place(home, folder, gateway, proxy, asked)


def _finished(
    place: Place, done: subprocess.CompletedProcess[str], turns: int, elsewhere: tuple[str, ...] = ()
) -> None:
    """The program is written and mended, the agent ended well, and the gateway served all it asked for."""
    said = f"{done.stdout}\n--- errors\n{done.stderr}\n--- gateway\n{place.gateway.log}"
    assert done.returncode == 0, said
    assert (place.folder / "hello.py").read_text() == PROGRAM, said
    served = place.requests()
    assert [line for line in served if not 200 <= line["status"] < 300] == []
    assert len([line for line in served if line.get("upstream")]) == turns, said
    assert sorted(set(place.asked_elsewhere)) == list(elsewhere)


@_needs("claude")
@pytest.mark.parametrize("model", [MODEL, "claude-opus-4-8"])
def test_claude_code(place: Place, model: str) -> None:
    """Messages, streamed: the agent's own Read, Bash, Write and Edit; with names that it knows and that it does not."""
    environment = {
        "ANTHROPIC_BASE_URL": place.gateway.origin,
        "ANTHROPIC_API_KEY": "any",
        "ANTHROPIC_MODEL": model,
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": MODEL,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_AUTOUPDATER": "1",
    }
    tools = ["--allowedTools", "Read,Write,Edit,Bash"]
    done = place.run("claude", ["-p", "script:claude", *tools], environment)
    assert done.stdout.strip() == DONE
    _finished(place, done, turns=5)


@_needs("codex")
@pytest.mark.parametrize(
    ("script", "model"),
    [("codex", MODEL), ("codex_patches", "openai/gpt-5.5"), ("codex_code", "openai/gpt-6.1-sol")],
)
def test_codex(place: Place, script: str, model: str) -> None:
    """Responses, streamed: the agent's exec_command, its custom apply_patch, its code mode, as the model is known."""
    (place.home / ".codex").mkdir()
    (place.home / ".codex" / "config.toml").write_text(
        f"""model = "{model}"
model_provider = "gateway"
check_for_update_on_startup = false
analytics.enabled = false
features.plugins = false

[model_providers.gateway]
name = "gateway"
base_url = "{place.gateway.base_url}"
wire_api = "responses"
env_key = "GATEWAY_KEY"
"""
    )
    flags = ["--skip-git-repo-check", "--sandbox", "danger-full-access"]
    done = place.run("codex", ["exec", *flags, f"script:{script}"], {"GATEWAY_KEY": "any"})
    assert done.stdout.strip() == DONE, done.stderr
    _finished(place, done, turns=5)


@_needs("opencode")
@pytest.mark.parametrize("package", ["@ai-sdk/openai-compatible", "@ai-sdk/openai", "@ai-sdk/anthropic"])
def test_opencode(place: Place, package: str) -> None:
    """Chat completions, Responses or Messages, streamed: the agent's own read, bash, write and edit."""
    provider = {
        "npm": package,
        "name": "gateway",
        "options": {"baseURL": place.gateway.base_url, "apiKey": "any"},
        "models": {MODEL: {"name": MODEL}},
    }
    config = {
        "model": f"gateway/{MODEL}",
        "small_model": f"gateway/{MODEL}",
        "autoupdate": False,
        "share": "disabled",
        "provider": {"gateway": provider},
    }
    (place.folder / "opencode.json").write_text(json.dumps(config))
    environment = {
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
    }
    done = place.run("opencode", ["run", "script:opencode"], environment)
    assert DONE in done.stdout, done.stderr
    _finished(place, done, turns=6, elsewhere=("registry.npmjs.org:443",))  # for types of plug-ins; it does without


@_needs("aider")
def test_aider(place: Place) -> None:
    """Chat completions without tools: edits as blocks of text, the second after a test that failed."""
    metadata = {f"openai/{MODEL}": {"max_input_tokens": 96000, "litellm_provider": "openai", "mode": "chat"}}
    (place.home / ".aider.model.metadata.json").write_text(json.dumps(metadata))
    environment = {
        "OPENAI_API_BASE": place.gateway.base_url,
        "OPENAI_API_KEY": "any",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    quiet = ["--no-check-update", "--analytics-disable", "--no-show-release-notes", "--no-git", "--yes-always"]
    tested = ["--test-cmd", "python3 hello.py | grep hello", "--auto-test", "hello.py"]
    done = place.run("aider", ["--model", f"openai/{MODEL}", *quiet, *tested, "--message", "script:aider"], environment)
    _finished(place, done, turns=2)
