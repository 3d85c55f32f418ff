"""Every exception of the engine. Blame is in the class, the cause in `__cause__`.

    EngineError
    ├── MappingError        the author of a mapping or a config: many diagnostics at once
    ├── RequestError        the client: the request cannot be served as it stands
    ├── UpstreamError       the upstream: it refused, failed, or answered nonsense
    └── TranslationError    us, or a mapping that met data it did not expect
        └── CredentialError     a credential that is needed is not there

The last three carry one `ErrorInfo`, the object that a dialect sees as `err` (DECISIONS.md section 1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

ERROR_TYPES: Final[Mapping[str, int]] = {
    "invalid_request": 400,
    "authentication": 401,
    "permission": 403,
    "not_found": 404,
    "too_large": 413,
    "rate_limit": 429,
    "context_length": 400,
    "content_filter": 400,
    "overloaded": 503,
    "timeout": 504,
    "upstream": 502,
    "internal": 500,
}
"""The closed enum of error types, each with the HTTP status a client sees when no rule says another."""

TYPE_OF_STATUS: Final[Mapping[int, str]] = {
    400: "invalid_request",
    422: "invalid_request",
    401: "authentication",
    403: "permission",
    404: "not_found",
    408: "timeout",
    504: "timeout",
    413: "too_large",
    429: "rate_limit",
    503: "overloaded",
    529: "overloaded",
}
"""The error type of an upstream status; any other status is `upstream` (DECISIONS.md section 1)."""


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """One failure as every dialect sees it: `err` in `errors`, and the payload of a stream's error event.

    Units: `retry_after_s` is seconds, `status` the HTTP status for the client.
    """

    type: str
    message: str
    status: int = 0
    code: str | None = None
    param: str | None = None
    details: Any = None
    retry_after_s: int | None = None
    retryable: bool | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.type not in ERROR_TYPES:
            raise ValueError(f"unknown error type {self.type!r}")
        if not self.status:
            object.__setattr__(self, "status", ERROR_TYPES[self.type])

    def as_json(self) -> dict[str, Any]:
        """The object that expressions see as `err`."""
        return {
            "type": self.type,
            "status": self.status,
            "code": self.code,
            "message": self.message,
            "param": self.param,
            "details": self.details,
            "retry_after_s": self.retry_after_s,
            "retryable": self.retryable,
        }

    def changed(self, **values: Any) -> ErrorInfo:
        """A copy with some fields replaced."""
        return replace(self, **values)


class EngineError(Exception):
    """The root. `code` is stable and documented; `hint` says how to mend it."""

    def __init__(self, message: str, *, code: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint


class MappingError(EngineError):
    """A mapping or a config is wrong. Carries every problem that was found, not the first."""

    def __init__(self, diagnostics: Sequence[Any], rendered: str) -> None:
        super().__init__(rendered)
        self.diagnostics = tuple(diagnostics)


class _Reported(EngineError):
    def __init__(self, info: ErrorInfo, *, detail: str = "") -> None:
        """`detail` is for the operator's log only; it never reaches a client."""
        super().__init__(info.message, code=info.code or info.type)
        self.info = info
        self.detail = detail


class RequestError(_Reported):
    """The client's request is at fault; `info.param` names the field by the client's own path."""


class UpstreamError(_Reported):
    """The upstream failed or refused."""


class TranslationError(_Reported):
    """The engine, or the mapping in use, could not make sense of good data. Always a 5xx."""


class CredentialError(TranslationError):
    """A credential that a call needs has no value: nothing is sent without it."""

    def __init__(self, place: str) -> None:
        message = "The gateway has no credential for this upstream."
        info = ErrorInfo("internal", message, code="mapping_request_error", retryable=False)
        super().__init__(info, detail=f"{place} has no value")
