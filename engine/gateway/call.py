"""One client's call as the gateway sees it, and what is remembered of it for the log.

Per-request state lives in these objects and nowhere else (rule R17).
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field

from engine.errors import ErrorInfo
from engine.translate.losses import Losses
from engine.translate.origins import Origins
from engine.translate.passing import Passage
from engine.translate.plan import DialectPlan, OperationPlan
from engine.translate.wire import Context, HttpInput
from engine.types import Json, JsonObject, Secret


def new_request_id() -> str:
    """A fresh id, `req_` and 24 hexadecimal digits; never taken from the client (threat T26)."""
    return f"req_{secrets.token_hex(12)}"


def new_context(request_id: str) -> Context:
    """The context of a call that begins now."""
    return Context(request_id=request_id, now=int(time.time()), begun=time.monotonic())


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the name of the client key, the credential as it came, and whether an upstream may be chosen."""

    name: str | None = None
    credential: Secret | None = None
    choose: bool = False


@dataclass(frozen=True, slots=True)
class ClientCall:
    """A call that came through the server's door: authenticated, within limits, its body still bytes."""

    request_id: str
    dialect: DialectPlan
    operation: OperationPlan
    http: HttpInput
    body: bytes
    caller: Caller
    wanted_upstream: str | None = None


@dataclass(slots=True)
class Record:
    """What happened to one call. The log line is made of these fields and of nothing else (rule R3).

    `duration_ms` is the whole time, `upstream_ms` the part spent waiting for upstreams; `detail` is for the operator.
    `streamed` is how a stream was made: native, emulated, or fallback (emulated after a stream that failed). `passed`
    says that the client's body went up as it was.
    """

    request_id: str
    method: str = ""
    operation: str = ""
    client: str | None = None
    address: str | None = None
    model: str | None = None
    upstream: str | None = None
    endpoint: str | None = None
    generation: str | None = None
    status: int = 0
    code: str | None = None
    streamed: str = ""
    passed: bool = False
    calls: int = 0
    upstream_status: int | None = None
    upstream_ms: float = 0.0
    duration_ms: float = 0.0
    body_bytes: int = 0
    reply_bytes: int = 0
    losses: str = ""
    usage: JsonObject | None = None
    cost: JsonObject | None = None
    detail: str = ""


@dataclass(slots=True)
class Progress:
    """What the stages of one call hand on: the losses so far, the record, the client's body, and that it may pass.

    `origins` is there once the client's request was read: what fails from then on speaks of the canonical request.
    """

    record: Record
    losses: Losses = field(default_factory=Losses)
    body: Json = None
    request: JsonObject | None = None
    passage: Passage | None = None
    origins: Origins | None = None

    def named(self, info: ErrorInfo) -> ErrorInfo:
        """An error with the field that the client knows."""
        return info if self.origins is None else self.origins.named(info)
