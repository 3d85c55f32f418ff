"""Each folder of `examples/` is run as its README says, in a copy, against the bundled mock."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.running import ROOT, Running, environment, run_engine, serving
from tests.test_docs import blocks

EXAMPLES = ROOT / "examples"
MODEL = "openai/gpt-4o-mini"
Copy = Callable[[str], Path]


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """Copy an example, so that a test may change it."""
    return lambda name: shutil.copytree(EXAMPLES / name, tmp_path / name)


def command_lines(folder: Path) -> list[list[str]]:
    """The command lines that an example's README shows."""
    shown = [block.text for block in blocks(folder / "README.md") if block.info == "sh"]
    return [shlex.split(line) for text in shown for line in text.splitlines() if line]


def serve_arguments(folder: Path) -> list[list[str]]:
    """What follows `engine serve` in an example's README."""
    return [line[2:] for line in command_lines(folder) if line[:2] == ["engine", "serve"]]


def run_checks(folder: Path) -> dict[str, str]:
    """Run every engine command of the README that ends by itself; gives what each printed."""
    printed = {}
    for line in command_lines(folder):
        if line[0] == "engine" and line[1] != "serve":
            done = run_engine(line[1:], folder)
            assert done.returncode == 0, done.stdout + done.stderr
            printed[line[1]] = done.stdout
    return printed


def ask(server: Running, text: str = "ping", **fields: Any) -> httpx.Response:
    """One question over plain HTTP."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": text}], **fields}
    return httpx.post(f"{server.base_url}/chat/completions", json=body, timeout=30)


def test_every_example_is_run() -> None:
    """A folder of examples that no test runs would rot."""
    source = Path(__file__).read_text(encoding="utf-8")
    folders = [each.name for each in EXAMPLES.iterdir() if each.is_dir()]
    assert [each for each in folders if f'"{each}"' not in source] == []
    assert [each for each in folders if not (EXAMPLES / each / "README.md").is_file()] == []


def test_first_chat(copy: Copy) -> None:
    """The scripts and the program talk to the server that the README starts."""
    folder = copy("first-chat")
    [arguments] = serve_arguments(folder)
    with serving(*arguments) as server:
        printed = {}
        for line in command_lines(folder)[1:]:
            program = [sys.executable, *line[1:]] if line[0] == "python" else line
            done = subprocess.run(
                program,
                cwd=folder,
                env=environment({"BASE_URL": server.base_url}),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            printed[line[-1]] = done.stdout
    assert json.loads(printed["./chat.sh"])["choices"][0]["message"]["content"] == "The capital of France is Paris."
    every, one = printed["./models.sh"].splitlines()
    assert MODEL in [model["id"] for model in json.loads(every)["data"]]
    assert json.loads(one)["id"] == MODEL
    assert "The capital of France is Paris.\n18 tokens\nrefused: model_not_found\n" in printed["chat.py"]


def test_switch_endpoint(copy: Copy) -> None:
    """One word in the file, or one flag, and the other endpoint serves; the answer stays the same."""
    folder = copy("switch-endpoint")
    plain, forced = serve_arguments(folder)
    with serving(*plain, folder=folder) as server:
        new = ask(server)
    with serving(*forced, folder=folder) as server:
        forced_old = ask(server)
    config = folder / "engine.yaml"
    config.write_text(re.sub(r"to: straico$", "to: straico-old", config.read_text(), flags=re.MULTILINE))
    with serving(*plain, folder=folder) as server:
        old = ask(server)
    served = [each.headers["x-engine-endpoint"] for each in (new, forced_old, old)]
    assert served == ["straico.chat.v2", "straico.prompt.v1", "straico.prompt.v1"]
    assert new.json()["choices"] == forced_old.json()["choices"] == old.json()["choices"]


def test_new_endpoint_version(copy: Copy) -> None:
    """Five lines of YAML validate, test, list and serve."""
    folder = copy("new-endpoint-version")
    written = (folder / "mappings" / "straico-chat-v3.yaml").read_text().splitlines()
    assert len(written) == 5
    assert "\n".join(written) in (ROOT / "README.md").read_text(encoding="utf-8")
    printed = run_checks(folder)
    assert "no problems" in printed["validate"]
    assert "straico.chat.v3" in printed["list"]
    assert re.search(r"^\d\d passed", printed["test"], re.MULTILINE)
    [arguments] = serve_arguments(folder)
    with serving(*arguments, "--print", "upstream_request", folder=folder) as server:
        answer = ask(server)
        assert answer.json()["choices"][0]["message"]["content"] == "pong"
        assert answer.headers["x-engine-endpoint"] == "straico.chat.v3"
        server.wait_for("/v3/chat/completions")


def test_new_endpoint(copy: Copy) -> None:
    """An API of another shape serves answers, usage, cost and errors as any other does."""
    folder = copy("new-endpoint")
    printed = run_checks(folder)
    assert json.loads(printed["translate"])["body"]["turns"] == [{"who": "guest", "says": "Good day!"}]
    [arguments] = serve_arguments(folder)
    with serving(*arguments, "--print", "upstream_request", folder=folder) as server:
        answer = ask(server, "Good day!", model="alto").json()
        message = answer["choices"][0]["message"]
        assert message["content"] == "You said: Good day!"
        assert message["reasoning_content"] == "A guest speaks."
        assert answer["usage"]["total_tokens"] == 12
        assert answer["usage"]["cost"] == {"amount": 0.2, "unit": "cents"}
        server.wait_for("/rooms/kitchen/turns")
        failed = ask(server, "mock:broke", model="alto")
        assert (failed.status_code, failed.json()["error"]["code"]) == (429, "insufficient_quota")
        assert failed.json()["error"]["message"] == "Your purse is empty."


def test_overlay(copy: Copy) -> None:
    """The shipped mapping answers with the office's changes."""
    folder = copy("overlay")
    printed = run_checks(folder)
    body = json.loads(printed["translate"])["body"]
    assert (body["temperature"], body["max_tokens"]) == (1, 2000)
    assert "mappings/office.yaml" in printed["flatten"]
    [arguments] = serve_arguments(folder)
    with serving(*arguments, folder=folder) as server:
        assert ask(server, temperature=1.7).headers["x-engine-losses"] == "temperature=clamped"
        broke = ask(server, "mock:no_coins").json()["error"]
        assert broke["message"] == "The office's Straico account has no coins left; ask Ada."
        assert broke["code"] == "insufficient_quota"


def test_new_toolformat(copy: Copy) -> None:
    """A format of one YAML file and one template passes its checks and its cases."""
    printed = run_checks(copy("new-toolformat"))
    assert "no problems" in printed["validate"]
    assert re.search(r"^7 passed", printed["test"], re.MULTILINE)


def test_load_streams(copy: Copy) -> None:
    """The load script, a tenth of it: every stream whole, signs of life within half a second, the memory back."""
    folder = copy("load-streams")
    config = folder / "engine.yaml"
    config.write_text(config.read_text().replace("every_s: 3", "every_s: 0.8"))
    [arguments] = serve_arguments(folder)
    with serving(*arguments, folder=folder) as server:
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


def engine_lines(text: str) -> list[list[str]]:
    """The engine commands in a workflow or a list of hooks."""
    found: list[list[str]] = []

    def visit(node: Any) -> None:
        if isinstance(node, dict):
            found.extend(shlex.split(each) for key, each in node.items() if key in ("run", "entry"))
        for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            visit(each)

    visit(yaml.safe_load(text))
    return [line[1:] for line in found if line[0] == "engine"]


@pytest.mark.parametrize("file", [".github/workflows/mappings.yml", ".pre-commit-config.yaml"])
def test_ci(copy: Copy, file: str) -> None:
    """The workflow and the hook let good mappings pass and stop bad ones."""
    folder = copy("ci")
    [line] = engine_lines((folder / file).read_text())
    good = run_engine(line, folder)
    assert good.returncode == 0, good.stdout + good.stderr
    mapping = folder / "mappings" / "straico-chat-v3.yaml"
    mapping.write_text(mapping.read_text().replace("path", "pth"))
    bad = run_engine(line, folder)
    assert bad.returncode == 1
    assert "straico-chat-v3.yaml" in bad.stdout
    if "github" in line:
        assert bad.stdout.startswith("::error file=mappings/straico-chat-v3.yaml,line=5,")
