"""Find the credential of a curl command and say how a mapping has it: `auth` and `secrets`, never its value."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from engine.cli.sketch.curl import CurlCall
from engine.cli.sketch.reply import plain_name
from engine.types import Json, JsonObject

_VARIABLE: Final = re.compile(
    r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?|<([A-Za-z_][A-Za-z0-9_ -]*)>|\{\{?([A-Z][A-Z0-9_]*)\}?\}"
)
_NAMES: Final = re.compile(
    r"(api|access|auth|secret|subscription|private).?(key|token)|^(key|token|secret|apikey|code)$"
)
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z-]*)\s+(\S.*)")
_SHORTEST: Final = 6


@dataclass(slots=True)
class Credentials:
    """The sections of a mapping, the values that must not be written, and what a person should know."""

    auth: JsonObject = field(default_factory=lambda: {"none": True})
    secrets: JsonObject = field(default_factory=dict)
    values: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def keep(self, name: str, value: str, prefix: str) -> str:
        """Name a secret, after the variable that stands for it in the command if there is one."""
        found = _VARIABLE.search(value)
        variable = next((each for each in found.groups() if each), "") if found else ""
        variable = re.sub(r"\W+", "_", variable).upper()
        self.secrets[name] = {"env": variable or f"{prefix}_{name}".upper()}
        if found is None and len(value) >= _SHORTEST:
            self.values.append(value)
        return f"=secret.{name}"


def take_credentials(call: CurlCall, prefix: str) -> Credentials:
    """The credentials of a call, which are taken out of it. `prefix` begins the names of variables."""
    made = Credentials()
    cookie = call.headers.pop("cookie", None)
    if cookie is not None:
        made.values.append(cookie)
        made.notes.append("Left out: the cookie. A mapping has no cookies; look for a key in the API's documentation.")
    for place in (_of_user, _of_authorization, _of_header, _of_query, _of_body):
        auth = place(call, made, prefix)
        if auth is not None:
            made.auth = auth
            break
    return made


def _of_user(call: CurlCall, made: Credentials, prefix: str) -> JsonObject | None:
    if call.user is None:
        return None
    user, _, password = call.user.partition(":")
    return {"basic": _basic(made, user, password, prefix)}


def _basic(made: Credentials, user: str, password: str, prefix: str) -> JsonObject:
    if not password:  # a key in the place of the user's name
        return {"user": made.keep("api_key", user, prefix), "password": ""}
    return {"user": made.keep("user", user, prefix), "password": made.keep("password", password, prefix)}


def _of_authorization(call: CurlCall, made: Credentials, prefix: str) -> JsonObject | None:
    value = call.headers.pop("authorization", None)
    if value is None:
        return None
    found = _SCHEME.fullmatch(value)
    scheme, credential = (found[1], found[2]) if found else ("", value)
    if scheme.lower() == "bearer":
        return {"bearer": made.keep("api_key", credential, prefix)}
    if scheme.lower() == "basic":
        made.values.append(credential)
        user, _, password = _decoded(credential).partition(":")
        return {"basic": _basic(made, user, password or "$PASSWORD", prefix)}
    kept = made.keep("api_key", credential, prefix)
    return {"header": {"authorization": f"=join(' ', ['{scheme}', {kept[1:]}])" if scheme else kept}}


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return "$USER:$PASSWORD"


def _of_header(call: CurlCall, made: Credentials, prefix: str) -> JsonObject | None:
    names = list(_credential_names(call.headers))
    return (
        {"header": {n: made.keep(_secret_name(names, n), call.headers.pop(n), prefix) for n in names}}
        if names
        else None
    )


def _of_query(call: CurlCall, made: Credentials, prefix: str) -> JsonObject | None:
    names = list(_credential_names(call.query))
    return (
        {"query": {n: made.keep(_secret_name(names, n), call.query.pop(n), prefix) for n in names}} if names else None
    )


def _of_body(call: CurlCall, made: Credentials, prefix: str) -> JsonObject | None:
    if not isinstance(call.body, dict):
        return None
    names = list(_credential_names(call.body))
    return {"body": {n: made.keep(_secret_name(names, n), call.body.pop(n), prefix) for n in names}} if names else None


def _secret_name(names: list[str], name: str) -> str:
    return "api_key" if len(names) == 1 else re.sub(r"\W+", "_", name).lower()


def _credential_names(values: dict[str, Json]) -> Iterator[str]:
    """The names whose value is a credential: by the name, or since a variable of such a name stands for it."""
    for name, value in values.items():
        if not isinstance(value, str):
            continue
        variable = _VARIABLE.fullmatch(value)
        stands_for = next((each for each in variable.groups() if each), "") if variable else ""
        if _NAMES.search(plain_name(name)) or re.search(r"(?i)key|token|secret", stands_for):
            yield name
