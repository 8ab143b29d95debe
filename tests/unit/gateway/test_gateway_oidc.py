"""Tokens of an OIDC issuer: what of them is trusted, and when its keys are asked for."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from jwt.algorithms import ECAlgorithm

from talka_services.gateway import oidc as module
from talka_services.gateway.access import OidcOptions
from talka_services.gateway.callers import Callers
from talka_services.gateway.oidc import BadTokenError, NoRoleError, Oidc
from talka_services.gateway.problems import HttpError
from talka_services.gateway.roles import Caller, Role

ISSUER = "https://login.test/realm"
OPTIONS = OidcOptions(
    ISSUER, "talka", {"admins": Role.ADMIN, "crew": Role.OPERATOR, "guests": Role.VIEWER}, "realm.roles"
)


class Issuer:
    """An issuer in this process: publishes its keys, signs tokens, and counts how often it was asked."""

    def __init__(self) -> None:
        self.keys: dict[str, EllipticCurvePrivateKey] = {"k1": generate_private_key(SECP256R1())}
        self.name, self.asked, self.is_away = ISSUER, 0, False

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer what a gateway asks."""
        if self.is_away:
            return httpx.Response(503)
        if request.url.path == "/realm/.well-known/openid-configuration":
            return httpx.Response(200, json={"issuer": self.name, "jwks_uri": "https://login.test/keys"})
        assert request.url.path == "/keys"
        self.asked += 1
        keys = [
            {**json.loads(ECAlgorithm.to_jwk(key.public_key())), "kid": name, "use": "sig", "alg": "ES256"}
            for name, key in self.keys.items()
        ]
        return httpx.Response(200, json={"keys": keys})

    def token(self, kid: str = "k1", *, key: Any = None, algorithm: str = "ES256", **changed: Any) -> str:
        """Return a token of a member of the crew, with some claims changed, or left out if None."""
        now = time.time()
        claims = {"iss": ISSUER, "aud": "talka", "sub": "ada", "iat": now, "exp": now + 60}
        claims = {**claims, "realm": {"roles": ["crew", "others"]}, **changed}
        given = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(given, key or self.keys[kid], algorithm, headers={"kid": kid})


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def oidc(issuer: Issuer) -> Oidc:
    return Oidc(OPTIONS, httpx.MockTransport(issuer.answer))


async def test_a_token_speaks_for_its_subject_with_the_highest_role(issuer: Issuer, oidc: Oidc) -> None:
    assert await oidc.caller(issuer.token()) == Caller("oidc:ada", Role.OPERATOR)
    both = issuer.token(realm={"roles": ["guests", "admins", "crew"]})
    assert (await oidc.caller(both)).role is Role.ADMIN
    assert (await oidc.caller(issuer.token(realm={"roles": "guests others"}))).role is Role.VIEWER
    assert issuer.asked == 1
    await oidc.close()


SPOILT: list[Callable[[Issuer], str]] = [
    lambda issuer: issuer.token(iss="https://evil.test"),
    lambda issuer: issuer.token(aud="another"),
    lambda issuer: issuer.token(exp=time.time() - 60),
    lambda issuer: issuer.token(nbf=time.time() + 600),
    lambda issuer: issuer.token(exp=None),
    lambda issuer: issuer.token(sub=None),
    lambda issuer: issuer.token(aud=None),
    lambda issuer: issuer.token(key=generate_private_key(SECP256R1())),
    lambda issuer: issuer.token(key="a shared secret that is long enough", algorithm="HS256"),
    lambda issuer: issuer.token()[:-4] + "AAAA",
    lambda issuer: jwt.encode({"sub": "ada"}, "", "none"),
    lambda _issuer: "a.b.c",
    lambda _issuer: "x" * 20_000,
    lambda _issuer: "",
]


@pytest.mark.parametrize("spoil", SPOILT)
async def test_what_the_issuer_did_not_sign_for_us_just_now_is_refused(
    issuer: Issuer, oidc: Oidc, spoil: Callable[[Issuer], str]
) -> None:
    """Another issuer, audience, time, key or kind of key; and no signature at all."""
    with pytest.raises(BadTokenError):
        await oidc.caller(spoil(issuer))
    await oidc.close()


@pytest.mark.parametrize("realm", [None, {}, {"roles": []}, {"roles": ["others", 7]}, {"roles": 7}, "crew"])
async def test_whom_nobody_gave_a_role_may_do_nothing(issuer: Issuer, oidc: Oidc, realm: Any) -> None:
    with pytest.raises(NoRoleError, match="oidc:ada"):
        await oidc.caller(issuer.token(realm=realm))
    await oidc.close()


async def test_keys_that_the_issuer_changes_are_asked_for_but_not_for_every_wrong_token(
    issuer: Issuer, oidc: Oidc, monkeypatch: pytest.MonkeyPatch
) -> None:
    await oidc.caller(issuer.token())
    issuer.keys["k2"] = generate_private_key(SECP256R1())
    for _ in range(3):
        with pytest.raises(BadTokenError):
            await oidc.caller(issuer.token("k2"))
    assert issuer.asked == 1
    monkeypatch.setattr(module, "ASK_AGAIN_S", 0.0)
    assert (await oidc.caller(issuer.token("k2"))).name == "oidc:ada"
    assert issuer.asked == 2
    await oidc.close()


async def test_an_issuer_that_is_away_or_another_is_503(issuer: Issuer, oidc: Oidc) -> None:
    issuer.is_away = True
    with pytest.raises(HttpError) as caught:
        await oidc.caller(issuer.token())
    assert (caught.value.status, caught.value.code) == (503, "issuer_unavailable")
    issuer.is_away, issuer.name = False, "https://another.test"
    with pytest.raises(HttpError, match="it says that it is"):
        await oidc.caller(issuer.token())
    await oidc.close()


@pytest.mark.parametrize(
    "keys", [[7], [None], [{"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": ["k1"]}], {"k1": {}}, "k1"]
)
async def test_keys_that_are_none_are_503(issuer: Issuer, keys: object) -> None:
    """Whatever the issuer tells in place of keys, nobody is let in, and it is said whose fault that is."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/keys":
            return httpx.Response(200, json={"keys": keys})
        return issuer.answer(request)

    oidc = Oidc(OPTIONS, httpx.MockTransport(answer))
    with pytest.raises(HttpError) as caught:
        await oidc.caller(issuer.token())
    assert (caught.value.status, caught.value.code) == (503, "issuer_unavailable")
    await oidc.close()


async def test_a_key_whose_name_is_no_text_is_left_out(issuer: Issuer) -> None:
    """The others still verify what they signed."""

    def answer(request: httpx.Request) -> httpx.Response:
        found = issuer.answer(request)
        if request.url.path != "/keys":
            return found
        keys = found.json()["keys"]
        return httpx.Response(200, json={"keys": [{**keys[0], "kid": ["k1"]}, *keys]})

    oidc = Oidc(OPTIONS, httpx.MockTransport(answer))
    assert (await oidc.caller(issuer.token())).name == "oidc:ada"
    await oidc.close()


async def test_a_caller_without_a_role_is_403_and_a_bad_token_401(issuer: Issuer, oidc: Oidc) -> None:
    from tests.unit.gateway.test_gateway_callers import request  # noqa: PLC0415

    callers = Callers("the-only-token-there-is", oidc=oidc)
    assert (await callers.identify(request(issuer.token()))).name == "oidc:ada"
    for token, status, code in (
        (issuer.token(realm={}), 403, "no_role"),
        (issuer.token(aud="another"), 401, "unauthorized"),
    ):
        with pytest.raises(HttpError) as caught:
            await callers.identify(request(token))
        assert (caught.value.status, caught.value.code) == (status, code)
    await callers.close()
