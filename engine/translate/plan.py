"""The compiled form of a mapping: frozen tables of closures that a request runs through.

`engine.language` makes plans, everybody else only runs them. A plan holds no secret and no per-request state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from engine.translate.patterns import PatternTable
from engine.translate.tools.plan import ToolformatPlan
from engine.types import Build, Condition, Json, JsonObject, Scope, Secret

_PARTS = 8


class UncheckedError(ValueError):
    """A value could not be checked: its schema is broken, too large, or refers to what is elsewhere."""


@dataclass(frozen=True, slots=True)
class Codec:
    """JSON text in and out, handed in so that the core imports no third-party package.

    `loads` reads upstream text (or its bytes) and raises ValueError; `dumps` writes compact UTF-8. `violation` says in
    words how a value breaks a JSON Schema, None if it does not; it raises UncheckedError where the schema is of no use
    (schemas are the client's). Without it nothing is validated.
    """

    loads: Callable[[bytes | str], Json]
    dumps: Callable[[Json], bytes]
    violation: Callable[[Json, JsonObject], str | None] | None = None


@dataclass(frozen=True, slots=True)
class OptionSpec:
    """One knob of a mapping that a gateway config may set: `options: {name: {type, default, doc}}`."""

    name: str
    type: str
    default: Json
    doc: str = ""
    values: tuple[Json, ...] = ()


@dataclass(frozen=True, slots=True)
class SecretSpec:
    """Where a secret comes from: exactly one of `env`, `file`, `client` is set.

    `parse` is how it falls into parts, None for one text; `members` are the parts of a JSON secret that are read.
    """

    name: str
    env: str | None = None
    file: str | None = None
    client: str | None = None
    parse: str | None = None
    members: tuple[str, ...] = ()

    def placeholder(self, value: Secret) -> Json:
        """What stands for the secret where its value is of no matter: a mock, a case, the desk."""
        if self.parse is None:
            return value
        return dict.fromkeys(self.members, value) if self.parse == "json" else [value] * _PARTS


@dataclass(frozen=True, slots=True)
class ParamPolicy:
    """Limits and policy of one request parameter: `params: {temperature: {min, max, over}}`."""

    name: str
    min: float | None = None
    max: float | None = None
    over: str = "clamp"
    unsupported: str | None = None


@dataclass(frozen=True, slots=True)
class Reads:
    """What the request side of a mapping reads, derived from its expressions (DECISIONS 2.11).

    `fields`: first-level names under `req`; `extra`: names under `req.extra`; `parts`: content part types it knows;
    `names`: every field name that occurs anywhere in the request section; `custom_tools`: whether it knows tools that
    take text instead of JSON.
    A field set to `"*"` means the whole object is read.
    """

    fields: frozenset[str] = frozenset()
    extra: frozenset[str] = frozenset()
    parts: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    custom_tools: bool = False


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the endpoint can do by itself; every value a table by model pattern (LANGUAGE 3.6)."""

    streaming: PatternTable
    tools: PatternTable
    system: PatternTable
    alternate: PatternTable
    max_stop: int | None = None


@dataclass(frozen=True, slots=True)
class CallPlan:
    """One upstream HTTP call.

    `path` yields the percent-encoded path (below the base URL's own path); `query` an object of scalars or lists;
    `headers` an object of scalars; `body` any JSON value. `host` yields the name of an entry of the endpoint's `hosts`,
    or null for the base URL. `url` stands instead of both: a whole URL out of an earlier answer, on one of its origins.
    """

    method: str
    path: Build
    host: Build | None = None
    url: Build | None = None
    query: Build | None = None
    headers: Build | None = None
    body: Build | None = None
    encode: str = "json"


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One call of an endpoint that needs several (`steps`, and `request` behind them). The last gives the answer.

    With `each` it is made once per item of that list, which is `item` in its trees. `wait_s` gives the seconds before
    its first call. With `until` it is repeated until the condition holds, at most `for_s` seconds; `every_s` gives the
    seconds between two calls, out of the answer to the first of them. An answer for which `again` holds is passed over
    before anybody asks whether it is a failure. `on_cancel` undoes the step.
    """

    name: str
    call: CallPlan
    when: Condition | None = None
    each: Build | None = None
    item: str = "it"
    wait_s: Build | None = None
    until: Condition | None = None
    again: Condition | None = None
    every_s: Build | None = None
    for_s: float = 600.0
    on_cancel: CallPlan | None = None


@dataclass(frozen=True, slots=True)
class TokenPlan:
    """How a token is had for the credentials (`auth.token`): one call, where its value and its end stand.

    `lasts` gives seconds from now, `ends` a moment in units of `unit_s` seconds since 1970; without both it is kept
    until it is refused. It is renewed `early_s` before its end, and once when `refused` holds for a reply. Each of
    `needs` is a credential in the call, and raises CredentialError when it is not there.
    """

    call: CallPlan
    value: Build
    lasts: Build | None = None
    ends: Build | None = None
    unit_s: float = 1.0
    early_s: float = 60.0
    refused: Condition | None = None
    needs: tuple[Build, ...] = ()


@dataclass(frozen=True, slots=True)
class SignPlan:
    """A signature over the finished request (`auth.sign`): named values, then the headers and query that carry it."""

    values: tuple[tuple[str, Build], ...]
    headers: Mapping[str, Build]
    query: Mapping[str, Build]


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """One entry of `errors:`. It applies when `matches(status)` and `when(scope)` both hold; `info` builds `raise`."""

    name: str
    matches: Callable[[int], bool] | None
    when: Condition | None
    build: Build


@dataclass(frozen=True, slots=True)
class RefuseRule:
    """One entry of `refuse:`: when the condition holds the request is refused with the error that `build` makes."""

    name: str
    when: Condition
    build: Build


@dataclass(frozen=True, slots=True)
class LossRule:
    """One entry of `losses:`: when it holds, `field` is reported, with what was done to it."""

    name: str
    when: Condition
    build: Build
    action: str = "dropped"


@dataclass(frozen=True, slots=True)
class StructuredPlan:
    """How JSON answers are had from an endpoint without `response_format` (`structured:`).

    `text` takes a scope with `schema`, `name`, `description`; `retry_text` one with `problem` too, and is None where no
    second try is made.
    """

    text: Build
    place: str
    retry_text: Build | None


@dataclass(frozen=True, slots=True)
class ToolsPlan:
    """What an endpoint says of emulated tools beyond their format: `place`, and one more try.

    `retry_text` takes a scope with `choice` and `problem`; it is None where no second try is made.
    """

    place: str | None = None
    retry_text: Build | None = None


@dataclass(frozen=True, slots=True)
class StreamRule:
    """One node of an endpoint's decision tree (LANGUAGE 3.6). `place` is its file:line, for traces.

    With `select` the value names a case, or `default` holds; else `set`, `emit`, `raises` and `end` are carried out.
    `refuse` is the rule `error`: a frame that must not come.
    """

    place: str
    select: Build | None = None
    cases: Mapping[str, StreamRule] = field(default_factory=dict)
    default: StreamRule | None = None
    set: tuple[tuple[str, Build], ...] = ()
    emit: Build | None = None
    raises: Build | None = None
    end: bool = False
    refuse: bool = False


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """A compiled `stream` of an endpoint.

    `insists` is `at_end: error`: only the terminator ends the stream well. `request` holds what differs in the request
    when it streams: trees for path, query, headers or body keys.
    """

    framing: str
    decode: str
    state: JsonObject
    done: Condition | None
    rule: StreamRule
    insists: bool = False
    at_end: StreamRule | None = None


@dataclass(frozen=True, slots=True)
class ClientStreamPlan:
    """A compiled `stream` of a dialect: how each lifecycle event becomes frames for the client.

    `keeps_text` says whether any rule reads the whole text, so that it has to be kept until the end. `copies` tells of
    an event's kind whether its rule only copies the event's text, `names_without` of a key of a frame's data whether
    the frame's name does not depend on it.
    """

    framing: str
    content_type: str
    serial: bool
    event_name: Build | None
    number_field: str | None
    number_from: int
    events: Mapping[str, Build]
    keeps_text: bool = True
    copies: Callable[[str], bool] = lambda _kind: False
    names_without: Callable[[str], bool] = lambda _key: False


@dataclass(frozen=True, slots=True)
class EditPlan:
    """What changes in JSON text that passes through: keys that are `set`, keys that are removed.

    A frame of a stream for which `drop` holds does not go to the client.
    """

    set: tuple[tuple[str, Build], ...] = ()
    remove: frozenset[str] = frozenset()
    drop: Condition | None = None


@dataclass(frozen=True, slots=True)
class EditsPlan:
    """A compiled `edits`: what changes where client and endpoint speak the same wire (see `passing`)."""

    request: EditPlan
    response: EditPlan


@dataclass(frozen=True, slots=True)
class ModelsPlan:
    """How to list the upstream's models: one call, and the rule that makes canonical model objects of its reply."""

    call: CallPlan
    list: Build


@dataclass(frozen=True, slots=True)
class EndpointPlan:
    """A compiled `endpoint/1`."""

    id: str
    title: str
    file: str
    digest: str
    wire: str | None
    base_url: str
    hosts: Mapping[str, str]
    options: Mapping[str, OptionSpec]
    secrets: Mapping[str, SecretSpec]
    auth: Build | None
    """scope with `secret` (and `token`) -> `{"headers": {name: Secret}, "query": {…}, "body": {…}}`."""
    capabilities: Capabilities
    params: Mapping[str, ParamPolicy]
    reads: Reads
    call: CallPlan
    response: Build
    errors: tuple[ErrorRule, ...]
    refuse: tuple[RefuseRule, ...]
    losses: tuple[LossRule, ...]
    models: ModelsPlan | None
    stream: StreamPlan | None = None
    steps: tuple[StepPlan, ...] = ()
    """Empty for an endpoint of one call; else `call` is the last step's."""
    stream_call: CallPlan | None = None
    """The call that asks for a stream, where it differs (`stream.request`)."""
    token: TokenPlan | None = None
    sign: SignPlan | None = None
    tools: ToolsPlan = field(default_factory=ToolsPlan)
    structured: StructuredPlan | None = None
    edits: EditsPlan | None = None
    regions: ToolformatPlan | None = None
    """How the text of every answer is read, tools or not; it holds no calls."""
    toolformats: PatternTable | None = None
    """The formats of `tools.format` by requested model: tuples of `ToolformatPlan`, the first offers."""
    insecure: bool = False
    packages: frozenset[str] = frozenset()
    """Packages beyond the usual ones, without which it cannot be served."""


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """Where an operation listens: `pattern` is the path as written, e.g. `/v1/models/{id+}`.

    `segments` is the parsed path: literal strings and `(name, greedy)` pairs. `header` is the lower-case name of one
    that a request must have to come here.
    """

    method: str
    pattern: str
    segments: tuple[str | tuple[str, bool], ...]
    header: str | None = None


@dataclass(frozen=True, slots=True)
class AnswerPlan:
    """What a client gets: a status, more headers, a body."""

    status: int
    headers: Build | None
    body: Build


@dataclass(frozen=True, slots=True)
class OwnAnswer:
    """One entry of `answers:`: a request for which `when` holds is answered by the dialect itself."""

    name: str
    when: Condition
    answer: AnswerPlan


@dataclass(frozen=True, slots=True)
class OperationPlan:
    """One operation of a dialect, on one or more routes (DECISIONS 2.5). `kind` is chat, models, model or answer.

    `wire` is the dialect's, unless the operation says its own.
    """

    name: str
    routes: tuple[RoutePlan, ...]
    kind: str
    wire: str | None
    request: Build | None
    response: AnswerPlan
    stream: ClientStreamPlan | None
    reads: frozenset[str]
    """Top-level client keys that the operation's expressions read; `"*"` means all of them."""
    answers: tuple[OwnAnswer, ...] = ()
    asks: frozenset[str] = frozenset()
    """The features that its requests can ask for, by the names that the docs give them."""
    passes: Condition | None = None
    """Whether a body may go to an endpoint of the same wire as it is; without one every body may."""
    names: frozenset[str] = frozenset()
    """Every name of a field that its request's expressions read, however deep."""


@dataclass(frozen=True, slots=True)
class DialectPlan:
    """A compiled `dialect/1`."""

    id: str
    title: str
    file: str
    digest: str
    wire: str | None
    options: Mapping[str, OptionSpec]
    operations: Mapping[str, OperationPlan]
    errors: Callable[[Scope], tuple[int, JsonObject, JsonObject]]
    """scope with `err` -> (status, headers, body)."""
    refuse: tuple[RefuseRule, ...]
    losses: tuple[LossRule, ...]
    base_path: str = ""
    """What a client's base URL ends in."""
    request_id: str | None = None
    """The header in which its clients look for the request's id, in lower case."""
    keeps_state: str | None = None
    """Where reasoning state of another wire can ride (see `keeping`)."""
