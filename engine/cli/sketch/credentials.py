"""Find the credentials of a curl command and say how a mapping has them: `auth` and `secrets`, never their values.

A header is a credential unless it is known to be harmless; a query parameter or a key of the body is one by its name.
A variable is a secret wherever it stands, but for what is the chat itself. Nothing that was found is left in the call.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Final

from engine.cli.sketch.curl import CurlCall
from engine.cli.sketch.words import parts_of_name, plain_name, words
from engine.types import Json, JsonObject

VARIABLE: Final = re.compile(
    r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?|<([A-Za-z_][A-Za-z0-9_ -]*)>|\{\{?([A-Z][A-Z0-9_]*)\}?\}"
)
KEY_LIKE: Final = re.compile(r"(?=[^0-9]*[0-9])(?=[^a-z]*[a-z])(?=[^A-Z]*[A-Z])[\w.+/=:-]{24,}")
"""A text that nobody would write by hand: a key whatever it is called."""
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z-]*)\s+(\S.*)")
_AROUND: Final = re.compile(r"[A-Za-z][A-Za-z-]*[ =:]\"?")
"""What may stand before a variable in a value and be written: `Token `, `key=`."""
_SHORTEST: Final = 6
_LONGEST_VERSION: Final = 64


@dataclass(slots=True)
class Credentials:
    """The sections of a mapping, the values that must not be written, and what a person should know.

    `headers`, `query` and `body` are expressions without the `=`.
    """

    prefix: str
    secrets: JsonObject = field(default_factory=dict)
    values: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    pair: tuple[str, str] | None = None
    bearer: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    body: dict[str, str] = field(default_factory=dict)

    @property
    def auth(self) -> JsonObject:
        """The section; with credentials at several places all of them in `sign`, which may fill several."""
        headers = dict(self.headers)
        places = sum(map(bool, (self.pair, self.bearer, self.headers, self.query)))
        if places == 1 and self.pair is not None:
            user, password = self.pair
            return {"basic": {"user": _leaf(user), "password": _leaf(password)}}
        if places == 1 and self.bearer is not None:
            return {"bearer": _leaf(self.bearer)}
        if self.bearer is not None:
            headers["authorization"] = f"join(' ', ['Bearer', {self.bearer}])"
        elif self.pair is not None:
            headers["authorization"] = f"join(' ', ['Basic', base64(join(':', [{self.pair[0]}, {self.pair[1]}]))])"
        written = {name: _leaf(each) for name, each in headers.items()}
        if written and self.query:
            return {"sign": {"headers": written, "query": {name: _leaf(each) for name, each in self.query.items()}}}
        if written:
            return {"header": written}
        if self.query:
            return {"query": {name: _leaf(each) for name, each in self.query.items()}}
        return {"body": {name: _leaf(each) for name, each in self.body.items()}} if self.body else {"none": True}

    def keep(self, name: str, value: str) -> str:
        """The expression of a value that is a credential, or that has one behind a word such as `Token`."""
        found = VARIABLE.search(value)
        if found is None:
            if len(value) >= _SHORTEST:
                self.values.append(value)
            return self._secret(name, f"{self.prefix}_{name}".upper())
        variable = re.sub(r"\W+", "_", next(each for each in found.groups() if each)).upper()
        before, behind = value[: found.start()], value[found.end() :]
        made = self._secret(name, variable)
        if not before and not behind:
            return made
        if _AROUND.fullmatch(before) and behind in ("", '"'):
            return f"join('', ['{before}', {made}, '{behind}'])"
        self.notes.append(f"CHECK: {variable} must hold the whole value; in the command it was a part of it.")
        return made

    def _secret(self, name: str, variable: str) -> str:
        """A secret from a variable of the environment; one that is used twice is one secret."""
        name = next((each for each, spec in self.secrets.items() if spec["env"] == variable), name)
        self.secrets[name] = {"env": variable}
        return f"secret.{name}"


def _leaf(made: str) -> str:
    return "" if made == "''" else f"={made}"


def take_credentials(call: CurlCall, prefix: str) -> Credentials:
    """The credentials of a call, which are taken out of it. `prefix` begins the names of variables."""
    made = Credentials(prefix)
    cookie = call.headers.pop("cookie", None)
    if cookie is not None:
        made.values.append(cookie)
        made.notes.append("Left out: the cookie. A mapping has no cookies; look for a key in the API's documentation.")
    for name in [each for each in call.headers if _is_left_out(each)]:
        del call.headers[name]
    if call.user is not None and "authorization" in call.headers:
        made.values += [each for each in call.user.split(":", 1) if len(each) >= _SHORTEST]
        call.user = None
        made.notes.append("Left out: the user and password. The command's Authorization header takes their place.")
    headers = [name for name, value in call.headers.items() if name != "authorization" and _is_secret(name, value)]
    query = [name for name, value in call.query.items() if _is_credential(name, value)]
    body = list(_in_body(call.body)) if isinstance(call.body, dict) else []
    count = len(headers) + len(query) + len(body) + ("authorization" in call.headers) + (call.user is not None)
    names = {each: "api_key" if count == 1 else plain_secret(each) for each in (*headers, *query, *body)}
    if call.user is not None:
        user, _, password = call.user.partition(":")
        made.pair = _pair(made, user, password)
    if "authorization" in call.headers:
        _take_authorization(made, call.headers.pop("authorization"))
    for name in headers:
        made.headers[name] = made.keep(names[name], call.headers.pop(name))
    made.query = {name: made.keep(names[name], call.query.pop(name)) for name in query}
    _take_of_body(made, call.body, body, names)
    if [name for name in headers if not _is_named(name)]:
        made.notes.append(
            "CHECK: a header not known to be harmless is taken for a secret; move to request.headers what is none."
        )
    return made


def plain_secret(name: str) -> str:
    """A name as the name of a secret: `X-Quill-Pass` is x_quill_pass."""
    made = re.sub(r"\W+", "_", name).lower()
    return made if made[:1].isalpha() else f"key_{made}"


def _pair(made: Credentials, user: str, password: str) -> tuple[str, str]:
    if not password:  # a key in the place of the user's name
        return made.keep("api_key", user), "''"
    return made.keep("user", user), made.keep("password", password)


def _take_authorization(made: Credentials, value: str) -> None:
    found = _SCHEME.fullmatch(value)
    scheme, credential = (found[1], found[2]) if found else ("", value)
    if scheme.lower() == "bearer":
        made.bearer = made.keep("api_key", credential)
    elif scheme.lower() == "basic":
        made.values.append(credential)
        user, _, password = _decoded(credential).partition(":")
        made.pair = _pair(made, user, password or "$PASSWORD")
    else:
        kept = made.keep("api_key", credential)
        made.headers["authorization"] = f"join(' ', ['{scheme}', {kept}])" if scheme else kept


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return "$USER:$PASSWORD"


def _is_left_out(header: str) -> bool:
    return any(fnmatch(header, pattern) for pattern in words("headers", "dropped"))


def _is_secret(header: str, value: str) -> bool:
    harmless = any(fnmatch(header, pattern) for pattern in words("headers", "harmless")) and not _is_named(header)
    return not harmless or VARIABLE.search(value) is not None or len(value) > _LONGEST_VERSION


def _is_named(name: str) -> bool:
    plain = plain_name(name)
    if plain in words("credentials", "never"):
        return False
    known = words("credentials", "words")
    glued = any(plain.endswith(each) for each in ("apikey", "accesskey", "secretkey", "password"))
    return glued or plain in words("credentials", "whole") or any(part in known for part in parts_of_name(name))


def _is_credential(name: str, value: Json) -> bool:
    if not isinstance(value, str):
        return False
    return _is_named(name) or VARIABLE.search(value) is not None or KEY_LIKE.fullmatch(value) is not None


def _in_body(body: JsonObject) -> Iterator[str]:
    for name, value in body.items():
        if not _is_chat(name) and _is_credential(name, value):
            yield name


def _is_chat(name: str) -> bool:
    chat = ("models", "turns", "prompts", "systems", "users", "stops", "tools", "numbers")
    return any(plain_name(name) in words("request", each) for each in chat)


def _take_of_body(made: Credentials, body: Json, names: list[str], called: dict[str, str]) -> None:
    """Those at the head of the body go to `auth.body`; deeper ones, and those beside others, cannot be written."""
    if isinstance(body, dict):
        alone = not (made.headers or made.query or made.bearer or made.pair)
        for name in names:
            value = body.pop(name)
            if alone:
                made.body[name] = made.keep(called[name], value)
            else:
                _leave_out(made, name, value)
        for name in [each for each in body if not _is_chat(each) or isinstance(body[each], dict)]:
            _purge(made, body[name], name)


def _purge(made: Credentials, value: Json, path: str) -> None:
    """Take credentials out of what lies deeper in a body."""
    for name in list(_in_body(value)) if isinstance(value, dict) else ():
        _leave_out(made, f"{path}.{name}", value.pop(name))
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in list(items):
        _purge(made, each, f"{path}.{key}")


def _leave_out(made: Credentials, path: str, value: str) -> None:
    if VARIABLE.search(value) is None and len(value) >= _SHORTEST:
        made.values.append(value)
    made.notes.append(f"Left out: {path} of the body. A credential may stand at the head of a body, and there alone.")
