"""The scope table: which names each slot of a mapping offers, with their static types (LANGUAGE 3.3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from engine.language import canonical
from engine.language.static_types import (
    ANY,
    ARRAY,
    BOOLEAN,
    NUMBER,
    OBJECT,
    STRING,
    Type,
    array_of,
    enum_of,
    object_of,
    union,
)
from engine.translate.plan import OptionSpec

_OPTION_TYPES: Final = {
    "string": STRING,
    "integer": NUMBER,
    "number": NUMBER,
    "boolean": BOOLEAN,
    "list": ARRAY,
    "object": OBJECT,
}

OPTION_TYPES: Final = tuple(_OPTION_TYPES)
"""The types an option of a mapping may have."""


def option_scope(options: Mapping[str, OptionSpec]) -> Type:
    """The type of `opt`: one field per declared option; one without a default may be null."""
    types = {name: _option_type(spec) for name, spec in options.items()}
    certain = {name: each for name, each in types.items() if options[name].default is not None}
    return object_of(certain, {name: each for name, each in types.items() if name not in certain})


def _option_type(spec: OptionSpec) -> Type:
    if spec.type == "string" and spec.values:
        return enum_of(*(str(value) for value in spec.values))
    return _OPTION_TYPES[spec.type]


def request_names(options: Type, steps: Iterable[str] = ()) -> dict[str, Type]:
    """`request.*`, `refuse` and `losses` of an endpoint; `steps` are those whose answers are there by then."""
    names = {"req": canonical.CANONICAL_REQUEST, "model": canonical.MODEL, "opt": options, "ctx": canonical.CTX}
    answers = dict.fromkeys(steps, ANY)
    return {**names, "step": object_of({}, answers)} if answers else names


def reply_names(options: Type, steps: Iterable[str] = ()) -> dict[str, Type]:
    """`response`, `errors` and `models.list` of an endpoint.

    `models` are the ids that the upstream last listed, for suggestions in errors; null when not known.
    """
    return {
        **request_names(options, steps),
        "res": ANY,
        "raw": STRING.optional(),
        "http": canonical.HTTP_REPLY,
        "models": array_of(STRING).optional(),
    }


def models_request_names(options: Type) -> dict[str, Type]:
    """`models.request` of an endpoint: no client request is at hand."""
    return {"opt": options, "ctx": canonical.CTX}


def models_list_names(options: Type) -> dict[str, Type]:
    """`models.list` of an endpoint."""
    return {"opt": options, "ctx": canonical.CTX, "res": ANY, "raw": STRING.optional(), "http": canonical.HTTP_REPLY}


def stream_names(options: Type, state: Type, steps: Iterable[str] = ()) -> dict[str, Type]:
    """The rules of an endpoint's `stream`."""
    return {
        **request_names(options, steps),
        "ev": canonical.FRAME,
        "st": state,
        "res": ANY,
        "raw": STRING.optional(),
        "http": canonical.HTTP_REPLY,
        "models": array_of(STRING).optional(),
    }


def auth_names(options: Type, secrets: Mapping[str, bool], *, token: bool = False) -> dict[str, Type]:
    """`auth`: the only slot with `secret`. `secrets` says of each name whether it is parsed into parts.

    `token` is there where `auth.token` says how it is had.
    """
    return {
        **request_names(options),
        **({"token": STRING} if token else {}),
        "secret": object_of({name: ANY if parsed else STRING for name, parsed in secrets.items()}),
    }


def token_names(options: Type, secrets: Mapping[str, bool]) -> dict[str, Type]:
    """`auth.token.request`: no client's request is at hand, since the token is for all of them."""
    full = auth_names(options, secrets)
    return {name: full[name] for name in ("opt", "ctx", "secret")}


def token_reply_names(options: Type) -> dict[str, Type]:
    """`auth.token.value` and `expires`: the answer of its call."""
    return {"opt": options, "ctx": canonical.CTX, "res": ANY, "http": canonical.HTTP_REPLY}


def sign_names(options: Type, secrets: Mapping[str, bool]) -> dict[str, Type]:
    """`auth.sign`: `wire` is the request as it will be sent."""
    return {**auth_names(options, secrets), "wire": canonical.WIRE}


def client_names(options: Type) -> dict[str, Type]:
    """A dialect's `request`, `refuse` and `losses`: `in` is the client's body."""
    return {"in": ANY, "http": canonical.HTTP_REQUEST, "opt": options}


_DIALECT_REPLIES: Final[Mapping[str, Mapping[str, Type]]] = {
    "chat": {"req": canonical.CANONICAL_REQUEST, "in": ANY, "out": canonical.REPLY},
    "models": {"models": array_of(canonical.LISTED_MODEL)},
    "model": {"model": canonical.LISTED_MODEL},
    "answer": {"req": canonical.CANONICAL_REQUEST, "in": ANY},
}


def dialect_reply_names(kind: str, options: Type) -> dict[str, Type]:
    """A dialect operation's `response`, by the operation's kind."""
    return {**_DIALECT_REPLIES[kind], "ctx": canonical.CLIENT_CTX, "opt": options}


def dialect_event_names(options: Type) -> dict[str, Type]:
    """A dialect's `stream.events`."""
    return {
        "req": canonical.CANONICAL_REQUEST,
        "in": ANY,
        "out": canonical.REPLY,
        "ev": canonical.EVENT,
        "err": canonical.ERR,
        "ctx": canonical.CLIENT_CTX,
        "opt": options,
    }


def dialect_error_names() -> dict[str, Type]:
    """A dialect's `errors`; `req` is null where the request was not read."""
    request = union(canonical.CANONICAL_REQUEST).optional()
    return {"err": canonical.ERR, "req": request, "ctx": canonical.CLIENT_CTX}


def mock_names() -> dict[str, Type]:
    """A mock: `n` counts the assistant messages of the request."""
    return {"in": ANY, "http": canonical.HTTP_REQUEST, "opt": OBJECT, "n": NUMBER}


def toolformat_offer_names() -> dict[str, Type]:
    """A toolformat's `offer`: the tools that may be called, and what the client wants of them."""
    tool = object_of({"name": STRING, "description": STRING, "parameters": OBJECT})
    return {"tools": array_of(tool), "choice": canonical.CHOICE_OF_TOOL}


def toolformat_history_names() -> dict[str, Type]:
    """A toolformat's `history`: the call, and the message that made it or brings its result."""
    return {"call": canonical.PROMPT_CALL, "m": canonical.MESSAGE}
