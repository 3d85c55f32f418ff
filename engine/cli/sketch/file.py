"""Put a draft together: the file's text with its comments, and cases that the engine itself answers.

The file is compiled before it is handed out. Its cases hold what the mapping makes of the sample now, so they pass, and
break when a later change alters it; where the body differs from the command's, a comment says how.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import click

from engine.cli.sketch.address import Address, draft_address
from engine.cli.sketch.credentials import Credentials, take_credentials
from engine.cli.sketch.curl import CurlCall
from engine.cli.sketch.leaves import Path as SamplePath
from engine.cli.sketch.leaves import leaves_of, short_texts
from engine.cli.sketch.reply import ReplyDraft, draft_errors, draft_reply, guess_reply, whole_path
from engine.cli.sketch.request import RequestDraft, constant, draft_body
from engine.cli.sketch.samples import Samples
from engine.cli.sketch.stream import StreamDraft, add_calls, draft_stream
from engine.cli.sketch.tools import Calls, add_tools, common_calls, draft_tools, find_calls, is_common
from engine.cli.sketch.yaml_text import yaml_lines
from engine.errors import EngineError, MappingError
from engine.language.cases import Case, endpoint_outcome
from engine.language.catalog import read_catalog
from engine.language.comparison import differences
from engine.language.diagnostics import render_text
from engine.language.problems import Mark
from engine.language.reader import MappingNode
from engine.translate.losses import Losses
from engine.translate.plan import EndpointPlan
from engine.types import Json, JsonObject

_HEAD: Final = """\
# A draft by `engine new endpoint`, from a curl command and a sample of the reply.
#
# Source    CHECK: write here the address of the API's documentation, and when you read it.
# CHECK     every line that says so, then this one:  engine validate --release {file}
# Try it    {try_it}
"""
_LOOPBACK: Final = ("localhost", "127.", "[::1]")


@dataclass(slots=True)
class _Draft:
    """The parts of a file on their way into it."""

    call: CurlCall
    samples: Samples
    sent: Json
    request: RequestDraft
    address: Address
    reply: ReplyDraft
    stream: StreamDraft | None
    native: bool

    def streaming(self) -> str:
        """The capability."""
        if self.stream is None:
            return "synthetic"
        return "native" if self.samples.reply is not None or self.request.streams else "only"


def draft_file(call: CurlCall, samples: Samples, identifier: str | None, file: str) -> str:
    """The text of a mapping file. Raises UsageError for what cannot be drafted, MappingError for a draft that fails."""
    identifier = identifier or _id_of(call)
    prefix = re.sub(r"\W+", "_", identifier.split(".")[0]).upper()
    credentials = take_credentials(call, prefix)
    draft = _drafted(call, samples)
    variables = " ".join(f"{each['env']}=…" for each in credentials.secrets.values())
    try_it = f'{variables} engine try {identifier} "hi" --model {draft.request.request.get("model") or "MODEL"}'.strip()
    lines = [
        *_HEAD.format(file=file, try_it=try_it).rstrip("\n").split("\n"),
        *yaml_lines({"mapping": "endpoint/1", "id": identifier}),
        f"title: {identifier.replace('.', ' ').title()}  # CHECK: what do people call it?",
        *yaml_lines({"base_url": call.origin}),
        *_insecure(call),
        "",
        *(f"# {note}" for note in credentials.notes),
        *_auth_lines(credentials),
        *_body_lines(draft),
    ]
    head = "\n".join(lines) + "\n"
    text = head + "\n" + "\n".join(_cases(_plan(head, identifier), draft)) + "\n"
    for value in credentials.values:
        if value in text:
            raise click.UsageError(
                "the command's credential also stands at another place of it, or in the sample; take it out there first"
            )
    _plan(text, identifier)
    return text


def _drafted(call: CurlCall, samples: Samples) -> _Draft:
    """All parts; tools are native where the command offers some and every sample is understood to tell of calls."""
    request = draft_body(call.body) if call.body is not None else RequestDraft()
    stream = draft_stream(samples.stream, samples.framing) if samples.stream is not None else None
    replied = short_texts(leaves_of(samples.reply))
    address = draft_address(call.path, request.request.get("model"), replied)
    if address.model is not None:
        request.request["model"] = address.model
    offer = draft_tools(request.tools)
    wanted = offer is not None
    said = replied.get(str(address.model))
    calls = find_calls(samples.reply) if wanted else None
    reply = _reply(samples, stream, said, calls)
    if wanted and calls is None:
        calls = _likely_calls(reply, stream, common=is_common(offer))
        reply = _reply(samples, stream, said, calls) if calls is not None else reply
    native = calls is not None and (stream is None or _stream_has_calls(stream))
    if native and offer is not None:
        add_tools(request, offer)
    elif request.tools:
        keys = ", ".join(request.tools)
        request.notes.append(
            f"Left out: {keys}. A sample with a call shows how; see docs/writing-mappings.md for tools."
        )
    return _Draft(call, samples, call.body, request, address, reply, stream, native)


def _reply(samples: Samples, stream: StreamDraft | None, model: SamplePath | None, calls: Calls | None) -> ReplyDraft:
    if samples.reply is not None or stream is None:
        return draft_reply(samples.reply, model, calls)
    return guess_reply(stream.text, calls)


def _likely_calls(reply: ReplyDraft, stream: StreamDraft | None, *, common: bool) -> Calls | None:
    """Where no reply has a call: where the stream has them, or beside the text of a message, as most APIs do."""
    if stream is not None and stream.calls is not None:
        return replace(stream.calls, holder=whole_path(stream.calls.holder))
    text = reply.text or ()
    return common_calls((*text[:-1], "tool_calls")) if common and text[-2:] == ("message", "content") else None


def _stream_has_calls(stream: StreamDraft) -> bool:
    if not stream.has_calls and stream.text[-2:] == ("delta", "content") and "emit" in stream.tree:
        add_calls(stream, common_calls((*stream.text[:-1], "tool_calls")))
    return stream.has_calls


def _body_lines(draft: _Draft) -> Iterator[str]:
    """The sections behind `auth`."""
    about = "" if draft.stream is None else " and streamed"
    tools = "tools" if draft.native else "no tools"
    yield f"# Answers in one piece{about}, {tools}; more is in docs/writing-mappings.md and docs/streaming.md."
    tools = "native" if draft.native else "none"
    yield from yaml_lines({"capabilities": {"streaming": draft.streaming(), "tools": tools, "system": "native"}})
    yield ""
    if draft.address.options:
        yield from yaml_lines({"options": {name: {"type": "string"} for name in draft.address.options}})
        yield ""
    yield from (f"# {note}" for note in (*draft.address.notes, *draft.request.notes))
    yield "request:"
    yield from yaml_lines(_request(draft), 2)
    yield from (f"  # {line}" for line in draft.request.missing())
    yield ""
    yield from (f"# {note}" for note in draft.reply.notes)
    yield "response:"
    yield from yaml_lines(draft.reply.tree, 2)
    yield from (f"  # {line}" for line in draft.reply.missing())
    yield ""
    if draft.stream is not None:
        yield "# Guessed from the sample; each frame is shown by:  engine trace SAMPLE --endpoint ID --dialect ID"
        if not draft.request.streams:
            yield "# CHECK: how is a stream asked for? A key of the body (=ctx.stream), or a path (stream.request)?"
        yield from (f"# {note}" for note in draft.stream.notes)
        yield "stream:"
        yield from yaml_lines(draft.stream.tree, 2)
        yield ""
    yield "# CHECK: what does a failure look like, and is there one inside a 200?"
    yield "errors:"
    yield from yaml_lines(draft_errors(draft.samples.reply), 2)
    yield ""
    yield "# not found: models; if the API lists them:  models: {request: {method: GET, path: /…}, list: …}"


def _id_of(call: CurlCall) -> str:
    host = call.origin.split("://")[1].split(":")[0].lower()
    labels = [each for each in host.split(".")[:-1] if each not in ("api", "www", "gateway")]
    name = re.sub(r"[^a-z0-9]+", "_", labels[-1]) if labels and not host[0].isdigit() else "my"
    return f"{name.strip('_') or 'my'}.chat"


def _insecure(call: CurlCall) -> Iterator[str]:
    host = call.origin.split("://")[1]
    if call.origin.startswith("http://") and not host.startswith(_LOOPBACK):
        yield "insecure: true  # CHECK: the key and all texts go over the network unprotected"


def _auth_lines(credentials: Credentials) -> Iterator[str]:
    if credentials.secrets:
        yield from yaml_lines({"secrets": credentials.secrets, "auth": credentials.auth})
    else:
        yield "auth: {none: true}  # CHECK: the command has no credential that was recognized"


def _request(draft: _Draft) -> JsonObject:
    call, address = draft.call, draft.address
    made: JsonObject = {"method": call.method, "path": address.path}
    if address.params:
        made["path_params"] = address.params
    if call.query:
        made["query"] = constant(call.query)
    if call.headers:
        made["headers"] = constant(call.headers)
    if call.encode != "json":
        made["encode"] = call.encode
    if draft.request.tree is not None:
        made["body"] = draft.request.tree
    return made


def _plan(text: str, identifier: str) -> EndpointPlan:
    """The compiled draft. Raises MappingError with what is wrong with it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "draft.yaml"
        file.write_text(text, encoding="utf-8")
        catalog = read_catalog([file], shipped=False)
        plan = catalog.endpoints.get(identifier)
        if plan is None or catalog.problems.errors:
            errors = catalog.problems.errors
            raise MappingError(errors, render_text(errors, catalog.sources))
        return plan


def _cases(plan: EndpointPlan, draft: _Draft) -> Iterator[str]:
    options: JsonObject = {name: name for name in draft.address.options}
    request = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **draft.request.request}
    given: JsonObject = {**({"options": options} if options else {}), "request": request}
    wire = _outcome(plan, given)["wire"]
    shown = {key: wire[key] for key in ("method", "url", "query", "body") if key in wire}
    if plan.call.encode == "multipart":
        del shown["body"]
    yield "tests:"
    sent = draft.sent
    if isinstance(sent, dict) and isinstance(wire.get("body"), dict):
        yield from (f"  # Not as in the command: {line}" for line in list(differences(sent, wire["body"], "body"))[:8])
    cases: JsonObject = {"request-of-the-command": {"given": given, "expect": {"wire": shown}}}
    samples = draft.samples
    came: dict[str, JsonObject] = {}
    if samples.reply is not None:
        came["reply-of-the-sample"] = {"reply": {"body": samples.reply}}
    if samples.stream is not None:
        came["stream-of-the-sample"] = {"stream": samples.stream}
    for name, sample in came.items():
        cases[name] = {"given": sample, "expect": {"result": _outcome(plan, sample)["result"]}}
    yield from yaml_lines(cases, 2)


def _outcome(plan: EndpointPlan, given: JsonObject) -> JsonObject:
    here = Mark(plan.file, 1, 1)
    try:
        return endpoint_outcome(plan, Case("sample", plan.id, here, MappingNode(here), given, {}), Losses())
    except EngineError as error:
        raise click.UsageError(f"the draft cannot be run on the sample: {error}") from error
