"""The compiled form of a `mock/1`: what a stand-in upstream answers, as frozen tables of closures.

`engine.language` makes these plans, `engine.mock` serves them. A plan holds no state: which answer a request gets
follows from the request alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from engine.translate.plan import OptionSpec, RoutePlan
from engine.types import Build, Condition, Json

FAULTS: Final[Mapping[str, str]] = {
    "reset": "The connection is reset before any byte of an answer.",
    "half_body": "The head promises the whole body, half of it comes, then the connection closes.",
    "silence": "The request is read and nothing is ever answered.",
    "bad_json": "A well-framed answer whose JSON ends in the middle.",
    "wrong_length": "The head promises fewer bytes than the body has.",
}
"""The ways a behaviour can break the connection or the answer, each with what the caller sees."""

FAULTS_WITH_REPLY: Final = frozenset({"half_body", "wrong_length"})
"""The faults that need a reply to break."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One way to answer.

    `reply` yields `{status, headers, body}`; `delay_s` the seconds to wait before; `fault` is a key of FAULTS.
    `when` is None for the behaviour that takes whatever no other took.
    """

    name: str
    when: Condition | None = None
    reply: Build | None = None
    delay_s: Build | None = None
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Accept:
    """What the real API refuses: `problem_of(body)` says what is wrong with a body, None when nothing is.

    `otherwise` answers a refused request; its scope has `problem` beside the usual names.
    """

    problem_of: Callable[[Json], str | None]
    otherwise: Behaviour


@dataclass(frozen=True, slots=True)
class MockRoute:
    """One operation. `behaviours` are in the order of trying, the one without `when` last; `scripts` by name."""

    name: str
    route: RoutePlan
    accept: Accept | None
    behaviours: tuple[Behaviour, ...]
    scripts: Mapping[str, tuple[Behaviour, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MockPlan:
    """A compiled `mock/1`. `serves` are the endpoint ids it stands for, `step` computes `n`."""

    id: str
    title: str
    file: str
    digest: str
    serves: tuple[str, ...]
    options: Mapping[str, OptionSpec]
    refuse: tuple[Behaviour, ...]
    routes: tuple[MockRoute, ...]
    step: Build | None = None
