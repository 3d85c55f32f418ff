"""Tokens signed with an RSA key, over real HTTP; the signature is verified with plain arithmetic (RFC 8017, 8.2.2)."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from engine.errors import MappingError
from engine.language.cases import json_codec, target_for
from engine.language.gateway_binding import MOCK_SECRET
from engine.secrets import STAND_INS
from engine.translate.calls import build_call
from engine.translate.exchange import request_scope
from engine.translate.wire import Context
from engine.types import Secret
from tests.gateway.fake_upstream import FakeUpstream, Seen, Wire, reply_json
from tests.streams.stage import catalog, staged

MAPPINGS = Path(__file__).parent / "mappings"
NO_PACKAGE = "cryptography is not installed (pip install 'endpoint-engine[jwt]')"
SHA256_PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")


@pytest.fixture(scope="module")
def rsa_key() -> tuple[str, Any]:
    """A new key: its PEM, and its public numbers."""
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization", reason=NO_PACKAGE)
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa", reason=NO_PACKAGE)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return text.decode(), key.public_key().public_numbers()


def read(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def claims_of(token: str, public: Any) -> tuple[Any, Any]:
    """The header and the claims of a token whose signature is good."""
    signed, _, signature = token.rpartition(".")
    size = (public.n.bit_length() + 7) // 8
    opened = pow(int.from_bytes(read(signature), "big"), public.e, public.n).to_bytes(size, "big")
    digest = SHA256_PREFIX + hashlib.sha256(signed.encode()).digest()
    assert b"\0\1" + b"\xff" * (size - len(digest) - 3) + b"\0" + digest == opened
    head, claims = signed.split(".")
    return json.loads(read(head)), json.loads(read(claims))


def test_a_token_for_an_assertion(tmp_path: Path, rsa_key: tuple[str, Any]) -> None:
    """The assertion holds what the mapping says, signed with the key; the token goes under a scheme of its own."""
    text, public = rsa_key
    account = {"email": "robot@acme.example", "key_id": "k1", "private_key": text}

    async def play(wire: Wire, seen: Seen) -> bool:
        answers = {"/token": {"access_token": "token-one", "expires_in": 3600}, "/chat": {"text": "ho"}}
        return await reply_json(answers[seen.target])(wire, seen)

    with FakeUpstream(play) as upstream, staged(
        "acme.assertion", url=upstream.url, folder=tmp_path, mappings=MAPPINGS,
        environment={"ACME_RSA_ACCOUNT": json.dumps(account)},
    ) as stage:  # fmt: skip
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        answer = httpx.post(f"{stage.base_url}/chat/completions", json=body, timeout=20)

    assert "ho" == answer.json()["choices"][0]["message"]["content"]
    head, claims = claims_of(parse_qs(upstream.requests[0].body.decode())["assertion"][0], public)
    assert {"alg": "RS256", "typ": "JWT", "kid": "k1"} == head
    assert ("robot@acme.example", "chat", 3600) == (claims["iss"], claims["scope"], claims["exp"] - claims["iat"])
    assert "Acme token-one" == upstream.requests[1].headers["authorization"]


def test_a_self_signed_token(tmp_path: Path, rsa_key: tuple[str, Any]) -> None:
    """A key of several lines may stand in a variable by itself; each request has a token of its own."""
    text, public = rsa_key
    with FakeUpstream(reply_json({"text": "ho"})) as upstream, staged(
        "acme.selfsigned", url=upstream.url, folder=tmp_path, mappings=MAPPINGS, environment={"ACME_RSA_KEY": text}
    ) as stage:  # fmt: skip
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        answer = httpx.post(f"{stage.base_url}/chat/completions", json=body, timeout=20)

    assert 200 == answer.status_code
    _, claims = claims_of(upstream.requests[0].headers["authorization"].removeprefix("Bearer "), public)
    assert "acme" == claims["sub"]


@pytest.mark.parametrize("text", ["no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key(tmp_path: Path, text: str) -> None:
    """Nothing is sent, and neither client nor log see the key."""
    pytest.importorskip("cryptography", reason=NO_PACKAGE)
    with FakeUpstream(reply_json({"text": "ho"})) as upstream, staged(
        "acme.selfsigned", url=upstream.url, folder=tmp_path, mappings=MAPPINGS, environment={"ACME_RSA_KEY": text}
    ) as stage:  # fmt: skip
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        answer = httpx.post(f"{stage.base_url}/chat/completions", json=body, timeout=20)

    assert (500, "mapping_request_error") == (answer.status_code, answer.json()["error"]["code"])
    assert text not in answer.text
    assert [] == upstream.requests


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway does not start with such an upstream, and says what to install."""
    monkeypatch.setitem(sys.modules, "cryptography", None)
    where = staged("acme.selfsigned", url="http://127.0.0.1:9", folder=tmp_path, mappings=MAPPINGS, environment={})

    with pytest.raises(MappingError, match=r"pip install 'endpoint-engine\[jwt\]'"), where:
        pass


def test_what_stands_for_a_key_needs_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cases and mocks run without the package: the placeholder signs nothing."""
    monkeypatch.setitem(sys.modules, "cryptography", None)
    target = target_for(catalog(MAPPINGS).endpoints["acme.selfsigned"], {})
    target.secrets["key"] = Secret(MOCK_SECRET)  # type: ignore[index]
    scope = request_scope(target, {"model": "m", "messages": []}, {"id": "m"}, Context("req_1", 0))
    request = build_call(target, target.plan.call, scope, json_codec())

    assert request.seal is not None
    assert "authorization" in dict(request.seal.finish(None, 0).headers)
    assert {"***", MOCK_SECRET} == STAND_INS
