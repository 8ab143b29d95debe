"""Tokens that claim to be an issuer's, and what claims to be an issuer: nobody gets in who should not."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any, cast

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from talka_services.gateway.access import OidcOptions
from talka_services.gateway.oidc import BadTokenError, NoRoleError, Oidc
from talka_services.gateway.problems import HttpError
from talka_services.gateway.roles import Role

ISSUER = "https://login.test"
OPTIONS = OidcOptions(ISSUER, "talka", {"crew": Role.OPERATOR}, "realm.roles")
KEY = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
HEADER = {"alg": "EdDSA", "kid": "k1"}
CLAIMS = {"iss": ISSUER, "aud": "talka", "sub": "ada", "exp": 4_102_444_800, "realm": {"roles": ["crew"]}}


def _url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


DISCOVERY = {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"}
PUBLIC = {"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": _url64(KEY.public_key().public_bytes_raw())}


def signed(header: Any, claims: Any) -> str:
    """Return a token with this header and these claims, whatever they are, signed by the issuer."""
    text = ".".join(_url64(json.dumps(each).encode()) for each in (header, claims))
    return f"{text}.{_url64(KEY.sign(text.encode()))}"


def _oidc(discovery: bytes, keys: bytes) -> Oidc:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=discovery if "well-known" in request.url.path else keys)

    return Oidc(OPTIONS, httpx.MockTransport(answer))


def _let_in(oidc: Oidc, token: str) -> bool:
    async def ask() -> None:
        try:
            await oidc.caller(token)
        finally:
            await oidc.close()

    try:
        asyncio.run(ask())
    except (BadTokenError, NoRoleError, HttpError):
        return False
    return True


def bearer(body: bytes) -> None:
    """A token, or its header and claims as JSON; without the issuer's signature it lets nobody in."""
    oidc = _oidc(json.dumps(DISCOVERY).encode(), json.dumps({"keys": [PUBLIC]}).encode())
    try:
        parts: Any = json.loads(body)
    except (ValueError, RecursionError):
        parts = None
    if not isinstance(parts, dict):
        assert not _let_in(oidc, body.decode("latin-1"))
        return
    given = cast("dict[str, Any]", parts)
    try:
        token = signed(given.get("header"), given.get("claims"))
    except (UnicodeEncodeError, RecursionError):
        return
    _let_in(oidc, token)
    assert not _let_in(oidc, token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB"))


def issuer(body: bytes) -> None:
    """What an issuer says of itself in a line, and its keys: a good token is let in or refused."""
    discovery, _, keys = body.partition(b"\n")
    _let_in(_oidc(discovery, keys), signed(HEADER, CLAIMS))
