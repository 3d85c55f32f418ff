"""What stands under `given` of an inline test: its types, and why a case cannot be run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from engine.errors import EngineError
from engine.language.case_calls import TooFewRepliesError
from engine.translate.canonical import check_request
from engine.types import Json, JsonObject

UNRUNNABLE: Final = (ArithmeticError, AttributeError, LookupError, StopIteration, TypeError, ValueError)
"""What Python raises when a case gives something of another shape than the engine ever has."""

_KINDS: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    **dict.fromkeys(
        ("request", "reply", "models_reply", "options", "model", "http", "out", "req", "err"), ((dict,), "an object")
    ),
    **dict.fromkeys(("models", "pieces", "replies"), ((list,), "a list")),
    **dict.fromkeys(("operation", "heartbeat", "wire"), ((str,), "a text")),
    "stream": ((str, bool), "a sample, as text"),
    "body": ((str,), "the client's body, as JSON text"),
}


def wrong_given(given: JsonObject) -> Iterator[str]:
    """A line for each part of `given` that is of the wrong type."""
    for key, value in given.items():
        kinds, name = _KINDS.get(key, ((object,), ""))
        if value is not None and not isinstance(value, kinds):
            yield f"given.{key} must be {name}"
    for key in ("reply", "models_reply"):
        reply = given.get(key)
        if isinstance(reply, dict):
            yield from _wrong_reply(key, reply)


def _wrong_reply(key: str, reply: JsonObject) -> Iterator[str]:
    status, headers = reply.get("status"), reply.get("headers")
    if status is not None and (not isinstance(status, int) or isinstance(status, bool)):
        yield f"given.{key}.status must be a whole number"
    if headers is not None and not isinstance(headers, dict):
        yield f"given.{key}.headers must be an object"


def why_unrunnable(given: JsonObject, error: BaseException) -> str:
    """A line that says why a case cannot be run, from the error that it ended in."""
    request: Json = given.get("request")
    if request is not None:
        try:
            check_request(request)
        except EngineError as reason:
            return f"given.request: {reason.message}"
    if isinstance(error, TooFewRepliesError):
        return str(error)
    return f"the case cannot be run as it is given ({type(error).__name__}: {error})"
