"""The documentation is held to what it says: its YAML loads and passes its tests, its links lead somewhere, the
generated reference is what the code says today.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.running import ROOT, environment, run_engine

DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), ROOT / "README.md", *ROOT.glob("examples/*/README.md")])
ALL_PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("examples/*/README.md")])
GUIDE = DOCS / "writing-mappings.md"
_FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block: the words behind the fence, its text, its line."""

    info: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    return [Block(each[1].strip(), each[2], text.count("\n", 0, each.start()) + 1) for each in _FENCE.finditer(text)]


def kind_of(text: str) -> str | None:
    """The kind of mapping a block holds; None for a piece of one."""
    found = re.search(r"^mapping: (\w+)/1$", text, re.MULTILINE)
    return found[1] if found else None


def write_page(page: Path, folder: Path) -> dict[str, list[Path]]:
    """Write a page's YAML blocks as files, by kind; pieces become endpoints that extend the guide's first mapping."""
    found: dict[str, list[Path]] = {}
    for block in blocks(page):
        if block.info != "yaml":
            continue
        kind, text = kind_of(block.text), block.text
        if kind is None:
            kind, text = "piece", f"mapping: endpoint/1\nid: docs.line{block.line}\nextends: acme.flat\n{text}"
        path = folder / kind / f"line{block.line}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        found.setdefault(kind, []).append(path)
    return found


def yaml_pages() -> list[Path]:
    return [page for page in PAGES if any(block.info == "yaml" for block in blocks(page))]


def problems_of(folder: Path, kinds: Iterable[str]) -> list[str]:
    """What `engine validate` finds in the folders of a page; pieces may lack tests, all else is held to a release."""
    done = run_engine(["validate", *kinds, "--format", "json"], folder)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return [
        f"{each['file']}:{each['line']} {each['code']} {each['message']}"
        for each in json.loads(done.stdout)
        if each["severity"] == "error" or not each["file"].startswith("piece/")
    ]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", yaml_pages(), ids=name_of)
def test_every_yaml_block_loads_and_passes_its_tests(page: Path, tmp_path: Path) -> None:
    """Whole mappings pass as a release would; pieces compile as sections of an endpoint; overlays hit their target."""
    found = write_page(page, tmp_path)
    if page != GUIDE and "piece" in found:
        write_page(GUIDE, tmp_path)
        found["endpoint"] = []
    assert problems_of(tmp_path, found) == []
    assert set(found) <= {"endpoint", "dialect", "piece", "overlay", "gateway"}


def test_the_wrong_example_gives_the_message_that_is_shown(tmp_path: Path) -> None:
    """The guide's broken file is broken as the guide says, to the letter."""
    found = blocks(GUIDE)
    place = next(index for index, block in enumerate(found) if block.info == "yaml wrong")
    write_page(GUIDE, tmp_path)
    (tmp_path / "wrong.yaml").write_text(found[place].text, encoding="utf-8")
    done = run_engine(["validate", "endpoint", "wrong.yaml"], tmp_path)
    assert done.returncode == 1
    assert found[place + 1].text.strip() in done.stdout + done.stderr


def test_the_trace_example_prints_what_is_shown(tmp_path: Path) -> None:
    """`engine trace` on the page's sample, over the page's endpoint, saved as the page's lines say."""
    found = blocks(DOCS / "streaming.md")
    endpoint = next(block for block in found if "id: acme.streaming" in block.text)
    place = next(index for index, block in enumerate(found) if block.info == "sse")
    (tmp_path / "mappings").mkdir()
    (tmp_path / "mappings" / "acme.yaml").write_text(endpoint.text, encoding="utf-8")
    (tmp_path / "sample.sse").write_text(found[place].text, encoding="utf-8")
    command = found[place + 1].text.removeprefix("$ engine ").split()
    done = run_engine(command, tmp_path)
    assert done.returncode == 0
    assert done.stdout == found[place + 2].text


@pytest.mark.parametrize("page", ALL_PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    """Relative links point at files, and at headings that exist."""
    text = page.read_text(encoding="utf-8")
    for link in _LINK.findall(_FENCE.sub("", text)):
        if link.startswith(("http://", "https://")):
            continue
        target, _, anchor = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), link
        if anchor:
            assert anchor in anchors(file), link


def anchors(file: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", [page for page in ALL_PAGES if page.parent.name != "reference"], ids=name_of)
def test_one_sentence_per_line(page: Path) -> None:
    """Prose has one sentence per line, so that a change shows what changed."""
    prose = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for line in prose.splitlines():
        if line.startswith("|") or not line.strip():
            continue
        plain = re.sub(r"`[^`]*`", "x", line)
        assert not re.search(r"[a-zäöü)\"'x][.!?] [A-Z]", plain), line


def test_the_reference_is_what_the_code_says() -> None:
    """`python docs/generate.py --check` finds nothing out of date."""
    command = [sys.executable, str(DOCS / "generate.py"), "--check"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def commands() -> Iterator[Any]:
    """Every `engine` command line that a page shows."""
    for page in ALL_PAGES:
        for block in blocks(page):
            if block.info.split(" ")[0] not in ("console", "sh", "bash", "yaml", "Dockerfile", "ini"):
                continue
            for match in re.finditer(r"(?<![\w/.-])engine (\w+)((?: [^\n#|&;\\]*)?)", block.text):
                if block.info != "yaml" or "run:" in block.text:
                    yield pytest.param(match[1], match[2], id=f"{page.stem}-{match[0].strip()[:60]}")


@pytest.fixture(scope="module")
def helps() -> dict[str, str]:
    """The help of each command, asked for once."""
    return {}


@pytest.mark.parametrize(("name", "arguments"), list(commands()))
def test_commands_and_flags_exist(name: str, arguments: str, helps: dict[str, str], tmp_path: Path) -> None:
    """No page shows a command or a flag that `engine` does not have."""
    if name not in helps:
        done = run_engine([name, "--help"], tmp_path)
        assert done.returncode == 0, f"there is no `engine {name}`"
        helps[name] = done.stdout
    for flag in re.findall(r"(?<!\S)--[a-z-]+", arguments):
        assert flag in helps[name], f"`engine {name}` has no {flag}"


def test_every_command_is_documented(tmp_path: Path) -> None:
    """Each command of `engine --help` is shown or named on some page."""
    done = run_engine(["--help"], tmp_path)
    names = re.findall(r"^  (\w+)  ", done.stdout.split("Commands:")[1], re.MULTILINE)
    text = "\n".join(page.read_text(encoding="utf-8") for page in ALL_PAGES)
    assert names
    missing = [name for name in names if f"engine {name}" not in text]
    assert missing == []


def test_every_gateway_key_is_in_the_reference() -> None:
    """Each key that the annotated example shows stands in the reference of the gateway config."""
    keys = yaml.safe_load((ROOT / "examples" / "gateway.yaml").read_text(encoding="utf-8"))
    text = (DOCS / "reference" / "gateway.md").read_text(encoding="utf-8")
    missing = [key for key in keys if f"`{key}`" not in text]
    assert missing == []


def test_every_error_code_that_is_shown_exists() -> None:
    """The codes that the page on running promises to clients are those of the engine and its mappings."""
    text = (DOCS / "running.md").read_text(encoding="utf-8")
    table = text.split("## What a client sees when something fails")[1]
    rows = [line.split("|")[3] for line in table.splitlines() if line.startswith("| ") and line.count("|") == 4]
    codes = re.findall(r"`(\w+)`", " ".join(rows))
    sources = [*(ROOT / "engine").rglob("*.py"), *(ROOT / "mappings").rglob("*.yaml")]
    known = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    assert len(codes) >= 20
    assert [code for code in codes if not re.search(rf"\b{code}\b", known)] == []


def test_the_change_log_names_what_is_stable() -> None:
    """Headers and exit codes that the change log promises are those that the other pages explain."""
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    running = (DOCS / "running.md").read_text(encoding="utf-8")
    headers = set(re.findall(r"`(x-[a-z-]+)`", changes))
    assert len(headers) == 6
    assert headers <= set(re.findall(r"`(x-[a-z-]+)`", running))
