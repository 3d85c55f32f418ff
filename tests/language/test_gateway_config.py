"""The gateway config: layers, origins, checks with positions, and the binding to endpoints."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.config import GatewayConfig
from engine.errors import MappingError
from engine.language.catalog import load_catalog
from engine.language.gateway_binding import bind_config, url_problem
from engine.language.gateway_build import compile_patterns
from engine.language.gateway_config import load_config
from engine.language.gateway_example import annotated_example, effective
from engine.language.gateway_shape import GATEWAY
from engine.language.shapes import ListOf, MapOf, Object, Shape, json_schema
from engine.translate.plan import EndpointPlan

ROOT = Path(__file__).parent.parent.parent
KEY = "sk-secret-value-123456"
ENVIRONMENT = {"STRAICO_API_KEY": KEY, "ENGINE_API_KEY": "app-key", "ENGINE_OPERATOR_KEY": "operator-key"}
ONE = "upstreams: {main: {endpoint: straico.chat.v0}}\n"


@pytest.fixture(scope="module")
def endpoints() -> Mapping[str, EndpointPlan]:
    return load_catalog().endpoints


def load(folder: Path, text: str, flags: Any = None, **environment: str) -> GatewayConfig:
    file = folder / "engine.yaml"
    file.write_text("mapping: gateway/1\n" + text)
    return load_config(file, environment={**ENVIRONMENT, **environment}, flags=flags)


def refused(folder: Path, text: str, flags: Any = None, **environment: str) -> str:
    with pytest.raises(MappingError) as caught:
        load(folder, text, flags, **environment)
    return str(caught.value)


def test_precedence(tmp_path: Path) -> None:
    """Flag > environment > file > default, and each value knows where it is from."""
    text = ONE + "listen: {host: 127.0.0.2, port: 1}\nlog: {level: error}\n"
    config = load(tmp_path, text, {"listen.port": 3}, ENGINE_PORT="2", ENGINE_LOG_LEVEL="debug")

    assert (config.listen.host, config.listen.port, config.log.level, config.drain_s) == ("127.0.0.2", 3, "debug", 30)
    rows = {key: origin for key, _, origin in effective(config)}
    assert rows["listen.port"] == "flag --port"
    assert rows["log.level"] == "environment ENGINE_LOG_LEVEL"
    assert rows["listen.host"].endswith("engine.yaml:3:16")
    assert rows["drain_s"] == "default"


def test_any_key_by_variable(tmp_path: Path) -> None:
    """ENGINE__ names reach every key, typed by the shape; names of upstreams are found with `-` as `_`."""
    text = "upstreams: {straico-old: {endpoint: straico.chat.v0}}\n"
    config = load(
        tmp_path,
        text,
        ENGINE__TIMEOUTS__IDLE_S="1.5",
        ENGINE__EXPOSE__HEADERS="false",
        ENGINE__LOG__PRINT="client_request, client_reply",
        ENGINE__UPSTREAMS__STRAICO_OLD__URL="https://one.example",
        ENGINE__ALIASES__NICK="a/b",
    )

    assert config.timeouts.idle_s == 1.5
    assert config.expose_headers is False
    assert config.log.print == ("client_request", "client_reply")
    assert config.upstreams["straico-old"].url == "https://one.example"
    assert config.aliases == {"nick": "a/b"}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ENGINE__TIMEOUT__IDLE_S", "1", "did you mean `ENGINE__TIMEOUTS`?"),
        ("ENGINE__TIMEOUTS__IDLES", "1", "did you mean `ENGINE__TIMEOUTS__IDLE_S`?"),
        ("ENGINE__TIMEOUTS__IDLE_S__X", "1", "sets no key"),
        ("ENGINE__", "1", "sets no key"),
        ("ENGINE__TIMEOUTS__IDLE_S", "soon", "timeouts.idle_s is a string"),
        ("ENGINE_PORT", "http", "listen.port is a string"),
        ("ENGINE_PORT", "70000", "at most 65535"),
    ],
)
def test_a_bad_variable(tmp_path: Path, name: str, value: str, said: str) -> None:
    """A variable that sets nothing, or the wrong type, is named."""
    text = refused(tmp_path, ONE, **{name: value})

    assert said in text
    assert f"--> {name}:1:1" in text


def test_without_a_file(endpoints: Mapping[str, EndpointPlan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--endpoint ID --option K=V` is a whole config: one upstream of that name, one route."""
    monkeypatch.chdir(tmp_path)
    flags = {"endpoint": "straico.chat.v0", "options": {"base_url": "http://127.0.0.1:1", "content": "string"}}
    config = bind_config(load_config(None, environment={}, flags=flags), endpoints, environment=ENVIRONMENT)

    upstream = config.upstreams["straico.chat.v0"]
    assert (upstream.url, upstream.options["content"]) == ("http://127.0.0.1:1", "string")
    assert [(route.to, route.models) for route in config.routes] == [("straico.chat.v0", ("*",))]
    assert config.clients.auth == "open"


def test_found_by_variable_and_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """$ENGINE_CONFIG, then ./engine.yaml."""
    (tmp_path / "engine.yaml").write_text("mapping: gateway/1\nlisten: {port: 1}\n" + ONE)
    (tmp_path / "other.yaml").write_text("mapping: gateway/1\nlisten: {port: 2}\n" + ONE)
    monkeypatch.chdir(tmp_path)

    assert load_config(None, environment=ENVIRONMENT).listen.port == 1
    assert load_config(None, environment={**ENVIRONMENT, "ENGINE_CONFIG": "other.yaml"}).listen.port == 2


BAD: list[tuple[str, str, str, str]] = [
    ("unknown section", ONE + "listne: {}\n", "E022", "did you mean `listen`?"),
    ("unknown key", ONE + "listen: {prot: 1}\n", "E022", "did you mean `port`?"),
    ("wrong type", ONE + "listen: {port: here}\n", "E023", "listen.port is a string"),
    ("no endpoint", "upstreams: {main: {}}\n", "E024", "endpoint"),
    ("unknown upstream in a route", ONE + "routes: {r: {to: mian}}\n", "E250", "did you mean `main`?"),
    ("no upstreams", "listen: {port: 1}\n", "E250", "engine serve --endpoint"),
    ("no routes for several", "upstreams: {a: {endpoint: x}, b: {endpoint: y}}\n", "E250", "no route says"),
    ("forced to nowhere", ONE + "force_upstream: mian\n", "E250", "did you mean `main`?"),
    ("open to all", ONE + "listen: {host: 0.0.0.0}\n", "E250", "pass_through"),
    ("keys without keys", ONE + "clients: {auth: keys}\n", "E250", "clients.keys has none"),
    ("keys for nobody", ONE + "clients: {keys: [{name: a, env: ENGINE_API_KEY}]}\n", "E250", "nobody would ask"),
    ("a missing key", ONE + "clients: {auth: keys, keys: [{name: a, env: NOT_SET}]}\n", "E250", "NOT_SET is not set"),
    ("two keys of a name", ONE + "clients: {auth: keys, keys: [{name: a, env: ENGINE_API_KEY}, "
     "{name: a, env: ENGINE_API_KEY}]}\n", "E250", "two client keys"),
    ("key from two places", ONE + "clients: {auth: keys, keys: [{name: a, env: A, file: b}]}\n", "E024", "exactly one"),
    ("when is text", ONE + "routes: {r: {when: req.tools, to: main}}\n", "E250", "begins with `=`"),
    ("when does not parse", ONE + 'routes: {r: {when: "=present(", to: main}}\n', "E101", "engine.yaml:3"),
    ("when knows no such name", ONE + 'routes: {r: {when: "=present(request.tools)", to: main}}\n', "E102", "req"),
    ("when is no condition", ONE + 'routes: {r: {when: "=req.model", to: main}}\n', "E104", "boolean"),
    ("folder is missing", ONE + "mappings: [./nowhere]\n", "E250", "there is no folder"),
    ("bad network", ONE + "trusted_proxies: [10.0.0.0/99]\n", "E250", "neither an address"),
    ("bad proxy", ONE + "outbound_proxy: ftp://x\n", "E250", "outbound_proxy"),
    ("printing nonsense", ONE + "log: {print: [client_requests]}\n", "E023", "did you mean `client_request`?"),
    ("not a gateway", "x: 1\n", "E022", "unknown key 'x'"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code", "said"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_broken_config(tmp_path: Path, text: str, code: str, said: str) -> None:
    """Its own code, a place in the file, and words that help."""
    rendered = refused(tmp_path, text)

    assert f"error[{code}]" in rendered
    assert said in rendered
    assert re.search(r"engine\.yaml:\d+:\d+", rendered)


def test_all_problems_at_once(tmp_path: Path) -> None:
    """One run reports everything that is wrong."""
    text = ONE + "routes: {r: {to: mian}}\nlisten: {host: 0.0.0.0}\nforce_upstream: nope\n"

    assert refused(tmp_path, text, ENGINE__X="1").rstrip().endswith("4 errors")


def test_the_place_of_a_when(tmp_path: Path) -> None:
    """An expression's problem is marked where it stands."""
    rendered = refused(tmp_path, ONE + 'routes:\n  r:\n    when: "=present(request.tools)"\n    to: main\n')

    assert "engine.yaml:5:21" in rendered


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_open_on_loopback(tmp_path: Path, host: str) -> None:
    """Without a key only this machine may call."""
    assert load(tmp_path, ONE + f'listen: {{host: "{host}"}}\n').clients.auth == "open"


def test_other_binds(tmp_path: Path) -> None:
    """Keys and pass_through may listen anywhere; open too when it is said twice."""
    anywhere = ONE + "listen: {host: 0.0.0.0}\n"
    keys = "clients: {auth: keys, keys: [{name: a, env: ENGINE_API_KEY}]}\n"

    assert load(tmp_path, anywhere + keys).clients.keys[0].name == "a"
    assert load(tmp_path, anywhere + "clients: {auth: pass_through}\n")
    assert load(tmp_path, anywhere, {"clients.allow_open": True})


def test_a_condition_runs(tmp_path: Path) -> None:
    """A route's `when` sees the request, the model, the client and the headers; null is false."""
    when = "=present(req.tools) && client.name == 'app' && model.id == 'm'"
    config = load(tmp_path, ONE + f'routes: {{r: {{when: "{when}", to: main}}}}\n')
    condition = config.routes[0].when
    assert condition is not None

    scope = {"req": {"tools": [1]}, "model": {"id": "m"}, "client": {"name": "app"}, "http": {"headers": {}}}
    assert condition(scope) is True
    assert condition({**scope, "client": {"name": None}}) is False


def test_patterns() -> None:
    """Case does not count, `*` crosses `/`, one of several is enough."""
    matches = compile_patterns(["openai/*", "*haiku*"])

    assert [matches(model) for model in ("OpenAI/a/b", "x/claude-HAIKU-4", "meta/llama")] == [True, True, False]


def bound_refusal(folder: Path, endpoints: Mapping[str, EndpointPlan], text: str, **environment: str) -> str:
    config = load(folder, text)
    with pytest.raises(MappingError) as caught:
        bind_config(config, endpoints, environment={**ENVIRONMENT, **environment})
    return str(caught.value)


MAIN = "upstreams: {main: {endpoint: straico.chat.v0, "

UNBOUND: list[tuple[str, str, str]] = [
    ("unknown endpoint", "upstreams: {main: {endpoint: straico.chat.v1}}\n", "did you mean `straico.chat.v"),
    ("abstract endpoint", "upstreams: {main: {endpoint: straico.chat}}\n", "there is no endpoint"),
    ("unknown option", MAIN + "options: {contnt: a}}}\n", "did you mean `content`"),
    ("bad option", MAIN + "options: {content: a}}}\n", "one of parts, string"),
    ("option of a wrong type", MAIN + "options: {content: 1}}}\n", "type string"),
    ("unknown secret", MAIN + "secrets: {key: {env: A}}}}\n", "has no secret"),
    ("missing secret", MAIN + "secrets: {api_key: {env: NOPE}}}}\n", "NOPE is not"),
    ("missing file", MAIN + "secrets: {api_key: {file: ./no}}}}\n", "cannot be read"),
    ("bad URL", MAIN + "url: api.example}}\n", "begins with https://"),
    ("plain HTTP", MAIN + "url: 'http://api.example.com'}}\n", "unencrypted"),
    ("URL twice", MAIN + "url: 'https://a.example', options: {base_url: 'https://b.example'}}}\n", "keep one"),
    ("unknown host", MAIN + "hosts: {x: 'https://a.example'}}}\n", "no host 'x'"),
    ("no CA file", MAIN + "ca_file: ./no.pem}}\n", "there is no file"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), [row[1:] for row in UNBOUND], ids=[row[0] for row in UNBOUND])
def test_a_broken_upstream(tmp_path: Path, endpoints: Mapping[str, EndpointPlan], text: str, said: str) -> None:
    """What only the endpoint can tell is checked against it, with the place in the config."""
    rendered = bound_refusal(tmp_path, endpoints, text)

    assert said in rendered
    assert re.search(r"engine\.yaml:\d+:\d+", rendered)


@pytest.mark.parametrize("value", ["", "  ", "a\nb", f"{KEY}\r\n", "schl\u00fcssel"])
def test_f59_a_bad_secret(tmp_path: Path, endpoints: Mapping[str, EndpointPlan], value: str) -> None:
    """F59: empty, or with a line break: the variable is named, its value never shown."""
    rendered = bound_refusal(tmp_path, endpoints, ONE, STRAICO_API_KEY=value)

    assert "STRAICO_API_KEY" in rendered
    assert KEY not in rendered


def test_a_secret_in_a_file(tmp_path: Path, endpoints: Mapping[str, EndpointPlan]) -> None:
    """A file beside the config; the line feed at its end does not count."""
    (tmp_path / "key").write_text(KEY + "\n")
    text = "upstreams: {main: {endpoint: straico.chat.v0, secrets: {api_key: {file: ./key}}}}\n"
    config = bind_config(load(tmp_path, text), endpoints, environment={})

    value = config.upstreams["main"].secrets["api_key"].value
    assert value is not None
    assert value.reveal() == KEY


def test_the_callers_key(tmp_path: Path, endpoints: Mapping[str, EndpointPlan]) -> None:
    """pass_through fills in the caller's key; with our own keys it would leak them, so that is refused."""
    config = bind_config(load(tmp_path, ONE + "clients: {auth: pass_through}\n"), endpoints, environment={})
    text = (
        "upstreams: {main: {endpoint: straico.chat.v0, secrets: {api_key: {client: key}}}}\n"
        "clients: {auth: keys, keys: [{name: a, env: ENGINE_API_KEY}]}\n"
    )

    assert config.upstreams["main"].secrets["api_key"].client == "key"
    assert "pass_through" in bound_refusal(tmp_path, endpoints, text)


def test_mock(tmp_path: Path, endpoints: Mapping[str, EndpointPlan]) -> None:
    """`--mock` needs no key and leaves nothing that points outside."""
    config = bind_config(load(tmp_path, ONE), endpoints, environment={}, mock_url="http://127.0.0.1:7")

    assert config.upstreams["main"].url == "http://127.0.0.1:7"


def test_mock_stands_below_its_own_url(tmp_path: Path, endpoint: Callable[..., EndpointPlan]) -> None:
    """The paths of base URLs and hosts are left behind: a mock's routes begin where the endpoint's paths do."""
    plan = endpoint(base_url="https://api.acme.test/v9", hosts={"files": "https://files.acme.test/store"})
    text = "upstreams: {main: {endpoint: acme.chat, options: {base_url: 'https://proxy.acme.test/x'}}}\n"
    url = "http://127.0.0.1:7/acme.mock"
    found = bind_config(load(tmp_path, text), {"acme.chat": plan}, environment={}, mock_url=url).upstreams["main"]

    assert (found.url, found.hosts) == (url, {"files": url})


def test_no_secret_is_ever_shown(tmp_path: Path, endpoints: Mapping[str, EndpointPlan]) -> None:
    """R3: not in the effective values, not in any repr."""
    text = ONE + "clients: {auth: keys, keys: [{name: a, env: ENGINE_API_KEY}]}\noutbound_proxy: http://u:pw@proxy:1\n"
    config = bind_config(load(tmp_path, text), endpoints, environment=ENVIRONMENT)
    shown = repr(config) + repr(effective(config))

    assert KEY not in shown
    assert "app-key" not in shown
    assert "u:pw" not in repr(effective(config))


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://api.example.com/v1", True),
        ("http://127.0.0.1:9", True),
        ("http://mock:8080", True),
        ("http://10.1.2.3", True),
        ("http://api.example.com", False),
        ("https://user:pw@api.example.com", False),
        ("https://api.example.com/?a=b", False),
        ("https://api.example.com/../x", False),
        ("https://{name}.example.com", False),
        ("https://", False),
        ("ftp://a.example", False),
        ("https://a.example:99999", False),
    ],
)
def test_base_urls(url: str, good: bool) -> None:
    """R1, E162: what may be an origin."""
    assert (url_problem(url) is None) is good


def test_a_route_behind_one_that_takes_everything(tmp_path: Path) -> None:
    """It would be silently dead; with a condition on the first one it is not."""
    file = tmp_path / "engine.yaml"
    text = """
    mapping: gateway/1
    upstreams: {a: {endpoint: straico.chat.v0}, b: {endpoint: straico.chat.v2}}
    routes:
      first: {%sto: a}
      second: {models: ["gpt-*"], to: b}
    """
    file.write_text(textwrap.dedent(text) % "")
    with pytest.raises(MappingError) as caught:
        load_config(file, environment=ENVIRONMENT)
    assert "the route 'second' is never taken" in str(caught.value)

    file.write_text(textwrap.dedent(text) % "when: '=req.stream == `true`', ")
    assert load_config(file, environment=ENVIRONMENT).routes


def test_the_annotated_example_is_a_config(tmp_path: Path, endpoints: Mapping[str, EndpointPlan]) -> None:
    """What `engine init` writes loads as it stands, and with every line switched on it keeps its shape."""
    text = annotated_example("straico.chat.v0")
    file = tmp_path / "engine.yaml"
    file.write_text(text)

    assert bind_config(load_config(file, environment=ENVIRONMENT), endpoints, environment=ENVIRONMENT)
    for path, _ in _fields(GATEWAY):
        if path[-1] not in ("file", "client"):
            assert re.search(rf"\b{path[-1]}:", text), path


def test_the_example_shows_every_key(endpoints: Mapping[str, EndpointPlan]) -> None:
    """examples/gateway.yaml loads, binds, and names every key of the shape."""
    file = ROOT / "examples" / "gateway.yaml"
    config = load_config(file, environment=ENVIRONMENT)
    toolformats = load_catalog().toolformats

    assert bind_config(config, endpoints, environment=ENVIRONMENT, toolformats=toolformats)
    text = file.read_text()
    for path, _ in _fields(GATEWAY):
        if path[-1] not in ("file", "client") or path[0] == "log":
            assert re.search(rf"\b{path[-1]}:", text), path


def test_every_key_is_explained() -> None:
    """Each has a sentence, which the editor's schema carries."""
    schema = json_schema(GATEWAY, "gateway/1")

    assert schema["properties"]["listen"]["properties"]["port"]["default"] == 8000
    for path, doc in _fields(GATEWAY):
        assert doc.endswith((".", ")")), path


def _fields(shape: Shape, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], str]]:
    if isinstance(shape, MapOf | ListOf):
        return _fields(shape.item, path)
    found: list[tuple[tuple[str, ...], str]] = []
    if isinstance(shape, Object):
        for key, field in shape.fields.items():
            found.append(((*path, key), field.doc))
            found += _fields(field.shape, (*path, key))
    return found
