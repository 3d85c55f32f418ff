"""Diagnostics: the collector, the nearest word, and the exact rendering of each format."""

from __future__ import annotations

import json

import pytest

from engine.language.diagnostics import (
    CODES,
    Mark,
    Problems,
    Sources,
    did_you_mean,
    nearest,
    render_github,
    render_json,
    render_sarif,
    render_text,
)

FILE = "mappings/acme.yaml"


@pytest.fixture
def sources() -> Sources:
    found = Sources()
    found.add(FILE, "\n" * 13 + "    temperature: =request.temperature\n")
    return found


@pytest.fixture
def problems() -> Problems:
    found = Problems()
    found.add(
        "E102",
        'unknown name "request"',
        Mark(FILE, 14, 19),
        length=7,
        label="not available in request.body",
        notes=["in scope here: ctx, model, opt, req"],
        help=["did you mean =req.temperature ?", "names are listed in the scope table"],
    )
    found.add("W011", "read as text here", Mark(FILE, 2, 1))
    return found


def test_text_is_the_form_of_the_language_page(problems: Problems, sources: Sources) -> None:
    """Code, message, file:line:column, the source line with a caret and a label, notes, help."""
    expected = """\
warning[W011]: read as text here
  --> mappings/acme.yaml:2:1
 2 |
   | ^

error[E102]: unknown name "request"
  --> mappings/acme.yaml:14:19
14 |     temperature: =request.temperature
   |                   ^^^^^^^ not available in request.body
   = in scope here: ctx, model, opt, req
   = help: did you mean =req.temperature ?
           names are listed in the scope table

1 error, 1 warning
"""
    assert render_text(problems.items, sources) == expected


def test_color_changes_nothing_but_adds_escapes(problems: Problems, sources: Sources) -> None:
    colored = render_text(problems.items, sources, color=True)
    assert colored.startswith("\x1b[1;33mwarning[W011]\x1b[0m: ")
    stripped = colored
    for code in ("\x1b[0m", "\x1b[1;31m", "\x1b[1;32m", "\x1b[1;33m", "\x1b[1;34m"):
        stripped = stripped.replace(code, "")
    assert stripped == render_text(problems.items, sources)


def test_nothing_found_is_no_text() -> None:
    assert render_text([], Sources()) == ""


def test_control_and_direction_characters_are_shown_not_sent() -> None:
    sources, problems = Sources(), Problems()
    sources.add("a.yaml", "\tk: \x1b[31m\u202e日本 x")
    problems.add("E013", "bad \x1b[2J", Mark("a.yaml", 1, 13), length=1)
    text = render_text(problems.items, sources)
    assert "\x1b" not in text
    assert "\u202e" not in text
    lines = text.split("\n")
    assert lines[0] == "error[E013]: bad \\x1b[2J"
    assert lines[2] == " 1 |     k: \\x1b[31m\\u202e日本 x"
    # a wide character takes two columns of a terminal, so the caret stands 25 columns in
    assert lines[3] == "   | " + " " * 25 + "^"


def test_long_lines_are_cut_around_the_caret() -> None:
    sources, problems = Sources(), Problems()
    sources.add("a.yaml", "x" * 500 + "HERE" + "y" * 500)
    problems.add("E101", "no", Mark("a.yaml", 1, 501), length=4)
    shown, carets = render_text(problems.items, sources).split("\n")[2:4]
    assert len(shown) < 130
    assert shown[carets.index("^") :][:4] == "HERE"
    assert shown.startswith(" 1 | …")
    assert shown.endswith("…")


def test_an_underline_ends_with_its_line() -> None:
    sources, problems = Sources(), Problems()
    sources.add("a.yaml", "abc")
    problems.add("E101", "no", Mark("a.yaml", 1, 2), length=99)
    assert render_text(problems.items, sources).split("\n")[3] == "   |  ^^"


def test_a_place_without_source_still_renders() -> None:
    problems = Problems()
    problems.add("E030", "no such parent", Mark("a.yaml", 7, 1), label="named here")
    expected = "error[E030]: no such parent\n  --> a.yaml:7:1\n   = named here\n\n1 error\n"
    assert render_text(problems.items, Sources()) == expected


def test_json_has_every_field(problems: Problems) -> None:
    found = json.loads(render_json(problems.items))
    assert [item["code"] for item in found] == ["W011", "E102"]
    assert found[1] == {
        "code": "E102",
        "severity": "error",
        "title": CODES["E102"].title,
        "message": 'unknown name "request"',
        "file": FILE,
        "line": 14,
        "column": 19,
        "length": 7,
        "label": "not available in request.body",
        "notes": ["in scope here: ctx, model, opt, req"],
        "help": ["did you mean =req.temperature ?", "names are listed in the scope table"],
    }


def test_sarif_points_rules_and_places(problems: Problems) -> None:
    found = json.loads(render_sarif(problems.items))
    assert found["version"] == "2.1.0"
    (run,) = found["runs"]
    rules = run["tool"]["driver"]["rules"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    place = run["results"][1]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == FILE
    assert place["region"] == {"startLine": 14, "startColumn": 19, "endColumn": 26}
    assert run["results"][0]["level"] == "warning"


def test_github_escapes_what_would_end_a_command() -> None:
    problems = Problems()
    problems.add("E102", "50% of\n::error::x", Mark("a,b:c.yaml", 1, 2), length=3)
    assert render_github(problems.items) == (
        "::error file=a%2Cb%3Ac.yaml,line=1,col=2,endColumn=5,title=E102 name is not in scope::50%25 of%0A::error::x\n"
    )


def test_an_unknown_code_is_refused() -> None:
    with pytest.raises(KeyError):
        Problems().add("E999", "x", Mark("a", 1, 1))


def test_numbers_are_unique_whatever_the_letter() -> None:
    numbers = [code[1:] for code in CODES if code[0] in "EW"]
    assert len(numbers) == len(set(numbers))
    assert all(info.title and info.doc.endswith((".", "`.")) for info in CODES.values())


def test_errors_and_warnings_are_told_apart(problems: Problems) -> None:
    assert [item.code for item in problems.errors] == ["E102"]
    assert [item.code for item in problems.warnings] == ["W011"]
    assert problems.has_errors()
    problems.add("W011", "read as text here", Mark(FILE, 2, 1))
    assert len(problems.items) == 2


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("request", "req"),
        ("temprature", "temperature"),
        ("Max-Tokens", "max_tokens"),
        ("tools_choice", "tool_choice"),
        ("zzz", None),
        ("", None),
    ],
)
def test_nearest_finds_the_slip(word: str, expected: str | None) -> None:
    known = ["ctx", "model", "opt", "req", "temperature", "max_tokens", "tools", "tool_choice"]
    assert nearest(word, known) == expected


def test_help_lists_what_is_known_when_nothing_is_near() -> None:
    assert did_you_mean("zzz", ["b", "a"]) == ("known here: a, b",)
    assert did_you_mean("zzz", []) == ()
    assert did_you_mean("temprature", ["temperature"]) == ("did you mean `temperature`?",)
