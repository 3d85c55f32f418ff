"""The shape of the house: which way imports point, what no module may name or do (DESIGN 2 and 3, STYLE B)."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ENGINE = ROOT / "engine"
MAPPINGS = ROOT / "mappings"
FILES = sorted(ENGINE.rglob("*.py"))

LAYERS = {
    "errors": set(),
    "types": set(),
    "__init__": set(),
    "config": {"errors", "types"},
    "secrets": {"errors", "types", "config"},
    "translate": {"errors", "types"},
    "language": {"errors", "types", "config", "secrets", "translate", "__init__"},
    "gateway": {"errors", "types", "config", "secrets", "translate", "__init__"},
    "mock": {"errors", "types", "config", "translate", "language", "__init__"},
    "server": {"errors", "types", "config", "secrets", "translate", "language", "gateway", "__init__"},
    "cli": {"errors", "types", "config", "secrets", "translate", "language", "gateway", "server", "mock", "__init__"},
    "__main__": {"cli"},
}
"""What each part of the engine may import of the others."""

THIRD_PARTY = {
    "translate": set(),
    "language": {"yaml", "jinja2", "jmespath", "re2", "jsonschema_rs", "markupsafe"},
    "gateway": {"aiohttp", "certifi", "multidict", "yarl", "orjson", "anyio"},
    "mock": {"starlette", "uvicorn", "orjson", "anyio", "httptools"},
    "server": {"starlette", "uvicorn", "uvloop", "orjson", "anyio", "httptools", "h11"},
    "cli": None,
}
"""Which packages each part may import; None is any."""

GENERIC = {
    # words of the trade that happen to be parts of ids, and say nothing of who offers the API
    "chat", "prompt", "base", "models", "messages", "completions", "endpoints", "dialects", "toolformats", "schemas",
    "mock", "xml", "json", "tags", "v0", "v1", "v2",
    # an English word that is also the name of a provider
    "together",
}  # fmt: skip

EXEMPT = {"engine/language/kinds/auth.py: xai"}
"""Known and reasoned: the published prefix of a key, by which E172 finds keys in files."""


def name_of(path: Path) -> str:
    """`engine/language/tree.py` -> `engine.language.tree`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree_of(path: Path) -> ast.Module:
    """The parsed file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path, *, typing_too: bool = True) -> set[str]:
    """The modules that a file imports; those under `if TYPE_CHECKING` only with `typing_too`."""
    found: set[str] = set()
    known = {name_of(each) for each in FILES}
    guarded = {
        id(inner)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree_of(path)):
        if id(node) in guarded and not typing_too:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {each if each in known else str(node.module) for each in whole}
    return found


def layer_of(module: str) -> str:
    """The part of the engine that a module belongs to."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def test_imports_point_one_way() -> None:
    """Each part imports only what lies below it; language and gateway never meet."""
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in FILES
        for module in imports(path)
        if module.split(".")[0] == "engine"
        and layer_of(module) != (own := layer_of(name_of(path)))
        and layer_of(module) not in LAYERS[own]
    ]

    assert [] == wrong


def test_third_party_packages_stay_in_their_rooms() -> None:
    """The core has no package at all; each other part has a short list."""
    wrong = [
        f"{path.relative_to(ROOT)} imports {top}"
        for path in FILES
        for module in imports(path)
        if (top := module.split(".")[0]) not in sys.stdlib_module_names
        and top != "engine"
        and (allowed := THIRD_PARTY.get(layer_of(name_of(path)), set())) is not None
        and top not in allowed
    ]

    assert [] == sorted(set(wrong))


@pytest.mark.parametrize("module", ["socket", "asyncio", "time", "random", "logging", "os", "pathlib", "threading", "secrets",  # noqa: E501
                                    "subprocess", "io", "uuid", "ssl"])  # fmt: skip
def test_the_core_does_no_io(module: str) -> None:
    """`engine/translate` knows no clock, file, socket, log or randomness."""
    assert [] == [
        path.name
        for path in (ENGINE / "translate").glob("*.py")
        if module in {each.split(".")[0] for each in imports(path)}
    ]


def test_there_are_no_import_cycles() -> None:
    """Modules form an acyclic graph when they run."""
    graph = {
        name_of(path): {each for each in imports(path, typing_too=False) if each.startswith("engine")} for path in FILES
    }
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail[trail.index(module) :], module))
        if module not in done:
            for each in graph.get(module, ()):
                visit(each, (*trail, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_imports_stand_at_the_top_but_in_the_cli() -> None:
    """No import hides in a function outside `engine/cli`."""
    hidden = [
        f"{path.relative_to(ROOT)}:{inner.lineno}"
        for path in FILES
        if layer_of(name_of(path)) != "cli"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    ]

    assert [] == hidden


# -- names


def forbidden_names() -> set[str]:
    """Ids, parts of ids, and names of folders of the shipped mappings, without the generic words."""
    texts = [path.read_text(encoding="utf-8") for path in MAPPINGS.rglob("*.yaml")]
    ids = {found for text in texts for found in re.findall(r"(?m)^id: *(\S+)", text)}
    parts = {part for identifier in ids for part in re.split(r"[.-]", identifier)}
    folders = {path.name for path in MAPPINGS.rglob("*") if path.is_dir()}
    return {name for name in ids | parts | folders if name not in GENERIC}


def words_of(path: Path) -> set[str]:
    """The names and string literals of a file as lower-case text; docstrings and comments are left out."""
    docs = {
        node.body[0].value.lineno
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body and isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant)
    }  # fmt: skip
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
    kinds = {tokenize.NAME, tokenize.STRING}
    statements = {
        node.lineno
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return {
        token.string.lower() for token in tokens
        if token.type in kinds and not (token.type == tokenize.STRING and token.start[0] in docs | statements)
    }  # fmt: skip


def test_no_provider_dialect_or_toolformat_is_named_in_the_engine() -> None:
    """What the mappings are called never occurs as a word in code or text of the engine (DESIGN 2.2)."""
    names = forbidden_names()
    assert names
    pattern = re.compile(
        r"(?<![a-z0-9])(?:" + "|".join(map(re.escape, sorted(names, key=len, reverse=True))) + r")(?![a-z0-9])"
    )

    found = {
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in FILES
        for word in words_of(path)
        if (match := pattern.search(word))
    }

    assert set() == found - EXEMPT


# -- manners


def test_everything_is_caught_at_the_two_edges_only() -> None:
    """`except Exception` stands once in the server and once in the CLI; elsewhere only to clean up and raise again."""
    broad = [
        layer_of(name_of(path))
        for path in FILES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or {"Exception", "BaseException"} & {
            each.id for each in ast.walk(node.type) if isinstance(each, ast.Name)})
        and not (isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None)
    ]  # fmt: skip

    assert ["cli", "server"] == sorted(broad)


def code_lines(path: Path) -> int:
    """Lines that hold code: no blank lines, comments or docstrings."""
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    last = tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        is_doc = token.type == tokenize.STRING and last in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
        if token.type not in skipped and not is_doc:
            lines.update(range(token.start[0], token.end[0] + 1))
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            last = token.type
    return len(lines)


def test_no_module_is_over_400_lines_of_code() -> None:
    """A module fits into a head (STYLE B4)."""
    assert [] == [f"{path.relative_to(ROOT)}: {size}" for path in FILES if (size := code_lines(path)) > 400]


def test_no_module_is_a_drawer() -> None:
    """No module or folder is called utils, helpers, common, base, misc or manager."""
    drawers = {"utils", "util", "helpers", "helper", "common", "base", "misc", "manager"}

    assert [] == [str(path.relative_to(ROOT)) for path in FILES if drawers & {path.stem, path.parent.name}]


def test_any_is_kept_small() -> None:
    """`Any` in a signature of the core stands for JSON or plans; nobody uses `globals`, `eval` or `nonlocal` state there."""  # noqa: E501
    names = {
        f"{path.name}: {node.id}"
        for path in (ENGINE / "translate").glob("*.py")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Name) and node.id in {"eval", "exec", "globals", "open", "print", "input", "__import__"}
    }

    assert set() == names
