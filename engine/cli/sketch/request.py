"""Turn a sample request into a tree: what is recognizably the chat becomes expressions, the rest stays as it is.

What stays is marked: a constant of a sample is a guess, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from engine.cli.sketch.transcript import Transcript, read_transcript, template_of
from engine.cli.sketch.words import meaning, plain_name, tables, words
from engine.cli.sketch.yaml_text import Noted
from engine.types import Json, JsonObject

CONSTANT: Final = "CHECK: a constant of the command"
_READ: Final = {"max_tokens": "not_null(req.max_completion_tokens, req.max_tokens)"}
"""Parameters that are read otherwise than by their own name."""
_ASKED: Final = ("temperature", "max_tokens", "top_p", "stop")
"""What nearly every API takes in some way: told where it is not found."""
_SYSTEM_TEXT: Final = r"""=join(`"\n\n"`, req.messages[?role == 'system' || role == 'developer'].text(content))"""
_HAS_SYSTEM: Final = "=length(req.messages[?role == 'system' || role == 'developer']) > `0`"
_NOT_SYSTEM: Final = "=m.role != 'system' && m.role != 'developer'"
_NUMBER: Final = re.compile(r"-?[0-9]+(?:\.([0-9]+))?")
_DEEPEST: Final = 4


@dataclass(slots=True)
class RequestDraft:
    """The body's tree, the request that gave the sample (for a first case), and notes for the head of the section.

    `tools` are what the command offers, by the key of the body; the body has them when their calls are found, too.
    `streams`: a key of the body asks for a stream.
    """

    tree: Json = None
    request: JsonObject = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    has_text: bool = False
    tools: JsonObject = field(default_factory=dict)
    streams: bool = False

    def missing(self) -> list[str]:
        """What the command does not show, for comments."""
        names = [name for name in _ASKED if name not in self.request]
        return [f"not found in the command: {', '.join(names)}; such a line is  {_line(names[0])}"] if names else []


def _line(name: str) -> str:
    return f"{name}: {{$nonempty: =list(req.stop)}}" if name == "stop" else f"{name}: ={_READ.get(name, f'req.{name}')}"


def draft_body(body: Json) -> RequestDraft:
    """The tree that a sample body suggests."""
    draft = RequestDraft()
    draft.tree = _Drafter(draft, set(_names(body))).tree(body, 0)
    if not draft.has_text:
        draft.notes.append("CHECK: nothing looks like the prompt; without it no message reaches the upstream.")
    return draft


def _names(value: Json, depth: int = 0) -> Iterator[str]:
    """What kinds of thing a body names: `systems`, `turns`, `prompts`; turns are not looked into."""
    for key, each in value.items() if isinstance(value, dict) and depth < _DEEPEST else ():
        name = plain_name(key)
        if name in words("request", "turns") and _is_turns(each):
            yield "turns"
            continue
        if name in words("request", "systems") and isinstance(each, str | dict):
            yield "systems"
        if name in words("request", "prompts") and isinstance(each, str):
            yield "prompts"
        yield from _names(each, depth + 1)


def _is_turns(value: Json) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, dict) for each in value)


class _Drafter:
    """One walk over a body."""

    def __init__(self, draft: RequestDraft, found: set[str]) -> None:
        self._draft = draft
        self._system_apart = "systems" in found
        self._has_turns = "turns" in found
        self._has_prompt = "prompts" in found

    def tree(self, value: Json, depth: int) -> Json:
        """The tree of a value; names count down to the fourth level."""
        if isinstance(value, dict) and depth < _DEEPEST and not any(key.startswith("$") for key in value):
            found = {key: self._named(key, each, depth) for key, each in value.items()}
            return {key: each for key, each in found.items() if each is not _LEFT_OUT}
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict) and depth < _DEEPEST:
            return [self.tree(value[0], depth + 1)]
        return constant(value)

    def _named(self, key: str, value: Json, depth: int) -> Json:
        name = plain_name(key)
        number = meaning(key, "request", "numbers")
        if number is not None and isinstance(value, int | float | str) and not isinstance(value, bool):
            return self._number(number, value)
        if name in words("request", "stops") and isinstance(value, list | str):
            self._draft.request["stop"] = value
            return {"$nonempty": "=list(req.stop)"} if isinstance(value, list) else "=list(req.stop)[0]"
        if name in words("request", "streams") and isinstance(value, bool):
            self._draft.streams = True
            if value:
                self._draft.request["stream"] = True
            return "=ctx.stream"
        if name in words("request", "tools") | words("request", "tool_choices"):
            if depth == 0:
                self._draft.tools[key] = value
            else:
                self._draft.notes.append(f"Left out: {key}. Tools are described in docs/writing-mappings.md.")
            return _LEFT_OUT
        return self._words(key, name, value, depth)

    def _words(self, key: str, name: str, value: Json, depth: int) -> Json:
        if name in words("request", "models") and isinstance(value, str):
            self._draft.request["model"] = value
            return "=model.name"
        if name == "models" and isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
            self._draft.request["model"] = value[0]
            return ["=model.name"]
        if name in words("request", "turns") and _is_turns(value):
            return self._turns(value)
        if name in words("request", "systems") and isinstance(value, str | dict):
            if isinstance(value, str):
                self._system(value)
                return {"$nonempty": _SYSTEM_TEXT}
            self._system(_text_in(value))
            return {"$if": _HAS_SYSTEM, "then": self._with_text(value, _SYSTEM_TEXT)}
        if name in words("request", "users") and isinstance(value, str) and (self._has_turns or self._has_prompt):
            self._draft.request["user"] = value
            return "=req.user"
        if name in words("request", "prompts") | words("request", "users") and isinstance(value, str):
            return self._prompt(value)
        return self.tree(value, depth + 1)

    def _number(self, canonical: str, value: float | str) -> Json:
        read = _READ.get(canonical, f"req.{canonical}")
        if isinstance(value, str):
            found = _NUMBER.fullmatch(value)
            if found is None:
                return constant(value)
            self._draft.request[canonical] = float(value) if found[1] else int(value)
            if found[1] and len(found[1]) > 1:
                return Noted(f"=fixed({read}, `{len(found[1])}`)", "CHECK: a number as text, with so many decimals?")
            return Noted(f"=to_string({read})", "CHECK: a number as text")
        self._draft.request[canonical] = value
        return f"={read}"

    def _system(self, text: str) -> None:
        """A system text of its own is the first message of the sample."""
        self._draft.request.setdefault("messages", []).insert(0, {"role": "system", "content": text})

    def _prompt(self, value: str) -> Json:
        self._draft.has_text = True
        turns: list[JsonObject] = self._draft.request.setdefault("messages", [])
        layout = Transcript() if self._has_turns else read_transcript(value)
        if not any(turn["role"] == "user" for turn in turns[-1:]):
            turns.extend(layout.turns or [{"role": "user", "content": value}])
        if self._has_turns:
            return Noted("=text(req.messages[-1].content)", "CHECK: the last message; those before it are in the list")
        note = "CHECK: all messages as one text; how shall it look?"
        return {"$template": Noted(template_of(layout, with_system=not self._system_apart), note)}

    def _with_text(self, value: Json, made: Json) -> Json:
        """A value whose one text is replaced; other texts of it stay."""
        if isinstance(value, str):
            return made
        if isinstance(value, dict):
            texts = [key for key, each in value.items() if plain_name(key) in words("request", "contents")]
            goes = texts[:1] or list(value)
            return {
                key: self._with_text(each, made) if key in goes else constant(each, key) for key, each in value.items()
            }
        if isinstance(value, list) and value:
            return [self._with_text(value[0], made)]
        return constant(value)

    def _turns(self, turns: list[JsonObject]) -> Json:
        """`$each` over the messages, in the form of the sample's turns."""
        role_key = next((key for key in turns[0] if plain_name(key) in words("request", "roles")), None)
        content_key = next(
            (key for key in turns[0] if plain_name(key) in words("request", "contents") and key != role_key), None
        )
        if content_key is None:
            return constant(turns)
        self._draft.has_text = True
        said = {str(turn.get(role_key)) for turn in turns} if role_key is not None else set[str]()
        asked: list[JsonObject] = []
        for turn in turns:
            text = _text_in(turn.get(content_key))
            asked.append({"role": _canonical(str(turn.get(role_key or ""))), "content": text})
        history = self._draft.request.get("messages", [])
        before = [turn for turn in history if turn["role"] == "system"]
        self._draft.request["messages"] = [*before, *asked, *(turn for turn in history if turn["role"] != "system")]
        made: JsonObject = {key: constant(value, key) for key, value in turns[-1].items()}
        if role_key is not None:
            made[role_key] = _role_tree(said)
        made[content_key] = _content_tree(turns[-1].get(content_key))
        source = "=req.messages[:-1]" if self._has_prompt else "=req.messages"
        where = {"where": _NOT_SYSTEM} if self._system_apart else {}
        return {"$each": source, "as": "m", **where, "do": made}


_LEFT_OUT: Final = object()


def constant(value: Json, key: str = "") -> Json:
    """A value of the sample as it is, with a note; the discriminator of a typed part goes without one."""
    if isinstance(value, dict) and not any(name.startswith("$") for name in value) and value:
        return {name: constant(each, name) for name, each in value.items()}
    return literal(value) if plain_name(key) == "type" else Noted(literal(value), CONSTANT)


def literal(value: Json) -> Json:
    """A value as it is, protected where it would be read as an expression or an operator."""
    if isinstance(value, str) and (value.startswith("=") or "{{" in value or "{%" in value):
        return {"$literal": value}
    if isinstance(value, dict):
        if any(key.startswith("$") for key in value):
            return {"$literal": value}
        return {key: literal(each) for key, each in value.items()}
    return [literal(each) for each in value] if isinstance(value, list) else value


def _canonical(said: str) -> str:
    return meaning(said, "request", "speakers") or "user"


def _role_tree(said: set[str]) -> Json:
    """Canonical roles to the upstream's words; those that the sample does not show are spelled in its manner."""
    if said <= {"system", "user", "assistant"}:
        return {"$switch": "=m.role", "cases": {"developer": "system"}, "default": "=m.role"}
    called = {_canonical(word): word for word in sorted(said)}
    shout = any(word.isupper() for word in said)
    for role in tables("request", "speakers"):
        called.setdefault(role, role.upper() if shout else role)
    cases = {"system": called["system"], "developer": called["system"], "assistant": called["assistant"]}
    note = "CHECK: only the sample's roles are known"
    return Noted({"$switch": "=m.role", "cases": cases, "default": called["user"]}, note)


def _content_tree(sample: Json) -> Json:
    if isinstance(sample, list) and sample and isinstance(sample[0], dict):
        part = {
            key: "=p.text" if plain_name(key) == "text" else constant(value, key) for key, value in sample[0].items()
        }
        return {"$each": "=parts(m.content)", "as": "p", "where": "=p.type == 'text'", "do": part}
    if isinstance(sample, dict):
        return {
            key: "=text(m.content)" if isinstance(each, str) and plain_name(key) != "type" else constant(each, key)
            for key, each in sample.items()
        }
    return "=text(m.content)"


def _text_in(sample: Json) -> str:
    if isinstance(sample, str):
        return sample
    if isinstance(sample, dict):
        inner = next((each for key, each in sample.items() if plain_name(key) in words("request", "contents")), None)
        return _text_in(inner) if inner is not None else "hi"
    items = sample if isinstance(sample, list) else []
    texts = [str(each.get("text") or "") if isinstance(each, dict) else str(each) for each in items]
    return "".join(texts) or "hi"
