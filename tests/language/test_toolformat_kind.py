"""Compiling a toolformat: what cannot work is found at load, with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.language.catalog import Catalog, read_catalog
from engine.language.kinds.toolformat_shape import CALL, NEUTRALISE, PAYLOAD, POLICY, READ, REGION
from engine.language.reader import MappingNode
from engine.language.testing import run_tests
from engine.translate.tools.plan import REPAIRS

GOOD = """\
mapping: toolformat/1
id: mine
offer: {text: {$template: "{% for tool in tools %}{{ tool.name }}{% endfor %}"}}
history:
  call: {$template: "<do>{{ call.name }} {{ call.arguments }}</do>"}
  result: {$template: "<done>{{ m.content | text }}</done>"}
read:
  calls:
    do:
      head: [["<do>", {name: '[a-z]+'}]]
      payload: {kind: args}
      close: ["</do>"]
neutralise: {markers: ["<done>", "</done>"]}
"""


def load(tmp_path: Path, text: str) -> Catalog:
    (tmp_path / "mine.yaml").write_text(text)
    return read_catalog([tmp_path], shipped=False)


def test_a_toolformat_compiles(tmp_path: Path) -> None:
    catalog = load(tmp_path, GOOD)
    assert [problem.message for problem in catalog.problems.items] == []
    plan = catalog.toolformats["mine"]
    assert plan.markers == ("</done>", "<done>", "</do>", "<do>")
    assert plan.read.orphans == ("</do>",)


def test_values_that_templates_print_are_neutralised(tmp_path: Path) -> None:
    plan = load(tmp_path, GOOD).toolformats["mine"]
    call = {"id": "1", "name": "f", "arguments": '{"a": "</do>"}', "args": {}}
    assert plan.history_call({"call": call, "m": {}}) == '<do>f {"a": "<\u2060/do>"}</do>'


@pytest.mark.parametrize(
    ("old", "new", "code", "where"),
    [
        ("'[a-z]+'", "'(a'", "E230", 10),
        ("'[a-z]+'", "'a+b'", "E230", 10),
        ("'[a-z]+'", "'(?<=a)b'", "E230", 10),
        ('["<do>", {name', "[{name", "E240", 10),
        ("{name: '[a-z]+'}", '"x"', "E240", 10),
        ("kind: args", "kind: args, trim: all", "E240", 11),
        ("kind: args", "kind: params", "E240", 11),
        ("kind: args", "kind: braced", "E240", 11),
        ("kind: args", "kind: jsom", "E023", 11),
        ("payload:", "paylode:", "E022", 11),
        ("head: [[\"<do>\", {name: '[a-z]+'}]]", 'bare: "{"', "E240", 10),
        ("kind: args", "kind: json, name: '=length(call)'", "E240", 11),
        ('{$template: "<done>{{ m.content | text }}</done>"}', "=m.content", "E240", 6),
        ("{{ call.name }}", "{{ col.name }}", "E141", 5),
    ],
)
def test_what_cannot_work_is_found_at_load(tmp_path: Path, old: str, new: str, code: str, where: int) -> None:
    """Each mistake has its code, at the line where it is."""
    problems = load(tmp_path, GOOD.replace(old, new)).problems.items
    assert (code, where) in [(problem.code, problem.mark.line) for problem in problems]


def test_a_case_that_fails_is_reported(tmp_path: Path) -> None:
    case = "tests: {t: {given: {tools: {f: {}}, text: '<do>f {}</do>'}, expect: {content: x}}}\n"
    catalog = load(tmp_path, GOOD + case)
    report = run_tests(catalog)
    assert report.total == 1
    assert [failure.part for failure in report.failed] == ["content"]


@pytest.mark.parametrize(
    "given",
    [
        "{tools: f, text: x}",
        "{tools: [f], text: x}",
        "{tools: [{function: {}}], text: x}",
        "{tools: {f: a}, text: x}",
        "{tools: {f: {a: 1}}, text: x}",
        "{tools: {f: {$required: a}}, text: x}",
        "{tools: {f: {$description: []}}}",
        "{tools: {f: {}}, text: 7}",
        "{tools: {f: {}}, text: x, also: mine}",
        "{tools: {f: {}}, text: x, also: [nobody]}",
        "{tools: {f: {}}, text: x, also: [[mine]]}",
        "{tools: {f: {}}, text: x, cut: 1}",
        "{tools: {f: {}}, choice: auto}",
        "{calls: {name: f}}",
        "{calls: [f]}",
        "{calls: [{args: {}}]}",
        "{calls: [{name: f, arguments: {}}]}",
        "{results: [7]}",
        "{results: [{content: x}]}",
    ],
)
def test_a_malformed_case_is_told_and_never_raises(tmp_path: Path, given: str) -> None:
    """What a format could never be handed is a failure of `given`, with a line that says what is wanted."""
    catalog = load(tmp_path, GOOD + f"tests: {{t: {{given: {given}, expect: {{content: x}}}}}}\n")
    [failure] = run_tests(catalog).failed

    assert failure.part == "given"
    assert all(line.startswith("given.") for line in failure.lines), failure.lines


def test_every_shipped_format_passes_its_cases() -> None:
    catalog = read_catalog()
    report = run_tests(catalog, tuple(catalog.toolformats))
    assert [(failure.case.mapping, failure.case.name, failure.lines) for failure in report.failed] == []
    few = {name: count for name, count in report.ran.items() if count < 14}
    assert few == {}


def test_the_format_of_the_guide_passes_its_case(tmp_path: Path) -> None:
    """The file shown in `docs/toolformats.md` is a working one."""
    guide = (Path(__file__).parents[2] / "docs" / "toolformats.md").read_text(encoding="utf-8")
    text = guide.partition("```yaml part\nmapping:")[2].partition("```")[0]
    catalog = load(tmp_path, f"mapping:{text}")
    report = run_tests(catalog)
    assert [problem.message for problem in catalog.problems.items] == []
    assert report.ran == {"toolformat:do_tags": 1}


def test_every_primitive_is_in_the_guide() -> None:
    """Each key of the structure table and each repair is explained."""
    guide = (Path(__file__).parents[2] / "docs" / "toolformats.md").read_text(encoding="utf-8")
    shapes = (READ, CALL, PAYLOAD, REGION, POLICY, NEUTRALISE)
    names = {name for shape in shapes for name in shape.fields} | set(REPAIRS)
    assert sorted(name for name in names if name not in guide) == []


CATEGORIES = frozenset(
    ["one_call", "several_calls", "text_around", "nested_and_typed", "unicode", "markers_in_a_string", "no_arguments",
     "truncated", "fenced", "malformed", "mention_in_prose", "unknown_tool", "history", "results", "offer"]
)  # fmt: skip


def test_every_shipped_format_has_a_case_of_each_category() -> None:
    """Issue 3 names them; a format that lacks one says nothing of how it fails there."""
    resolved = [each for (kind, _), each in read_catalog().resolved.items() if kind == "toolformat"]
    assert len(resolved) >= 29
    for each in resolved:
        tests = each.document.section("tests")
        assert isinstance(tests, MappingNode)
        assert set() == CATEGORIES - set(tests.entries), each.id
