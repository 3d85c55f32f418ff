"""The catalog: which files are read, which ids win, and that every problem is found in one run."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.errors import MappingError
from engine.language.catalog import load_catalog, read_catalog
from engine.language.shipped import MAPPINGS
from tests.conftest import DIALECT, ENDPOINT

Make = Callable[..., Any]


def found(catalog: Any) -> list[str]:
    return [each.code for each in catalog.problems.items]


def test_the_shipped_mappings_are_clean(shipped: Any) -> None:
    """Every shipped mapping compiles without an error or a warning."""
    assert [] == [str(each) for each in shipped.problems.items]


def test_an_id_in_an_earlier_folder_hides_the_later(write_mapping: Make, tmp_path: Path) -> None:
    """Folders are searched in order, across names of files; a hidden file is not an error."""
    write_mapping({**ENDPOINT, "title": "late"}, folder="late")
    write_mapping({**ENDPOINT, "title": "early"}, folder="early")

    catalog = read_catalog([tmp_path / "early", tmp_path / "late"], shipped=False)

    assert ("early", []) == (catalog.endpoints["acme.chat"].title, found(catalog))
    assert "late" == read_catalog([tmp_path / "late", tmp_path / "early"], shipped=False).endpoints["acme.chat"].title


def test_the_shipped_folder_comes_last_and_once(tmp_path: Path) -> None:
    """A user's folder stands before the shipped one; naming the shipped one changes nothing."""
    assert (tmp_path, MAPPINGS) == read_catalog([tmp_path]).folders
    assert (MAPPINGS,) == read_catalog([MAPPINGS]).folders


def test_the_same_id_twice_in_a_folder_is_an_error(write_mapping: Make) -> None:
    """Within a folder an id is unique per kind; an endpoint and a dialect may share one."""
    assert ["E021"] == found(write_mapping(ENDPOINT, ENDPOINT))
    assert [] == found(write_mapping(ENDPOINT, {**DIALECT, "id": "acme.chat"}, folder="two"))


def test_abstract_mappings_are_never_served(write_mapping: Make) -> None:
    """An abstract endpoint has no plan."""
    catalog = write_mapping({**ENDPOINT, "abstract": True})

    assert ({}, []) == (dict(catalog.endpoints), found(catalog))


def test_a_typo_in_an_abstract_mapping_is_found(write_mapping: Make) -> None:
    """An abstract file is checked for its structure too, though nobody extends it yet (E022)."""
    assert ["E022"] == found(write_mapping({**ENDPOINT, "abstract": True, "capabilites": {}}))


def test_all_problems_of_all_files_come_in_one_run(write_mapping: Make) -> None:
    """Reading, shape, expressions and inheritance problems are told together; sound files are served all the same."""
    catalog = write_mapping(
        "mapping: [",
        "mapping: endpoint/2\nid: a.b\n",
        "id: a.b\n",
        {**ENDPOINT, "id": "bad.shape", "reqest": {}, "capabilities": {"tools": "some"}},
        {**ENDPOINT, "id": "bad.names", "response": {"text": "=result.a", "usage": {"prompt_token": 1}}},
        {**ENDPOINT, "id": "bad.parent", "extends": "none.such"},
        {**DIALECT, "errors": {"one": {"when": "=err.code", "body": {}}}},
        ENDPOINT,
    )

    assert {"E002", "E020", "E022", "E023", "E102", "E191", "E030", "E104", "E201"} == set(found(catalog))
    assert (["acme.chat"], {}) == (list(catalog.endpoints), dict(catalog.dialects))


def test_load_catalog_raises_with_every_problem(write_mapping: Make, tmp_path: Path) -> None:
    """The raised error carries all diagnostics, and shows file, line and caret."""
    write_mapping({**ENDPOINT, "response": {"text": "=result.a", "reasoning": "=nope.b"}})

    with pytest.raises(MappingError) as failure:
        load_catalog([tmp_path / "mine"], shipped=False)

    assert 2 == len(failure.value.diagnostics)
    assert "m0.yaml:" in str(failure.value)
    assert "^" in str(failure.value)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "E001"),
        ("- a\n", "E020"),
        ("mapping: endpoint/1\n", "E024"),
        ("mapping: endpoint\nid: a\n", "E020"),
        ("mapping: endpont/1\nid: a\n", "E020"),
        ("mapping: endpoint/0\nid: a\n", "E020"),
        ("mapping: 1\nid: a\n", "E020"),
        ("id: a\nmapping: endpoint/1\n", "E020"),
        ("mapping: endpoint/1\nid: Bad Id\n", "E021"),
        ("mapping: endpoint/1\nid: [a]\n", "E021"),
        ("mapping: endpoint/1\nid: a\n", "E024"),
        ("mapping: dialect/1\nid: a\n", "E024"),
        ("mapping: overlay/1\nid: a\n", "E024"),
    ],
)
def test_what_is_no_mapping_says_why(write_mapping: Make, text: str, code: str) -> None:
    """A file without a good head is refused with its code, no traceback."""
    assert code == found(write_mapping(text))[0]


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """A missing folder is E001, and the others are read."""
    assert ["E001"] == found(read_catalog([tmp_path / "none"], shipped=False))


def test_hidden_files_are_passed_over(write_mapping: Make) -> None:
    """Editors' and version control's own files are not mappings."""
    assert [] == found(write_mapping(ENDPOINT, **{".hidden.yaml": "x: [", ".git__a.yaml": "y: ["}))


# -- templates


def with_template(name: str) -> dict[str, Any]:
    return {**ENDPOINT, "request": {"path": "/c", "body": {"m": "=req.messages", "t": {"$template": {"file": name}}}}}


def body_of(catalog: Any) -> Any:
    return catalog.endpoints["acme.chat"].call.body({"req": {"messages": [], "user": "u"}, "opt": {}})


@pytest.mark.parametrize("place", ["templates__a.j2", "..__templates__a.j2"])
def test_a_template_is_found_beside_the_folder(write_mapping: Make, place: str) -> None:
    """`{file: a.j2}` is looked up in `templates/` in and beside the mappings folder, its trailing line end trimmed."""
    catalog = write_mapping(with_template("a.j2"), **{place: "hi {{ req.user }}\n"})

    assert [] == found(catalog)
    assert {"m": [], "t": "hi u"} == body_of(catalog)


@pytest.mark.parametrize("name", ["none.j2", "../m0.yaml", "/etc/hostname", "..", "", "templates/a.j2"])
def test_a_template_outside_the_folders_cannot_be_named(write_mapping: Make, name: str) -> None:
    """Whatever leaves the template folders is E034, like a file that is not there (R23)."""
    assert ["E034"] == found(write_mapping(with_template(name), **{"templates__a.j2": "hi"}))


def test_a_link_out_of_the_folder_is_not_followed(write_mapping: Make, tmp_path: Path) -> None:
    """A symbolic link to a file elsewhere is E034."""
    (tmp_path / "secret").write_text("s")
    (tmp_path / "mine" / "templates").mkdir(parents=True)
    (tmp_path / "mine" / "templates" / "a.j2").symlink_to(tmp_path / "secret")

    assert ["E034"] == found(write_mapping(with_template("a.j2")))


def test_a_mistake_in_a_template_file_names_file_and_line(write_mapping: Make) -> None:
    """The problem stands at the name in the mapping and says which line of the template is meant."""
    catalog = write_mapping(with_template("a.j2"), **{"templates__a.j2": "one\n{{ reqq }}"})

    assert ["E141"] == found(catalog)
    assert ("in a.j2, line 2",) == catalog.problems.items[0].notes


@pytest.mark.parametrize("name", ["a\0b", "a" * 300])
def test_a_name_that_no_file_can_have_is_an_error(write_mapping: Make, name: str) -> None:
    """Names that the system refuses are E034 like any other."""
    assert ["E034"] == found(write_mapping(with_template(name)))


def test_a_template_that_is_too_large_is_an_error(write_mapping: Make) -> None:
    """A template above 1 MiB is told about, never taken as absent."""
    assert [] != found(write_mapping(with_template("a.j2"), **{"templates__a.j2": "x" * ((1 << 20) + 1)}))


# -- digest


def test_the_digest_changes_with_the_content(write_mapping: Make) -> None:
    """Equal content gives an equal digest; a changed parent changes its children's."""
    child = {"mapping": "endpoint/1", "id": "acme.child", "extends": "acme.chat"}
    one = write_mapping(ENDPOINT, child, folder="a")
    two = write_mapping(ENDPOINT, child, folder="b")
    three = write_mapping({**ENDPOINT, "base_url": "https://b.test"}, child, folder="c")

    assert (one.digest, 12) == (two.digest, len(one.digest))
    assert one.digest != three.digest
    assert one.endpoints["acme.child"].digest != three.endpoints["acme.child"].digest


def test_the_digest_changes_with_a_template_file(write_mapping: Make) -> None:
    """What a template file says is content: an edit of it is a new generation."""
    one = write_mapping(with_template("a.j2"), folder="a", **{"templates__a.j2": "one"})
    two = write_mapping(with_template("a.j2"), folder="b", **{"templates__a.j2": "two"})

    assert one.digest != two.digest


@pytest.mark.parametrize(
    "text",
    [
        "mapping: endpoint/" + "9" * 5000 + "\nid: a\n",
        "mapping: endpoint/1\nid: " + "a" * 5000 + "\n",
        "mapping: endpoint/1\nid: a\nextends: [b]\n",
        "mapping: overlay/1\ntarget: null\n",
    ],
)  # fmt: skip
def test_an_odd_head_gives_no_traceback(write_mapping: Make, text: str) -> None:
    """Whatever stands in the head becomes a diagnostic."""
    assert found(write_mapping(text))


def test_a_template_that_is_not_utf8_is_an_error(write_mapping: Make, tmp_path: Path) -> None:
    """No character is replaced in silence."""
    folder = tmp_path / "mine" / "templates"
    folder.mkdir(parents=True)
    (folder / "a.j2").write_bytes(b"caf\xe9")

    assert ["E034"] == found(write_mapping(with_template("a.j2")))


def test_an_abstract_mapping_may_lack_what_its_children_bring(write_mapping: Make) -> None:
    """Missing keys of an abstract file are no error; everything that stands there is checked."""
    abstract = {"mapping": "endpoint/1", "id": "acme.base", "abstract": True, "request": {"method": "POST"}}

    assert [] == found(write_mapping(abstract))
    assert ["E023"] == found(write_mapping({**abstract, "request": {"method": "FETCH"}}, folder="two"))
