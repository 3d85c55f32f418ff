"""Secrets are taken out of text in every form they may be written."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.gateway.scrubbing import Scrubber

KEY = "sk-secret/with+odd=chars-123456"


@pytest.mark.parametrize(
    "written",
    [
        KEY,
        f"Bearer {KEY}!",
        quote(KEY, safe=""),
        base64.b64encode(KEY.encode()).decode(),
        base64.b64encode(b"user:" + KEY.encode()).decode(),
        base64.b64encode(b"u:" + KEY.encode()).decode(),
        base64.urlsafe_b64encode(b"ab:" + KEY.encode()).decode(),
    ],
)
def test_forms(written: str) -> None:
    """As it stands, percent-encoded, in base64 at any alignment."""
    assert "***" in Scrubber([KEY]).scrub(f"the upstream said {written} is wrong")
    assert KEY not in Scrubber([KEY]).scrub(written)


@given(st.text(), st.text())
def test_nothing_else_is_touched(before: str, after: str) -> None:
    """Text without the secret stays; with it, only the secret goes."""
    scrubber = Scrubber([KEY])

    assert scrubber.scrub(before) == before
    assert scrubber.scrub(f"{before}{KEY}{after}") == f"{before}***{after}"


def test_short_values_are_no_secrets() -> None:
    """An empty or short value would blank out everything."""
    assert Scrubber(["", "a", "abc"]).scrub("abc") == "abc"
