"""One attempt to read calls at a place: what is known so far, and the point from which it is not taken back.

Until the commit everything an attempt does is only written down; if it turns out to be no call, the text is text again,
character for character. From the commit on it takes effect at once (DECISIONS 3: `head` or `call`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from engine.translate.tools.plan import CallRule, ToolformatPlan
from engine.translate.tools.schema import Parameters
from engine.translate.tools.source import NotACall, Source

MAX_CALLS: Final = 64
MAX_ARGUMENT_CHARS: Final = 256 << 10
"""Limits of threat T12; what goes beyond is text, or damaged if it has begun."""
MAX_HELD_CHARS: Final = 512 << 10
"""How much text may wait for a decision."""


class Output(Protocol):
    """Where an attempt writes: the reader."""

    source: Source
    done: int

    def account(self, kind: str, upto: int, rule: str) -> None:
        """Everything up to a place is of this kind."""
        ...

    def text_until(self, upto: int) -> None:
        """Everything up to a place is text."""
        ...

    def call_begins(self, name: str, identifier: str | None, plan: ToolformatPlan) -> None:
        """A call begins."""
        ...

    def call_grows(self, text: str) -> None:
        """More of its arguments."""
        ...

    def call_ends(self) -> None:
        """It has ended."""
        ...

    def note(self, action: str, rule: str, detail: str) -> None:
        """Something to report."""
        ...


class Attempt:
    """State    closed -> open (`begin`) -> closed (`end`), once per call; `is_committed` never goes back."""

    def __init__(
        self, output: Output, plan: ToolformatPlan, rule: CallRule, offered: dict[str, Parameters], read: int
    ) -> None:
        self.output = output
        self.source = output.source
        self.plan = plan
        self.rule = rule
        self.label = f"{plan.id}.{rule.name}"
        self.start = output.source.pin
        self.repairs = plan.policy.repair
        self.offered = offered
        self.captured: dict[str, str] = {}
        self.is_committed = False
        self.is_open = False
        self.calls = 0
        self.fixed: tuple[int, int] | None = None
        """Where calls count as beginning and ending, while a payload is read from a changed copy."""
        self._room = MAX_CALLS - read
        self._chars = 0
        self._log: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._repaired: set[str] = set()

    def _do(self, action: Callable[..., None], *arguments: object) -> None:
        if self.is_committed:
            action(*arguments)
        else:
            self._log.append((action, arguments))

    def commit(self) -> None:
        """From here on nothing is taken back."""
        if not self.is_committed:
            self.is_committed = True
            self.output.source.pin = -1
            for action, arguments in self._log:
                action(*arguments)
            self._log.clear()

    def clean_name(self, name: str) -> str:
        """The name less what the format puts around it."""
        name = name.strip()
        if self.rule.name_from is not None:
            found = self.rule.name_from.fullmatch(name[:256])
            name = (found.group("name") or name) if found is not None else name
        return name

    def parameters(self, name: str) -> Parameters | None:
        """The parameters of an offered tool."""
        return self.offered.get(self.clean_name(name))

    def begin(self, at: int, name: str, identifier: str | None) -> None:
        """A call begins whose payload opens at `at`. Raises NotACall if the name is not offered."""
        clean = self.clean_name(name)
        if clean not in self.offered:
            raise NotACall(f"no tool {clean[:64]!r} was offered", at)
        if self.calls >= self._room:
            raise NotACall(f"more than {MAX_CALLS} calls", at)
        self.calls += 1
        self._chars = 0
        self.is_open = True
        self._do(self.output.account, "markup", self.place(at), self.label)
        self._do(self.output.call_begins, clean, identifier, self.plan)
        if self.rule.commit == "head":
            self.commit()
            self.output.source.pin = -1

    def write(self, text: str) -> None:
        """More of the arguments; what goes beyond the limit is dropped, at the same character for every cut."""
        room = MAX_ARGUMENT_CHARS - self._chars
        self._chars += len(text)
        if len(text) > room:
            if room >= 0:
                self.note("damaged", f"arguments are longer than {MAX_ARGUMENT_CHARS} characters")
            text = text[: max(room, 0)]
        if text:
            self._do(self.output.call_grows, text)

    def end(self, at: int) -> None:
        """The call ends at `at`."""
        self.is_open = False
        self._do(self.output.account, "call", self.place(at, is_end=True), self.label)
        self._do(self.output.call_ends)
        if self.is_committed:
            # What follows may be no call, and is text again then.
            self.output.source.pin = self.output.done

    def aside(self, start: int, end: int) -> None:
        """What stands between two calls is text: a call of a tool that was not offered."""
        self._do(self.output.account, "markup", self.place(start), self.label)
        self._do(self.output.text_until, self.place(end, is_end=True))
        if self.is_committed:
            self.output.source.pin = self.output.done

    def note(self, action: str, detail: str) -> None:
        """Report something about what is being read."""
        self._do(self.output.note, action, self.label, detail)

    def repaired(self, repair: str) -> None:
        """Report a repair, each kind once for one attempt."""
        if repair not in self._repaired:
            self._repaired.add(repair)
            self.note("repaired", repair)

    def place(self, at: int, *, is_end: bool = False) -> int:
        """Where a position stands in the answer."""
        return at if self.fixed is None else self.fixed[is_end]
