"""Compile `auth`: the one slot where secrets exist (R3). Its result keeps them opaque until the HTTP edge."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from engine.errors import CredentialError
from engine.language import scopes
from engine.language.expressions.functions.signing import BY_RSA
from engine.language.kinds.calls import CallCompiler
from engine.language.kinds.http_checks import check_headers
from engine.language.kinds.sections import literal_text
from engine.language.packages import CRYPTOGRAPHY
from engine.language.problems import Problems
from engine.language.reader import MappingNode, Node, ScalarNode, SequenceNode, to_json
from engine.language.static_types import ANY, STRING, Type
from engine.language.tree import Env, TreeCompiler, Usage
from engine.translate.plan import SecretSpec, SignPlan, TokenPlan
from engine.types import ABSENT, Build, Json, JsonObject, Scope, Secret

_KEY_LIKE: Final = re.compile(
    r"(?:(?i:bearer|basic|token|key|apikey|api-key)\s+)?"
    r"(?:(?:sk-|pk-|gsk_|xai-|AIza|ghp_|hf_|AKIA|eyJ)[A-Za-z0-9_\-.]{16,}|(?=[A-Za-z0-9_-]*[0-9])(?=[A-Za-z0-9_-]*[A-Z])[A-Za-z0-9_-]{40,})"
)


@dataclass(frozen=True, slots=True)
class Auth:
    """A compiled `auth`: where the credentials go, how a token is had for them, and what signs the request.

    `credentials` gives `{"headers": {…}, "query": {…}, "body": {…}}` with `Secret` values.
    """

    credentials: Build | None = None
    token: TokenPlan | None = None
    sign: SignPlan | None = None
    members: frozenset[tuple[str, str]] = frozenset()
    """The members of parsed secrets that are read: the secret's name, the member's."""
    packages: frozenset[str] = frozenset()
    """The packages that must be installed for it."""


def compile_auth(calls: CallCompiler, options: Type, secrets: Mapping[str, SecretSpec]) -> Auth:
    """Compile the section; an unused secret is W171."""
    node, usage = calls.root.get("auth"), Usage()
    entries = node.entries if isinstance(node, MappingNode) else {}
    parsed = {name: spec.parse is not None for name, spec in secrets.items()}
    token, sign = entries.get("token"), entries.get("sign")
    names = scopes.auth_names(options, parsed, token=token is not None)
    env = Env(names, "auth", "request", usage, templates=False, auth=True)
    place = next((name for name in entries if name in _KINDS), None)
    auth = Auth(
        credentials=_KINDS[place](calls.compiler, entries[place].value, env) if place is not None else None,
        token=_token(calls, token.value, options, parsed, usage) if token is not None else None,
        sign=_sign(calls, sign.value, scopes.sign_names(options, parsed), usage) if sign is not None else None,
    )
    members = {(path[1], path[2]) for path in usage.paths if path[0] == "secret" and len(path) > 2}
    packages = {CRYPTOGRAPHY} if usage.literals & set(BY_RSA) else set()
    auth = replace(auth, members=frozenset(members), packages=frozenset(packages))
    if token is not None and not usage.broken and not any(path[0] == "token" for path in usage.paths):
        calls.compiler.problems.add(
            "W171", "`token` is had and never sent", token.key.mark, length=5, help=("bearer: =token",)
        )
    if not usage.broken:
        _warn_unused(calls.compiler.problems, calls.root.get("secrets"), usage)
    return auth


def _token(
    calls: CallCompiler, node: Node, options: Type, parsed: Mapping[str, bool], usage: Usage
) -> TokenPlan | None:
    request, value = (node.get("request"), node.get("value")) if isinstance(node, MappingNode) else (None, None)
    if not isinstance(node, MappingNode) or not isinstance(request, MappingNode) or value is None:
        return None
    seen = Env(scopes.token_reply_names(options), "auth.token", "reply", Usage(), templates=False)
    refused = Env(scopes.reply_names(options), "auth.token.refresh_when", "reply", Usage(), templates=False)
    expires, when = node.get("expires"), node.get("refresh_when")
    ends = {key: expires.get(key) for key in ("in", "at")} if isinstance(expires, MappingNode) else {}
    builds = {key: calls.compiler.function(each, seen) for key, each in ends.items() if each is not None}
    early = node.get("early_s")
    asked = scopes.token_names(options, parsed)
    env = Env(asked, "auth.token.request", "request", Usage(), templates=False, auth=True)
    in_ms = isinstance(expires, MappingNode) and literal_text(expires.get("unit")) == "ms"
    return TokenPlan(
        call=calls.call(request, asked, "auth.token.request", usage, auth=True),
        value=calls.compiler.function(value, seen, STRING.optional()),
        lasts=builds.get("in"),
        ends=builds.get("at"),
        unit_s=0.001 if in_ms else 1.0,
        early_s=float(to_json(early)) if early is not None else 60.0,
        refused=calls.compiler.condition(when, refused) if when is not None else None,
        needs=tuple(_needs(calls.compiler, request, env, "auth.token.request")),
    )


def _needs(compiler: TreeCompiler, node: Node, env: Env, where: str) -> Iterator[Build]:
    """The parts of a token's call that read a secret, each refusing to be absent.

    What stands in an operator may be absent on purpose; `$let` is only a way to write.
    """
    if isinstance(node, MappingNode) and not any(key.startswith("$") for key in node.entries):
        for key, entry in node.entries.items():
            yield from _needs(compiler, entry.value, env, f"{where}.{key}")
    elif isinstance(node, SequenceNode):
        for index, item in enumerate(node.items):
            yield from _needs(compiler, item, env, f"{where}[{index}]")
    elif (literal_text(node.get("in") if isinstance(node, MappingNode) else node) or "").startswith("="):
        own = env.inner({})
        build = compiler.function(node, own)
        if any(path[0] == "secret" for path in own.usage.paths):
            yield _needed(build, where.removeprefix("auth."))


def _needed(value: Build, slot: str) -> Build:
    def build(scope: Scope) -> Secret:
        return _secret(value, scope, slot)

    return build


def _sign(calls: CallCompiler, node: Node, names: Mapping[str, Type], usage: Usage) -> SignPlan | None:
    if not isinstance(node, MappingNode):
        return None
    compiler, known = calls.compiler, dict(names)
    values: list[tuple[str, Build]] = []
    lets = node.get("let")
    for name, entry in lets.entries.items() if isinstance(lets, MappingNode) else ():
        values.append((name, compiler.function(entry.value, _auth_env(known, usage))))
        known[name] = ANY
    made: dict[str, dict[str, Build]] = {"headers": {}, "query": {}}
    for slot, builds in made.items():
        section = node.get(slot)
        if isinstance(section, MappingNode):
            if slot == "headers":
                check_headers(section, compiler.problems, credentials=True)
            for name, entry in section.entries.items():
                builds[name] = compiler.function(entry.value, _auth_env(known, usage))
    return SignPlan(tuple(values), made["headers"], made["query"])


def _auth_env(names: Mapping[str, Type], usage: Usage) -> Env:
    return Env(dict(names), "auth.sign", "request", usage, templates=False, auth=True)


def _warn_unused(problems: Problems, node: Node | None, usage: Usage) -> None:
    read = {path[1] for path in usage.paths if path[0] == "secret" and len(path) > 1}
    for name, entry in node.entries.items() if isinstance(node, MappingNode) else ():
        if name not in read:
            problems.add(
                "W171", f"the secret {name!r} is never used in `auth`", entry.key.mark, length=len(name),
                help=(f"use it, as in  auth: {{bearer: =secret.{name}}},  or remove it",),
            )  # fmt: skip


def _bearer(compiler: TreeCompiler, node: Node, env: Env) -> Build:
    value = compiler.function(node, env)

    def build(scope: Scope) -> JsonObject:
        return {"headers": {"authorization": _secret(value, scope, "bearer").prefixed("Bearer ")}}

    return build


def _basic(compiler: TreeCompiler, node: Node, env: Env) -> Build | None:
    if not isinstance(node, MappingNode) or {"user", "password"} - set(node.entries):
        return None
    user = compiler.function(node.entries["user"].value, env)
    password = compiler.function(node.entries["password"].value, env)
    # A key as the user with no password is common; then the mapping says so in so many words.
    without_password = literal_text(node.entries["password"].value) == ""

    def build(scope: Scope) -> JsonObject:
        behind = "" if without_password else _secret(password, scope, "basic.password").reveal()
        pair = f"{_secret(user, scope, 'basic.user').reveal()}:{behind}"
        return {"headers": {"authorization": Secret("Basic " + base64.b64encode(pair.encode()).decode())}}

    return build


def _in(place: str, slot: str) -> Callable[[TreeCompiler, Node, Env], Build | None]:
    def compile_place(compiler: TreeCompiler, node: Node, env: Env) -> Build | None:
        if not isinstance(node, MappingNode):
            return None
        if place == "headers":
            check_headers(node, compiler.problems, credentials=True)
        values = {name: compiler.function(entry.value, env) for name, entry in node.entries.items()}

        def build(scope: Scope) -> JsonObject:
            return {place: {name: _secret(value, scope, f"{slot}.{name}") for name, value in values.items()}}

        return build

    return compile_place


def _none(compiler: TreeCompiler, node: Node, env: Env) -> Build:
    return lambda scope: {}


_KINDS: Final[Mapping[str, Callable[[TreeCompiler, Node, Env], Build | None]]] = {
    "none": _none,
    "bearer": _bearer,
    "basic": _basic,
    "header": _in("headers", "header"),
    "query": _in("query", "query"),
    "body": _in("body", "body"),
}


def _secret(value: Build, scope: Scope, slot: str) -> Secret:
    """The credential of a slot of `auth`. Raises CredentialError for one that is absent or empty: it is never sent."""
    made: Json = value(scope)
    secret = made if isinstance(made, Secret) else Secret("" if made is ABSENT or made is None else str(made))
    if not secret.reveal():
        raise CredentialError(f"auth.{slot}")
    return secret


_SHORTEST_KEY: Final = 19


def check_for_keys(node: Node, problems: Problems) -> None:
    """E172 for literal text that has the form of a credential, anywhere in a mapping file (its tests excepted)."""
    if isinstance(node, MappingNode):
        for key, entry in node.entries.items():
            if key != "tests":
                check_for_keys(entry.value, problems)
    elif isinstance(node, SequenceNode):
        for item in node.items:
            check_for_keys(item, problems)
    elif isinstance(node, ScalarNode):
        text = node.text if isinstance(node.value, str) and len(node.text) >= _SHORTEST_KEY else None
        if text is not None and not text.startswith("=") and _KEY_LIKE.fullmatch(text.strip()):
            problems.add(
                "E172", "this looks like a key", node.mark, length=node.length,
                help=("name it under `secrets:` as {env: NAME}, and replace the key: it is in the file's history",),
            )  # fmt: skip
