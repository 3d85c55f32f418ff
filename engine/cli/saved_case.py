"""Append a case to a mapping file as text, so that the file's own comments and layout stay as they are."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from engine.cli.attempt import Attempt, Mask
from engine.cli.sketch.yaml_text import yaml_lines
from engine.errors import EngineError, RequestError, TranslationError, UpstreamError
from engine.language.case_given import UNRUNNABLE, why_unrunnable
from engine.language.cases import Case, endpoint_outcome
from engine.language.inherit import Resolved
from engine.language.problems import Mark
from engine.language.reader import MappingNode, to_json
from engine.language.shipped import MAPPINGS
from engine.translate.losses import Losses
from engine.translate.plan import EndpointPlan
from engine.translate.wire import UpstreamReply
from engine.types import Json, JsonObject

_HEADER: Final = re.compile(r'\bhttp\.headers\.(?:"([^"]+)"|(\w+))')


def save_case(resolved: Resolved, name: str, case: JsonObject) -> Path:
    """Write a case behind the others of the file, or begin `tests` at its end. Raises UsageError."""
    check_case_name(resolved, name)
    file = Path(resolved.document.file)
    tests = resolved.document.section("tests")
    lines = file.read_text(encoding="utf-8").split("\n")
    if isinstance(tests, MappingNode) and tests.entries:
        first = next(iter(tests.entries.values())).key.mark
        at, indent, head = _end_of_tests(lines, first.line), first.column - 1, []
    else:
        at, indent, head = _before_comments(lines, len(lines) - (not lines[-1])), 2, ["", "tests:"]
    tail = [""] if not head and at < len(lines) and lines[at] and not lines[at - 1] else []
    lines[at:at] = [*head, *yaml_lines({name: case}, indent), *tail]
    text = "\n".join(lines)
    try:
        file.write_text(text if text.endswith("\n") else text + "\n", encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"cannot write {str(file)!r}: {error.strerror}") from error
    return file


def check_case_name(resolved: Resolved, name: str) -> None:
    """Raise UsageError where a case of that name cannot be appended to the mapping's file."""
    tests = resolved.document.section("tests")
    file = resolved.document.file
    if Path(file).resolve().is_relative_to(MAPPINGS) and not MAPPINGS.is_relative_to(Path.cwd()):
        raise click.UsageError(
            f"{file} is a shipped mapping, and an update would take the case away; save it in a copy of your own, "
            "or in a mapping that extends it"
        )
    if tests is None:
        return
    if not isinstance(tests, MappingNode) or tests.flow or not tests.entries:
        raise click.UsageError(f"`tests` of {file} stands on one line; write its cases on lines of their own first")
    if name in tests.entries:
        raise click.UsageError(f"{file} has a case {name!r} already; choose another name for --save-case")


def _end_of_tests(lines: list[str], first: int) -> int:
    """The place behind the section; a line that begins at the margin begins the next one.

    Blank lines at its end stay before the place: they may belong to the text of its last case.
    """
    end = first
    while end < len(lines) and (not lines[end] or lines[end][0] in " #"):
        end += 1
    if end == len(lines) and not lines[-1]:
        end -= 1  # what stands behind the file's last line end is no line
    return _before_comments(lines, end)


def _before_comments(lines: list[str], end: int) -> int:
    """Back over comments at the margin, which belong to what follows."""
    while end > 0 and lines[end - 1].startswith("#"):
        end -= 1
    return end


def case_of(plan: EndpointPlan, resolved: Resolved, attempt: Attempt, options: JsonObject) -> JsonObject:
    """An exchange as a case: what came is given, what the engine makes of it under fixed time and ids is expected.

    The case is the mapping's: a `base_url` among the options, which led to a local server, becomes the mapping's own.

    Raises UsageError where it cannot be one.
    """
    own = {name: value for name, value in options.items() if name != "base_url"}
    given: JsonObject = {"options": own} if own else {}
    given["request"] = attempt.request
    if attempt.model["name"] != attempt.model["id"]:
        given["model"] = {"name": attempt.model["name"]}
    local = str(options.get("base_url") or plan.base_url)
    masked = attempt.masked

    def clean(text: str) -> str:
        return masked(text).replace(local, plan.base_url)

    read = set(_headers_read(to_json(resolved.root)))
    replies = [_given_reply(reply, read, clean) for reply in attempt.replies]
    if attempt.failure is not None and attempt.stream is None:
        given["reply"] = replies[-1]
    else:
        given["replies"] = replies
    if attempt.stream is not None:
        given["stream"] = clean(bytes(attempt.stream).decode("utf-8", "replace"))
    here = Mark(plan.file, 1, 1)
    try:
        outcome = endpoint_outcome(plan, Case("saved", plan.id, here, MappingNode(here), given, {}), Losses())
    except (RequestError, UpstreamError, TranslationError) as failure:
        told = failure.info
        expected = {"type": told.type, "status": told.status, "code": told.code, "message": told.message}
        return {"given": given, "expect": {"error": {key: each for key, each in expected.items() if each is not None}}}
    except (EngineError, *UNRUNNABLE) as error:
        reason = error if isinstance(error, EngineError) else why_unrunnable(given, error)
        raise click.UsageError(f"the exchange cannot be a case: {reason}") from error
    if attempt.failure is not None:
        raise click.UsageError("the exchange cannot be a case: it failed, and no single answer shows why")
    calls = [{key: call[key] for key in ("method", "url", "query", "body") if key in call} for call in outcome["calls"]]
    return {"given": given, "expect": {"calls": calls, "result": outcome["result"]}}


def _headers_read(value: Json) -> Iterator[str]:
    """The names of the reply's headers that the expressions of a mapping read."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _headers_read(each)
    elif isinstance(value, str) and value.startswith("="):
        yield from (quoted or plain for quoted, plain in _HEADER.findall(value))


def _given_reply(reply: UpstreamReply, read: set[str], clean: Mask) -> JsonObject:
    text = clean(reply.body.decode("utf-8", "replace"))
    body: Json = text
    with contextlib.suppress(ValueError):
        body = json.loads(text)
    status = {} if reply.status == 200 else {"status": reply.status}
    headers = {name: clean(each) for name, each in reply.headers.items() if name in read}
    return {**status, **({"headers": headers} if headers else {}), "body": body}
