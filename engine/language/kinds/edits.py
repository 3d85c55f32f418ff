"""Compile `edits`: what changes in JSON text that passes between client and endpoint of one wire (DECISIONS 2.16).

An edit sees less than the trees it stands for: of an answer only `res`, the reply's body or one frame's data, so that
one rule serves both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from engine.language import scopes
from engine.language.problems import Problems
from engine.language.reader import MappingNode, Node, to_json
from engine.language.shapes import Condition, Field, ListOf, MapOf, Object, Text, Tree
from engine.language.static_types import ANY, Type
from engine.language.tree import Env, TreeCompiler
from engine.language.usage import Usage
from engine.translate.plan import EditPlan, EditsPlan

_EDIT: Final = {
    "set": Field(MapOf(Tree("a value")), "Top-level keys and their new values; an absent value changes nothing."),
    "remove": Field(ListOf(Text()), "Top-level keys that are taken out."),
}

EDITS: Final = Object(
    {
        "request": Field(Object(_EDIT, "request"), "What changes in the client's body on its way up."),
        "response": Field(
            Object(
                {**_EDIT, "drop": Field(Condition(), "A frame of a stream that the client does not get.")}, "response"
            ),
            "What changes on the way back; `res` is the reply's body, or the data of one frame of a stream.",
        ),
    },
    "edits",
)


def compile_edits(compiler: TreeCompiler, root: MappingNode, options: Type, *, trace: bool = False) -> EditsPlan | None:
    """The section's plan; None where there is none. What of the endpoint does not go with it is E221."""
    node = root.get("edits")
    if not isinstance(node, MappingNode):
        return None
    _check_surroundings(root, compiler.problems)
    names = scopes.request_names(options)
    return EditsPlan(
        request=_side(compiler, node.get("request"), "request", names, trace=trace),
        response=_side(compiler, node.get("response"), "response", {**names, "res": ANY}, trace=trace),
    )


def _check_surroundings(root: MappingNode, problems: Problems) -> None:
    entry = root.entries["edits"]
    request, auth = root.get("request"), root.get("auth")
    encode = request.get("encode") if isinstance(request, MappingNode) else None
    reasons = []
    if root.get("wire") is None:
        reasons.append("no dialect can speak the same wire: the endpoint names none; add   wire: NAME")
    if root.get("steps") is not None:
        reasons.append("an endpoint of several calls has no body that could pass")
    if encode is not None and to_json(encode) != "json":
        reasons.append("the body is not sent as JSON")
    if isinstance(auth, MappingNode) and auth.get("body") is not None:
        reasons.append("the credentials belong into the body")
    for reason in reasons:
        problems.add("E221", "these edits can never be used", entry.key.mark, length=len("edits"), help=(reason,))


def _side(compiler: TreeCompiler, node: Node | None, side: str, names: Mapping[str, Type], *, trace: bool) -> EditPlan:
    if not isinstance(node, MappingNode):
        return EditPlan()
    env = Env(names, f"edits.{side}", "request" if side == "request" else "reply", Usage(), trace=trace)
    changes, removed, drop = node.get("set"), node.get("remove"), node.get("drop")
    entries = changes.entries.items() if isinstance(changes, MappingNode) else ()
    return EditPlan(
        set=tuple((key, compiler.function(entry.value, env)) for key, entry in entries),
        remove=frozenset(to_json(removed) if removed is not None else ()),
        drop=compiler.condition(drop, env) if drop is not None else None,
    )
