"""Compile the `read` section of a toolformat: literals, token sequences and payloads, with what they must obey.

A regular expression is legal only where the parser can decide on a prefix: a literal follows it, or it is one character
class (RE2 has no partial match). Errors are E230 for expressions and E240 for rules that cannot work.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import re2

from engine.language.kinds.regions import compile_region, longest_first, texts_of
from engine.language.kinds.sections import entries_of, literal_text
from engine.language.problems import Problems
from engine.language.reader import MappingNode, Node, ScalarNode, SequenceNode, to_json
from engine.translate.tools.plan import (
    ArgsPayload,
    BracedPayload,
    CallRule,
    JsonPayload,
    Literals,
    Matcher,
    ParamsPayload,
    Pattern,
    Payload,
    PythonPayload,
    ReadPlan,
    Section,
    Token,
    Tokens,
)
from engine.types import Json

_ONE_CLASS: Final = re.compile(
    r"(\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]|\\[wdsWDSpP](?:\{\w+\})?)(?:[+*]|\{\d+(?:,\d*)?\})?"
)
_PATH: Final = re.compile(r"(?:=\s*call\.)?([A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*)\s*")
_MAX_PATTERN_CHARS: Final = 256

KNOBS: Final = {
    "json": ("name", "args", "id", "items", "name_is_key", "seps", "need_args", "list"),
    "args": (),
    "params": ("open", "close", "close_by_key", "known_keys", "trim", "unescape", "typing", "attr"),
    "python": ("wrappers",),
    "braced": ("delim",),
}
"""Which keys each kind of payload takes."""


def is_marker(text: str) -> bool:
    """Whether a literal is peculiar enough to be neutralised: not a fence, not bare punctuation or a bare word."""
    plain = text.strip()
    has_word = any(char.isalnum() for char in plain)
    return len(plain) >= 3 and has_word and not plain.isalnum() and not plain.startswith("```")


class ReadCompiler:
    """Compiles one `read` section. Problems go to `problems`, with their places."""

    def __init__(self, problems: Problems, commit: str) -> None:
        self.problems = problems
        self.commit = commit

    def plan(self, node: MappingNode, *, with_regions: bool) -> ReadPlan:
        """Compile the section; without `with_regions` verbatim ones are left out, so that they are searched."""
        section = self._section(node.get("section"))
        rules = [self._call(name, each) for name, each in entries_of(node.get("calls"))]
        if not rules:
            self.problems.add("E240", "`read.calls` has no rule, so no call can be read", node.mark)
        firsts = longest_first(each for rule in rules for each in _first_literals(rule) if is_marker(each))
        around = (*section.open, *section.close) if section is not None else ()
        done = tuple(_with_ends(rule, (*around, *firsts)) for rule in rules)
        regions = [compile_region(name, each) for name, each in entries_of(node.get("regions"))]
        return ReadPlan(
            calls=done,
            regions=tuple(each for each in regions if with_regions or each.kind != "verbatim"),
            drop=texts_of(node.get("drop")),
            section=section,
            fence=_flag(node, "fence"),
            orphans=_orphans(done, section),
        )

    def _section(self, node: Node | None) -> Section | None:
        if not isinstance(node, MappingNode):
            return None
        return Section(texts_of(node.get("open")), texts_of(node.get("close")), _flag(node, "optional"))

    # -- calls

    def _call(self, name: str, node: MappingNode) -> CallRule:
        bare = literal_text(node.get("bare")) or ""
        head = node.get("head")
        heads = tuple(self._tokens(each, "head") for each in head.items) if isinstance(head, SequenceNode) else ()
        if bare and not _flag(node, "known"):
            self.problems.add(
                "E240", f"the rule {name!r} has no marker, so it needs `known: true`", node.mark,
                help=("without markers only the name of an offered tool tells a call from data",),
            )  # fmt: skip
        commit = literal_text(node.get("commit")) or ("call" if bare else self.commit)
        if bare and commit == "head":
            self.problems.add("E240", f"the rule {name!r} has no head, so it cannot commit at it", node.mark)
        payload = self._payload(node.get("payload"), heads)
        self._check_names(name, node, heads, payload)
        return CallRule(
            name=name,
            heads=tuple(tokens for tokens in heads if tokens),
            payload=payload,
            close=self._close(node.get("close")),
            anchor=literal_text(node.get("anchor")) or "any",
            bare=bare,
            known=_flag(node, "known"),
            name_from=self._name_from(node.get("name_from")),
            commit=commit,
        )

    def _check_names(self, name: str, node: MappingNode, heads: tuple[Tokens, ...], payload: Payload) -> None:
        """A payload without the name needs it in every head, and one with it must not have it there."""
        in_head = payload.kind in ("args", "params", "braced")
        for tokens in heads:
            kinds = {token.kind for token in tokens if isinstance(token, Pattern)}
            if tokens and ("name" in kinds) != in_head:
                what = "needs a {name: …} token in its head" if in_head else "reads the name from its payload"
                self.problems.add("E240", f"the rule {name!r} {what}", node.mark)
                return

    def _close(self, node: Node | None) -> tuple[tuple[str, ...], ...]:
        if not isinstance(node, SequenceNode):
            return ()
        return tuple(texts_of(each) for each in node.items)

    def _tokens(self, node: Node, where: str) -> Tokens:
        """A sequence of tokens. The first is a literal, and a pattern must end where the parser can see it."""
        nodes = node.items if isinstance(node, SequenceNode) else []
        found: list[Token] = []
        for index, each in enumerate(nodes):
            if isinstance(each, MappingNode):
                following = nodes[index + 1] if index + 1 < len(nodes) else None
                found.append(self._pattern(each, following, is_first=index == 0, where=where))
            else:
                texts = texts_of(each)
                found.append(Literals(longest_first(text.lstrip() or text for text in texts) if index else texts))
        return tuple(found)

    def _pattern(self, node: MappingNode, following: Node | None, *, is_first: bool, where: str) -> Pattern:
        kind, entry = next(iter(node.entries.items()))
        text = literal_text(entry.value) or ""
        matcher = self._regex(entry.value)
        until = () if following is None or isinstance(following, MappingNode) else texts_of(following)
        until = longest_first(each.lstrip() or each for each in until)
        is_class = _ONE_CLASS.fullmatch(text) is not None
        if is_first:
            self.problems.add("E240", f"a {where} begins with a literal, not with an expression", entry.value.mark)
        elif not until and not is_class:
            self.problems.add(
                "E230", "nothing shows where this expression ends", entry.value.mark, length=max(len(text), 1),
                help=("put a literal behind it, or use one character class such as [^>]+",),
            )  # fmt: skip
        overlaps = any(matcher.match(each[0]) is not None for each in until) if is_class else True
        return Pattern(kind, matcher, until if overlaps else ())

    def _regex(self, node: Node) -> Matcher:
        text = literal_text(node) or ""
        options = re2.Options()
        options.log_errors = False
        length = max(len(text), 1)
        if len(text) > _MAX_PATTERN_CHARS:
            self.problems.add("E230", f"longer than {_MAX_PATTERN_CHARS} characters", node.mark, length=length)
            text = "x"
        try:
            compiled: Any = re2.compile(text, options)
        except re2.error as error:
            reason = error.args[0] if error.args else "it does not compile"
            shown = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
            self.problems.add("E230", f"not a regular expression: {shown}", node.mark, length=length)
            compiled = re2.compile("x", options)
        matcher: Matcher = compiled
        return matcher

    def _name_from(self, node: Node | None) -> Matcher | None:
        if node is None:
            return None
        matcher: Any = self._regex(node)
        if "name" not in matcher.groupindex and matcher.pattern != "x":
            self.problems.add("E240", "`name_from` needs a group (?P<name>…)", node.mark)
        found: Matcher = matcher
        return found

    # -- payloads

    def _payload(self, node: Node | None, heads: tuple[Tokens, ...]) -> Payload:
        assert isinstance(node, MappingNode)
        kind = literal_text(node.get("kind")) or "json"
        for key, entry in node.entries.items():
            if key != "kind" and key not in KNOBS[kind]:
                takes = ", ".join(KNOBS[kind]) or "no other keys"
                self.problems.add(
                    "E240", f"a payload of kind {kind} has no {key!r}", entry.key.mark, length=len(key),
                    help=(f"it takes: {takes}",),
                )  # fmt: skip
        make: dict[str, Callable[[MappingNode], Payload]] = {
            "json": self._json,
            "args": lambda _: ArgsPayload(),
            "params": self._params,
            "python": lambda each: PythonPayload(_plain_texts(each.get("wrappers"))),
            "braced": self._braced,
        }
        return make[kind](node)

    def _json(self, node: MappingNode) -> JsonPayload:
        return JsonPayload(
            name=self._paths(node.get("name"), (("name",),)),
            args=self._paths(node.get("args"), (("arguments",), ("parameters",))),
            id=self._paths(node.get("id"), ()),
            items=_plain_texts(node.get("items")),
            name_is_key=_flag(node, "name_is_key"),
            seps=_plain_texts(node.get("seps")),
            need_args=_flag(node, "need_args"),
            list=literal_text(node.get("list")) or "never",
        )

    def _paths(self, node: Node | None, default: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        """Paths of the call object. Only paths, since arguments are read while they come."""
        if node is None:
            return default
        nodes = node.items if isinstance(node, SequenceNode) else [node]
        found = []
        for each in nodes:
            text = literal_text(each) or ""
            match = _PATH.fullmatch(text)
            if match is None:
                self.problems.add(
                    "E240", f"{text!r} is no path into the call", each.mark, length=max(len(text), 1),
                    help=("write =call.name or =call.function.name; several paths are a list",),
                )  # fmt: skip
                continue
            found.append(tuple(match[1].split(".")))
        return tuple(found)

    def _params(self, node: MappingNode) -> ParamsPayload:
        opening = node.get("open")
        ways = (
            tuple(self._tokens(each, "parameter") for each in opening.items)
            if isinstance(opening, SequenceNode)
            else ()
        )
        for tokens in ways:
            if "key" not in {token.kind for token in tokens if isinstance(token, Pattern)}:
                self.problems.add("E240", "the opening of a parameter needs a {key: …} token", node.mark)
        close, pair = texts_of(node.get("close")), _plain_texts(node.get("close_by_key"))
        if not ways or bool(close) == bool(pair):
            self.problems.add("E240", "params need `open`, and one of `close` and `close_by_key`", node.mark)
        typing, attr = literal_text(node.get("typing")) or "schema", node.get("attr")
        if (typing == "attr") != (attr is not None):
            self.problems.add("E240", "`typing: attr` and `attr` go together", node.mark)
        return ParamsPayload(
            open=ways,
            close=close,
            close_by_key=(pair[0], pair[1]) if len(pair) == 2 else None,
            known_keys=_flag(node, "known_keys"),
            trim=literal_text(node.get("trim")) or "none",
            unescape=literal_text(node.get("unescape")) or "none",
            typing=typing,
            attr={key.lower(): str(value) for key, value in _mapping(attr).items()},
        )

    def _braced(self, node: MappingNode) -> BracedPayload:
        delim = literal_text(node.get("delim"))
        if delim is None:
            self.problems.add("E240", "a braced payload needs `delim`, which quotes its strings", node.mark)
        return BracedPayload(delim or '"')


# -- small readers


def _flag(node: MappingNode, key: str) -> bool:
    found = node.get(key)
    return isinstance(found, ScalarNode) and found.value is True


def _plain_texts(node: Node | None) -> tuple[str, ...]:
    value: Json = to_json(node) if node is not None else []
    return tuple(str(each) for each in value) if isinstance(value, list) else ()


def _mapping(node: Node | None) -> dict[str, Json]:
    return dict(to_json(node)) if isinstance(node, MappingNode) else {}


def _first_literals(rule: CallRule) -> tuple[str, ...]:
    return tuple(text for tokens in rule.heads for text in (tokens[0].texts if isinstance(tokens[0], Literals) else ()))


def _with_ends(rule: CallRule, around: tuple[str, ...]) -> CallRule:
    """The rule with all literals that may follow its payload."""
    own = [text for spellings in rule.close for text in spellings]
    return CallRule(
        name=rule.name,
        heads=rule.heads,
        payload=rule.payload,
        close=rule.close,
        ends=longest_first([*own, *around]),
        anchor=rule.anchor,
        bare=rule.bare,
        known=rule.known,
        name_from=rule.name_from,
        commit=rule.commit,
    )


def _orphans(rules: tuple[CallRule, ...], section: Section | None) -> tuple[str, ...]:
    found = [text for rule in rules for spellings in rule.close for text in spellings]
    for rule in rules:
        found += rule.payload.close if isinstance(rule.payload, ParamsPayload) else ()
    found += section.close if section is not None else ()
    return longest_first(text for text in found if is_marker(text))


def markers_of(read: ReadPlan) -> tuple[str, ...]:
    """The literals that untrusted text must not contain as they stand."""
    found = list(read.orphans)
    found += read.section.open if read.section is not None else ()
    for rule in read.calls:
        sequences = list(rule.heads)
        sequences += rule.payload.open if isinstance(rule.payload, ParamsPayload) else ()
        for tokens in sequences:
            for index, token in enumerate(tokens):
                texts = token.texts if isinstance(token, Literals) else ()
                found += [text for text in texts if index == 0 or text.startswith("<")]
    return longest_first(text for text in found if is_marker(text))
