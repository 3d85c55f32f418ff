"""`engine trace`: a recorded stream, frame by frame: its rule, its pieces, the events, the client's bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import click

from engine.cli.arguments import (
    dialect_of,
    dump,
    endpoint_of,
    load,
    mappings_option,
    options_option,
    parse_options,
    read_bytes,
)
from engine.errors import ErrorInfo, RequestError, TranslationError, UpstreamError
from engine.language.cases import FIXED_ID, FIXED_NOW, json_codec, target_for
from engine.translate.chat import stream_start
from engine.translate.exchange import request_scope
from engine.translate.framing import FRAMERS, Frame, FramingError
from engine.translate.lifecycle import Event, Lifecycle
from engine.translate.losses import Losses
from engine.translate.plan import ClientStreamPlan, DialectPlan, EndpointPlan, StreamPlan
from engine.translate.streaming import ClientStream, PieceFilter, UpstreamStream
from engine.translate.tools.answer import filters_of
from engine.translate.wire import Context
from engine.types import Json, JsonObject

_HELP: Final = """Show what each frame of a recorded stream becomes.

SAMPLE is a file with the bytes of an upstream's stream, `-` for standard input; it is cut into frames as the endpoint's
`stream.framing` says. For each frame: the rule it came to (file:line), the pieces that rule gave, the events they are,
and the bytes that a client of the dialect gets. Nothing is sent.

\b
Exit code: 0 the stream is complete, 1 it failed (the client's error event is shown), 2 wrong usage.

\b
Examples:
  engine trace sample.sse --endpoint acme.chat --dialect acme.api
  engine trace sample.ndjson --endpoint acme.chat --dialect acme.api --json
"""
_SHOWN_CHARACTERS: Final = 160
_REQUEST: Final[JsonObject] = {
    "model": "m",
    "messages": [{"role": "user", "content": "hi"}],
    "stream": True,
    "stream_options": {"include_usage": True},
}
_FAILURES: Final = (RequestError, UpstreamError, TranslationError, FramingError)


@dataclass(slots=True)
class Step:
    """What one frame became; `frame` is None for the end of the stream."""

    frame: Frame | None
    branch: str = ""
    pieces: list[JsonObject] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    client: bytes = b""
    failure: str = ""

    def as_json(self) -> JsonObject:
        """The step for `--json`."""
        made: JsonObject = {
            "frame": None if self.frame is None else _frame_json(self.frame),
            "branch": self.branch,
            "pieces": self.pieces,
            "events": self.events,
            "client": self.client.decode(),
        }
        return {**made, "failure": self.failure} if self.failure else made


def _frame_json(frame: Frame) -> JsonObject:
    named = {"event": frame.event, "id": frame.id, "fields": dict(frame.fields) or None}
    return {"data": frame.data, **{key: value for key, value in named.items() if value is not None}}


@click.command("trace", help=_HELP)
@click.argument("sample_file", metavar="SAMPLE")
@click.option("--endpoint", "endpoint_id", required=True, metavar="ID", help="The endpoint whose stream it is.")
@click.option("--dialect", "dialect_id", required=True, metavar="ID", help="The dialect of the client.")
@mappings_option
@options_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    sample_file: str, endpoint_id: str, dialect_id: str, folders: tuple[Path, ...], options: tuple[str, ...],
    as_json: bool,
) -> int:  # fmt: skip
    """Trace, print, and return the exit code."""
    catalog = load(folders)
    endpoint, dialect = endpoint_of(catalog, endpoint_id), dialect_of(catalog, dialect_id)
    plan, client = _stream_of(endpoint), _client_stream_of(dialect)
    given = parse_options(options, dict(endpoint.options))
    steps = list(trace(endpoint, plan, client, given, read_bytes(sample_file)))
    if as_json:
        click.echo(dump([step.as_json() for step in steps]))
    else:
        for number, step in enumerate(steps, 1):
            _print(number, step)
    return 1 if any(step.failure for step in steps) else 0


def _stream_of(endpoint: EndpointPlan) -> StreamPlan:
    if endpoint.stream is None:
        raise click.UsageError(f"the endpoint {endpoint.id!r} has no `stream` rules: its answers come whole")
    return endpoint.stream


def _client_stream_of(dialect: DialectPlan) -> ClientStreamPlan:
    for operation in dialect.operations.values():
        if operation.kind == "chat" and operation.stream is not None:
            return operation.stream
    raise click.UsageError(f"the dialect {dialect.id!r} does not stream")


def trace(
    endpoint: EndpointPlan, plan: StreamPlan, client: ClientStreamPlan, options: JsonObject, sample: bytes
) -> Iterator[Step]:
    """The steps of a sample, the last one for its end. A failure is the last step's."""
    context = Context(FIXED_ID, FIXED_NOW, True)
    target, codec = target_for(endpoint, options), json_codec()
    model: JsonObject = {"id": "m", "name": "m", "meta": None}
    stream = UpstreamStream(target, plan, request_scope(target, _REQUEST, model, context), codec)
    life = Lifecycle(stream_start(_REQUEST, context), serial=client.serial)
    writer = ClientStream(client, {"req": _REQUEST, "in": {}, "ctx": context.for_client(), "opt": {}}, life.out, codec)
    filters = filters_of(endpoint.regions, None, Losses())
    for frame in _frames(plan, sample, stream):
        if isinstance(frame, str):
            unread = ErrorInfo("upstream", frame, code="upstream_bad_event")
            yield _failed(Step(None), UpstreamError(unread), life, writer)
            return
        step = Step(frame)
        try:
            given = stream.take(frame)
            step.pieces = [each for piece in given for each in (filters(piece) if filters is not None else (piece,))]
            step.events = [event for piece in step.pieces for event in life.take(piece)]
        except _FAILURES as failure:
            step.branch = stream.taken
            yield _failed(step, failure, life, writer)
            return
        step.branch = stream.taken
        step.client = writer.write(step.events)
        yield step
        if stream.ended:
            break
    yield _end(stream, plan, life, writer, filters)


def _frames(plan: StreamPlan, sample: bytes, stream: UpstreamStream) -> Iterator[Frame | str]:
    """The frames of a sample; a text says why there are no more."""
    framer = FRAMERS[plan.framing]()
    try:
        yield from framer.feed(sample)
        stream.closing = True
        yield from framer.flush()
    except FramingError as error:
        yield from error.frames
        yield str(error)


def _end(
    stream: UpstreamStream, plan: StreamPlan, life: Lifecycle, writer: ClientStream, filters: PieceFilter | None
) -> Step:
    step = Step(None, branch="the end of the stream")
    try:
        step.pieces = [*stream.close(), *(filters.finish() if filters is not None else ())]
        step.events = [event for piece in step.pieces for event in life.take(piece)]
        life.terminated = stream.ended
        if plan.insists and not stream.ended:
            life.forget_finish()
        step.events += life.end()
    except _FAILURES as failure:
        return _failed(step, failure, life, writer)
    step.client = writer.write(step.events)
    return step


def _failed(step: Step, failure: Exception, life: Lifecycle, writer: ClientStream) -> Step:
    info = getattr(failure, "info", ErrorInfo("upstream", str(failure)))
    step.failure = f"{info.type} ({info.code or 'no code'}): {info.message}"
    detail = getattr(failure, "detail", "")
    step.failure += f" [{detail}]" if detail else ""  # what the log says, and a client is not told
    step.events = life.fail(info)
    step.client = writer.write(step.events)
    return step


def _print(number: int, step: Step) -> None:
    if step.frame is None:
        click.echo("end")
    else:
        event = f"event {step.frame.event}  " if step.frame.event is not None else ""
        click.echo(f"frame {number}  {event}{_short(step.frame.data)}")
    rows = [("branch", _branch(step))]
    rows += [("piece", _text(piece)) for piece in step.pieces]
    rows += [("event", _event(event)) for event in step.events]
    rows += [("failure", step.failure)] if step.failure else []
    rows += [("client", line) for line in step.client.decode().split("\n") if line]
    for name, text in rows:
        click.echo(f"  {name:<8}{_short(text) if name != 'client' else text}")


def _branch(step: Step) -> str:
    if step.branch == "done":
        return "the terminator (`done`)"
    name, colon, line = step.branch.rpartition(":")
    path = Path(name)
    below = bool(colon) and path.is_absolute() and path.is_relative_to(Path.cwd())
    shown = f"{path.relative_to(Path.cwd())}:{line}" if below else step.branch
    return shown or "no rule: the frame means nothing"


def _event(event: Event) -> str:
    rest = {key: value for key, value in event.items() if key != "kind" and value is not None}
    return f"{event['kind']} {_text(rest)}"


def _text(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)


def _short(text: str) -> str:
    line = text.replace("\n", "\\n")
    return line if len(line) <= _SHOWN_CHARACTERS else line[: _SHOWN_CHARACTERS - 1] + "…"
