"""Inline tests: the golden cases that stand beside each mapping (LANGUAGE 3.6, DECISIONS 2.3).

A case says what is `given` and what to `expect`; the comparison is exact, but for `{$any: kind}` matchers. Time, ids
and secrets are fixed. A child runs its parents' cases on its own plan for every part whose merged tree is unchanged.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from engine.errors import EngineError, ErrorInfo, UpstreamError
from engine.language.case_calls import TooFewRepliesError, conversation
from engine.language.case_given import UNRUNNABLE, why_unrunnable, wrong_given
from engine.language.case_parts import holds_for
from engine.language.comparison import as_far_as_named, by_step, differences, named_only, shown
from engine.language.inherit import Resolved
from engine.language.passing_cases import pass_through
from engine.language.problems import Mark, Problems, did_you_mean
from engine.language.reader import MappingNode, Node, to_json
from engine.language.stream_cases import client_chunks, collect, events_of, sample_bytes, splits
from engine.translate.calls import build_call
from engine.translate.client import own_answer, read_client, write_error, write_reply
from engine.translate.exchange import build_chat_request, check_rules, read_reply, request_scope
from engine.translate.losses import Losses
from engine.translate.plan import Codec, DialectPlan, EndpointPlan, OperationPlan
from engine.translate.prepare import prepare
from engine.translate.sealing import Token
from engine.translate.tools.answer import read_regions
from engine.translate.wire import ClientReply, Context, HttpInput, Target, UpstreamReply, UpstreamRequest
from engine.types import ABSENT, Json, JsonObject, Secret

FIXED_NOW: Final = 1_700_000_000
FIXED_ID: Final = "req_0123456789abcdef01234567"
_REQUEST: Final[JsonObject] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
_CTX: Final = Context(FIXED_ID, FIXED_NOW).for_client()
ENDPOINT_GIVEN: Final = (
    "request",
    "reply",
    "replies",
    "models_reply",
    "options",
    "models",
    "model",
    "stream",
    "wire",
    "body",
)
ENDPOINT_EXPECT: Final = ("body", "wire", "calls", "result", "models", "error", "losses", "sent", "passed")
DIALECT_GIVEN: Final = (
    *("client", "operation", "http", "options", "out", "req", "err", "models", "model", "in"),
    *("stream", "pieces", "heartbeat"),
)
DIALECT_EXPECT: Final = ("request", "response", "chunks", "events", "error", "losses")


@dataclass(frozen=True, slots=True)
class Case:
    """One test of a mapping: where it is written and what it says."""

    name: str
    mapping: str
    mark: Mark
    node: MappingNode
    given: JsonObject
    expect: JsonObject
    inherited: bool = False

    def place(self, *path: str) -> Mark:
        """The position of a part of the case, as near as it exists."""
        node: Node = self.node
        mark = self.mark
        for step in path:
            if not isinstance(node, MappingNode) or step not in node.entries:
                break
            entry = node.entries[step]
            mark, node = entry.key.mark, entry.value
        return mark


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a case failed: the part of `expect`, and the differences as lines."""

    case: Case
    part: str
    lines: tuple[str, ...]


def json_codec() -> Codec:
    """The codec of tests: the standard library, big numbers kept."""
    return Codec(
        loads=json.loads, dumps=lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    )


def cases_of(resolved: Resolved) -> Iterator[Case]:
    """The cases that hold for a mapping: its own, then its parents' where the parts they exercise are unchanged.

    Under an overlay its own cases, too, hold only for what the overlay leaves alone.
    """
    own = resolved.document.section("tests")
    seen: set[str] = set()
    for case in _read(own, resolved.id, inherited=False):
        seen.add(case.name)
        if resolved.base is None or holds_for(case.given, case.expect, resolved, resolved.base):
            yield case
    for parent in resolved.lineage:
        for case in _read(parent.document.section("tests"), resolved.id, inherited=True):
            if case.name not in seen and holds_for(case.given, case.expect, resolved, parent):
                seen.add(case.name)
                yield case


def _read(node: Node | None, mapping: str, *, inherited: bool) -> Iterator[Case]:
    for name, entry in node.entries.items() if isinstance(node, MappingNode) else ():
        value = entry.value
        if not isinstance(value, MappingNode):
            continue
        given, expect = value.get("given"), value.get("expect")
        if isinstance(given, MappingNode) and isinstance(expect, MappingNode):
            yield Case(name, mapping, entry.key.mark, value, to_json(given), to_json(expect), inherited)


def run_endpoint_case(plan: EndpointPlan, case: Case, problems: Problems) -> list[Failure]:
    """Run one case of an endpoint. Unknown keys of the case are problems (E022); differences are failures."""
    if not _check_keys(case, ENDPOINT_GIVEN, ENDPOINT_EXPECT, problems):
        return []
    calls: list[UpstreamRequest] = []
    return _run(case, lambda losses: endpoint_outcome(plan, case, losses, calls), calls)


def run_dialect_case(plan: DialectPlan, case: Case, problems: Problems) -> list[Failure]:
    """Run one case of a dialect."""
    if not _check_keys(case, DIALECT_GIVEN, DIALECT_EXPECT, problems):
        return []
    return _run(case, lambda losses: _dialect_outcome(plan, case, losses))


def _run(
    case: Case, outcome_of: Callable[[Losses], JsonObject], calls: list[UpstreamRequest] | None = None
) -> list[Failure]:
    """Run a case and compare; what cannot be run as it is given is a failure of `given`. `calls` are those made."""
    wrong = tuple(wrong_given(case.given))
    if wrong:
        return [Failure(case, "given", wrong)]
    losses = Losses()
    try:
        outcome = _attempt(lambda: outcome_of(losses))
    except UNRUNNABLE as error:
        return [Failure(case, "given", (why_unrunnable(case.given, error),))]
    outcome["losses"] = losses.as_json()
    if "replies" in case.given:
        outcome["calls"] = _calls_made(case, calls or [])
    return compare(case, outcome)


def _check_keys(case: Case, given: tuple[str, ...], expect: tuple[str, ...], problems: Problems) -> bool:
    good = True
    for part, keys, known in (("given", case.given, given), ("expect", case.expect, expect)):
        for key in keys:
            if key not in known:
                good = False
                problems.add(
                    "E022", f"a test's {part!r} has no {key!r}", case.place(part, key), length=len(key),
                    help=did_you_mean(key, known),
                )  # fmt: skip
    return good


def _attempt(run: Callable[[], JsonObject]) -> JsonObject:
    try:
        return run()
    except EngineError as error:
        info = getattr(error, "info", None)
        detail = getattr(error, "detail", "")
        if not isinstance(info, ErrorInfo):
            return {"error": {"message": str(error)}}
        plain = {key: value for key, value in info.as_json().items() if value is not None}
        return {"error": plain, "detail": detail}


def target_for(plan: EndpointPlan, options: JsonObject, models: tuple[str, ...] | None = None) -> Target:
    """An upstream as tests and the CLI see it: defaults, given options, and masked secrets."""
    values = {name: spec.default for name, spec in plan.options.items()}
    return Target(
        name=plan.id,
        plan=plan,
        base_url=str(options.get("base_url") or plan.base_url),
        hosts=plan.hosts,
        options={**values, **options},
        secrets={name: spec.placeholder(Secret("***")) for name, spec in plan.secrets.items()},
        known_models=models,
    )


def _calls_made(case: Case, calls: list[UpstreamRequest]) -> Json:
    """The calls in their order, or by their steps where the case names these."""
    wires = [wire_of(call, json_codec()) for call in calls]
    if not isinstance(case.expect.get("calls"), dict):
        return wires
    made: dict[str, list[JsonObject]] = {}
    for call, wire in zip(calls, wires, strict=True):
        made.setdefault(call.step, []).append(wire)
    return made


def endpoint_outcome(
    plan: EndpointPlan, case: Case, losses: Losses, calls: list[UpstreamRequest] | None = None
) -> JsonObject:
    """What an endpoint makes of what a case gives, by the names that `expect` has. Raises what a failure raises.

    `calls` collects those that are made before `replies`, also where there is a failure.
    """
    given, codec = case.given, json_codec()
    listed = given.get("models")
    target = target_for(plan, given.get("options") or {}, tuple(listed) if listed is not None else None)
    request = given.get("request") or _REQUEST
    model = {"id": request["model"], "name": request["model"], "meta": None, **(given.get("model") or {})}
    context = Context(FIXED_ID, FIXED_NOW, bool(request.get("stream")), given.get("wire", plan.wire))
    outcome: JsonObject = {}
    if "models_reply" in given and plan.models is not None:
        scope: JsonObject = {"ctx": context.as_json(), "opt": target.options, "req": None, "model": None}
        outcome["wire"] = wire_of(build_call(target, plan.models.call, scope, codec), codec)
        outcome["models"] = read_reply(target, plan.models.list, scope, _reply_of(given["models_reply"], codec), codec)
        return outcome
    scope = request_scope(target, prepare(plan, request, model["id"], losses, context.client_wire), model, context)
    if "replies" in given:
        check_rules(target, scope, losses)
        replies = [_reply_of(each, codec) for each in given["replies"]]
        made = calls if calls is not None else []
        try:
            reply = conversation(target, scope, replies, codec, made, streams="stream" in given)
        except TooFewRepliesError:
            if set(case.expect) & {"result", "error"} or not isinstance(case.expect.get("calls"), dict):
                raise
            return outcome
        outcome["calls"] = [wire_of(call, codec) for call in made]
        if reply is not None:
            outcome["result"] = _present(_with_regions(target, read_reply(target, plan.response, scope, reply, codec)))
            return outcome
    if "stream" in given:
        outcome["result"] = _stream_result(target, case, scope, codec)
    elif "reply" in given:
        outcome["result"] = _present(
            _with_regions(target, read_reply(target, plan.response, scope, _reply_of(given["reply"], codec), codec))
        )
    else:
        wire = wire_of(_last_request(target, scope, losses, codec), codec)
        outcome["wire"], outcome["body"] = wire, wire.get("body")
    if "body" in given:
        reply = _reply_of(given["reply"], codec) if "reply" in given else None
        outcome.update(pass_through(target, {**given, "request": request}, reply, scope, losses, codec))
    return outcome


def _last_request(target: Target, scope: JsonObject, losses: Losses, codec: Codec) -> UpstreamRequest:
    """The call that gives the answer, by itself: what earlier calls were answered is not given."""
    try:
        return build_chat_request(target, scope, losses, codec)
    except UpstreamError as error:
        hint = "; the mapping has `steps`, so the case gives the answers of all calls as `replies`"
        raise UpstreamError(error.info, detail=f"{error.detail}{hint}") from error


def _stream_result(target: Target, case: Case, scope: JsonObject, codec: Codec) -> JsonObject:
    """Collect a stream sample at every split; a split that gives something else is itself the outcome."""
    plan = target.plan.stream
    if plan is None:
        return {}
    data = sample_bytes(str(case.given["stream"]))
    results = [_attempt(partial(collect, target, plan, scope, cut, codec)) for cut in splits(data, case.name)]
    odd = next((number for number, each in enumerate(results) if each != results[0]), None)
    if odd is not None:
        return {"split": odd, "whole": results[0], "differs": results[odd]}
    if set(results[0]) >= {"error"}:
        collect(target, plan, scope, [data], codec)
    return results[0]


def _present(value: Json) -> Json:
    """What `response` gave as a case expects it: usage without a count is none, as it is for clients."""
    if isinstance(value, dict) and value.get("usage") == {}:
        return {key: each for key, each in value.items() if key != "usage"}
    return None if value is ABSENT else value


def _with_regions(target: Target, emitted: Json) -> Json:
    """What `response` gave, its regions read."""
    return read_regions(emitted, target.plan.regions, Losses())


def _reply_of(given: JsonObject, codec: Codec) -> UpstreamReply:
    body = given.get("body")
    data = body.encode() if isinstance(body, str) else b"" if body is None else codec.dumps(body)
    headers = {str(name).lower(): str(value) for name, value in (given.get("headers") or {}).items()}
    return UpstreamReply(given.get("status") or 200, headers, data)


def finished(request: UpstreamRequest) -> UpstreamRequest:
    """A request as it would be sent, with a placeholder for a token and the fixed time for a signature."""
    seal = request.seal
    if seal is None:
        return request
    return seal.finish(Token(Secret("***"), None) if seal.ask is not None else None, FIXED_NOW)


def wire_of(request: UpstreamRequest, codec: Codec) -> JsonObject:
    """An upstream request as data: method, url, query, headers (secrets masked) and decoded body."""
    request = finished(request)
    wire: JsonObject = {"method": request.method, "url": request.url}
    if request.query:
        wire["query"] = _query(request)
    wire["headers"] = {name: str(value) for name, value in request.headers}
    if request.body is not None:
        is_json = wire["headers"].get("content-type") == "application/json"
        wire["body"] = codec.loads(request.body) if is_json else request.body.decode("utf-8", "replace")
    return wire


def _query(request: UpstreamRequest) -> JsonObject:
    """The query by name; a name that is repeated has the list of its values."""
    query: dict[str, list[str]] = {}
    for name, value in request.query:
        query.setdefault(name, []).append(str(value))
    return {name: values if len(values) > 1 else values[0] for name, values in query.items()}


def _dialect_outcome(plan: DialectPlan, case: Case, losses: Losses) -> JsonObject:
    given, codec = case.given, json_codec()
    if "stream" in given or "pieces" in given:
        return _client_stream(plan, given, codec)
    if "err" in given:
        info = ErrorInfo(**{"message": "", **given["err"]})
        return {"response": _response(write_error(plan, info, given.get("req"), _CTX, codec), codec)}
    operation = _operation(plan, given)
    options = {name: spec.default for name, spec in plan.options.items()} | (given.get("options") or {})
    http = HttpInput(**{"method": "POST", "path": "/", **(given.get("http") or {})})
    own: JsonObject = {"in": given.get("client"), "http": http.as_json(), "ctx": _CTX, "opt": options}
    answer = own_answer(plan, operation, own, codec) if operation.answers else None
    if answer is not None:
        return {"response": _response(answer, codec)}
    if "client" in given:
        return {"request": read_client(plan, operation, given["client"], http, options, losses)}
    scope: JsonObject = {
        "req": given.get("req") or _REQUEST,
        "out": _whole_out(given.get("out") or {}),
        "models": given.get("models"),
        "model": given.get("model"),
        "ctx": _CTX,
        "opt": options,
        "in": given.get("in"),
    }
    return {"response": _response(write_reply(plan, operation, scope, codec), codec)}


def _client_stream(plan: DialectPlan, given: JsonObject, codec: Codec) -> JsonObject:
    operation = _operation(plan, given)
    if operation.stream is None:
        return {}
    options = {name: spec.default for name, spec in plan.options.items()} | (given.get("options") or {})
    scope = {
        "req": {"stream": True, **(given.get("req") or _REQUEST)},
        "in": given.get("in"),
        "ctx": Context(FIXED_ID, FIXED_NOW, True).for_client(),
        "opt": options,
    }
    chunks = client_chunks(operation.stream, scope, given, codec)
    return {"chunks": chunks, "events": events_of(chunks)}


def _whole_out(out: JsonObject) -> JsonObject:
    """`out` with the keys of choice 0 on it, as the engine always gives it."""
    choices = out.get("choices") or [{}]
    return {**choices[0], **out}


def _operation(plan: DialectPlan, given: JsonObject) -> OperationPlan:
    name = given.get("operation")
    if name is not None:
        if name not in plan.operations:
            raise ValueError(f"there is no operation {name!r}")
        return plan.operations[name]
    return next(each for each in plan.operations.values() if each.kind == "chat")


def _response(reply: ClientReply, codec: Codec) -> JsonObject:
    """A client's answer as data; what is no JSON is its text."""
    is_json = reply.headers["content-type"].startswith("application/json")
    body = codec.loads(reply.body) if is_json else reply.body.decode()
    return {"status": reply.status, "headers": dict(reply.headers), "body": body}


# -- comparison


def compare(case: Case, outcome: JsonObject) -> list[Failure]:
    """Compare each part of `expect` with the outcome; `wire`, `calls`, `response`, `error` may name only some keys."""
    failures = []
    for part, expected in case.expect.items():
        if part not in outcome:
            error = outcome.get("error")
            what = f"failed instead: {shown(error)}  {outcome.get('detail', '')}" if error else "there is none"
            failures.append(Failure(case, part, (f"{part}: {what}",)))
            continue
        got = outcome[part]
        if part == "losses":
            got = named_only(expected, got)
        if part in ("wire", "response", "error"):
            got = as_far_as_named(expected, got)
        if part == "calls" and isinstance(expected, dict):
            expected, got = by_step(expected, got)
        elif part == "calls" and isinstance(expected, list):
            pairs = zip(expected, got, strict=False)
            got = [*(as_far_as_named(*pair) for pair in pairs), *got[len(expected) :]]
        lines = tuple(differences(expected, got, part))
        if lines:
            failures.append(Failure(case, part, lines))
    unexpected = "error" in outcome and "error" not in case.expect and not failures
    if unexpected:
        failures.append(Failure(case, "error", (f"failed: {shown(outcome['error'])}  {outcome.get('detail', '')}",)))
    return failures
