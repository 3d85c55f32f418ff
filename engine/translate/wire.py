"""The values that cross the core's border: what goes to an upstream, what comes back, what a client gets."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from engine.translate.plan import EndpointPlan
from engine.translate.tools.plan import ToolformatPlan
from engine.types import Json, JsonObject, Secret

if TYPE_CHECKING:
    from engine.translate.passing import Passage
    from engine.translate.sealing import Seal

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Context:
    """What the outside world lends to one request. `now` is Unix time in seconds.

    `begun` is a clock's reading at its start, for what it took.
    `client_wire` is the wire of the client's operation: state that came over it may go to an endpoint of the same wire,
    and so may the whole body, which is in `passage`. `client_keeps` is where its dialect can carry another's state.
    """

    request_id: str
    now: int
    stream: bool = False
    client_wire: str | None = None
    client_keeps: str | None = None
    begun: float = 0.0
    passage: Passage | None = None

    def as_json(self) -> JsonObject:
        """The object that expressions of an endpoint see as `ctx`."""
        return {"stream": self.stream, "request_id": self.request_id, "now": self.now}

    def for_client(self, clock: float = 0.0) -> JsonObject:
        """The object that a dialect's answers see as `ctx`; `clock` is the reading of the clock that gave `begun`."""
        return {**self.as_json(), "elapsed_ms": round((clock - self.begun) * 1000)}


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint made concrete: the plan with the options, origins and secrets of one upstream.

    `secrets` maps the mapping's secret names to `Secret` (or to a dict of them where the mapping says `parse`).
    `caller_key` is true when the secret is the caller's own, so that an upstream 401 is the caller's to see.
    `credential_id` tells callers' credentials apart, so that a token that one of them got is not another's.
    `toolformats` and `tool_place` override the mapping's own. `known_models` are the ids last listed by the upstream,
    for suggestions in errors; None when not known.
    """

    name: str
    plan: EndpointPlan
    base_url: str
    hosts: Mapping[str, str]
    options: JsonObject
    secrets: Mapping[str, Json]
    caller_key: bool = False
    credential_id: str = ""
    known_models: tuple[str, ...] | None = None
    toolformats: tuple[ToolformatPlan, ...] = ()
    tool_place: str | None = None
    tools_off: bool = False


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """One HTTP request to an upstream. Header values and query values may be `Secret`; the sender reveals them last.

    `url` has no query; `query` is a list of pairs in order. `origin` is the one origin the secrets may go to. `seal`
    makes the request at the moment it is sent, where a token or a signature belongs in it; headers and body are only
    there then. `undo` is the call that stops what earlier calls began, for a client that leaves and for an
    answer that fails. `step` is the step that the call belongs to, where there are several.
    """

    method: str
    url: str
    query: tuple[tuple[str, str | Secret], ...]
    headers: tuple[tuple[str, str | Secret], ...]
    body: bytes | None
    origin: str
    seal: Seal | None = None
    undo: UpstreamRequest | None = None
    step: str = ""


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so many seconds, then go on; the answer is a monotonic time in seconds. `undo` as for a request."""

    seconds: float
    undo: UpstreamRequest | None = None


@dataclass(frozen=True, slots=True)
class UpstreamReply:
    """A whole HTTP answer. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Exchange = Generator[UpstreamRequest | Pause, UpstreamReply | float, Result]
"""A conversation with an upstream as a straight line; see `exchange`."""


def ask(request: UpstreamRequest) -> Exchange[UpstreamReply]:
    """Make one call of an exchange."""
    reply = yield request
    assert isinstance(reply, UpstreamReply)
    return reply


def pause(seconds: float, undo: UpstreamRequest | None = None) -> Exchange[float]:
    """Wait within an exchange; the time it is then, monotonic."""
    now = yield Pause(seconds, undo)
    assert isinstance(now, int | float)
    return now


@dataclass(frozen=True, slots=True)
class HttpInput:
    """What a dialect may see of the client's HTTP request: `http` in its expressions.

    `params` are the path parameters, `query` the first value of each key; `headers` are lower case and never hold
    the client's credentials (the server takes them out first).
    """

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> JsonObject:
        """The object that expressions see as `http`."""
        return {
            "method": self.method,
            "path": self.path,
            "params": dict(self.params),
            "query": dict(self.query),
            "headers": dict(self.headers),
        }


@dataclass(frozen=True, slots=True)
class ClientReply:
    """A whole HTTP answer to a client: status, headers (lower-case names) and the encoded body."""

    status: int
    headers: Mapping[str, str]
    body: bytes
