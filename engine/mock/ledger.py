"""What a mock server remembers: the last requests, with credentials masked, and how calls ended.

Read over HTTP: `GET /__mock__/requests` and `GET /__mock__/state`; `DELETE /__mock__/requests` starts afresh.

Limits   500 requests, 16 MiB of bodies (as they came); the oldest go first, the newest always stays.
State    `open` calls being answered now; `served` answered to the end, faults too; `cancelled` given up by the caller.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from typing import Final

from engine.mock.choosing import Answer, json_answer
from engine.mock.received import Received
from engine.types import Json, JsonObject

KEPT_REQUESTS: Final = 500
KEPT_BODY_BYTES: Final = 16 << 20
_CREDENTIAL: Final = re.compile(r"authorization|cookie|key|token|secret|signature", re.IGNORECASE)
_SCHEME: Final = re.compile(r"[A-Za-z]+ (?=.)")
_CONTROL: Final = "__mock__"


class Ledger:
    """The memory of one server; used from its event loop only, but safe to read from another thread."""

    def __init__(self) -> None:
        self._requests: deque[tuple[JsonObject, int]] = deque()
        self._body_bytes = 0
        self._open = 0
        self._served = 0
        self._cancelled = 0

    def begin(self, request: Received, answer: Answer) -> None:
        """A call came in, and this is what it will get."""
        self._open += 1
        seen = {
            "method": request.method,
            "path": request.path,
            "query": masked(request.query),
            "headers": masked(request.headers),
            "body": request.body,
            "mock": answer.mock,
            "route": answer.route,
            "behaviour": answer.behaviour,
            "refused": answer.refused,
            "status": answer.status,
        }
        self._requests.append((seen, request.body_bytes))
        self._body_bytes += request.body_bytes
        self._forget_oldest()

    def _forget_oldest(self) -> None:
        kept = self._requests
        while len(kept) > 1 and (len(kept) > KEPT_REQUESTS or self._body_bytes > KEPT_BODY_BYTES):
            self._body_bytes -= kept.popleft()[1]

    def end(self) -> None:
        """A call was answered as planned."""
        self._open -= 1
        self._served += 1

    def leave(self, calls: int) -> None:
        """The caller left before the answer to that many calls."""
        self._open -= calls
        self._cancelled += calls

    def requests(self) -> list[JsonObject]:
        """The last requests, oldest first."""
        return [seen for seen, _ in list(self._requests)]

    def state(self) -> dict[str, int]:
        """`{open, cancelled, served}`."""
        return {"open": self._open, "cancelled": self._cancelled, "served": self._served}

    def clear(self) -> None:
        """Forget the requests and the counts; calls that are open stay so."""
        self._requests.clear()
        self._body_bytes = 0
        self._served = self._cancelled = 0

    def control(self, request: Received) -> Answer | None:
        """The answer to a request about the mock itself; None when it is about something else."""
        segments = request.segments
        if not segments or segments[0] != _CONTROL:
            return None
        match (request.method, *segments[1:]):
            case ("GET", "requests"):
                return json_answer(200, self.requests())
            case ("DELETE", "requests"):
                self.clear()
                return Answer(204)
            case ("GET", "state"):
                return json_answer(200, self.state())
        return json_answer(404, {"mock_error": "there are GET and DELETE /__mock__/requests, and GET /__mock__/state"})


def masked(values: Mapping[str, Json]) -> JsonObject:
    """Headers or query parameters with every credential as `***`; a scheme such as `Bearer` stays."""
    return {name: _masked(value) if _CREDENTIAL.search(name) else value for name, value in values.items()}


def _masked(value: Json) -> str:
    scheme = _SCHEME.match(value) if isinstance(value, str) else None
    return f"{scheme[0] if scheme else ''}***"
