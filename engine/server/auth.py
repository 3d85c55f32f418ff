"""Who a client is (rules R6, R30): one extractor for the credential, one answer for every failure.

No work is done on what was sent beyond hashing it; nothing of it is quoted back.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final

from engine.config import ClientsConfig
from engine.errors import ErrorInfo, RequestError
from engine.gateway.call import Caller
from engine.server.head import Head
from engine.types import Secret

_VISIBLE: Final = re.compile(r"[\x21-\x7e]{1,8192}")
_MISSING: Final = "You didn't provide an API key. Send it as 'Authorization: Bearer YOUR_KEY' or 'x-api-key'."
_WRONG: Final = "Incorrect API key provided."
_TWO: Final = "Two different API keys were sent; send one."


def authenticate(head: Head, clients: ClientsConfig) -> Caller:
    """Who calls. Raises RequestError (401) for a missing, wrong, malformed or doubled credential."""
    credentials = _credentials(head)
    if len(credentials) > 1:
        raise _refused(_TWO)
    credential = next(iter(credentials), None)
    well_formed = credential is not None and _VISIBLE.fullmatch(credential) is not None
    if clients.auth == "open":
        return Caller(credential=Secret(credential) if credential is not None and well_formed else None)
    if credential is None:
        raise _refused(_MISSING)
    if not well_formed:
        raise _refused(_WRONG)
    if clients.auth == "pass_through":
        return Caller(credential=Secret(credential))
    return _holder(credential, clients)


def _credentials(head: Head) -> set[str]:
    found = set(head.all("x-api-key"))
    for value in head.all("authorization"):
        scheme, _, rest = value.strip().partition(" ")
        # Another scheme, or none, stays as it is behind a space: no key begins so, yet it counts as a credential.
        found.add(rest.strip() if scheme.lower() == "bearer" else f" {value}")
    return found - {"", " "}


def _holder(credential: str, clients: ClientsConfig) -> Caller:
    """The key's holder. Every configured key is compared, each in constant time, whichever matches."""
    digest = hashlib.sha256(credential.encode("ascii")).digest()
    found = [key for key in clients.keys if hmac.compare_digest(key.digest, digest)]
    if not found:
        raise _refused(_WRONG)
    return Caller(name=found[0].name, choose=found[0].choose)


def _refused(message: str) -> RequestError:
    info = ErrorInfo(
        "authentication",
        message,
        code="invalid_api_key",
        retryable=False,
        headers={"www-authenticate": "Bearer"},
    )
    return RequestError(info)
