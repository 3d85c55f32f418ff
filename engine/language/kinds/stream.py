"""Compile the stream sections: an endpoint's decision tree over frames, a dialect's rules over events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final

from engine.language import scopes
from engine.language.canonical import RAISE_KEYS, STREAM_EMIT_KEYS
from engine.language.copies import only_copies
from engine.language.kinds.sections import literal_text
from engine.language.reader import MappingNode, Node, ScalarNode, SequenceNode, to_json
from engine.language.static_types import ANY, STRING, Type, array_of, literal_type, object_of, union
from engine.language.tree import Env, TreeCompiler, Usage
from engine.language.writing import source_of
from engine.translate.plan import ClientStreamPlan, StreamPlan, StreamRule
from engine.types import ABSENT, Build, Json, JsonObject, Scope

_PIECE: Final = object_of({}, dict(STREAM_EMIT_KEYS))
_PIECES: Final = union(_PIECE, array_of(_PIECE))
_RAISED: Final = object_of({}, dict(RAISE_KEYS))
_IGNORED: Final = StreamRule("")
_RULE_KEYS: Final = ("select", "cases", "default", "set", "emit", "raise", "end")
_CONTENT_TYPES: Final = {"sse": "text/event-stream", "ndjson": "application/x-ndjson"}
_FIXED: Final = {"out": frozenset({"id", "model", "created"})}
"""What of `out` is the same from the first frame to the last."""

_NEEDED_EVENTS: Final = ("text", "tool_call_done", "end", "error")
_REFUSALS: Final = ("refusal_start", "refusal", "refusal_stop")
"""A dialect that says nothing of them sends a refusal as its text: nothing is lost."""

_STANDS_FOR: Final[Mapping[str, tuple[str, ...]]] = {
    "tool_call_done": ("tool_call_start", "tool_call_delta"),
    "end": ("finish",),
}


def compile_stream(
    compiler: TreeCompiler, node: Node | None, options: Type, usage: Usage, *, trace: bool, steps: Iterable[str] = ()
) -> tuple[StreamPlan | None, list[Type]]:
    """Compile an endpoint's `stream`, and the types of the pieces it emits; None where there is no stream.

    `steps` are the names of its calls, where it has several.
    """
    if not isinstance(node, MappingNode):
        return None, []
    state = to_json(node.get("state") or MappingNode(node.mark))
    # A state's type is that of its first value: a counter stays a number, a text may be any text.
    types = {name: Type(literal_type(value).kinds | {"null"}) for name, value in state.items()}
    env = Env(scopes.stream_names(options, object_of({}, types), steps), "stream", "reply", usage, trace=trace)
    framing = literal_text(node.get("framing"))
    if framing is None:
        compiler.problems.add(
            "E190",
            "`stream` lacks `framing`",
            node.mark,
            help=("framing: sse   or ndjson, json_array, json_concat, text",),
        )
    done = node.get("done")
    at_end = node.get("at_end")
    rules = _Rules(compiler, env, frozenset(state))
    decode = literal_text(node.get("decode")) or "json"
    if framing == "text" and decode == "json":
        compiler.problems.add(
            "E190", "plain text frames cannot be decoded as JSON", node.mark, help=("say decode: text",)
        )
    plan = StreamPlan(
        framing=framing or "sse",
        decode=decode,
        state=state,
        done=compiler.condition(done, env) if done is not None else None,
        rule=rules.rule(node, "stream"),
        insists=literal_text(at_end) == "error",
        at_end=rules.rule(at_end, "stream.at_end") if isinstance(at_end, MappingNode) else None,
    )
    rules.check_state(node)
    return plan, rules.pieces


class _Rules:
    """Compiles the nodes of one decision tree."""

    def __init__(self, compiler: TreeCompiler, env: Env, state: frozenset[str]) -> None:
        self.compiler = compiler
        self.env = env
        self.state = state
        self.written: set[str] = set()
        self.pieces: list[Type] = []

    def rule(self, node: Node | None, where: str) -> StreamRule:
        """Compile a rule: `ignore`, `error`, or a map."""
        if node is None:
            return _IGNORED
        place = f"{node.mark.file}:{node.mark.line}"
        if literal_text(node) == "ignore":
            return StreamRule(place)
        if literal_text(node) == "error":
            return StreamRule(place, refuse=True)
        if not isinstance(node, MappingNode):
            self.compiler.problems.add("E190", f"{where} is a rule: a mapping, `ignore` or `error`", node.mark)
            return _IGNORED
        env = Env(self.env.names, where, "reply", self.env.usage, trace=self.env.trace, aliases=self.env.aliases)
        if node.get("select") is not None:
            return self._select(node, env, place, where)
        return self._action(node, env, place)

    def _select(self, node: MappingNode, env: Env, place: str, where: str) -> StreamRule:
        cases, default = node.get("cases"), node.get("default")
        if not isinstance(cases, MappingNode) or default is None:
            self.compiler.problems.add(
                "E190", "`select` needs `cases` and a `default`", node.entries["select"].key.mark, length=6,
                help=("default: ignore   if other frames mean nothing, or default: error",),
            )  # fmt: skip
            return _IGNORED
        for key in ("emit", "raise", "end", "set"):
            if key in node.entries and where != "stream":
                self.compiler.problems.add(
                    "E190", f"a rule has `select` or `{key}`, not both", node.entries[key].key.mark
                )
        subject = node.entries["select"].value
        if not isinstance(subject, ScalarNode):
            self.compiler.problems.add("E190", "`select` is one =expression", subject.mark)
            return _IGNORED
        return StreamRule(
            place,
            select=self.compiler.function(subject, env),
            cases={name: self.rule(entry.value, f"{where}.{name}") for name, entry in cases.entries.items()},
            default=self.rule(default, f"{where}.default"),
        )

    def _action(self, node: MappingNode, env: Env, place: str) -> StreamRule:
        emit, raised, changes, end = (node.get(key) for key in ("emit", "raise", "set", "end"))
        build: Build | None = None
        if isinstance(emit, SequenceNode):
            build = _pieces([self._piece(item, env, _PIECE) for item in emit.items])
        elif emit is not None:
            build = _pieces([self._piece(emit, env, _PIECES)])
        sets: list[tuple[str, Build]] = []
        for name, entry in changes.entries.items() if isinstance(changes, MappingNode) else ():
            if name not in self.state:
                self.compiler.problems.add(
                    "E192", f"`state` does not declare {name!r}", entry.key.mark, length=len(name),
                    help=(f"state: {{{name}: …}}",),
                )  # fmt: skip
            self.written.add(name)
            sets.append((name, self.compiler.function(entry.value, env)))
        return StreamRule(
            place,
            set=tuple(sets),
            emit=build,
            raises=self.compiler.function(raised, env, _RAISED) if raised is not None else None,
            end=isinstance(end, ScalarNode) and end.value is True,
        )

    def _piece(self, node: Node, env: Env, expected: Type) -> Build:
        compiled, build = self.compiler.typed_function(node, env, expected)
        kinds = compiled.type.known
        self.pieces += [compiled.type] if "object" in kinds else []
        self.pieces += [compiled.type.items or ANY] if "array" in kinds else []
        return build

    def check_state(self, node: MappingNode) -> None:
        """Declared state must be written somewhere and read somewhere (E192); a broken rule tells nothing of it."""
        if self.env.usage.broken:
            return
        declared = node.get("state")
        read = {path[1] for path in self.env.usage.paths if path[0] == "st" and len(path) > 1}
        for name, entry in declared.entries.items() if isinstance(declared, MappingNode) else ():
            if name not in read or name not in self.written:
                what = "read" if name in self.written else "set"
                self.compiler.problems.add(
                    "E192",
                    f"the state {name!r} is never {what}",
                    entry.key.mark,
                    length=len(name),
                    help=(f"a rule sets it with  set: {{{name}: …}}  and another reads  =st.{name}",),
                )


def _pieces(builds: list[Build]) -> Build:
    """A closure that gives the list of pieces that some emits make."""
    if len(builds) == 1:
        return _only_piece(builds[0])

    def build(scope: Scope) -> Json:
        made: list[JsonObject] = []
        for each in builds:
            value = each(scope)
            if isinstance(value, list):
                made += value
            elif value is not ABSENT:
                made.append(value)
        return made

    return build


def _only_piece(made_by: Build) -> Build:
    def build(scope: Scope) -> Json:
        value = made_by(scope)
        if isinstance(value, list):
            return value
        return [] if value is ABSENT else [value]

    return build


def compile_client_stream(
    compiler: TreeCompiler, node: Node | None, options: Type, where: str, *, trace: bool
) -> ClientStreamPlan | None:
    """Compile a dialect operation's `stream`; None where the operation does not stream."""
    if not isinstance(node, MappingNode):
        return None
    names = scopes.dialect_event_names(options)
    usage = Usage()
    framing = literal_text(node.get("framing")) or "sse"
    events: dict[str, Build] = {}
    trees: dict[str, list[Build]] = {}
    section = node.get("events")
    handled = set(section.entries) if isinstance(section, MappingNode) else set()
    for name, entry in section.entries.items() if isinstance(section, MappingNode) else ():
        send = entry.value.get("send") if isinstance(entry.value, MappingNode) else None
        if send is None:
            continue
        event_env = Env(names, f"{where}.events.{name}", "reply", usage, trace=trace)
        trees[name] = _sent(compiler, send, event_env)
        events[name] = _frames(trees[name])
    for name in _NEEDED_EVENTS:
        if name not in handled and not handled & set(_STANDS_FOR.get(name, ())):
            compiler.problems.add(
                "E193", f"the stream does not say what it sends on `{name}`", (section or node).mark,
                help=(f"{name}: {{send: …}}   or   {name}: ignore",),
            )  # fmt: skip
    for name in _REFUSALS if not handled & {"refusal", "refusal_start", "refusal_stop"} else ():
        as_text = name.replace("refusal", "text")
        if as_text in events:
            events[name], trees[name] = events[as_text], trees[as_text]
    event = node.get("event")
    number = node.get("number")
    number_value = to_json(number) if isinstance(number, MappingNode) else {}
    data_env = Env({**names, "data": ANY}, f"{where}.event", "reply", usage, trace=trace)
    event_name = compiler.function(event, data_env, STRING) if event is not None else None

    @cache
    def copies(kind: str) -> bool:
        return all(only_copies(source_of(each), "ev", "text", _FIXED) for each in trees[kind])

    @cache
    def names_without(key: str) -> bool:
        return event_name is None or only_copies(
            source_of(event_name), "data", key, {"ev": frozenset({"kind"}), **_FIXED}
        )

    return ClientStreamPlan(
        framing=framing,
        content_type=literal_text(node.get("content_type")) or _CONTENT_TYPES[framing],
        serial=literal_text(node.get("blocks")) == "serial",
        event_name=event_name,
        number_field=number_value.get("field"),
        number_from=number_value.get("from") or 0,
        events=events,
        keeps_text=_keeps_text(usage, handled),
        copies=copies,
        names_without=names_without,
    )


def _sent(compiler: TreeCompiler, send: Node, env: Env) -> list[Build]:
    """What one event sends: a tree, or a list of trees of which each is a frame."""
    if not isinstance(send, SequenceNode):
        return [compiler.function(send, env)]
    return [compiler.function(item, env) for item in send.items]


def _frames(builds: list[Build]) -> Build:
    if len(builds) == 1:
        return _only_frame(builds[0])

    def build(scope: Scope) -> Json:
        return [value for each in builds if (value := each(scope)) is not ABSENT]

    return build


def _only_frame(made_by: Build) -> Build:
    def build(scope: Scope) -> Json:
        value = made_by(scope)
        return [] if value is ABSENT else [value]

    return build


def _keeps_text(usage: Usage, handled: set[str]) -> bool:
    wanted = {"text", "reasoning", "choices", "blocks", "tool_calls", "logprobs"}
    reads_out = any(path[0] == "out" and (len(path) == 1 or path[1] in wanted) for path in usage.paths)
    return reads_out or bool(handled & {"text_stop", "reasoning_stop"})
