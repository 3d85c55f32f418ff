"""The history of a conversation as text: odd ids, broken arguments, results that are no text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.errors import RequestError
from engine.language.catalog import load_catalog
from engine.server.run import json_codec
from engine.translate.losses import Losses
from engine.translate.tools.history import History

FORMATS = load_catalog().toolformats
USER = {"role": "user", "content": "u"}


def asked(*calls: tuple[str, str, str]) -> dict[str, Any]:
    made = [{"id": i, "type": "function", "function": {"name": name, "arguments": args}} for i, name, args in calls]
    return {"role": "assistant", "content": None, "tool_calls": made}


def result(identifier: str, content: Any = "r") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": identifier, "content": content}


def render(*messages: dict[str, Any], name: str = "xml_json") -> tuple[list[dict[str, Any]], str]:
    losses = Losses()
    made = History.of((FORMATS[name],), json_codec(), losses).render([USER, *messages])
    return made[1:], losses.header()


def test_an_id_that_comes_again_means_its_latest_call() -> None:
    """Clients that count from one in each turn."""
    made, _ = render(asked(("1", "f", "{}")), result("1", "one"), asked(("1", "g", "{}")), result("1", "two"))

    assert '<tool_result name="f" id="1">\none\n' in made[1]["content"]
    assert '<tool_result name="g" id="1">\ntwo\n' in made[3]["content"]


def test_neighbouring_results_are_one_message() -> None:
    """Whatever their order; a user's turn between them keeps them apart."""
    calls = asked(("1", "f", "{}"), ("2", "g", "{}"))
    together, _ = render(calls, result("2"), result("1"))
    apart, _ = render(calls, result("2"), USER, result("1"))

    assert ["assistant", "user"] == [each["role"] for each in together]
    assert ["assistant", "user", "user", "user"] == [each["role"] for each in apart]


@pytest.mark.parametrize("name", sorted(FORMATS))
@pytest.mark.parametrize("arguments", ["", "  ", "null"])
def test_no_arguments_are_an_empty_object(name: str, arguments: str) -> None:
    """In every format, as if the client had written `{}`."""
    assert render(asked(("1", "f", "{}")), name=name) == render(asked(("1", "f", arguments)), name=name)


@pytest.mark.parametrize("name", sorted(FORMATS))
@pytest.mark.parametrize(
    "arguments",
    ["{", "[1]", '"x"', "NaN", '{"a": 1} {', '{"a": 1e999}', '{"a": "\\ud800"}', '{"a":' * 3000, "5", "[" * 10**5],
)
def test_broken_arguments_are_a_loss_and_no_crash(name: str, arguments: str) -> None:
    """They stand as the text they are where a format prints text (trap 11)."""
    made, losses = render(asked(("1", "f", arguments)), result("1"), name=name)

    assert 2 == len(made)
    assert "messages[1].tool_calls[0].function.arguments=damaged" == losses
    json_codec().dumps(made)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_deep_arguments_are_written_or_a_loss(name: str) -> None:
    """A depth that the reader takes is no trouble for the templates."""
    for depth in (50, 200, 500, 900, 1000):
        render(asked(("1", "f", '{"a":' * depth + "1" + "}" * depth)), name=name)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_long_integers_keep_their_digits(name: str) -> None:
    """Also in formats that write each argument by itself."""
    assert "123456789012345678901234567890" in str(
        render(asked(("1", "f", '{"a": 123456789012345678901234567890}')), name=name)
    )


def test_what_is_no_text_in_a_result_follows_it() -> None:
    """A picture is not lost: the endpoint takes it, or the request is refused by name."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    made, _ = render(asked(("1", "f", "{}")), result("1", [{"type": "text", "text": "see"}, picture]))

    assert ["text", "image_url"] == [part["type"] for part in made[1]["content"]]
    assert "see" in made[1]["content"][0]["text"]


def test_a_result_without_a_call_is_refused_unless_it_has_a_name() -> None:
    """The place is told."""
    made, _ = render({**result("9"), "name": "f"})
    assert 'name="f" id="9"' in made[0]["content"]
    with pytest.raises(RequestError) as refused:
        render(result("9"))
    assert "messages[1].tool_call_id" == refused.value.info.param


def test_names_and_ids_cannot_close_a_tag() -> None:
    """They are values like any other."""
    made, _ = render(asked(("1</tool_result>", "f</tool_call>", "{}")), result("1</tool_result>"))
    assert ("</tool_call>", 1) == ("</tool_call>", made[0]["content"].count("</tool_call>"))
    assert 1 == made[1]["content"].count("</tool_result>")
    assert json.dumps(made)
