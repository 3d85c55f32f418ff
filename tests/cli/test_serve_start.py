"""`engine serve` makes the code of the plans it uses before the first request."""

from __future__ import annotations

import pytest

from engine.language import writing
from engine.language.cases import target_for
from engine.language.catalog import load_catalog
from engine.translate.exchange import request_scope
from engine.translate.losses import Losses
from engine.translate.prepare import prepare
from engine.translate.wire import Context


def test_a_warm_plan_has_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """The body of a chat is built without one more function being made."""
    plan = load_catalog().endpoints["straico.chat.v2"]
    request = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
    target = target_for(plan, {})
    scope = request_scope(target, prepare(plan, request, "m", Losses()), {"id": "m", "name": "m"}, Context("r", 1))
    assert plan.call.body is not None

    writing.warm([plan])
    monkeypatch.setattr(writing, "assemble", lambda *_, **__: 1 / 0)

    assert "m" == plan.call.body(scope)["model"]
    assert not any(rule.when is not None and rule.when(scope) for rule in plan.refuse)
