"""F3: only a certificate that is trusted for the name gets a request, and the key in it."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from engine.config import GatewayConfig, UpstreamConfig
from engine.errors import UpstreamError
from engine.gateway.upstream import HttpUpstream
from engine.translate.wire import UpstreamReply, UpstreamRequest
from tests.gateway.fake_upstream import FakeUpstream, reply

CERTIFICATE = Path(__file__).parent / "self_signed.pem"  # for 127.0.0.1, made for these tests, valid for a century


def served() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


def send(url: str, ca_file: str | None) -> UpstreamReply:
    async def once() -> UpstreamReply:
        upstream = HttpUpstream(UpstreamConfig("u", "e", url=url, ca_file=ca_file), GatewayConfig())
        try:
            return await upstream.send(UpstreamRequest("GET", f"{url}/", (), (), None, url))
        finally:
            await upstream.close()

    return asyncio.run(once())


def test_f3_an_untrusted_certificate() -> None:
    """502 upstream_tls, not to be retried, nothing sent."""
    with FakeUpstream(reply(b"{}"), tls=served()) as fake, pytest.raises(UpstreamError) as caught:
        send(fake.url, None)

    assert (caught.value.info.code, caught.value.info.status) == ("upstream_tls", 502)
    assert caught.value.info.headers == {"x-should-retry": "false"}
    assert not fake.requests


def test_f3_a_wrong_name() -> None:
    """A trusted certificate for another name is no better."""
    with FakeUpstream(reply(b"{}"), tls=served()) as fake, pytest.raises(UpstreamError) as caught:
        send(fake.url.replace("127.0.0.1", "localhost"), str(CERTIFICATE))

    assert caught.value.info.code == "upstream_tls"
    assert not fake.requests


def test_a_ca_file() -> None:
    """`ca_file` replaces the public authorities."""
    with FakeUpstream(reply(b"{}"), tls=served()) as fake:
        assert send(fake.url, str(CERTIFICATE)).status == 200
