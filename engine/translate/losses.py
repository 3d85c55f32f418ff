"""What a translation could not carry over. Nothing is lost silently: every loss is counted, logged and told.

A loss is `{field, action, stage, rule}` (DECISIONS.md section 1): `field` is the client's own path, `action` what was
done to it, `stage` whether it concerns the request or the reply, `rule` the mapping's rule that decided.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from engine.types import JsonObject

ACTIONS: Final = frozenset({"dropped", "clamped", "emulated", "merged", "damaged", "unread", "added", "changed"})
BY_RULE: Final = ("dropped", "added", "changed", "merged", "clamped", "emulated")
"""The actions that a rule of a mapping may name; the first is meant where it names none."""

STAGES: Final = frozenset({"request", "reply"})
_HEADER_LIMIT: Final = 800


@dataclass(frozen=True, slots=True)
class Loss:
    """One thing that did not arrive as it was sent."""

    field: str
    action: str
    stage: str = "request"
    rule: str = ""

    def as_json(self) -> JsonObject:
        """The object as tests, logs and `out.losses` show it."""
        plain: JsonObject = {"field": self.field, "action": self.action, "stage": self.stage}
        if self.rule:
            plain["rule"] = self.rule
        return plain


class Losses:
    """The losses of one request, in the order they happened, each once."""

    __slots__ = ("items",)

    def __init__(self) -> None:
        self.items: list[Loss] = []

    def add(self, field: str, action: str, stage: str = "request", rule: str = "") -> None:
        """Record a loss. Raises ValueError for an action or stage outside the closed lists."""
        if action not in ACTIONS or stage not in STAGES:
            raise ValueError(f"not a loss: {action!r} at {stage!r}")
        loss = Loss(field, action, stage, rule)
        if loss not in self.items:
            self.items.append(loss)

    def as_json(self) -> list[JsonObject]:
        """All losses as JSON objects."""
        return [loss.as_json() for loss in self.items]

    def header(self) -> str:
        """The value of `x-engine-losses`: `top_p=dropped, temperature=clamped`; cut after 800 characters."""
        text = ", ".join(f"{_printable(loss.field)}={loss.action}" for loss in self.items)
        return text if len(text) <= _HEADER_LIMIT else text[: _HEADER_LIMIT - 3] + "..."


def _printable(field: str) -> str:
    """A client chooses the names of unknown fields; only visible ASCII may stand in a header."""
    return "".join(char if "!" <= char <= "~" and char not in ",=" else "?" for char in field[:80])
