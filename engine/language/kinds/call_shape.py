"""The structure of the calls of `endpoint/1`: `request`, `steps`, `models`, and the `auth` of each of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from engine.language.shapes import (
    Bool,
    Condition,
    Field,
    MapOf,
    Number,
    Object,
    OneOf,
    Text,
    Tree,
)
from engine.secrets import SPLIT_PATTERN

NAME: Final = r"[A-Za-z_][A-Za-z0-9_-]*"
IDENTIFIER: Final = r"[A-Za-z_][A-Za-z0-9_]*"
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
ENCODINGS: Final = ("json", "form", "multipart", "raw")

_CALL: Final = {
    "method": Field(Text(choices=METHODS), "The HTTP method.", default="POST"),
    "path": Field(
        Text(r"/[^?#\s]*", "a path that begins with / and has no query"),
        "The path below the base URL. `{x}` is filled from `path_params` and escaped, `{+x}` keeps its slashes.",
        required=True,
    ),
    "host": Field(
        Tree("a name of `hosts`"), "Another origin, by its name in `hosts`; where it is computed, null is `base_url`."
    ),
    "path_params": Field(MapOf(Tree("a value")), "A value for each placeholder of the path."),
    "query": Field(
        MapOf(Tree("a value, or a list that repeats the key")), "Query parameters; absent ones are left out."
    ),
    "headers": Field(MapOf(Tree("a value")), "Request headers; credentials belong to `auth`."),
    "body": Field(Tree("the request body"), "The body: the tree is the JSON that is sent."),
    "encode": Field(
        Text(choices=ENCODINGS),
        "How the body is written. A file of `multipart` is `{filename, content_type, data}`, or `base64` for `data`.",
        default="json",
    ),
}

CALL: Final = Object(_CALL, "request")

STEP_CALL: Final = Object(
    {
        **{key: replace(each, required=False) for key, each in _CALL.items()},
        "url": Field(Tree("a URL"), "Instead of `path`: a whole URL of an earlier answer, on `base_url` or `hosts`."),
    },
    "request",
    exactly_one=("path", "url"),
)

STREAM_CALL: Final = Object(
    {key: replace(each, required=False, default=None) for key, each in _CALL.items()}, "stream.request"
)

SECRETS: Final = MapOf(
    Object(
        {
            "env": Field(
                Text(r"[A-Za-z_][A-Za-z0-9_]*", "the name of an environment variable"), "An environment variable."
            ),
            "file": Field(Text(), "A file whose content, trimmed, is the secret."),
            "client": Field(Text(), "The caller's own credential: `key` or `authorization`."),
            "parse": Field(
                Text(rf"json|{SPLIT_PATTERN}", "`json`, or split by a text: split(':'), split(':', `1`)"),
                "`json`: its members are `secret.NAME.MEMBER`; `split('.')`: its parts are `secret.NAME[0]` and so on, "
                "and ``split('.', `1`)`` cuts once.",
            ),
        },
        "a secret",
        exactly_one=("env", "file", "client"),
    ),
    IDENTIFIER,
)

TOKEN: Final = Object(
    {
        "request": Field(CALL, "The call that gives the token; it sees `secret`, `opt` and `ctx`.", required=True),
        "value": Field(Tree("the token"), "Where the token stands in the answer.", required=True),
        "expires": Field(
            Object(
                {
                    "in": Field(Tree("a number"), "Seconds (or milliseconds) from now."),
                    "at": Field(Tree("a number"), "Seconds (or milliseconds) since 1970."),
                    "unit": Field(Text(choices=("s", "ms")), "What the number counts.", default="s"),
                },
                "expires",
                exactly_one=("in", "at"),
            ),
            "When the token ends; without it, it is kept until it is refused.",
        ),
        "early_s": Field(
            Number(0), "How long before its end a new one is fetched; at most a tenth of its life.", default=60
        ),
        "refresh_when": Field(
            Condition(), "Which replies say that the token is not taken; then a new one is tried, once."
        ),
    },
    "token",
)

SIGN: Final = Object(
    {
        "let": Field(MapOf(Tree("a value"), IDENTIFIER), "Named values, each seeing those before it."),
        "headers": Field(MapOf(Tree("a header")), "The headers that carry the signature."),
        "query": Field(MapOf(Tree("a parameter")), "The query parameters that carry it."),
    },
    "sign",
)

AUTH: Final = Object(
    {
        "none": Field(Bool(), "The upstream takes no credentials."),
        "bearer": Field(Tree("a secret"), "`Authorization: Bearer …`.", example="=secret.api_key"),
        "basic": Field(
            Object(
                {
                    "user": Field(Tree("a secret or text"), "The user.", required=True),
                    "password": Field(Tree("a secret or text"), "The password.", required=True),
                }
            ),
            "HTTP basic authentication.",
        ),
        "header": Field(
            MapOf(Tree("a secret")), "Headers that carry secrets.", example={"x-api-key": "=secret.api_key"}
        ),
        "query": Field(MapOf(Tree("a secret")), "Query parameters that carry secrets."),
        "body": Field(MapOf(Tree("a secret")), "Top-level keys of the body that carry secrets."),
        "sign": Field(SIGN, "A signature over the finished request, which is `wire`."),
        "token": Field(TOKEN, "A token that is had for the secrets and kept; `token` where it goes."),
    },
    "auth",
    exactly_one=("none", "bearer", "basic", "header", "query", "body", "sign"),
)

STEPS: Final = MapOf(
    Object(
        {
            "request": Field(STEP_CALL, "The call.", required=True),
            "when": Field(Condition(), "Whether the step runs."),
            "each": Field(Tree("a list"), "Run the step once for each item of this list."),
            "as": Field(Text(IDENTIFIER, "a name"), "What the item is called in the step's trees.", default="it"),
            "wait_s": Field(
                OneOf((Number(0), Tree("a number"))),
                "Seconds before the first call, which is else made at once; may be computed from earlier steps.",
            ),
            "until": Field(Condition(), "Make the call again and again until this holds for its reply."),
            "every_s": Field(
                OneOf((Number(0.05), Tree("a number"))),
                "Seconds between two calls of `until`; may be computed from the reply (`res`, `http`), and is then "
                "at least 0.05 and at most 600, or 1 where there is no number.",
            ),
            "again_when": Field(
                Condition(),
                "A reply that says nothing: asked before `errors`, and when it holds the call is made again.",
            ),
            "for_s": Field(Number(0.01), "Seconds after which `until` gives up: the client gets a timeout."),
            "on_cancel": Field(
                STEP_CALL, "The call that stops what this one began: the client leaves, a later call fails, time is up."
            ),
        },
        "a step",
    ),
    NAME,
)

MODELS: Final = Object(
    {
        "request": Field(CALL, "The call that lists the models.", required=True),
        "list": Field(Tree("a list of {id, name, …}"), "Canonical model objects from the reply.", required=True),
    },
    "models",
)
