"""Signing: digests and tokens, usable inside `auth` only; the time and a request's own id, wherever `ctx` is.

All of them are pure. `now` and `uuid` read what the engine put into the scope (`ctx.now`, `ctx.request_id`), so a
replay signs the same bytes. A digest is hexadecimal text unless asked otherwise, since JSON has no bytes; a key may be
given in hexadecimal or base64, so that digests can be chained. What comes of a secret is a secret.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import Final

from engine.language.expressions.runtime import FunctionError
from engine.language.expressions.signatures import Parameter, function, text_parameter
from engine.language.packages import CRYPTOGRAPHY, INSTALL
from engine.language.static_types import NUMBER, OBJECT, STRING, enum_of
from engine.secrets import STAND_INS
from engine.types import Json, JsonObject


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


_WRITTEN: Final[dict[str, Callable[[bytes], str]]] = {
    "hex": bytes.hex,
    "base64": lambda value: base64.b64encode(value).decode("ascii"),
    "base64url": _base64url,
}
_READ: Final[dict[str, Callable[[str], bytes]]] = {
    "text": str.encode,
    "hex": bytes.fromhex,
    "base64": lambda value: base64.b64decode(value, validate=True),
}
_BY_TEXT: Final = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}
BY_RSA: Final = {"RS256": "SHA256", "RS384": "SHA384", "RS512": "SHA512"}
_ALGORITHMS: Final = (*_BY_TEXT, *BY_RSA)
_ENCODING: Final = Parameter("encoding", enum_of(*_WRITTEN))


def _write(digest: bytes, encoding: str) -> str:
    if encoding not in _WRITTEN:
        raise FunctionError(f"encoding must be one of {', '.join(_WRITTEN)}")
    return _WRITTEN[encoding](digest)


def _key(key: str, encoding: str) -> bytes:
    if encoding not in _READ:
        raise FunctionError(f"key_encoding must be one of {', '.join(_READ)}")
    try:
        return _READ[encoding](key)
    except (ValueError, binascii.Error):
        raise FunctionError(f"key is not {encoding}") from None


@function(
    "hex",
    [text_parameter()],
    STRING,
    "The UTF-8 bytes of a text in hexadecimal.",
    examples=[("hex(v)", {"v": "hi"}, "6869"), ("hex(v)", {"v": "é"}, "c3a9")],
    auth_only=True,
)
def _hex(text: str) -> Json:
    return text.encode().hex()


@function(
    "sha256",
    [text_parameter(), _ENCODING],
    STRING,
    "The SHA-256 digest of a text, in hex (the default), base64 or base64url.",
    examples=[
        ("sha256(v)", {"v": ""}, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("sha256(v, 'base64')", {"v": ""}, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
    ],
    optional=1,
    auth_only=True,
)
def _sha256(text: str, encoding: str = "hex") -> Json:
    return _write(hashlib.sha256(text.encode()).digest(), encoding)


@function(
    "hmac_sha256",
    [text_parameter("key"), text_parameter(), _ENCODING, Parameter("key_encoding", enum_of(*_READ))],
    STRING,
    "The HMAC-SHA-256 of a text, in hex (the default), base64 or base64url; the key is text, hex or base64.",
    examples=[
        (
            "hmac_sha256('key', v)",
            {"v": "The quick brown fox jumps over the lazy dog"},
            "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8",
        ),
        (
            "hmac_sha256('6b6579', v, 'hex', 'hex')",
            {"v": "The quick brown fox jumps over the lazy dog"},
            "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8",
        ),
    ],
    optional=2,
    auth_only=True,
)
def _hmac_sha256(key: str, text: str, encoding: str = "hex", key_encoding: str = "text") -> Json:
    return _write(hmac.digest(_key(key, key_encoding), text.encode(), "sha256"), encoding)


@function(
    "jwt",
    [
        Parameter("claims", OBJECT),
        text_parameter("key"),
        Parameter("algorithm", enum_of(*_ALGORITHMS)),
        Parameter("headers", OBJECT),
    ],
    STRING,
    "A signed JSON Web Token of claims: HS256 (the default), HS384 or HS512 with a text as key, RS256, RS384 or RS512 "
    "with an RSA key in PEM (needs the extra `jwt`); further headers come after alg and typ.",
    examples=[
        (
            "jwt(v, 'secret')",
            {"v": {"sub": "a"}},
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhIn0.qBdA9L_PTGPhu7ipY7Xs4Eol-m79U_HNIifGEFJXeJQ",
        ),
        (
            "jwt(v, 'secret', 'HS256', h)",
            {"v": {"sub": "a"}, "h": {"kid": "1"}},
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6IjEifQ.eyJzdWIiOiJhIn0.FJisCmphGuAY-Tpy6AhYx1_c0eUWa1tMyxXSGudgnDw",
        ),
    ],
    optional=2,
    auth_only=True,
)
def _jwt(claims: JsonObject, key: str, algorithm: str = "HS256", headers: JsonObject | None = None) -> Json:
    if algorithm not in _ALGORITHMS:
        raise FunctionError(f"algorithm must be one of {', '.join(_ALGORITHMS)}")
    head = {"alg": algorithm, "typ": "JWT", **(headers or {})}
    signed = ".".join(_base64url(json.dumps(each, separators=(",", ":")).encode()) for each in (head, claims))
    if algorithm in _BY_TEXT:
        return f"{signed}.{_base64url(hmac.digest(key.encode(), signed.encode(), _BY_TEXT[algorithm]))}"
    return f"{signed}.{_base64url(_rsa_signature(key, signed.encode(), BY_RSA[algorithm]))}"


def _rsa_signature(key: str, data: bytes, digest: str) -> bytes:
    """A signature of RFC 7518, 3.3. What stands for a secret in cases and mocks is no key, and signs nothing."""
    if key in STAND_INS:
        return hashlib.sha256(data).digest()
    loaded = _rsa_key(key)
    hashes = import_module("cryptography.hazmat.primitives.hashes")
    padding = import_module("cryptography.hazmat.primitives.asymmetric.padding")
    return bytes(loaded.sign(data, padding.PKCS1v15(), getattr(hashes, digest)()))


@lru_cache(maxsize=16)
def _rsa_key(text: str) -> Json:
    try:
        serialization = import_module("cryptography.hazmat.primitives.serialization")
        rsa = import_module("cryptography.hazmat.primitives.asymmetric.rsa")
    except ImportError:
        raise FunctionError(f"RSA signatures need a package: {INSTALL[CRYPTOGRAPHY]}") from None
    try:
        key = serialization.load_pem_private_key(text.encode(), None)
    except (ValueError, TypeError):  # TypeError: it is encrypted
        raise FunctionError("key is no RSA key in PEM, or it is encrypted") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise FunctionError("key is no RSA key")
    return key


@function(
    "now",
    [],
    NUMBER,
    "The time of this request, in whole seconds since 1970: `ctx.now`, so a replay has the same.",
    examples=[
        ("now()", {"ctx": {"now": 1738324800}}, 1738324800),
        ("add(now(), `60`)", {"ctx": {"now": 1738324800}}, 1738324860),
    ],
    from_context=("now",),
)
def _now(now: Json) -> Json:
    return now


@function(
    "uuid",
    [text_parameter("purpose")],
    STRING.optional(),
    "A UUID made of the request's id, the same whenever it is asked within one request; a purpose gives another one.",
    examples=[
        ("uuid()", {"ctx": {"request_id": "r1"}}, "f2b0c9e5-f16b-4f1f-8ee7-f6318f5a0c68"),
        ("uuid('nonce')", {"ctx": {"request_id": "r1"}}, "36e04bd5-3ec6-4834-89b3-bb5acc4eadd0"),
    ],
    optional=1,
    from_context=("request_id",),
)
def _uuid(request_id: Json, purpose: str = "") -> Json:
    if not isinstance(request_id, str):
        return None
    digest = hashlib.sha256(f"{purpose}\n{request_id}".encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))
