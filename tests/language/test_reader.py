"""The YAML reader: typing, positions, refusals with their places, limits, and files."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from engine.language.diagnostics import Mark, Problems, Sources
from engine.language.reader import (
    MappingNode,
    Node,
    ScalarNode,
    from_json,
    mark_at,
    mark_at_line,
    read_document,
    read_file,
    to_json,
)
from engine.types import Json


def read(text: str | bytes) -> tuple[Node | None, list[tuple[str, int, int]]]:
    problems = Problems()
    node = read_document(text.encode() if isinstance(text, str) else text, "f.yaml", problems)
    return node, [(item.code, item.mark.line, item.mark.column) for item in problems.items]


def value_of(text: str) -> Json:
    node, found = read(text)
    assert found == []
    assert node is not None
    return to_json(node)


def scalar(text: str, key: str = "k") -> ScalarNode:
    node, _ = read(text)
    assert isinstance(node, MappingNode)
    leaf = node.get(key)
    assert isinstance(leaf, ScalarNode)
    return leaf


def test_a_document_becomes_its_json_value() -> None:
    """Every style of scalar, flow and block, nested and empty."""
    text = "a: 1\nb: [x, 'y', \"z\\n\", ~, true, -1.5e+3]\nc: {d: {}, e: []}\nf: |\n  one\n  two\ng:\n"
    assert value_of(text) == {
        "a": 1,
        "b": ["x", "y", "z\n", None, True, -1500.0],
        "c": {"d": {}, "e": []},
        "f": "one\ntwo\n",
        "g": None,
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("0", 0),
        ("-7", -7),
        ("9223372036854775807", 2**63 - 1),
        ("1.0", 1.0),
        ("1.10", 1.1),
        ("gpt-4", "gpt-4"),
        ("=req.x", "=req.x"),
        ("1.2.3", "1.2.3"),
        ("n", "n"),
        ("'no'", "no"),
        ('"017"', "017"),
    ],
)
def test_plain_scalars_follow_yaml_1_2_narrowed_to_json(text: str, value: Json) -> None:
    found = value_of(f"k: {text}\n")["k"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        *("no", "Yes", "ON", "off", "True", "NULL"),
        *("017", "0o17", "0x1F", "0b1", "1_000", "+1", "12:30", "12:30:00", ".5", "5.", ".inf", "-.INF", ".NaN"),
        *("2023-06-01", "2023-06-01T10:00:00Z"),
    ],
)
def test_what_yaml_1_1_reads_otherwise_stays_text_with_a_warning(text: str) -> None:
    node, found = read(f"k: {text}\n")
    assert isinstance(node, MappingNode)
    assert to_json(node) == {"k": text}
    assert found == [("W011", 1, 4)]


def test_a_number_that_yaml_1_1_reads_as_text_is_a_number_with_a_warning() -> None:
    node, found = read("k: 1e5\n")
    assert node is not None
    assert to_json(node) == {"k": 100000.0}
    assert found == [("W011", 1, 4)]


@pytest.mark.parametrize("text", ["1e999", "9" * 5000, "-" + "9" * 101])
def test_numbers_out_of_range_are_refused(text: str) -> None:
    assert read(f"k: {text}")[1] == [("E014", 1, 4)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", [("E010", 3, 1)]),
        ("{a: 1, 'a': 2}", [("E010", 1, 8)]),
        ("a: !!str 1\n", [("E012", 1, 4)]),
        ("a: !x {b: 1}\n", [("E012", 1, 4)]),
        ("<<: {a: 1}\n", [("E012", 1, 1)]),
        ("404: x\n", [("E012", 1, 1)]),
        ("? [a]\n: b\n", [("E012", 1, 3)]),
        ("on: x\n", [("W011", 1, 1)]),
        ("a: 1\n\tb: 2\n", [("E013", 2, 1)]),
        ("a:\n\tb: 2\n", [("E013", 2, 1)]),
        ("a: [\n\t1]\n", [("E013", 2, 1)]),
        ("\ufeffa: 1\n", [("E013", 1, 1)]),
        ("a: x\u202ey\n", [("E013", 1, 5)]),
        ("a: x\x00\nb: y\u2028z\n", [("E013", 1, 5), ("E013", 2, 5)]),
        ("a: 1\n<<<<<<< HEAD\nb: 1\n=======\nb: 2\n>>>>>>> x\n", [("E013", 2, 1)]),
        ("a: 1\n---\nb: 2\n", [("E001", 2, 1)]),
        ("", [("E001", 1, 1)]),
        ("# only a comment\n", [("E001", 1, 1)]),
        ("a: *x\n", [("E002", 1, 4)]),
        ("a: &x [*x]\n", [("E001", 1, 8)]),
        ("a: b: c\n", [("E002", 1, 5)]),
        ('é: "x\nb: 1\n', [("E002", 1, 4)]),
        ('a: "\\q"\n', [("E002", 1, 5)]),
        ("a: [1, 2\nb: 3\n", [("E002", 1, 4)]),
        ("a: @x\n", [("E002", 1, 4)]),
        ("- a\nb: 1\n", [("E002", 2, 1)]),
        ("a: 1\nother\nb: 2\n", [("E002", 2, 1)]),
        ("%YAML 2.0\n---\na: 1\n", [("E002", 1, 1)]),
    ],
)
def test_each_fault_has_its_code_and_place(text: str, expected: list[tuple[str, int, int]]) -> None:
    assert read(text)[1] == expected


@pytest.mark.parametrize(
    ("text", "help_line"),
    [
        ("a: say: hello\n", "quote the whole value"),
        ("a:1\nb: 2\n", "put a blank after the colon"),
        ("a: 1\n  b: 2\n", "same indentation as its neighbours"),
        ("a:\n\tb: 1\n", "indent with spaces"),
        ("a: 'x\n", "close it"),
        ("a: {b: 1\n", "close it"),
        ("a: `x`\n", "quote the value"),
    ],
)
def test_the_usual_mistakes_get_advice(text: str, help_line: str) -> None:
    problems = Problems()
    read_document(text.encode(), "f.yaml", problems)
    assert help_line in problems.items[0].help[0]


def test_bytes_that_are_not_utf_8_are_placed() -> None:
    assert read(b"a: 1\nb: \xff\n")[1] == [("E001", 2, 4)]
    assert read("a: 1".encode("utf-16"))[1] == [("E001", 1, 1)]


def test_tabs_are_content_inside_blocks_of_text() -> None:
    assert value_of("a: |\n  x\n  \ty\nb:\t1\n") == {"a": "x\n\ty\n", "b": 1}


def test_marks_and_lengths_count_characters() -> None:
    node, _ = read("é: 'wört'\nlist: [a, {b: cd}]\n")
    assert isinstance(node, MappingNode)
    entry = node.entries["é"]
    assert (entry.key.mark, entry.key.length) == (Mark("f.yaml", 1, 1), 1)
    assert isinstance(entry.value, ScalarNode)
    assert (entry.value.mark, entry.value.length, entry.value.style) == (Mark("f.yaml", 1, 4), 6, "single")
    assert node.entries["list"].value.mark == Mark("f.yaml", 2, 7)


def test_an_anchor_does_not_move_the_mark_of_its_value() -> None:
    node, found = read("a: &x  hello\nb: *x\n")
    assert found == []
    assert isinstance(node, MappingNode)
    assert node.entries["a"].value.mark == Mark("f.yaml", 1, 8)
    assert to_json(node) == {"a": "hello", "b": "hello"}


def test_a_reader_survives_crlf() -> None:
    node, found = read("a: 1\r\nb: |\r\n  x\r\n  y\r\nc: 2\r\n")
    assert found == []
    assert isinstance(node, MappingNode)
    assert node.entries["c"].key.mark == Mark("f.yaml", 5, 1)
    leaf = node.get("b")
    assert isinstance(leaf, ScalarNode)
    assert mark_at(leaf, 2)[0] == Mark("f.yaml", 4, 3)


def test_a_yaml_bomb_is_counted_not_expanded() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 20)]
    started = time.perf_counter()
    node, found = read("\n".join(lines))
    assert time.perf_counter() - started < 0.5
    assert node is None
    assert [code for code, _, _ in found] == ["E001"]


@pytest.mark.parametrize("text", ["[" * 41, "{a: " * 41, "- " * 41 + "x", "[" * 100_000])
def test_depth_is_bounded(text: str) -> None:
    assert read(text)[1][0][0] == "E001"


def test_depth_is_bounded_through_aliases() -> None:
    text = "a: &a " + "[" * 30 + "]" * 30 + "\nb: " + "[" * 20 + "*a" + "]" * 20
    assert [code for code, _, _ in read(text)[1]] == ["E001"]
    assert read("[" * 40 + "]" * 40)[1] == []


def test_a_file_of_faults_stops_at_a_hundred() -> None:
    assert len(read("- !x y\n" * 5000)[1]) == 100


def test_from_json_is_the_reverse_at_one_mark() -> None:
    value = {"a": [1, None, {"b": "c"}], "d": 1.5}
    mark = Mark("flags", 1, 1)
    node = from_json(value, mark)
    assert to_json(node) == value
    assert isinstance(node, MappingNode)
    assert node.entries["a"].value.mark == mark
    assert mark_at(node.entries["a"].key, 5) == (mark, 1)
    with pytest.raises(TypeError):
        from_json(object(), mark)


@pytest.mark.parametrize(
    ("text", "offset", "line", "column"),
    [
        ("k: =req.x\n", 5, 1, 9),
        ("k: '=a ''b'' c'\n", 7, 1, 14),
        ('k: "=a \\"b\\" \\u00e9c"\n', 8, 1, 20),
        ("k: one\n  two\n", 4, 2, 3),
        ("k: one\n\n\n  two\n", 5, 4, 3),
        ('k: "one \\\n   two"\n', 4, 2, 4),
        ("k: |\n    one\n      two\n\n    x\n", 6, 3, 7),
        ("k: |2-\n     one\n", 3, 2, 6),
        ("k: >\n  one\n  two\n\n  three\n", 4, 3, 3),
        ("k: >\n  one\n  two\n\n  three\n", 8, 5, 3),
        ("k: 'abc'\n", 3, 1, 8),
        ("k: 'abc'\n", 99, 1, 8),
        ("k: ''\n", 0, 1, 5),
    ],
)
def test_an_offset_in_a_scalar_leads_back_to_the_file(text: str, offset: int, line: int, column: int) -> None:
    leaf = scalar(text)
    mark, room = mark_at(leaf, offset)
    assert (mark.line, mark.column) == (line, column)
    assert room >= 1


def test_the_room_ends_with_the_line_or_the_quote() -> None:
    assert mark_at(scalar("k: '=req.x'  # c\n"), 1)[1] == 5
    assert mark_at(scalar("k: |\n  abc\n  de\n"), 1)[1] == 2


def test_template_lines_lead_back_to_the_file() -> None:
    leaf = scalar("a: 1\nk: |\n  Hello\n    {{ x }}\n")
    assert mark_at_line(leaf, 2, 4)[0] == Mark("f.yaml", 4, 6)
    assert mark_at_line(leaf, 2)[0] == Mark("f.yaml", 4, 5)
    assert mark_at_line(leaf, 99)[0].line == 4


def read_path(path: Path) -> tuple[Node | None, Problems, Sources]:
    problems, sources = Problems(), Sources()
    return read_file(path, problems, sources), problems, sources


def test_a_file_is_read_and_remembered(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: 1\nb: no\n")
    node, problems, sources = read_path(path)
    assert node is not None
    assert to_json(node) == {"a": 1, "b": "no"}
    assert sources.line(str(path), 2) == "b: no"
    assert problems.items[0].mark.file == str(path)


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo.yaml"
    os.mkfifo(fifo)
    for path in (fifo, tmp_path, tmp_path / "missing.yaml", Path("/dev/zero")):
        node, problems, _ = read_path(path)
        assert node is None
        assert [item.code for item in problems.items] == ["E001"]


def test_a_large_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    path.write_bytes(b"a: 1\n" * 300_000)
    assert [item.code for item in read_path(path)[1].items] == ["E001"]


def test_links_may_not_leave_their_folder(tmp_path: Path) -> None:
    inside = tmp_path / "mount"
    (inside / "..data").mkdir(parents=True)
    (inside / "..data" / "a.yaml").write_text("a: 1\n")
    (inside / "a.yaml").symlink_to("..data/a.yaml")
    assert read_path(inside / "a.yaml")[0] is not None
    (tmp_path / "b.yaml").write_text("secret: 1\n")
    (inside / "b.yaml").symlink_to("../b.yaml")
    node, problems, _ = read_path(inside / "b.yaml")
    assert node is None
    assert "out of its folder" in problems.items[0].message
