"""What may stand in a `gateway/1` file: one table for the check, the editor schema, the reference and the example.

Defaults come from the dataclasses in `engine.config`, so each has one home. Every `doc` is a sentence of the annotated
file that `engine init` writes.
"""

from __future__ import annotations

from typing import Final

from engine.config import (
    AUTH_KINDS,
    HEARTBEAT_STYLES,
    PRINT_STAGES,
    STREAMING_MODES,
    ConcurrencyConfig,
    CorsConfig,
    GatewayConfig,
    HeartbeatConfig,
    LimitsConfig,
    ListenConfig,
    LogConfig,
    StreamingConfig,
    TimeoutsConfig,
)
from engine.language.shapes import Anything, Bool, Condition, Field, ListOf, MapOf, Number, Object, OneOf, Text
from engine.translate.tools.plan import PLACES

_LISTEN, _LIMITS, _TIMEOUTS = ListenConfig(), LimitsConfig(), TimeoutsConfig()
_BEAT, _STREAMING = HeartbeatConfig(), StreamingConfig()
_CONCURRENCY, _LOG, _CORS, _GATEWAY = ConcurrencyConfig(), LogConfig(), CorsConfig(), GatewayConfig()

NAME_PATTERN: Final = r"[A-Za-z0-9][A-Za-z0-9._-]*"
NAME_HELP: Final = "letters, digits, '.', '_' or '-'"

_SECONDS: Final = Number(min=0.01, max=86_400)
_COUNT: Final = Number(min=1, max=1_000_000, whole=True)
_BYTES: Final = Number(min=1024, max=1 << 31, whole=True)

SECRET: Final = Object(
    {
        "env": Field(Text(), "Name of the environment variable that holds it.", example="UPSTREAM_API_KEY"),
        "file": Field(Text(), "File that holds it, as containers mount secrets.", example="/run/secrets/key"),
        "client": Field(
            Text(choices=("key", "authorization")),
            "The caller's own credential, without its scheme (needs `clients.auth: pass_through` or `open`).",
            example="key",
        ),
    },
    label="a secret",
    exactly_one=("env", "file", "client"),
)

_TOOLS: Final = Field(
    OneOf(
        (
            Text(choices=("off",)),
            Object(
                {
                    "format": Field(
                        OneOf((Text(), ListOf(Text(), 1))), "A toolformat, or a list in order of preference."
                    ),
                    "place": Field(Text(choices=PLACES), "Where the definitions stand."),
                },
                label="tools",
            ),
        )
    ),
    "`off` refuses tools; else another toolformat or place than the mapping's, where tools go into the prompt.",
    example={"format": "my_format"},
)

DIALECT_OPTIONS: Final = Object(
    {"options": Field(MapOf(Anything()), "Values for the mapping's options.", default={})}, label="a dialect"
)

UPSTREAM: Final = Object(
    {
        "endpoint": Field(Text(), "Id of the endpoint mapping (`engine list` shows them).", required=True),
        "url": Field(Text(), "Base URL instead of the mapping's own, for a proxy or a test server."),
        "hosts": Field(MapOf(Text()), "The same for the mapping's further `hosts`, by name.", default={}),
        "options": Field(
            MapOf(Anything()),
            "Values for the mapping's options; `base_url` is one for every endpoint.",
            default={},
            example={"base_url": "https://api.example.com"},
        ),
        "secrets": Field(
            MapOf(SECRET, NAME_PATTERN, NAME_HELP),
            "Where each secret comes from; without an entry the mapping's own default holds.",
            default={},
            example={"api_key": {"env": "UPSTREAM_API_KEY"}},
        ),
        "models": Field(
            MapOf(Text()),
            "Names sent to this upstream: `{asked: sent}`; others are sent as asked.",
            default={},
            example={"small": "vendor/small-1"},
        ),
        "ca_file": Field(Text(), "File of certificate authorities to trust instead of the public ones."),
        "streaming": Field(
            Text(choices=STREAMING_MODES),
            "Whether to ask it for streams, instead of what the mapping says; `probe` asks and remembers.",
        ),
        "tools": _TOOLS,
        "heartbeat": Field(
            Object(
                {
                    "every_s": Field(_SECONDS, "Seconds of silence before a sign of life.", default=_BEAT.every_s),
                    "style": Field(
                        Text(choices=tuple(HEARTBEAT_STYLES)),
                        "A comment, an empty delta, or a delta with an invisible character.",
                        default=_BEAT.style,
                    ),
                    "json": Field(
                        Bool(), "Send white space while a whole JSON answer is awaited, too.", default=_BEAT.json
                    ),
                },
                label="heartbeat",
            ),
            "Signs of life to the client while this upstream works.",
            default={},
        ),
    },
    label="an upstream",
)

ROUTE: Final = Object(
    {
        "models": Field(
            ListOf(Text(), min_items=1),
            "Patterns on the model's id after aliases: case does not count, `*` is any text.",
            default=["*"],
        ),
        "when": Field(
            Condition(),
            "Only requests for which this holds; it sees `req`, `model`, `client` and `http.headers`.",
            example="=present(req.tools)",
        ),
        "to": Field(Text(), "Name of the upstream.", required=True),
        "tools": _TOOLS,
    },
    label="a route",
)

CLIENT_KEY: Final = Object(
    {
        "name": Field(Text(NAME_PATTERN, NAME_HELP), "What the log calls the holder.", required=True),
        "env": Field(Text(), "Environment variable with the key."),
        "file": Field(Text(), "File with the key."),
        "choose": Field(
            Bool(), "Whether the holder may name an upstream in the header `x-engine-upstream`.", default=False
        ),
    },
    label="a client key",
    exactly_one=("env", "file"),
)

_SECTIONS: Final = {
    "listen": Object(
        {
            "host": Field(Text(), "Address to listen on; 0.0.0.0 is every one.", default=_LISTEN.host),
            "port": Field(Number(0, 65535, whole=True), "Port; 0 lets the system choose.", default=_LISTEN.port),
        },
        label="listen",
    ),
    "clients": Object(
        {
            "auth": Field(
                Text(choices=AUTH_KINDS),
                "`keys`: our own keys; `pass_through`: the caller's key goes to the upstream; `open`: no key at all, "
                "which is for this machine only.",
                default="open",
            ),
            "keys": Field(ListOf(CLIENT_KEY), "The keys, for `auth: keys`.", default=[]),
            "allow_open": Field(Bool(), "Allow `open` on an address that others can reach.", default=False),
        },
        label="clients",
    ),
    "limits": Object(
        {
            "body_bytes": Field(_BYTES, "Largest request body.", default=_LIMITS.body_bytes),
            "json_depth": Field(Number(4, 200, whole=True), "Deepest nesting of a body.", default=_LIMITS.json_depth),
            "headers_bytes": Field(_BYTES, "Largest header block of a request.", default=_LIMITS.headers_bytes),
            "tools": Field(_COUNT, "Most tools in one request.", default=_LIMITS.tools),
            "upstream_body_bytes": Field(
                _BYTES, "Largest answer of an upstream, after decoding.", default=_LIMITS.upstream_body_bytes
            ),
        },
        label="limits",
    ),
    "timeouts": Object(
        {
            "connect_s": Field(_SECONDS, "Reaching the upstream: name, TCP and TLS.", default=_TIMEOUTS.connect_s),
            "first_byte_s": Field(
                _SECONDS, "Until the upstream's answer begins, thinking included.", default=_TIMEOUTS.first_byte_s
            ),
            "idle_s": Field(_SECONDS, "Between two pieces of an answer.", default=_TIMEOUTS.idle_s),
            "total_s": Field(_SECONDS, "The whole call to an upstream.", default=_TIMEOUTS.total_s),
            "receive_s": Field(_SECONDS, "A client sending its body.", default=_TIMEOUTS.receive_s),
            "headers_s": Field(_SECONDS, "A client sending its headers.", default=_TIMEOUTS.headers_s),
            "keep_alive_s": Field(
                _SECONDS, "An idle client connection before it is closed.", default=_TIMEOUTS.keep_alive_s
            ),
        },
        label="timeouts",
    ),
    "concurrency": Object(
        {
            "in_flight": Field(_COUNT, "Calls to one upstream at a time.", default=_CONCURRENCY.in_flight),
            "waiting": Field(
                Number(0, 1_000_000, whole=True), "Requests that may wait for a place.", default=_CONCURRENCY.waiting
            ),
            "wait_s": Field(_SECONDS, "How long they wait before a 503.", default=_CONCURRENCY.wait_s),
        },
        label="concurrency",
    ),
    "streaming": Object(
        {
            "grace_s": Field(
                Number(0, 600), "How long an emulated stream waits for a fast failure.", default=_STREAMING.grace_s
            ),
            "commit_after_s": Field(
                _SECONDS,
                "The latest a native stream is committed without a first event.",
                default=_STREAMING.commit_after_s,
            ),
            "probe_ttl_s": Field(
                _SECONDS, "How long it is remembered whether an upstream streams.", default=_STREAMING.probe_ttl_s
            ),
            "fallback": Field(
                Bool(), "Try without streaming when a stream fails before its first event.", default=_STREAMING.fallback
            ),
            "piece_chars": Field(
                Number(1, 10_000, whole=True),
                "About how many characters an emulated piece has.",
                default=_STREAMING.piece_chars,
            ),
            "pace_ms": Field(
                Number(0, 10_000), "A pause between emulated pieces; 0 is none.", default=_STREAMING.pace_ms
            ),
        },
        label="streaming",
    ),
    "log": Object(
        {
            "format": Field(Text(choices=("json", "text")), "A line per request, JSON or text.", default=_LOG.format),
            "level": Field(
                Text(choices=("debug", "info", "warning", "error")), "The least level written.", default=_LOG.level
            ),
            "file": Field(Text(), "File to write to instead of standard error."),
            "print": Field(
                ListOf(Text(choices=PRINT_STAGES)),
                "Whole messages to show for debugging, secrets masked: " + ", ".join(PRINT_STAGES) + ".",
                default=[],
            ),
        },
        label="log",
    ),
    "expose": Object(
        {"headers": Field(Bool(), "Tell clients in `x-engine-…` headers.", default=_GATEWAY.expose_headers)},
        label="expose",
    ),
    "cors": Object(
        {
            "origins": Field(
                ListOf(Text()), "Web pages that may call from a browser: their origins, or `*`.", default=[]
            ),
            "max_age_s": Field(
                Number(0, 86_400, whole=True), "How long a browser keeps the permission.", default=_CORS.max_age_s
            ),
        },
        label="cors",
    ),
}

GATEWAY: Final = Object(
    {
        "mapping": Field(Text(choices=("gateway/1",)), "What this file is.", required=True),
        "listen": Field(_SECTIONS["listen"], "Where clients reach the gateway.", default={}),
        "mappings": Field(ListOf(Text()), "Folders of mappings that come before the shipped ones.", default=[]),
        "upstreams": Field(
            MapOf(UPSTREAM, NAME_PATTERN, NAME_HELP), "Endpoints made concrete: name, options, keys.", default={}
        ),
        "routes": Field(
            MapOf(ROUTE, NAME_PATTERN, NAME_HELP), "Which upstream serves a request; the first match.", default={}
        ),
        "dialects": Field(
            MapOf(DIALECT_OPTIONS, r"[a-z0-9][a-z0-9._-]*", "the id of a dialect"),
            "How the APIs that clients speak behave, by the dialect's id; all are served, named here or not.",
            default={},
            example={"vendor.api": {"options": {"some_option": "value"}}},
        ),
        "aliases": Field(
            MapOf(Text()), "Other names for models: `{name: model}`.", default={}, example={"small": "vendor/small-1"}
        ),
        "clients": Field(_SECTIONS["clients"], "Who may call.", default={}),
        "limits": Field(_SECTIONS["limits"], "Sizes beyond which a message is refused.", default={}),
        "timeouts": Field(_SECTIONS["timeouts"], "All clocks, in seconds.", default={}),
        "concurrency": Field(_SECTIONS["concurrency"], "How much runs at a time, per upstream and worker.", default={}),
        "streaming": Field(_SECTIONS["streaming"], "When and how answers are streamed.", default={}),
        "log": Field(_SECTIONS["log"], "What is written about requests.", default={}),
        "expose": Field(_SECTIONS["expose"], "What clients are told.", default={}),
        "cors": Field(_SECTIONS["cors"], "Calls from web pages.", default={}),
        "trusted_proxies": Field(
            ListOf(Text()), "Addresses or networks whose `x-forwarded-for` is believed, for the log.", default=[]
        ),
        "outbound_proxy": Field(Text(), "HTTP proxy on the way to upstreams (it is never taken from the environment)."),
        "force_upstream": Field(Text(), "Send everything to this upstream, whatever the routes say."),
        "workers": Field(Number(1, 256, whole=True), "Processes that share the port.", default=_GATEWAY.workers),
        "drain_s": Field(
            Number(min=0, max=3600), "How long requests in flight may finish at a stop.", default=_GATEWAY.drain_s
        ),
        "models_cache_s": Field(
            Number(min=0, max=86_400), "How long an upstream's model list is kept.", default=_GATEWAY.models_cache_s
        ),
    },
    label="the gateway config",
    doc="A deployment of the gateway: where it listens, which upstreams it has, who may call.",
)
"""The shape of the whole file."""
