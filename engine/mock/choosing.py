"""Which behaviour answers a request, and what the answer is. No I/O and no state: the request decides.

The order: a name in the header `x-mock` forces its behaviour and passes all checks. Otherwise the mock's `refuse`, then
the route's `accept`, then a name forced by `mock:NAME` in the body, then the step of `script:NAME`, then the first
behaviour whose `when` holds, at last the one without.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import orjson

from engine.errors import EngineError
from engine.mock.received import Received, assistant_turns, directives
from engine.mock.streams import DEFAULT_ERROR, Step, Streamed, steps
from engine.translate.mock_plan import Behaviour, MockPlan, MockRoute, MockStream
from engine.types import ABSENT, Json, JsonObject, Scope

Segment = str | tuple[str, bool]
_FORCING_HEADER: Final = "x-mock"
_FRAMING: Final = frozenset({"content-length", "transfer-encoding", "connection"})
_HEADER_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back. `delay_s` is waited before; `fault` is a key of FAULTS. `steps` stand for a streamed body.

    `mock`, `route` and `behaviour` name where it came from, `refused` says why a request was not accepted.
    """

    status: int
    headers: JsonObject = field(default_factory=dict)
    body: bytes = b""
    delay_s: float = 0.0
    fault: str | None = None
    mock: str | None = None
    route: str | None = None
    behaviour: str | None = None
    refused: str | None = None
    steps: Sequence[Step] | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    """A route of a mock, ready to be compared with a path."""

    plan: MockPlan
    route: MockRoute


class MockTrouble(EngineError):
    """The mock cannot answer as asked; `status` is what it answers instead."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Chooser:
    """The mocks of one server. A path that begins with the id of a mock is for that mock, else the first that fits.

    `options` are values for the mocks that declare them.
    """

    def __init__(self, plans: Iterable[MockPlan], options: Mapping[str, Json] | None = None) -> None:
        self._options = dict(options or {})
        self.plans: dict[str, MockPlan] = {plan.id: plan for plan in plans}
        places = [_Place(plan, route) for plan in self.plans.values() for route in plan.routes]
        # Fixed paths come before those with parameters.
        self._places = sorted(places, key=lambda place: sum(not isinstance(x, str) for x in place.route.route.segments))

    def answer(self, request: Received) -> Answer:
        """The answer to a request. Never raises an engine error: what a mock file gets wrong is an answer, 500."""
        try:
            place, params = self._place(request)
        except MockTrouble as trouble:
            return json_answer(trouble.status, {"mock_error": trouble.message})
        known = {"mock": place.plan.id, "route": place.route.name}
        try:
            return _chosen(place, _scope(place.plan, request, params, self._options), request, known)
        except MockTrouble as trouble:
            return json_answer(trouble.status, {"mock_error": trouble.message}, **known)
        except EngineError as trouble:
            return json_answer(500, {"mock_error": str(trouble)}, **known)

    def _place(self, request: Received) -> tuple[_Place, dict[str, str]]:
        segments = request.segments
        owner = self.plans.get(segments[0]) if segments else None
        path = segments[1:] if owner is not None else segments
        candidates = [place for place in self._places if owner is None or place.plan is owner]
        fitting = [
            (place, found) for place in candidates if (found := params_of(place.route.route.segments, path)) is not None
        ]
        method = "GET" if request.method == "HEAD" else request.method
        for place, params in fitting:
            if place.route.route.method == method:
                return place, params
        listed = sorted({f"{place.route.route.method} {place.route.route.pattern}" for place in candidates})
        raise MockTrouble(
            405 if fitting else 404, f"no mock serves {request.method} {request.path}; served: {', '.join(listed)}"
        )


def _chosen(place: _Place, scope: Scope, request: Received, known: dict[str, str]) -> Answer:
    plan, route = place.plan, place.route
    problem = _problem(route, request)
    # What computes `n` may rely on a body that was accepted.
    scope["n"] = _turns(plan, scope) if problem is None else assistant_turns(request.body)
    forced = request.headers.get(_FORCING_HEADER)
    if forced:
        return made(_named(place, forced), scope, **known)
    for refusal in plan.refuse:
        if refusal.when is not None and refusal.when(scope):
            return made(refusal, scope, **known)
    if problem is not None and route.accept is not None:
        return made(route.accept.otherwise, {**scope, "problem": problem}, refused=problem, **known)
    words = directives(request.body)
    if "mock" in words:
        return made(_named(place, words["mock"]), scope, **known)
    if "script" in words:
        return made(_step(route, words["script"], scope["n"]), scope, **known)
    return made(next(each for each in route.behaviours if each.when is None or each.when(scope)), scope, **known)


def _scope(plan: MockPlan, request: Received, params: dict[str, str], given: Mapping[str, Json]) -> Scope:
    http = {
        "method": request.method,
        "path": request.path,
        "params": params,
        "query": request.query,
        "headers": request.headers,
    }
    options = {name: given.get(name, spec.default) for name, spec in plan.options.items()}
    return {"in": request.body, "http": http, "opt": options}


def _turns(plan: MockPlan, scope: Scope) -> int:
    step = plan.step(scope) if plan.step is not None else ABSENT
    return max(int(step), 0) if isinstance(step, int | float) else assistant_turns(scope["in"])


def _problem(route: MockRoute, request: Received) -> str | None:
    if route.accept is None:
        return None
    return request.problem or route.accept.problem_of(request.body)


def _named(place: _Place, name: str) -> Behaviour:
    known = {each.name: each for each in (*place.plan.refuse, *place.route.behaviours)}
    if name not in known:
        raise MockTrouble(
            501, f"{place.plan.id} has no behaviour {name!r} for {place.route.name}; it has: {', '.join(known)}"
        )
    return known[name]


def _step(route: MockRoute, name: str, number: int) -> Behaviour:
    """Step `number` of a script; the last one goes on for ever."""
    steps: Sequence[Behaviour] = route.scripts.get(name, ())
    if not steps:
        raise MockTrouble(501, f"no script {name!r} for {route.name}; it has: {', '.join(route.scripts) or 'none'}")
    return steps[min(number, len(steps) - 1)]


def params_of(segments: Sequence[Segment], path: Sequence[str]) -> dict[str, str] | None:
    """The path parameters when a path fits a route's segments, else None. A greedy one takes the rest."""
    found: dict[str, str] = {}
    for index, segment in enumerate(segments):
        if index >= len(path):
            return None
        if isinstance(segment, str):
            if segment != path[index]:
                return None
            continue
        name, greedy = segment
        found[name] = "/".join(path[index:]) if greedy else path[index]
        if not found[name]:
            return None
        if greedy:
            return found
    return found if len(segments) == len(path) else None


def made(behaviour: Behaviour, scope: Scope, *, mock: str, route: str, refused: str | None = None) -> Answer:
    """Run a behaviour's trees. Raises MockTrouble for what no HTTP answer can be."""
    reply = behaviour.reply(scope) if behaviour.reply is not None else {}
    reply = reply if isinstance(reply, dict) else {}
    status = reply.get("status", 200)
    if not isinstance(status, int) or not 200 <= status <= 599:
        raise MockTrouble(500, f"the status of {behaviour.name!r} is not a number from 200 to 599")
    headers = {name.lower(): _header(behaviour, name, value) for name, value in (reply.get("headers") or {}).items()}
    body = b""
    if "body" in reply:
        kind = headers.setdefault("content-type", "application/json")
        body = _encoded(behaviour, reply["body"], kind)
    delay_s = _number(behaviour.delay_s(scope)) if behaviour.delay_s is not None else 0.0
    answer = Answer(status, headers, body, delay_s, behaviour.fault, mock, route, behaviour.name, refused)
    stream = behaviour.stream
    if stream is None or status >= 300 or (stream.when is not None and not stream.when({**scope, "reply": reply})):
        return answer
    return _streamed(behaviour, stream, {**scope, "reply": reply}, answer)


def _number(value: Json) -> float:
    return max(float(value), 0.0) if isinstance(value, int | float) else 0.0


def _streamed(behaviour: Behaviour, stream: MockStream, scope: Scope, answer: Answer) -> Answer:
    """The answer as a stream."""
    frames = stream.frames(scope)
    every_s = _number(stream.every_ms(scope)) / 1000 if stream.every_ms is not None else 0.0
    wait_s = _number(stream.delay_s(scope)) if stream.delay_s is not None else 0.0
    error = stream.error(scope) if stream.error is not None else DEFAULT_ERROR
    try:
        made = Streamed(stream.framing, frames if isinstance(frames, list) else [], stream.done, error, every_s)
    except TypeError as cause:
        raise MockTrouble(500, f"the frames of {behaviour.name!r} are not JSON: {cause}") from cause
    content_type = "text/html" if stream.fault == "html_page" else stream.content_type
    todo = [wait_s, *steps(made, stream.fault)] if wait_s else steps(made, stream.fault)
    return replace(answer, headers={**answer.headers, "content-type": content_type}, body=b"", steps=todo)


def _header(behaviour: Behaviour, name: str, value: Json) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    scalar = isinstance(value, str | int | float)
    if not scalar or not _HEADER_NAME.fullmatch(name.lower()) or not _HEADER_VALUE.fullmatch(text):
        raise MockTrouble(500, f"{behaviour.name!r} sets a header {name!r} that cannot be sent")
    if name.lower() in _FRAMING:
        raise MockTrouble(500, f"{behaviour.name!r} sets {name!r}, which is the connection's own; use a `fault`")
    return text


def _encoded(behaviour: Behaviour, body: Json, content_type: str) -> bytes:
    if isinstance(body, str) and "json" not in content_type.lower():
        return body.encode("utf-8", "replace")
    try:
        return orjson.dumps(body)
    except TypeError as cause:
        raise MockTrouble(500, f"the body of {behaviour.name!r} is not JSON: {cause}") from cause


def json_answer(status: int, body: Json, *, mock: str | None = None, route: str | None = None) -> Answer:
    """A plain JSON answer of the mock server itself."""
    return Answer(status, {"content-type": "application/json"}, orjson.dumps(body), mock=mock, route=route)
