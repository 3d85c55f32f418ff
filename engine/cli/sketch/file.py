"""Put a draft together: the file's text with its comments, and cases that the engine itself answers.

The file is compiled before it is handed out. Its cases hold what the mapping makes of the sample now, so they pass, and
break when a later change alters it; where the body differs from the command's, a comment says how.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from engine.cli.sketch.address import Address, draft_address
from engine.cli.sketch.credentials import Credentials, take_credentials
from engine.cli.sketch.curl import CurlCall
from engine.cli.sketch.reply import draft_reply
from engine.cli.sketch.request import RequestDraft, draft_body, literal
from engine.cli.sketch.yaml_text import yaml_lines
from engine.errors import EngineError, MappingError
from engine.language.cases import FIXED_ID, FIXED_NOW, differences, json_codec, target_for, wire_of
from engine.language.catalog import read_catalog
from engine.language.diagnostics import render_text
from engine.translate.exchange import build_chat_request, read_reply, request_scope
from engine.translate.losses import Losses
from engine.translate.plan import EndpointPlan
from engine.translate.prepare import prepare
from engine.translate.wire import Context, UpstreamReply
from engine.types import Json, JsonObject

_HEAD: Final = """\
# A draft by `engine new endpoint`, from a curl command and a sample of the reply.
#
# Source    CHECK: write here the address of the API's documentation, and when you read it.
# CHECK     every line that says so, then this one:  engine validate --release {file}
# Try it    {try_it}
"""
_ERRORS: Final = {
    "$first": ["=as_string(res.error.message)", "=as_string(res.error)", "=as_string(res.message)",
               "=as_string(res.detail)", "=raw"],
}  # fmt: skip
_LOOPBACK: Final = ("localhost", "127.", "[::1]")


def draft_file(call: CurlCall, sample: Json, identifier: str | None, file: str) -> str:
    """The text of a mapping file. Raises UsageError for what cannot be drafted, MappingError for a draft that fails."""
    identifier = identifier or _id_of(call)
    prefix = re.sub(r"\W+", "_", identifier.split(".")[0]).upper()
    credentials = take_credentials(call, prefix)
    sent = call.body
    request = draft_body(sent) if sent is not None else RequestDraft(None, {}, [], has_text=False)
    reply = draft_reply(sample)
    address = draft_address(call.path, has_model="model" in request.request, replied=())
    if address.model is not None:
        request.request["model"] = address.model
    variables = " ".join(f"{each['env']}=…" for each in credentials.secrets.values())
    try_it = f'{variables} engine try {identifier} "hi" --model {request.request.get("model") or "MODEL"}'.strip()
    lines = [
        *_HEAD.format(file=file, try_it=try_it).rstrip("\n").split("\n"),
        *yaml_lines({"mapping": "endpoint/1", "id": identifier}),
        f"title: {identifier.replace('.', ' ').title()}  # CHECK: what do people call it?",
        *yaml_lines({"base_url": call.origin}),
        *_insecure(call),
        "",
        *(f"# {note}" for note in credentials.notes),
        *_auth_lines(credentials),
        "# One answer in one piece, no tools; see docs/writing-mappings.md for `stream` and for tools.",
        "capabilities: {streaming: synthetic, tools: none, system: native}",
        "",
        *_option_lines(address),
        *(f"# {note}" for note in (*address.notes, *request.notes)),
        "request:",
        *yaml_lines(_request(call, address, request), 2),
        "",
        *(f"# {note}" for note in reply.notes),
        "response:",
        *yaml_lines(reply.tree, 2),
        "",
        "# CHECK: what does a failure look like, and is there one inside a 200?",
        "errors:",
        *yaml_lines({"any": {"status": ["4xx", "5xx"], "raise": {"message": _ERRORS}}}, 2),
    ]
    head = "\n".join(lines) + "\n"
    text = head + "\n" + "\n".join(_cases(_plan(head, identifier), request, sample, sent, address.options)) + "\n"
    for value in credentials.values:
        if value in text:
            raise click.UsageError(
                "the command's credential also stands at another place of it, or in the sample; take it out there first"
            )
    _plan(text, identifier)
    return text


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


def _option_lines(address: Address) -> Iterator[str]:
    if address.options:
        yield from yaml_lines({"options": {name: {"type": "string"} for name in address.options}})
        yield ""


def _request(call: CurlCall, address: Address, request: RequestDraft) -> JsonObject:
    made: JsonObject = {"method": call.method, "path": address.path}
    if address.params:
        made["path_params"] = address.params
    if call.query:
        made["query"] = literal(call.query)
    if call.headers:
        made["headers"] = literal(call.headers)
    if call.encode != "json":
        made["encode"] = call.encode
    if request.tree is not None:
        made["body"] = request.tree
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


def _cases(plan: EndpointPlan, draft: RequestDraft, sample: Json, sent: Json, named: list[str]) -> Iterator[str]:
    options: JsonObject = {name: name for name in named}
    target, codec, losses = target_for(plan, options), json_codec(), Losses()
    request = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **draft.request}
    model = {"id": request["model"], "name": request["model"], "meta": None}
    context = Context(FIXED_ID, FIXED_NOW)
    scope = request_scope(target, prepare(plan, request, model["id"], losses), model, context)
    try:
        wire = wire_of(build_chat_request(target, scope, losses, codec), codec)
        result = read_reply(target, plan.response, scope, UpstreamReply(200, {}, codec.dumps(sample)), codec)
    except EngineError as error:
        raise click.UsageError(f"the draft cannot be run on the sample: {error}") from error
    shown = {key: wire[key] for key in ("method", "url", "query", "body") if key in wire}
    if plan.call.encode == "multipart":
        del shown["body"]
    yield "tests:"
    if isinstance(sent, dict) and isinstance(wire.get("body"), dict):
        yield from (f"  # Not as in the command: {line}" for line in list(differences(sent, wire["body"], "body"))[:8])
    given: JsonObject = {"options": options} if options else {}
    cases: JsonObject = {
        "request-of-the-command": {"given": {**given, "request": request}, "expect": {"wire": shown}},
        "reply-of-the-sample": {"given": {"reply": {"body": sample}}, "expect": {"result": result}},
    }
    yield from yaml_lines(cases, 2)
