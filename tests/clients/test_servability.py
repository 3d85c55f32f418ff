"""What `engine validate` says cannot be served is refused by name, in each dialect, before anything is sent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.running import Running, run_engine, serving

pytestmark = pytest.mark.clients

CONFIG = """
mapping: gateway/1
upstreams:
  new: {endpoint: straico.chat.v2}
  local: {endpoint: ollama.chat}
  old: {endpoint: straico.prompt.v0, tools: "off"}
routes: {default: {to: new}}
clients: {auth: keys, keys: [{name: chooser, env: CHOOSER_KEY, choose: true}]}
"""
KEY = "a-chooser-key-0123456789"
MODEL = "openai/gpt-4o-mini"
PNG, PDF = "data:image/png;base64,iVBORw0KGgo=", "data:application/pdf;base64,JVBERi0="
FUNCTION: dict[str, Any] = {"name": "f", "parameters": {"type": "object"}}
TOOLS = [{"type": "function", "function": FUNCTION}]
TEXT = {"type": "text", "text": "hi"}


def chat(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [TEXT, *parts]}], **more}


def items(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}, *parts]}], **more}


def source(kind: str, media: str, data: str) -> dict[str, Any]:
    encoded = data.split(",")[1]
    return {"type": kind, "source": {"type": "base64", "media_type": media, "data": encoded}}


CLAUDE_TOOLS = [{"name": "f", "input_schema": {"type": "object"}}]
ITEM_TOOLS = [{"type": "function", **FUNCTION}]
PATHS = {
    "openai.chat": "/v1/chat/completions",
    "openai.responses": "/v1/responses",
    "anthropic.messages": "/v1/messages",
    "ollama": "/api/chat",
}
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("openai.chat", "tools"): chat(tools=TOOLS),
    ("openai.chat", "forced tools"): chat(tools=TOOLS, tool_choice="required"),
    ("openai.chat", "pictures"): chat({"type": "image_url", "image_url": {"url": PNG}}),
    ("openai.chat", "files"): chat({"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}}),
    ("openai.chat", "audio"): chat({"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}),
    ("openai.responses", "tools"): items(tools=ITEM_TOOLS),
    ("openai.responses", "forced tools"): items(tools=ITEM_TOOLS, tool_choice="required"),
    ("openai.responses", "pictures"): items({"type": "input_image", "image_url": PNG}),
    ("openai.responses", "files"): items({"type": "input_file", "filename": "a.pdf", "file_data": PDF}),
    ("anthropic.messages", "tools"): chat(max_tokens=9, tools=CLAUDE_TOOLS),
    ("anthropic.messages", "forced tools"): chat(max_tokens=9, tools=CLAUDE_TOOLS, tool_choice={"type": "any"}),
    ("anthropic.messages", "pictures"): chat(source("image", "image/png", PNG), max_tokens=9),
    ("anthropic.messages", "files"): chat(source("document", "application/pdf", PDF), max_tokens=9),
    ("ollama", "tools"): {"messages": [{"role": "user", "content": "hi"}], "tools": TOOLS},
    ("ollama", "pictures"): {"messages": [{"role": "user", "content": "hi", "images": ["iVBORw0KGgo="]}]},
}
"""How each dialect asks for each feature."""

NAMED_BY = {
    "tools": ("tools",),
    "forced tools": ("tool_choice", "tool call", "tools"),
    "pictures": ("image", "messages", "input"),
    "files": ("file", "messages", "input", "document", "text and images only"),
    "audio": ("audio", "messages"),
}
"""The words by which a refusal may name each feature."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a gateway file whose upstreams refuse different things."""
    made = tmp_path_factory.mktemp("gateway")
    (made / "engine.yaml").write_text(CONFIG, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def keyed(folder: Path) -> Iterator[Running]:
    """The gateway itself, with mocks behind it."""
    with serving("--mock", folder=folder, more={"CHOOSER_KEY": KEY}) as server:
        yield server


def told(folder: Path) -> set[tuple[str, str, str]]:
    """`(dialect, upstream, feature)` as `engine validate` lists them."""
    done = run_engine(["validate", "engine.yaml"], folder)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = re.findall(r"^  (\S+) over (\S+) \(\S+\): (.+)$", done.stdout, re.MULTILINE)
    return {(dialect, upstream, each) for dialect, upstream, features in lines for each in features.split(", ")}


def test_each_pair_that_is_listed_is_refused_and_no_other(folder: Path, keyed: Running, http: httpx.Client) -> None:
    """400 in the dialect's own shape with words that name the thing, whole and streamed; the upstream hears nothing."""
    listed = told(folder)
    assert {("openai.chat", "new", "audio"), ("ollama", "old", "tools")} <= listed
    for (dialect, feature), body in BODIES.items():
        for upstream in ("new", "local", "old"):
            for stream in (False, True):
                headers = {"authorization": f"Bearer {KEY}", "x-engine-upstream": upstream}
                asked = {"model": MODEL, "stream": stream, **body}
                answer = http.post(keyed.origin + PATHS[dialect], json=asked, headers=headers)
                place = (dialect, upstream, feature, stream, answer.text[:200])
                assert (answer.status_code == 400) == ((dialect, upstream, feature) in listed), place
                if answer.status_code == 400:
                    error = answer.json()["error"]
                    said = error if isinstance(error, str) else error["message"] + str(error.get("param"))
                    assert any(word in said.lower() for word in NAMED_BY[feature]), place
                    line = keyed.wait_for(answer.headers["x-request-id"])
                    assert "calls=" not in next(
                        each for each in line.splitlines() if answer.headers["x-request-id"] in each
                    )


def test_every_listed_pair_is_tried(folder: Path) -> None:
    """A feature that is listed has a body above."""
    assert {(dialect, feature) for dialect, _, feature in told(folder)} <= set(BODIES)
