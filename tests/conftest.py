"""The few fixtures that many tests share; everything is the real thing, read from YAML."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import settings

from engine.language.catalog import Catalog, load_catalog, read_catalog
from engine.language.problems import Problems
from engine.language.reader import read_document
from engine.language.static_types import ANY
from engine.language.tree import Env, TreeCompiler, Usage
from engine.types import Build, Json

settings.register_profile("engine", deadline=None)
settings.load_profile("engine")

ENDPOINT: dict[str, Any] = {
    "mapping": "endpoint/1",
    "id": "acme.chat",
    "base_url": "https://api.acme.test/v9",
    "request": {"path": "/chat", "body": {"model": "=model.name", "messages": "=req.messages"}},
    "response": {"text": "=res.text"},
    "errors": {"any": {"status": ["4xx", "5xx"], "raise": {"message": "=res.error"}}},
}
"""The smallest endpoint that can be served."""

DIALECT: dict[str, Any] = {
    "mapping": "dialect/1",
    "id": "acme.talk",
    "operations": {
        "chat": {
            "route": {"path": "/talk"},
            "request": {"model": "=in.model", "messages": "=in.messages"},
            "response": {"body": {"said": "=out.text"}},
        }
    },
    "errors": {"default": {"body": {"oops": "=err.message"}}},
}
"""The smallest dialect that can be served."""


class Tried:
    """A compiled tree: `run(scope)` and the problems as `E104 2:3` lines."""

    def __init__(self, build: Build, problems: Problems) -> None:
        self.run = build
        self.found = problems.items
        self.lines = [f"{each.code} {each.mark.line}:{each.mark.column}" for each in problems.items]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the machine reaches a test."""
    for name in os.environ:
        if name.startswith(("ENGINE_", "STRAICO_", "OPENAI_")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def shipped() -> Catalog:
    """The shipped mappings, read once."""
    return load_catalog()


@pytest.fixture
def write_mapping(tmp_path: Path) -> Callable[..., Catalog]:
    """Write mapping files (texts, or objects dumped as YAML) into a folder and read them, without the shipped ones."""

    def write(*contents: str | dict[str, Any], folder: str = "mine", **named: str) -> Catalog:
        place = tmp_path / folder
        for index, content in enumerate(contents):
            text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
            named[f"m{index}.yaml"] = text
        for name, text in named.items():
            path = place / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return read_catalog([place], shipped=False)

    return write


@pytest.fixture
def endpoint(write_mapping: Callable[..., Catalog]) -> Callable[..., Any]:
    """Compile the smallest endpoint with some sections changed; None removes one. Gives the plan, which must be clean."""  # noqa: E501

    def make(**sections: Json) -> Any:
        content = {key: value for key, value in {**ENDPOINT, **sections}.items() if value is not None}
        catalog = write_mapping(content)
        assert [f"{each.code} {each.message}" for each in catalog.problems.errors] == []
        return catalog.endpoints[content["id"]]

    return make


@pytest.fixture
def codes(write_mapping: Callable[..., Catalog]) -> Callable[..., list[str]]:
    """The codes of all problems of the smallest endpoint with some sections changed; None removes one."""

    def find(**sections: Json) -> list[str]:
        content = {key: value for key, value in {**ENDPOINT, **sections}.items() if value is not None}
        return [each.code for each in write_mapping(content).problems.items]

    return find


@pytest.fixture
def compile_tree() -> Callable[..., Tried]:
    """Compile YAML text as a value tree in a scope of names."""

    def make(text: str, *names: str, expected: Any = None, templates: bool = True, side: str = "request",
             **types: Any) -> Tried:  # fmt: skip
        problems = Problems()
        node = read_document(text.encode(), "t.yaml", problems)
        assert node is not None, problems.items
        scope = {**dict.fromkeys(names or ("req", "x", "y"), ANY), **types}
        env = Env(scope, "the test", side, Usage(), templates=templates)
        return Tried(TreeCompiler(problems, lambda name, mark: None).function(node, env, expected), problems)

    return make
