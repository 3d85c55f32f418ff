"""The deployment's config as the running engine sees it: frozen values, every default filled in.

`language.gateway_config` makes these from a `gateway/1` file, environment and flags; `gateway` and `server` read them.
Neither knows the other, so the classes live here. Units are in the names: `_s` seconds, `_bytes` bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from engine.types import Condition, Json, JsonObject, Secret

AUTH_KINDS: Final = ("keys", "pass_through", "open")
"""How clients are known: by our own keys, by the key that is theirs at the upstream, or not at all."""

PRINT_STAGES: Final = ("client_request", "upstream_request", "upstream_reply", "client_reply")
"""What `log.print` and `--print` can show."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an effective value came from: `kind` is flag, environment, file or default.

    `mark` and `key_mark` are the places of the value and of its key, for messages.
    """

    kind: str
    text: str
    mark: Any = None
    key_mark: Any = None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class SecretSource:
    """Where a secret comes from (exactly one of `env`, `file`, `client`), and its value once it was read.

    `client` means the caller's own credential, so there is no value at load. `parsed` holds the parts of a secret that
    the mapping reads as JSON (members) or splits (a list).
    """

    env: str | None = None
    file: str | None = None
    client: str | None = None
    parse: str | None = None
    value: Secret | None = None
    parsed: Mapping[str, Secret] | Sequence[Secret] | None = None

    def __str__(self) -> str:
        name, place = next(
            (pair for pair in (("env", self.env), ("file", self.file), ("client", self.client)) if pair[1]), ("", "")
        )
        return f"{{{name}: {place}}}"


@dataclass(frozen=True, slots=True)
class ListenConfig:
    """The address the server listens on. Port 0 lets the system choose."""

    host: str = "127.0.0.1"
    port: int = 8000


STREAMING_MODES: Final = ("native", "synthetic", "probe")
"""How an upstream is asked to stream: always, never, or as it turns out."""

HEARTBEAT_STYLES: Final = {"comment": None, "empty": "", "zwsp": "\u200b", "zwnj": "\u200c", "wj": "\u2060"}
"""Signs of life by name: a comment of the framing, an empty delta, or a delta with a character nobody sees."""


@dataclass(frozen=True, slots=True)
class HeartbeatConfig:
    """Signs of life while an answer is awaited. `json` sends white space before a whole JSON answer too."""

    every_s: float = 3
    style: str = "comment"
    json: bool = False


@dataclass(frozen=True, slots=True)
class StreamingConfig:
    """When a streamed answer is committed, and how one is made of a whole answer.

    Until it is committed a failure keeps its true status. `piece_chars` is the size of an emulated piece, `pace_ms` a
    pause between pieces (0: none).
    """

    grace_s: float = 1.0
    commit_after_s: float = 15
    probe_ttl_s: float = 300
    fallback: bool = True
    piece_chars: int = 24
    pace_ms: float = 0


@dataclass(frozen=True, slots=True)
class ToolsConfig:
    """How the tools of an upstream or a route differ from the mapping's: off, or other formats and another place.

    `format` names the formats in order of preference, `plans` are they once the config is bound to a catalog.
    """

    off: bool = False
    format: tuple[str, ...] = ()
    place: str | None = None
    plans: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class UpstreamConfig:
    """An endpoint made concrete: which mapping, with which origin, options, secrets and model names.

    `url` is empty until `bind_config` has looked into the endpoint; after that it is the base URL in use. `models`
    maps the name a client asks for to the name that is sent.
    """

    name: str
    endpoint: str
    url: str = ""
    hosts: Mapping[str, str] = field(default_factory=dict)
    options: JsonObject = field(default_factory=dict)
    secrets: Mapping[str, SecretSource] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    ca_file: str | None = None
    streaming: str | None = None
    tools: ToolsConfig | None = None
    heartbeat: HeartbeatConfig = field(default_factory=HeartbeatConfig)


@dataclass(frozen=True, slots=True)
class RouteConfig:
    """One line of the routing table. `matches` takes a model id (after aliases); `when` the request's scope."""

    name: str
    models: tuple[str, ...]
    to: str
    matches: Callable[[str], bool]
    when: Condition | None = None
    when_text: str | None = None
    tools: ToolsConfig | None = None


@dataclass(frozen=True, slots=True)
class ClientKey:
    """One client key, kept as the SHA-256 of its value. `choose` lets its holder name the upstream."""

    name: str
    digest: bytes
    choose: bool = False


@dataclass(frozen=True, slots=True)
class ClientsConfig:
    """Who may call."""

    auth: str = "open"
    keys: tuple[ClientKey, ...] = ()
    allow_open: bool = False


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """Own limits, fail closed (rule R8)."""

    body_bytes: int = 26214400
    json_depth: int = 64
    headers_bytes: int = 32768
    tools: int = 128
    upstream_body_bytes: int = 67108864


@dataclass(frozen=True, slots=True)
class TimeoutsConfig:
    """The clocks (rule R9), all in seconds."""

    connect_s: float = 10
    first_byte_s: float = 600
    idle_s: float = 120
    total_s: float = 900
    receive_s: float = 60
    headers_s: float = 10
    keep_alive_s: float = 15


@dataclass(frozen=True, slots=True)
class ConcurrencyConfig:
    """How many calls one upstream may have at a time, how many may wait, and for how long."""

    in_flight: int = 64
    waiting: int = 64
    wait_s: float = 5


@dataclass(frozen=True, slots=True)
class LogConfig:
    """The access log, and what is printed for debugging."""

    format: str = "text"
    level: str = "info"
    file: str | None = None
    print: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CorsConfig:
    """Which web origins may call from a browser; empty means none."""

    origins: tuple[str, ...] = ()
    max_age_s: int = 600


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """A whole `gateway/1` config. `origins` tells for each key path (`listen.port`) where its value came from."""

    listen: ListenConfig = field(default_factory=ListenConfig)
    mappings: tuple[Path, ...] = ()
    upstreams: Mapping[str, UpstreamConfig] = field(default_factory=dict)
    routes: tuple[RouteConfig, ...] = ()
    dialects: Mapping[str, JsonObject] = field(default_factory=dict)
    """Values for options of dialects, by the dialect's id."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    clients: ClientsConfig = field(default_factory=ClientsConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    timeouts: TimeoutsConfig = field(default_factory=TimeoutsConfig)
    concurrency: ConcurrencyConfig = field(default_factory=ConcurrencyConfig)
    streaming: StreamingConfig = field(default_factory=StreamingConfig)
    log: LogConfig = field(default_factory=LogConfig)
    cors: CorsConfig = field(default_factory=CorsConfig)
    expose_headers: bool = True
    trusted_proxies: tuple[str, ...] = ()
    outbound_proxy: str | None = None
    force_upstream: str | None = None
    workers: int = 1
    drain_s: float = 30
    models_cache_s: float = 300
    file: Path | None = None
    document: Mapping[str, Json] = field(default_factory=dict)
    """The effective values as plain data, defaults filled in; what `engine config` prints."""
    origins: Mapping[str, Origin] = field(default_factory=dict)
