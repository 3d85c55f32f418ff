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

STREAM_FAULTS: Final[Mapping[str, str]] = {
    "reset_mid": "Half of the frames come, then the connection is reset.",
    "half_frame": "Half of the frames and half of the next one come, then the answer ends in good order.",
    "html_page": "A page of HTML comes with status 200 instead of a stream.",
    "error_event": "Half of the frames come, then the frame of `error`, then the answer ends.",
    "silence": "Half of the frames come, then nothing more.",
    "no_terminator": "All frames come, but not `done`.",
    "no_terminator_no_finish": "Half of the frames come, then the answer ends in good order.",
    "after_done": "All of it comes, then the first frame and `done` once more.",
    "big_event": "The first frame that is an object has 100,000 characters more.",
    "crlf": "Lines end in CR LF.",
    "bom_comments": "A byte-order mark stands first, and a comment before every frame.",
    "one_byte_pieces": "Every byte comes alone.",
    "slow_drip": "One byte comes every 20 ms.",
}
"""The ways a streamed answer can break or be odd, each with what the caller sees."""

STREAM_FRAMINGS: Final[Mapping[str, str]] = {
    "sse": "text/event-stream",
    "ndjson": "application/x-ndjson",
    "raw": "text/plain",
}
"""How frames are written, each with the content type it has where none is named."""


@dataclass(frozen=True, slots=True)
class MockStream:
    """A streamed answer; without `when` it always is one.

    `frames` yields a list: objects or texts, one a frame. `every_ms` is waited before each frame, `delay_s` before the
    first. `fault` is a key of STREAM_FAULTS, `error` the frame that `error_event` sends.
    """

    framing: str
    content_type: str
    frames: Build
    when: Condition | None = None
    every_ms: Build | None = None
    delay_s: Build | None = None
    done: str | None = None
    error: Build | None = None
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One way to answer.

    `reply` yields `{status, headers, body}`; `delay_s` the seconds to wait before; `fault` is a key of FAULTS.
    `when` is None for the behaviour that takes whatever no other took. `stream` is the same answer streamed.
    """

    name: str
    when: Condition | None = None
    reply: Build | None = None
    delay_s: Build | None = None
    fault: str | None = None
    stream: MockStream | None = None


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
