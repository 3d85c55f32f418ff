"""Compile `auth`: the one slot where secrets exist (R3). Its result keeps them opaque until the HTTP edge."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Final

from engine.errors import ErrorInfo, TranslationError
from engine.language.kinds.http_checks import check_headers
from engine.language.kinds.sections import literal_text
from engine.language.problems import Problems
from engine.language.reader import MappingNode, Node, ScalarNode, SequenceNode
from engine.language.static_types import Type
from engine.language.tree import Env, TreeCompiler, Usage
from engine.translate.plan import SecretSpec
from engine.types import ABSENT, Build, Json, JsonObject, Scope, Secret

_KEY_LIKE: Final = re.compile(
    r"(?:(?i:bearer|basic|token|key|apikey|api-key)\s+)?"
    r"(?:(?:sk-|pk-|gsk_|xai-|AIza|ghp_|hf_|AKIA|eyJ)[A-Za-z0-9_\-.]{16,}|(?=[A-Za-z0-9_-]*[0-9])(?=[A-Za-z0-9_-]*[A-Z])[A-Za-z0-9_-]{40,})"
)


def compile_auth(
    compiler: TreeCompiler,
    node: Node | None,
    names: Mapping[str, Type],
    secrets: Mapping[str, SecretSpec],
    secrets_node: Node | None,
    trace: bool,
) -> Build | None:
    """Compile the section to a closure that gives `{"headers": {…}, "query": {…}}` with `Secret` values."""
    usage = Usage()
    env = Env(names, "auth", "request", usage, templates=False, auth=True)
    build = None
    if isinstance(node, MappingNode) and len(node.entries) == 1:
        name, entry = next(iter(node.entries.items()))
        make = _KINDS.get(name)
        build = make(compiler, entry.value, env) if make is not None else None
    _warn_unused(compiler.problems, secrets_node, usage)
    return build


def _warn_unused(problems: Problems, node: Node | None, usage: Usage) -> None:
    read = {path[1] for path in usage.paths if path[0] == "secret" and len(path) > 1}
    for name, entry in node.entries.items() if isinstance(node, MappingNode) else ():
        if name not in read:
            problems.add("W171", f"the secret {name!r} is never used in `auth`", entry.key.mark, length=len(name))


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
}


def _secret(value: Build, scope: Scope, slot: str) -> Secret:
    """The credential of a slot of `auth`. Raises TranslationError for one that is absent or empty: it is never sent."""
    made: Json = value(scope)
    secret = made if isinstance(made, Secret) else Secret("" if made is ABSENT or made is None else str(made))
    if not secret.reveal():
        info = ErrorInfo(
            "internal", "The gateway has no credential for this upstream.", code="mapping_request_error",
            retryable=False,
        )  # fmt: skip
        raise TranslationError(info, detail=f"auth.{slot} has no value")
    return secret


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
        text = literal_text(node)
        if text is not None and not text.startswith("=") and _KEY_LIKE.fullmatch(text.strip()):
            problems.add(
                "E172", "this looks like a key", node.mark, length=node.length,
                help=("name it under `secrets:` as {env: NAME}, and replace the key: it is in the file's history",),
            )  # fmt: skip
