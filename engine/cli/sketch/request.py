"""Turn a sample request into a tree: what is recognizably the chat becomes expressions, the rest stays as it is.

Names are compared without case and without `_` and `-`, so `maxOutputTokens` and `max_output_tokens` are one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from engine.cli.sketch.words import plain_name
from engine.cli.sketch.yaml_text import Noted
from engine.types import Json, JsonObject

_LIMIT: Final = "=not_null(req.max_completion_tokens, req.max_tokens)"
_FIELDS: Final = {
    "temperature": ("temperature", "=req.temperature"),
    "topp": ("top_p", "=req.top_p"),
    "topk": ("top_k", "=req.top_k"),
    "minp": ("min_p", "=req.min_p"),
    **dict.fromkeys(
        ("maxtokens", "maxoutputtokens", "maxcompletiontokens", "maxnewtokens", "maxtokenstosample", "numpredict",
         "maxlength", "tokenlimit"), ("max_tokens", _LIMIT),
    ),
    "seed": ("seed", "=req.seed"),
    "frequencypenalty": ("frequency_penalty", "=req.frequency_penalty"),
    "presencepenalty": ("presence_penalty", "=req.presence_penalty"),
}  # fmt: skip
_STOPS: Final = frozenset({"stop", "stopsequences", "stopwords", "stopsequence"})
_STREAMS: Final = frozenset({"stream", "streaming"})
_MODELS: Final = frozenset({"model", "modelid", "modelname", "engine", "deployment"})
_TURNS: Final = frozenset({"messages", "contents", "conversation", "chat", "history", "chathistory", "dialog", "turns",
                           "chatmessages"})  # fmt: skip
_PROMPTS: Final = frozenset({"prompt", "input", "inputs", "message", "question", "query", "text", "userinput",
                             "usermessage", "userprompt", "instruction", "content", "inputtext"})  # fmt: skip
_SYSTEMS: Final = frozenset(
    {"system", "systemprompt", "systemmessage", "systeminstruction", "preamble", "instructions"}
)
_TOOLS: Final = frozenset({"tools", "functions", "toolchoice", "functioncall"})
_ROLES: Final = frozenset({"role", "author", "speaker", "from", "sender"})
_CONTENTS: Final = frozenset({"content", "text", "message", "parts", "value", "body"})
_SPEAKS: Final = {
    "system": ("system", "developer", "instruction"),
    "user": ("user", "human", "customer", "question"),
    "assistant": ("assistant", "ai", "bot", "model", "chatbot", "gpt", "answer"),
}
_SYSTEM_TEXT: Final = r"""=join(`"\n\n"`, req.messages[?role == 'system' || role == 'developer'].text(content))"""
_HAS_SYSTEM: Final = "=length(req.messages[?role == 'system' || role == 'developer']) > `0`"
_NOT_SYSTEM: Final = "=m.role != 'system' && m.role != 'developer'"
_FLAT: Final = "{% for m in req.messages %}\n{{ m.role | upper }}: {{ m.content | text }}\n{% endfor %}\nASSISTANT:\n"


@dataclass(slots=True)
class RequestDraft:
    """The body's tree, the request that gave the sample (for a first case), and notes for the head of the section."""

    tree: Json = None
    request: JsonObject = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    has_text: bool = False


def draft_body(body: Json) -> RequestDraft:
    """The tree that a sample body suggests."""
    draft = RequestDraft()
    names = {plain_name(key) for key in body} if isinstance(body, dict) else set()
    flags = {"system": bool(names & _SYSTEMS), "turns": bool(_turns_of(body)), "prompt": bool(names & _PROMPTS)}
    draft.tree = _Drafter(draft, flags).tree(body, 0)
    if not draft.has_text:
        draft.notes.append("CHECK: nothing looks like the prompt; without it no message reaches the upstream.")
    return draft


def _turns_of(body: Json) -> list[JsonObject] | None:
    """The list of turns in a body, if one of its lists is that."""
    for key, value in body.items() if isinstance(body, dict) else ():
        if plain_name(key) in _TURNS and isinstance(value, list) and all(isinstance(each, dict) for each in value):
            return value
    return None


class _Drafter:
    """One walk over a body."""

    def __init__(self, draft: RequestDraft, flags: dict[str, bool]) -> None:
        self._draft = draft
        self._system_apart = flags["system"]
        self._splits = flags["turns"] and flags["prompt"]

    def tree(self, value: Json, depth: int) -> Json:
        """The tree of a value; names count down to the fourth level."""
        if isinstance(value, dict) and depth < 4:
            found = {key: self._named(key, each, depth) for key, each in value.items()}
            return {key: each for key, each in found.items() if each is not _LEFT_OUT}
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict) and depth < 4:
            return [self.tree(value[0], depth + 1)]
        return literal(value)

    def _named(self, key: str, value: Json, depth: int) -> Json:
        name = plain_name(key)
        if name in _FIELDS and isinstance(value, int | float | str) and not isinstance(value, bool):
            return self._number(name, value)
        if name in _STOPS and isinstance(value, list | str):
            self._draft.request["stop"] = value
            return {"$nonempty": "=list(req.stop)"} if isinstance(value, list) else "=list(req.stop)[0]"
        if name in _STREAMS and isinstance(value, bool):
            return "=ctx.stream"
        if name in _TOOLS:
            self._draft.notes.append(f"Left out: {key}. Tools are described in docs/writing-mappings.md.")
            return _LEFT_OUT
        return self._words(key, name, value, depth)

    def _words(self, key: str, name: str, value: Json, depth: int) -> Json:
        if name in _MODELS and isinstance(value, str):
            self._draft.request["model"] = value
            return "=model.name"
        if name == "models" and isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
            self._draft.request["model"] = value[0]
            return ["=model.name"]
        if name in _TURNS and isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
            return self._turns(value)
        if name in _SYSTEMS and isinstance(value, str | dict):
            if isinstance(value, str):
                return {"$nonempty": _SYSTEM_TEXT}
            return {"$if": _HAS_SYSTEM, "then": self._with_text(value, _SYSTEM_TEXT)}
        if name in _PROMPTS and isinstance(value, str):
            return self._prompt(value)
        return self.tree(value, depth + 1)

    def _number(self, name: str, value: float | str) -> Json:
        canonical, read = _FIELDS[name]
        if isinstance(value, str):
            if not re.fullmatch(r"-?[0-9.]+", value):
                return literal(value)
            self._draft.request[canonical] = float(value) if "." in value else int(value)
            return f"=to_string({read[1:]})"
        self._draft.request[canonical] = value
        return read

    def _prompt(self, value: str) -> Json:
        self._draft.has_text = True
        turns = self._draft.request.setdefault("messages", [])
        if not any(turn["role"] == "user" for turn in turns[-1:]):
            turns.append({"role": "user", "content": value})
        if self._splits:
            return Noted("=text(req.messages[-1].content)", "the last message; those before it are in the list")
        return {"$template": Noted(_FLAT, "all messages as one text; how shall it look?")}

    def _with_text(self, value: Json, made: Json) -> Json:
        """A value whose one text is replaced; other texts of it stay."""
        if isinstance(value, str):
            return made
        if isinstance(value, dict):
            return {key: self._with_text(each, made) for key, each in value.items()}
        if isinstance(value, list) and value:
            return [self._with_text(value[0], made)]
        return literal(value)

    def _turns(self, turns: list[JsonObject]) -> Json:
        """`$each` over the messages, in the form of the sample's turns."""
        role_key = next((key for key in turns[0] if plain_name(key) in _ROLES), None)
        content_key = next((key for key in turns[0] if plain_name(key) in _CONTENTS), None)
        if content_key is None:
            return literal(turns)
        self._draft.has_text = True
        said = {str(turn.get(role_key)) for turn in turns} if role_key is not None else set[str]()
        asked: list[JsonObject] = []
        for turn in turns:
            text = _text_in(turn.get(content_key))
            asked.append({"role": _canonical(str(turn.get(role_key or ""))), "content": text})
        history = self._draft.request.get("messages", [])
        self._draft.request["messages"] = [*asked, *history]
        made: JsonObject = {key: literal(value) for key, value in turns[-1].items()}
        if role_key is not None:
            made[role_key] = _role_tree(said)
        made[content_key] = _content_tree(turns[-1][content_key])
        source = "=req.messages[:-1]" if self._splits else "=req.messages"
        where = {"where": _NOT_SYSTEM} if self._system_apart else {}
        return {"$each": source, "as": "m", **where, "do": made}


_LEFT_OUT: Final = object()


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
    return next((role for role, words in _SPEAKS.items() if plain_name(said) in words), "user")


def _role_tree(said: set[str]) -> Json:
    """Canonical roles to the upstream's words; those that the sample does not show are spelled in its manner."""
    if said <= {"system", "user", "assistant"}:
        return {"$switch": "=m.role", "cases": {"developer": "system"}, "default": "=m.role"}
    words = {_canonical(word): word for word in sorted(said)}
    shout = any(word.isupper() for word in said)
    for role in _SPEAKS:
        words.setdefault(role, role.upper() if shout else role)
    cases = {"system": words["system"], "developer": words["system"], "assistant": words["assistant"]}
    return Noted({"$switch": "=m.role", "cases": cases, "default": words["user"]}, "only the sample's roles are known")


def _content_tree(sample: Json) -> Json:
    if isinstance(sample, list) and sample and isinstance(sample[0], dict):
        part = {key: "=p.text" if plain_name(key) == "text" else literal(value) for key, value in sample[0].items()}
        return {"$each": "=parts(m.content)", "as": "p", "where": "=p.type == 'text'", "do": part}
    if isinstance(sample, dict):
        return {key: "=text(m.content)" if isinstance(each, str) else literal(each) for key, each in sample.items()}
    return "=text(m.content)"


def _text_in(sample: Json) -> str:
    if isinstance(sample, str):
        return sample
    items = sample if isinstance(sample, list) else list(sample.values()) if isinstance(sample, dict) else []
    texts = [str(each.get("text") or "") if isinstance(each, dict) else str(each) for each in items]
    return "".join(texts) or "hi"
