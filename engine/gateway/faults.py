"""What can go wrong between us and an upstream, as a table: from the HTTP library's exception to the client's error.

The rows are faults F1-F14, F21 and F24-F27 of the fault matrix. The library's own text never leaves: it may hold a URL
or a header value (rule R4); the class name is enough for the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp

from engine.errors import ErrorInfo, UpstreamError

NEVER_RETRY: Final[Mapping[str, str]] = {"x-should-retry": "false"}


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to fail: the error's type, stable code and message, and whether the same call may work later."""

    type: str
    code: str
    message: str
    retryable: bool = True

    def error(self, detail: str, *, retry_after_s: int | None = None) -> UpstreamError:
        """The exception for this fault; `detail` goes to the log only."""
        info = ErrorInfo(
            self.type,
            self.message,
            code=self.code,
            retryable=self.retryable,
            retry_after_s=retry_after_s,
            headers={} if self.retryable else NEVER_RETRY,
        )
        return UpstreamError(info, detail=detail)


UNREACHABLE: Final = Fault("upstream", "upstream_unreachable", "The upstream could not be reached.")
TLS: Final = Fault("upstream", "upstream_tls", "No trusted connection to the upstream could be made.", retryable=False)
CONNECT_TIMEOUT: Final = Fault("timeout", "upstream_connect_timeout", "Connecting to the upstream took too long.")
FIRST_BYTE_TIMEOUT: Final = Fault("timeout", "upstream_first_byte_timeout", "The upstream did not answer in time.")
IDLE_TIMEOUT: Final = Fault("timeout", "upstream_idle_timeout", "The upstream's stream fell silent.")
READ_TIMEOUT: Final = Fault("timeout", "upstream_read_timeout", "The upstream's answer stopped half-way.")
TOTAL_TIMEOUT: Final = Fault("timeout", "upstream_total_timeout", "The upstream did not finish in time.")
RESET: Final = Fault("upstream", "upstream_reset", "The upstream closed the connection before it answered.")
CUT: Final = Fault("upstream", "upstream_reset", "The upstream closed the connection before the answer was complete.")
BAD_RESPONSE: Final = Fault("upstream", "upstream_bad_response", "The upstream's answer could not be read.")
TOO_LARGE: Final = Fault("upstream", "upstream_too_large", "The upstream's answer is too large.", retryable=False)
REDIRECT: Final = Fault("upstream", "upstream_redirect", "The upstream answered with a redirect.", retryable=False)
BUSY: Final = Fault("overloaded", "gateway_busy", "The gateway has too many requests under way. Try again shortly.")

_BY_EXCEPTION: Final[tuple[tuple[type[BaseException], Fault], ...]] = (
    (aiohttp.ClientSSLError, TLS),
    (aiohttp.ServerFingerprintMismatch, TLS),
    (aiohttp.ConnectionTimeoutError, CONNECT_TIMEOUT),
    (aiohttp.SocketTimeoutError, READ_TIMEOUT),
    (aiohttp.ClientConnectorError, UNREACHABLE),
    (aiohttp.ClientHttpProxyError, UNREACHABLE),
    (aiohttp.ClientResponseError, BAD_RESPONSE),
    (aiohttp.ClientPayloadError, BAD_RESPONSE),
    (aiohttp.ClientConnectionError, RESET),
    (ConnectionError, RESET),
)
"""First match wins, so the special class stands before the general one."""

LIBRARY_ERRORS: Final = (aiohttp.ClientError, ConnectionError)
"""Everything that the HTTP library raises for a call that failed."""


def fault_of(failure: BaseException) -> Fault:
    """The fault behind a library exception."""
    return next((fault for kind, fault in _BY_EXCEPTION if isinstance(failure, kind)), BAD_RESPONSE)


def is_disconnect(failure: BaseException) -> bool:
    """Whether the peer closed the connection (as against refusing it, or answering nonsense)."""
    return fault_of(failure) is RESET
