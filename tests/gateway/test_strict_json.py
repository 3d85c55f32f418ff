"""The door for client JSON: what is let through unchanged, what is refused, and that it stays linear."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import RequestError
from engine.gateway.strict_json import parse_client_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=30,
)


@given(JSON)
def test_json_comes_through(value: Any) -> None:
    """Whatever is JSON is read as the standard library reads it."""
    text = json.dumps(value)

    assert parse_client_json(text.encode(), depth=200) == json.loads(text)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_refusal(body: bytes) -> None:
    """Nothing but RequestError comes out."""
    with contextlib.suppress(RequestError):
        parse_client_json(body)


def test_large_integers_are_kept() -> None:
    """Beyond 64 bits exactly as written."""
    assert parse_client_json(b"[18446744073709551617]") == [2**64 + 1]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "line 1 column 1"),
        (b'{"a": 1,\n "b": }', "line 2 column 7"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "-Infinity"),
        (b'{"a": 1e999}', "out of range"),
        (b'{"a": [{"k": 1, "k": 2}]}', "'k' twice"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b'{"\\udfff": 1}', "surrogate"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b"\xef\xbb\xbf{}", "line 1 column 1"),
        (b"[" * 65 + b"]" * 65, "deeper than 64"),
        (b"[" * 100_000, "deeper than 64"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "deeper than 64"),
        (b"[" + b"9" * 5000 + b"]", "4300 digits"),
        (b"{'a': 1}", "line 1 column 2"),
        (b"[1] x", "line 1 column 5"),
    ],
)
def test_refusals(body: bytes, said: str) -> None:
    """Each with the place or the key."""
    with pytest.raises(RequestError) as caught:
        parse_client_json(body)

    assert said in caught.value.info.message
    assert caught.value.info.code == "invalid_json"


@pytest.mark.parametrize(
    "body",
    [
        b'["' + b"[" * 500 + b'"]',
        b'["\\"' + b"[" * 500 + b'"]',
        b'["\\\\", ' + b'"' + b"{" * 500 + b'"]',
        b"[" + b",".join([b"{}"] * 500) + b"]",
        b"[" * 64 + b"]" * 64,
        b'"\\ud83d\\ude00"',
    ],
    ids=["in text", "after an escaped quote", "after an escaped backslash", "wide", "at the limit", "a real pair"],
)
def test_only_real_depth_counts(body: bytes) -> None:
    """Brackets inside text do not nest."""
    assert parse_client_json(body) == json.loads(body)


@pytest.mark.parametrize("make", [
    lambda n: b"[" * n,
    lambda n: b'"' + b"\\" * n,
    lambda n: b'["' + b'","'.join([b"{"] * (n // 4)) + b'"]',
    lambda n: b"[" + b"{},".join([b""] * (n // 3)) + b"1]",
], ids=["open", "backslashes", "strings", "objects"])  # fmt: skip
def test_linear(make: Any) -> None:
    """Four times the bytes take about four times the time; a square would take sixteen."""

    def spent(n: int) -> float:
        body = make(n)
        best = 9.0
        for _ in range(5):
            begun = time.process_time()
            with contextlib.suppress(RequestError):
                parse_client_json(body)
            best = min(best, time.process_time() - begun)
        return best

    assert spent(1_600_000) / max(spent(400_000), 1e-3) < 10
