"""Running the command line inside the test's process, through the real edge."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from engine.cli import main
from engine.language.catalog import read_catalog
from tests.cli.desk import DIALECT, ENDPOINT, MOCK, Cli, Outcome


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """`cli("validate", "x.yaml", stdin=b"…")`."""

    def run(*arguments: str, stdin: bytes = b"") -> Outcome:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as stopped:
            main([str(each) for each in arguments])
        said = capsys.readouterr()
        return Outcome(int(stopped.value.code or 0), said.out, said.err)

    return run


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own with `mappings/` in it, as the current folder."""
    folder = tmp_path / "mappings"
    folder.mkdir()
    (folder / "chat.yaml").write_text(ENDPOINT)
    (folder / "api.yaml").write_text(DIALECT)
    (folder / "chat.mock.yaml").write_text(MOCK)
    (tmp_path / "request.json").write_text(
        json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], "temperature": 3, "colour": "red"})
    )
    (tmp_path / "reply.json").write_text(json.dumps({"text": "hello"}))
    monkeypatch.chdir(tmp_path)
    # What is shipped grows and is tested elsewhere: a small shipped folder keeps these tests at one thing, and quick.
    shipped = tmp_path / "shipped" / "parent.yaml"
    shipped.parent.mkdir()
    shipped.write_text(ENDPOINT.replace("id: acme.chat", "id: acme.shipped"))
    for module in ("engine.language.catalog", "engine.cli.selection"):
        monkeypatch.setattr(f"{module}.MAPPINGS", shipped.parent)
    return tmp_path


@pytest.fixture(scope="session")
def shipped_endpoint() -> str:
    """The id of some endpoint that is shipped, with a mock."""
    catalog = read_catalog()
    served = {each for plan in catalog.mocks.values() for each in plan.serves}
    return min(served & set(catalog.endpoints))
