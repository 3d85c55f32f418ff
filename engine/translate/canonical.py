"""The canonical request: the OpenAI chat-completions JSON (DECISIONS.md section 1), checked once for every dialect.

`check_request` refuses what no endpoint could serve, each refusal naming the field by its path. It keeps key order and
leaves good values untouched, so equal inputs stay equal bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from engine.errors import ErrorInfo, RequestError
from engine.types import Json, JsonObject

ROLES: Final = ("system", "developer", "user", "assistant", "tool", "function")
_TOOL_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")

KIND_NAMES: Final[Mapping[type, str]] = {
    type(None): "null",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
}


def refuse(message: str, param: str | None, code: str | None = None) -> RequestError:
    """The error for a request that is wrong in itself: 400 invalid_request, the field named in `param`."""
    return RequestError(ErrorInfo("invalid_request", message, code=code, param=param, retryable=False))


def _wrong_type(param: str, expected: str, found: Json) -> RequestError:
    got = KIND_NAMES.get(type(found), "something else")
    return refuse(f"Invalid type for '{param}': expected {expected}, but got {got} instead.", param, "invalid_type")


def missing(param: str) -> RequestError:
    """The error for a required field that is not there."""
    return refuse(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_Check = tuple[Callable[[Json], bool], str]
_NUMBER: Final[_Check] = (_is_number, "a number")
_INTEGER: Final[_Check] = (_is_integer, "an integer")
_BOOLEAN: Final[_Check] = (lambda value: isinstance(value, bool), "a boolean")
_STRING: Final[_Check] = (lambda value: isinstance(value, str), "a string")
_OBJECT: Final[_Check] = (lambda value: isinstance(value, dict), "an object")
_ARRAY: Final[_Check] = (lambda value: isinstance(value, list), "an array")

TYPES: Final[Mapping[str, _Check]] = {
    "model": _STRING,
    "messages": _ARRAY,
    "stream": _BOOLEAN,
    "stream_options": _OBJECT,
    "temperature": _NUMBER,
    "top_p": _NUMBER,
    "top_k": _INTEGER,
    "min_p": _NUMBER,
    "n": _INTEGER,
    "max_tokens": _INTEGER,
    "max_completion_tokens": _INTEGER,
    "frequency_penalty": _NUMBER,
    "presence_penalty": _NUMBER,
    "logit_bias": _OBJECT,
    "logprobs": _BOOLEAN,
    "top_logprobs": _INTEGER,
    "seed": _INTEGER,
    "tools": _ARRAY,
    "parallel_tool_calls": _BOOLEAN,
    "functions": _ARRAY,
    "response_format": _OBJECT,
    "reasoning_effort": _STRING,
    "verbosity": _STRING,
    "service_tier": _STRING,
    "user": _STRING,
    "metadata": _OBJECT,
    "store": _BOOLEAN,
    "extra": _OBJECT,
}
"""The type of each top-level field that has one type; the others are checked by their own functions."""

LIMITS: Final[Mapping[str, tuple[float | None, float | None]]] = {
    "n": (1, 128),
    "max_tokens": (1, None),
    "max_completion_tokens": (1, None),
    "top_logprobs": (0, 20),
    "top_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
}
"""Ranges that hold for every upstream; an upstream's own range is `params:` of its mapping."""


def check_request(request: Json) -> JsonObject:
    """Return the request if it is a legal canonical request, null fields removed.

    Raises RequestError (400) with `param` set to the path of the first field that is wrong.
    """
    if not isinstance(request, dict):
        raise refuse(f"The request body must be a JSON object, not {KIND_NAMES[type(request)]}.", None)
    kept = {key: value for key, value in request.items() if value is not None}
    _check_fields(kept)
    for index, message in enumerate(kept["messages"]):
        _check_message(message, f"messages[{index}]")
    for key, check in _OTHERS.items():
        if key in kept:
            check(kept[key], key)
    if "stream_options" in kept and not kept.get("stream"):
        raise refuse("'stream_options' is only allowed when 'stream' is true.", "stream_options", "invalid_value")
    return kept


def _check_fields(kept: JsonObject) -> None:
    """The top level: what must be there, the type of each field, and ranges that hold everywhere."""
    for key in ("model", "messages"):
        if key not in kept:
            raise missing(key)
    for key, value in kept.items():
        expected = TYPES.get(key)
        if expected is not None and not expected[0](value):
            raise _wrong_type(key, expected[1], value)
        if key in LIMITS:
            _check_limits(key, value)
    if not kept["model"]:
        raise refuse("'model' must not be empty.", "model", "invalid_value")
    if not kept["messages"]:
        raise refuse("'messages' must hold at least one message.", "messages", "invalid_value")


def _check_limits(key: str, value: float) -> None:
    low, high = LIMITS[key]
    if (low is not None and value < low) or (high is not None and value > high):
        bounds = f"at least {low:g}" if high is None else f"between {low:g} and {high:g}"
        raise refuse(f"Invalid value for '{key}': {value} is not {bounds}.", key, "invalid_value")


def _check_message(message: Json, where: str) -> None:
    if type(message) is not dict:
        raise _wrong_type(where, "an object", message)
    role = message.get("role")
    if role is None:
        raise missing(f"{where}.role")
    if role not in ROLES:
        if not isinstance(role, str):
            raise _wrong_type(f"{where}.role", "a string", role)
        allowed = ", ".join(f"'{name}'" for name in ROLES)
        raise refuse(
            f"Invalid value: '{role[:40]}'. Supported values are: {allowed}.", f"{where}.role", "invalid_value"
        )
    content = message.get("content")
    if type(content) is not str:
        _check_content(content, message, role, where)
    if "tool_calls" in message:
        _check_calls(message["tool_calls"], f"{where}.tool_calls")
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        raise missing(f"{where}.tool_call_id")


def _check_content(content: Json, message: JsonObject, role: str, where: str) -> None:
    if content is None:
        # An assistant turn may hold nothing but calls, or nothing at all (traps 4 and 7); others must say something.
        if role not in ("assistant", "function"):
            raise missing(f"{where}.content")
        return
    if not isinstance(content, list):
        raise _wrong_type(f"{where}.content", "a string or an array of content parts", content)
    if not content and role not in ("assistant", "tool"):
        raise refuse(f"'{where}.content' must not be an empty array.", f"{where}.content", "empty_array")
    for index, part in enumerate(content):
        _check_part(part, f"{where}.content[{index}]")


_PART_FIELDS: Final[Mapping[str, tuple[str, _Check]]] = {
    "text": ("text", _STRING),
    "refusal": ("refusal", _STRING),
    "image_url": ("image_url", _OBJECT),
    "input_audio": ("input_audio", _OBJECT),
    "file": ("file", _OBJECT),
}


def _check_part(part: Json, where: str) -> None:
    if type(part) is not dict:
        raise _wrong_type(where, "an object", part)
    kind = part.get("type")
    if not isinstance(kind, str):
        raise missing(f"{where}.type") if kind is None else _wrong_type(f"{where}.type", "a string", kind)
    if kind not in _PART_FIELDS:
        known = ", ".join(f"'{name}'" for name in _PART_FIELDS)
        raise refuse(f"Invalid value: '{kind[:40]}'. Supported values are: {known}.", f"{where}.type", "invalid_value")
    field, (fits, expected) = _PART_FIELDS[kind]
    if part.get(field) is None:
        raise missing(f"{where}.{field}")
    if not fits(part[field]):
        raise _wrong_type(f"{where}.{field}", expected, part[field])
    if kind == "image_url" and not isinstance(part["image_url"].get("url"), str):
        raise missing(f"{where}.image_url.url")


def _check_calls(calls: Json, where: str) -> None:
    if calls is None:
        return
    if not isinstance(calls, list):
        raise _wrong_type(where, "an array", calls)
    for index, call in enumerate(calls):
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict):
            raise missing(f"{where}[{index}].function")
        if not isinstance(function.get("name"), str) or not function["name"]:
            raise missing(f"{where}[{index}].function.name")
        if not isinstance(function.get("arguments", ""), str):
            raise _wrong_type(f"{where}[{index}].function.arguments", "a string", function["arguments"])


def _check_tools(tools: list[Any], where: str) -> None:
    for index, tool in enumerate(tools):
        place = f"{where}[{index}]"
        if not isinstance(tool, dict):
            raise _wrong_type(place, "an object", tool)
        if tool.get("type", "function") != "function":
            raise refuse(f"'{place}.type' must be 'function'.", f"{place}.type", "invalid_value")
        function = tool.get("function")
        if not isinstance(function, dict):
            raise missing(f"{place}.function")
        name = function.get("name")
        if not isinstance(name, str):
            raise missing(f"{place}.function.name")
        if not _TOOL_NAME.fullmatch(name):
            raise refuse(
                f"Invalid '{place}.function.name': it must match ^[a-zA-Z0-9_-]{{1,64}}$.",
                f"{place}.function.name",
                "invalid_value",
            )
        _check_parameters(function.get("parameters"), f"{place}.function.parameters")


def _check_parameters(parameters: Json, where: str) -> None:
    if parameters is None:
        return
    if not isinstance(parameters, dict):
        raise _wrong_type(where, "an object", parameters)
    if parameters and parameters.get("type", "object") != "object":
        raise refuse(f"Invalid schema for '{where}': its type must be 'object'.", where, "invalid_function_parameters")


EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def _check_effort(effort: str, where: str) -> None:
    if effort not in EFFORTS:
        allowed = ", ".join(f"'{name}'" for name in EFFORTS)
        raise refuse(f"Invalid value: '{effort[:40]}'. Supported values are: {allowed}.", where, "invalid_value")


_CHOICES: Final = ("none", "auto", "required")


def _check_tool_choice(choice: Json, where: str) -> None:
    if isinstance(choice, str):
        if choice not in _CHOICES:
            raise refuse(f"Invalid value: '{choice[:40]}'. Supported values are: 'none', 'auto', 'required'.", where)
        return
    if not isinstance(choice, dict):
        raise _wrong_type(where, "a string or an object", choice)
    kind = choice.get("type")
    if kind == "function":
        function = choice.get("function")
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise missing(f"{where}.function.name")
    elif kind == "allowed_tools":
        _check_allowed(choice.get("allowed_tools"), f"{where}.allowed_tools")
    else:
        raise refuse(f"'{where}.type' must be 'function' or 'allowed_tools'.", f"{where}.type", "invalid_value")


def _check_allowed(allowed: Json, where: str) -> None:
    if not isinstance(allowed, dict) or not isinstance(allowed.get("tools"), list):
        raise missing(f"{where}.tools")
    if allowed.get("mode") not in (None, "auto", "required"):
        raise refuse(f"'{where}.mode' must be 'auto' or 'required'.", f"{where}.mode", "invalid_value")
    for index, tool in enumerate(allowed["tools"]):
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise missing(f"{where}.tools[{index}].function.name")


def _check_stop(stop: Json, where: str) -> None:
    if isinstance(stop, str):
        return
    if not isinstance(stop, list) or not all(isinstance(text, str) for text in stop):
        raise _wrong_type(where, "a string or an array of strings", stop)


def _check_format(value: JsonObject, where: str) -> None:
    kind = value.get("type")
    if kind not in ("text", "json_object", "json_schema"):
        raise refuse(
            f"'{where}.type' must be 'text', 'json_object' or 'json_schema'.", f"{where}.type", "invalid_value"
        )
    if kind == "json_schema":
        schema = value.get("json_schema")
        if not isinstance(schema, dict):
            raise missing(f"{where}.json_schema")
        if not isinstance(schema.get("name"), str):
            raise missing(f"{where}.json_schema.name")
        if not isinstance(schema.get("schema"), dict | None):
            raise _wrong_type(f"{where}.json_schema.schema", "an object", schema["schema"])


_OTHERS: Final[Mapping[str, Callable[[Any, str], None]]] = {
    "tools": _check_tools,
    "tool_choice": _check_tool_choice,
    "stop": _check_stop,
    "reasoning_effort": _check_effort,
    "response_format": _check_format,
}
