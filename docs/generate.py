"""Write the generated reference pages and editor schemas, or say which of them are out of date.

`python docs/generate.py` writes; `python docs/generate.py --check` exits with 1 when a file is not what the code says.
Every file is made from the declarations that the engine itself works with, so there is nothing to keep in step by hand.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from engine.cli.arguments import dump
from engine.cli.schema import SHAPES, schema_of
from engine.language import canonical, operators, scopes
from engine.language.catalog import load_catalog
from engine.language.codes import CODES
from engine.language.expressions.reference import reference_markdown
from engine.language.features import FEATURES, features_of
from engine.language.gateway_shape import GATEWAY
from engine.language.kinds.dialect_shape import DIALECT
from engine.language.kinds.endpoint_shape import ENDPOINT
from engine.language.shapes import Field, ListOf, MapOf, Object, OneOf, Shape
from engine.language.static_types import ANY, OBJECT, Type, describe
from engine.language.tree import OPERATORS
from tests.matrix.speakers import SPEAKERS

ROOT: Final = Path(__file__).parent.parent
REFERENCE: Final = ROOT / "docs" / "reference"
SCHEMAS: Final = ROOT / "mappings" / "schemas"
NOTE: Final = "<!-- Written by `python docs/generate.py`. Do not edit by hand. -->"

OPERATOR_HEAD: Final = """An operator is a mapping with one `$key`; what stands beside it are its arguments.
Arguments that end in `?` may be left out.
Every value in an operator is a tree again, unless it says otherwise.

In files that extend another, and in overlays, `$replace` and `$remove` change what the parent has.
Overlays add with `$add`; [writing mappings](../writing-mappings.md) explains them.
"""

SCOPE_HEAD: Final = """A path in an expression or template begins with one of the names that its place offers.
Any other name is error `E102`, and a field that a known object does not have is `E106`.
`engine eval --scope --slot response` prints the names of one place.
Loops (`as`, `index`), `$let` and the `args` of a fragment add names of their own.
"""

CODE_HEAD: Final = """A diagnostic begins with one of these codes.
`E` is an error, `W` a warning, `R` an error while a request runs.
Numbers are never reused.
"""

_STEP: Final[Mapping[str, Type]] = {"step": OBJECT}

SLOTS: Final[Mapping[str, Mapping[str, Type]]] = {
    "endpoint: `refuse`, `losses`": scopes.request_names(OBJECT),
    "endpoint: `request`; `when`, `each`, `wait_s`, `request` and `on_cancel` of a step": _STEP
    | scopes.request_names(OBJECT),
    "endpoint: `response`, `errors`; `until`, `again_when` and `every_s` of a step": _STEP | scopes.reply_names(OBJECT),
    "endpoint: `models.request`": scopes.models_request_names(OBJECT),
    "endpoint: `models.list`": scopes.models_list_names(OBJECT),
    "endpoint: `stream`": _STEP | scopes.stream_names(OBJECT, OBJECT),
    "endpoint: `auth`": scopes.auth_names(OBJECT, {}, token=True),
    "endpoint: `auth.sign`": scopes.sign_names(OBJECT, {}),
    "endpoint: `auth.token.request`": scopes.token_names(OBJECT, {}),
    "endpoint: `auth.token.value`, `auth.token.expires`": scopes.token_reply_names(OBJECT),
    "endpoint: `auth.token.refresh_when`": scopes.reply_names(OBJECT),
    "dialect: `request`, `refuse`, `losses`": scopes.client_names(OBJECT),
    "dialect: `response` of kind `chat`": scopes.dialect_reply_names("chat", OBJECT),
    "dialect: `response` of kind `models`": scopes.dialect_reply_names("models", OBJECT),
    "dialect: `response` of kind `model`": scopes.dialect_reply_names("model", OBJECT),
    "dialect: `response` of kind `answer`": scopes.dialect_reply_names("answer", OBJECT),
    "dialect: `stream.events`": scopes.dialect_event_names(OBJECT),
    "dialect: `errors`": scopes.dialect_error_names(),
    "mock": scopes.mock_names(),
}

MEANINGS: Final[Mapping[str, str]] = {
    "req": "the client's request in canonical form",
    "model": "the model: `id` as asked for, `name` as it is sent",
    "opt": "the options",
    "ctx": "this call",
    "step": "what earlier steps were answered, where there are `steps`: `step.NAME.res` and `step.NAME.http`, "
    "a list of `{item, res, http}` for a step with `each`",
    "token": "the token, where there is `auth.token`",
    "wire": "the request as it will be sent",
    "res": "the decoded answer",
    "raw": "the answer's text",
    "http": "the HTTP side of it",
    "models": "the models that are known",
    "ev": "the frame or event",
    "st": "the declared state",
    "secret": "the secrets, here and nowhere else",
    "in": "the client's body",
    "out": "the canonical reply",
    "err": "the failure",
    "n": "how many answers the conversation has",
}

OBJECTS: Final[Mapping[str, Type]] = {
    "req": canonical.CANONICAL_REQUEST,
    "req.messages[]": canonical.MESSAGE,
    "req.messages[].content[]": canonical.PART,
    "req.tools[]": canonical.TOOL,
    "model, of an endpoint": canonical.MODEL,
    "models[] and model, of a dialect": canonical.LISTED_MODEL,
    "ctx": canonical.CTX,
    "ctx, of a dialect's answer": canonical.CLIENT_CTX,
    "http, of an answer": canonical.HTTP_REPLY,
    "http, of a client's request": canonical.HTTP_REQUEST,
    "ev, of an endpoint's stream": canonical.FRAME,
    "ev, of a dialect's stream": canonical.EVENT,
    "out": canonical.REPLY,
    "out.choices[]": canonical.CHOICE,
    "out.usage": canonical.USAGE,
    "out.cost": canonical.COST,
    "err": canonical.ERR,
}

WRITTEN: Final[Mapping[str, Mapping[str, Type]]] = {
    "response": canonical.EMIT_KEYS,
    "emit, in a stream": canonical.STREAM_EMIT_KEYS,
    "raise": canonical.RAISE_KEYS,
}


def operators_page() -> Iterator[str]:
    """`operators.md`: each operator with its arguments and an example."""
    yield from ("# Operators", NOTE, OPERATOR_HEAD)
    by_subject: dict[str, list[str]] = {name: [] for name in operators.__all__}
    for name, spec in OPERATORS.items():
        by_subject[spec.compile.__module__.rsplit(".", 1)[-1]].append(name)
    for names in by_subject.values():
        for name in sorted(names):
            spec = OPERATORS[name]
            yield f"## {name}\n"
            yield f"{spec.doc}\n"
            if spec.arguments:
                yield f"Arguments: {', '.join(f'`{each}`' for each in spec.arguments)}.\n"
            yield f"```text\n{spec.example}\n```\n"


def scopes_page() -> Iterator[str]:
    """`scopes.md`: the names of every slot, the fields behind them, the keys that can be written."""
    yield from ("# Names in scope", NOTE, SCOPE_HEAD)
    for slot, names in SLOTS.items():
        yield f"## {slot}\n"
        yield "| name | type | meaning |\n|---|---|---|"
        yield "\n".join(f"| `{name}` | {_type(each)} | {MEANINGS[name]} |" for name, each in names.items()) + "\n"
    yield "## What can be read\n"
    for name, each in OBJECTS.items():
        yield from _fields(name, each.fields or {})
    yield "## What can be written\n"
    for name, fields in WRITTEN.items():
        yield from _fields(name, fields)


def _fields(name: str, fields: Mapping[str, Type]) -> Iterator[str]:
    path, comma, rest = name.partition(",")
    yield f"### `{path}`{comma}{rest}\n" if " and " not in path else f"### {name}\n"
    yield "| key | type |\n|---|---|"
    yield "\n".join(f"| `{key}` | {_type(each)} |" for key, each in fields.items()) + "\n"


def _type(each: Type) -> str:
    if each.kinds == ANY.kinds:
        return "anything"
    return describe(each.required()).replace("|", "\\|") + ("; may be null" if each.may_be_null else "")


def shape_page(title: str, intro: str, root: Object) -> Callable[[], Iterator[str]]:
    """A page that lists every key of a kind of file, section by section."""

    def page() -> Iterator[str]:
        yield from (f"# {title}", NOTE, intro)
        yield from _section("", root, {})

    return page


def _section(path: str, shape: Object, seen: dict[int, str]) -> Iterator[str]:
    yield f"## {f'`{path}`' if path else 'Top level'}\n"
    if id(shape) in seen:
        yield f"The keys of `{seen[id(shape)]}`.\n"
        return
    seen[id(shape)] = path
    yield "| key | takes | default | meaning |\n|---|---|---|---|"
    yield "\n".join(_row(key, field) for key, field in shape.fields.items()) + "\n"
    if shape.exactly_one:
        yield f"Exactly one of {', '.join(f'`{key}`' for key in shape.exactly_one)} stands.\n"
    for key, field in shape.fields.items():
        for suffix, inner in _inner(field.shape):
            yield from _section(f"{path}.{key}{suffix}".lstrip("."), inner, seen)


def _inner(shape: Shape) -> Iterator[tuple[str, Object]]:
    """The objects in a shape, with what stands between: `.NAME` for a free key, `[]` for an item."""
    if isinstance(shape, Object):
        yield "", shape
    elif isinstance(shape, MapOf):
        yield from ((f".NAME{suffix}", inner) for suffix, inner in _inner(shape.item))
    elif isinstance(shape, ListOf):
        yield from ((f"[]{suffix}", inner) for suffix, inner in _inner(shape.item))
    elif isinstance(shape, OneOf):
        for each in shape.shapes:
            yield from _inner(each)


def _row(key: str, field: Field) -> str:
    name = f"`{key}`" + (" (needed)" if field.required else "")
    default = "" if field.default is None else f"`{_json(field.default)}`"
    doc = field.doc if field.example is None else f"{field.doc} Example: `{_json(field.example)}`"
    return f"| {name} | {_cell(_takes(field.shape))} | {default} | {_cell(doc)} |"


def _takes(shape: Shape) -> str:
    """What a key takes, shorter than the shape's own words where a section of its own says the rest."""
    if isinstance(shape, Object):
        return "a mapping"
    if isinstance(shape, MapOf):
        return "a mapping of names" if list(_inner(shape)) else shape.describe()
    if isinstance(shape, ListOf) and list(_inner(shape)):
        return "a list of mappings"
    return shape.describe()


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def codes_page() -> Iterator[str]:
    """`codes.md`: what every diagnostic means and how to mend it."""
    yield from ("# Diagnostic codes", NOTE, CODE_HEAD)
    for code, info in CODES.items():
        yield f"## {code}: {info.title}\n"
        yield f"{info.doc}\n"


PAGES: Final[Mapping[str, Callable[[], Iterator[str]]]] = {
    "operators.md": operators_page,
    "scopes.md": scopes_page,
    "codes.md": codes_page,
    "endpoint.md": shape_page(
        "Endpoint files",
        "Every key of a file that begins with `mapping: endpoint/1`.\n"
        "[Writing mappings](../writing-mappings.md) teaches them with examples; "
        "`engine schema endpoint` prints the same for editors.\n",
        ENDPOINT,
    ),
    "dialect.md": shape_page(
        "Dialect files",
        "Every key of a file that begins with `mapping: dialect/1`.\n"
        "`engine schema dialect` prints the same for editors.\n",
        DIALECT,
    ),
    "gateway.md": shape_page(
        "The gateway config",
        "Every key of a file that begins with `mapping: gateway/1`.\n"
        "[Running](../running.md) shows how they work together; `engine schema gateway` prints the same for editors.\n",
        GATEWAY,
    ),
}


def render(page: Callable[[], Iterator[str]]) -> str:
    """The text of a page."""
    head, note, intro, *rest = page()
    return "\n\n".join([head, note, intro.strip()]) + "\n\n" + "\n".join(rest).rstrip() + "\n"


MATRIX_HEAD: Final = (
    "Every dialect is served over every endpoint.\n"
    "What a pair can do is what the dialect has a word for and the endpoint does: by itself (*native*), by the "
    "engine's work (*emulated*), or not; then it is refused by name before anything is sent.\n"
    "Both tables are true by test: the first is made from, and the second checked by, `tests/matrix`, which holds the "
    "same conversation over every pair, whole and streamed.\n\n"
    "An endpoint that streams *as it comes* is asked for a stream and taken for what it answers.\n"
)


def matrix_page() -> Iterator[str]:
    """The matrix dialect x endpoint x feature."""
    yield "# Matrix"
    yield NOTE
    yield MATRIX_HEAD
    words = ("text", "stream", "tools", "json", "picture", "reasoning")
    named = ("text", "streams", "tools", "JSON answers", "pictures", "thoughts")
    yield f"| dialect | {' | '.join(named)} |"
    yield "|---|" + "---|" * len(words)
    for dialect, speaker in SPEAKERS.items():
        yield f"| `{dialect}` | " + " | ".join("yes" if word in speaker.does else "-" for word in words) + " |"
    yield ""
    yield f"| endpoint | {' | '.join(FEATURES)} |"
    yield "|---|" + "---|" * len(FEATURES)
    for name, plan in sorted(load_catalog().endpoints.items()):
        found = features_of(plan)
        yield f"| `{name}` | {' | '.join(found[each] for each in FEATURES)} |"


def main(arguments: list[str]) -> int:
    """Write the files, or with `--check` compare them. Returns the exit status."""
    texts = {REFERENCE / name: render(page) for name, page in PAGES.items()}
    texts[REFERENCE / "functions.md"] = reference_markdown()
    texts[REFERENCE / "matrix.md"] = render(matrix_page)
    texts |= {SCHEMAS / f"{kind}.json": dump(schema_of(kind)) + "\n" for kind in SHAPES}
    stale = [path for path, text in texts.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        name = path.relative_to(ROOT)
        if arguments == ["--check"]:
            sys.stderr.write(f"{name} is not what the code says; run `python docs/generate.py`\n")
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(texts[path], encoding="utf-8")
            sys.stdout.write(f"wrote {name}\n")
    return 1 if stale and arguments == ["--check"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
