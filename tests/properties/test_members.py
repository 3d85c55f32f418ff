"""Properties of edits on raw JSON text: the value changes as declared, every other byte stays."""

# house style (STYLE B8): expected == actual

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.translate.members import edited

KEYS = st.sampled_from('abcd"é')
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(KEYS, SCALARS, max_size=3)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=5)


def dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


@given(OBJECTS, st.dictionaries(KEYS, VALUES, max_size=3), st.sets(KEYS, max_size=3), st.sampled_from([None, 0, 2]))
def test_the_value_is_what_a_dict_would_be(
    value: dict[str, Any], changes: dict[str, Any], removed: set[str], indent: int | None
) -> None:
    """Set keys keep their place, new ones stand last, removed ones are gone unless they are set too."""
    text = json.dumps(value, indent=indent, ensure_ascii=indent == 0)
    expected = {key: changes.get(key, old) for key, old in value.items() if key not in removed or key in changes}
    expected.update({key: new for key, new in changes.items() if key not in value})

    made = json.loads(edited(text.encode(), value, changes, removed, dumps))

    assert list(expected.items()) == list(made.items())


@given(OBJECTS, st.sampled_from([None, 0, 2]))
def test_setting_what_is_there_changes_no_byte(value: dict[str, Any], indent: int | None) -> None:
    """A key that has the value already keeps its spelling."""
    text = json.dumps(value, indent=indent).encode()

    assert text is edited(text, value, dict(value), (), dumps)


@pytest.mark.parametrize(
    ("text", "changes", "removed", "expected"),
    [
        ('{ "a" : 1.0, "m":"x" ,"b":1e5}', {"m": "y"}, [], '{ "a" : 1.0, "m":"y" ,"b":1e5}'),
        ('{"n":18446744073709551616,"m":"x"}', {"m": "y"}, [], '{"n":18446744073709551616,"m":"y"}'),
        ('{"m":"x", "a": 1.0}\n', {}, ["m"], '{"a": 1.0}\n'),
        ('{"a": 1.0, "m":"x"}', {}, ["m"], '{"a": 1.0}'),
        ('{"m":{"m":"m"},"a":"\\"m\\":1"}', {"m": 1}, [], '{"m":1,"a":"\\"m\\":1"}'),
        ('{"a":{"m":"x"}, "m" : "x"}', {"m": "y"}, [], '{"a":{"m":"x"}, "m" : "y"}'),
        ('{"a":{"m":"x"},"\\u006d":"x"}', {"m": "y"}, [], '{"a":{"m":"x"},"\\u006d":"y"}'),
        ('{"a":"m","m":"x"}', {"m": "y"}, [], '{"a":"m","m":"y"}'),
        ('{"a":"\\"m\\":\\"x\\"","m":"x/"}', {"m": "y"}, [], '{"a":"\\"m\\":\\"x\\"","m":"y"}'),
        ('{"m":"x\\/","a":1}', {"m": "y"}, [], '{"m":"y","a":1}'),
        ("{ }", {"m": 1}, [], '{"m":1 }'),
        ('{"a":1.0\n}', {"m": 1}, ["a"], '{"m":1}'),
    ],
)
def test_every_other_byte_stays(text: str, changes: dict[str, Any], removed: list[str], expected: str) -> None:
    """Spaces, order, escapes and the spelling of numbers around an edit are as they were."""
    assert expected == edited(text.encode(), json.loads(text), changes, removed, dumps).decode()


def test_text_that_nests_too_deep_is_refused() -> None:
    """What Python's reader cannot follow is an error that callers know, not a crash."""
    text = '{"a":' + "[" * 100_000 + "]" * 100_000 + ',"m":1}'

    with pytest.raises(ValueError, match="too deep"):
        edited(text.encode(), {"a": [], "m": 1}, {"m": 2}, (), dumps)
