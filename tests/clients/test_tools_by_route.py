"""A route, or an upstream, may say how tools are offered, in place of the mapping (issue 3)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.running import Running, run_engine, serving

CONFIG = """mapping: gateway/1
upstreams:
  main: {endpoint: straico.chat.v2}
  plain: {endpoint: straico.chat.v2, tools: {format: llama3_json, place: last_user}}
routes:
  off: {models: ["no-tools/*"], to: main, tools: off}
  old: {models: ["old/*"], to: plain, tools: {format: [legacy_xml_json, xml_json]}}
  plain: {models: ["plain/*"], to: plain}
  rest: {to: main}
aliases: {}
"""
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("routes")
    (folder / "engine.yaml").write_text(CONFIG)
    with serving("--config", "engine.yaml", "--mock", "--print", "upstream_request", folder=folder) as server:
        yield server


def offered(gateway: Running, model: str) -> tuple[int, str]:
    """The status, and what the log shows of the upstream request."""
    mark = f"question {model}"
    body = {"model": model, "messages": [{"role": "user", "content": mark}], "tools": [TOOL]}
    answer = httpx.post(f"{gateway.base_url}/chat/completions", json=body, timeout=20)
    if answer.status_code == 400:
        return 400, answer.json()["error"]["message"]
    log = gateway.wait_for(mark)
    return answer.status_code, next(line for line in log.splitlines() if mark in line and "get_weather" in line)


def test_each_route_has_its_own_format(gateway: Running) -> None:
    """The route's word counts before the upstream's, and the upstream's before the mapping's."""
    assert "<tool_call>" in offered(gateway, "openai/gpt-4o-mini")[1]
    assert "<tool_calls>" in offered(gateway, "old/model")[1]
    assert "<tool_call" not in offered(gateway, "plain/model")[1]


def test_tools_can_be_switched_off(gateway: Running) -> None:
    """Then they are refused by name, never ignored."""
    status, message = offered(gateway, "no-tools/model")

    assert 400 == status
    assert "switched off" in message


def test_an_unknown_format_is_told_at_its_place(tmp_path: Path) -> None:
    """With the nearest name, like any other mistake in the file."""
    (tmp_path / "engine.yaml").write_text(CONFIG.replace("[legacy_xml_json, xml_json]", "xml_jsn"))
    done = run_engine(["serve", "--config", "engine.yaml", "--mock", "--port", "0"], tmp_path)

    assert 1 == done.returncode
    assert "engine.yaml:7:55" in done.stderr
    assert "did you mean `xml_json`?" in done.stderr
