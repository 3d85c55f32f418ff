"""Operators that end in an error or in nothing: `$raise`, `$require`, `$literal`, `$omit`."""

from __future__ import annotations

from typing import Final, NoReturn

from engine.errors import ERROR_TYPES, ErrorInfo, RequestError, UpstreamError
from engine.language.canonical import RAISE_KEYS
from engine.language.compiled import Compiled, Env, absent, constant
from engine.language.problems import Mark
from engine.language.reader import MappingNode, ScalarNode, to_json
from engine.language.static_types import NULL, STRING, Type, object_of
from engine.language.tree import TreeCompiler, operator
from engine.language.writing import NULL as NULL_VALUE
from engine.language.writing import MappingFailure, Value, Writer
from engine.translate.failures import http_status
from engine.types import Json, JsonObject

RAISED: Final = object_of({}, dict(RAISE_KEYS))
_DEFAULT_TYPE: Final = {"request": "invalid_request", "reply": "upstream"}
_DEFAULT_RETRYABLE: Final = {"request": False, "reply": None}
_MAX_WAIT_S: Final = 1e9


def fail(raised: Json, side: str, mark: Mark) -> NoReturn:
    """Raise what a `$raise` built: the client's fault on a request path, the upstream's on a reply path.

    What came out of data and cannot be is left out (a status that is no failure's); a `type` that does not exist is a
    MappingFailure.
    """
    values: JsonObject = raised if isinstance(raised, dict) else {}
    kind = values.get("type") or _DEFAULT_TYPE[side]
    if not isinstance(kind, str) or kind not in ERROR_TYPES:
        raise MappingFailure("R002", "the `type` of a `$raise` is none of the error types", mark)
    retryable = values.get("retryable")
    info = ErrorInfo(
        kind,
        str(values.get("message") or "The request cannot be served."),
        status=http_status(values.get("status")) or 0,
        code=_text(values.get("code")),
        param=_text(values.get("param")),
        details=values.get("details"),
        retry_after_s=_seconds(values.get("retry_after_s")),
        retryable=retryable if isinstance(retryable, bool) else _DEFAULT_RETRYABLE[side],
    )
    if side == "request":
        raise RequestError(info, detail=f"raised at {mark}")
    raise UpstreamError(info, detail=f"raised at {mark}")


def _text(value: Json) -> str | None:
    """A code or path as text: clients take a string or null (trap 101)."""
    return None if value is None or isinstance(value, dict | list) else str(value)


def _seconds(value: Json) -> int | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if is_number and 0 <= value < _MAX_WAIT_S else None


@operator("$raise", doc="An error instead of a value: 400 on a request path, 502 on a reply path, unless it says more.",
          example="{$raise: {type: invalid_request, message: images are not supported}}")  # fmt: skip
def compile_raise(compiler: TreeCompiler, node: MappingNode, env: Env, expected: Type | None) -> Compiled:
    """Compile `$raise`."""
    mark = node.entries["$raise"].key.mark
    info = compiler.tree(node.entries["$raise"].value, env, RAISED)
    side = env.side

    def emit(writer: Writer) -> Value:
        made = info.emit(writer).name
        writer.write(f"{writer.constant(fail)}({made}, {side!r}, {writer.constant(mark)})")
        return Value(writer.assign("None"), absent=True)

    return Compiled(emit, NULL, False, mark)


@operator("$require", "message?", doc="A value that must be there, else an error that says what is missing.",
          example='{$require: =res.choices[0].message.content, message: "no text in the reply"}')  # fmt: skip
def compile_require(compiler: TreeCompiler, node: MappingNode, env: Env, expected: Type | None) -> Compiled:
    """Compile `$require`: `$first` with a `$raise` behind it (DECISIONS 2.7)."""
    mark = node.entries["$require"].key.mark
    value = compiler.tree(node.entries["$require"].value, env, expected)
    entry = node.entries.get("message")
    default = (
        "A required value is missing." if env.side == "request" else "The upstream's answer lacks a required value."
    )
    message = compiler.tree(entry.value, env, STRING) if entry is not None else constant(default, mark)
    side, code = env.side, None if env.side == "request" else "upstream_bad_response"

    def emit(writer: Writer) -> Value:
        made = value.emit(writer)
        with writer.block(f"if {made.name} is None or {made.name} is {writer.constant(NULL_VALUE)}"):
            text = message.emit(writer).name
            raised = f"{{'message': {text}, 'code': {writer.constant(code)}}}"
            writer.write(f"{writer.constant(fail)}({raised}, {side!r}, {writer.constant(mark)})")
        return made

    return Compiled(emit, value.type.required(), False, mark, auth=env.auth)


@operator("$literal", doc="A tree exactly as it is written: no expressions, no operators.",
          example='{$literal: {"$schema": "=kept"}}')  # fmt: skip
def compile_literal(compiler: TreeCompiler, node: MappingNode, env: Env, expected: Type | None) -> Compiled:
    """Compile `$literal`."""
    return constant(to_json(node.entries["$literal"].value), node.entries["$literal"].key.mark)


@operator("$omit", doc="Nothing: the key or item is left out.", example="{$omit: true}")
def compile_omit(compiler: TreeCompiler, node: MappingNode, env: Env, expected: Type | None) -> Compiled:
    """Compile `$omit`."""
    value = node.entries["$omit"].value
    if not isinstance(value, ScalarNode) or value.value is not True:
        return compiler.wrong_value(value, "$omit", "the literal true")
    return absent(node.entries["$omit"].key.mark)
