"""Options of dialects in the gateway config, over real HTTP; what is wrong with one is told with its place."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.clients.conftest import MODEL
from tests.running import run_engine, serving

pytestmark = pytest.mark.clients

CONFIG = """mapping: gateway/1
upstreams: {main: {endpoint: straico.chat.v2}}
routes: {default: {to: main}}
dialects:
"""
SEARCH = {"type": "web_search_20260318", "name": "web_search"}


def test_options_are_in_force(tmp_path: Path, http: httpx.Client) -> None:
    """The version that Ollama's clients see, and tools that only Anthropic can run, left out with a loss."""
    options = '  ollama: {options: {version: "9.9.9"}}\n  anthropic.messages: {options: {server_tools: drop}}\n'
    (tmp_path / "engine.yaml").write_text(CONFIG + options, encoding="utf-8")
    with serving("--mock", folder=tmp_path) as server:
        version = http.get(f"{server.origin}/api/version").json()
        body = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "ping"}], "tools": [SEARCH]}
        answer = http.post(f"{server.origin}/v1/messages", json=body)

    assert version == {"version": "9.9.9"}
    assert (answer.status_code, answer.headers["x-engine-losses"]) == (200, "tools=dropped")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("  olama: {options: {}}\n", ("5:3", "there is no dialect 'olama'", "did you mean `ollama`?")),
        ("  ollama: {options: {verson: x}}\n", ("5:22", "ollama has no option 'verson'", "did you mean `version`?")),
        ("  ollama: {options: {version: 9}}\n", ("5:31", "option 'version' of ollama must be of type string")),
        ("  anthropic.messages: {options: {server_tools: keep}}\n", ("5:48", "must be one of refuse, drop")),
        ("  ollama: {option: {}}\n", ("5:12", "did you mean `options`?")),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, line: str, said: tuple[str, ...]) -> None:
    """By `validate`, and by `serve` before it listens."""
    (tmp_path / "engine.yaml").write_text(CONFIG + line, encoding="utf-8")
    for command in (["validate", "engine.yaml"], ["serve", "--mock", "--port", "0"]):
        done = run_engine(command, tmp_path)
        assert done.returncode in (1, 2)
        assert [] == [each for each in said if each not in done.stdout + done.stderr]
