"""Tokens of an OpenID Connect issuer: JSON Web Tokens that its published keys verify.

Its address, the audience and the time limits are checked by PyJWT. Only algorithms with a public key
count: with a shared one, whoever knows the key that verifies could sign, too.
"""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import msgspec

from talka_protocols.errors import CallerError
from talka_services.gateway.access import OidcOptions
from talka_services.gateway.problems import HttpError
from talka_services.gateway.roles import Caller, Role, highest

if TYPE_CHECKING:
    from collections.abc import Iterable

    import httpx
    import jwt

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
LEEWAY_S = 30
KEYS_KEPT_S = 3600.0
ASK_AGAIN_S = 10.0
"""How often at most the keys are fetched for tokens that none of them has signed."""
TIMEOUT_S = 5.0
TOKEN_BYTES_MAX = 16 * 1024


class BadTokenError(Exception):
    """The token is none of the issuer's for us, or not any more; the message says why."""


class NoRoleError(Exception):
    """The token is good, and gives no role; the name is the caller's."""


class Oidc:
    """Verifies the tokens of one issuer."""

    def __init__(self, options: OidcOptions, transport: httpx.AsyncBaseTransport | None = None) -> None:
        try:
            import jwt  # noqa: PLC0415  (an extra of the package)
        except ImportError:
            raise CallerError(
                "Tokens of an OIDC issuer need PyJWT.", hint="Install it: pip install 'talka[oidc]'."
            ) from None
        self._jwt = jwt
        self._options = options
        import httpx  # noqa: PLC0415  (it takes long to import)

        self._http = httpx.AsyncClient(timeout=TIMEOUT_S, transport=transport)
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_s = -KEYS_KEPT_S
        self._fetching = asyncio.Lock()

    async def caller(self, token: str) -> Caller:
        """Return who a token speaks for.

        Raises:
            BadTokenError: it is not to be trusted.
            NoRoleError: it gives no role here.
            HttpError: 503, the issuer does not tell its keys.
        """
        if len(token) > TOKEN_BYTES_MAX:
            raise BadTokenError("it is too long")
        jwt, options = self._jwt, self._options
        try:
            header = jwt.get_unverified_header(token)
            key = await self._key(str(header.get("kid", "")))
            claims = jwt.decode(
                token,
                key,
                algorithms=list(ALGORITHMS),
                audience=options.audience,
                issuer=options.issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise BadTokenError(str(error)) from None
        name = f"oidc:{claims.get(options.name_claim) or claims['sub']}"
        role = highest(_roles(claims, options))
        if role is None:
            raise NoRoleError(name)
        return Caller(name, role)

    async def close(self) -> None:
        """Ask the issuer no more."""
        await self._http.aclose()

    async def _key(self, key_id: str) -> jwt.PyJWK:
        async with self._fetching:
            age_s = time.monotonic() - self._fetched_s
            if age_s > KEYS_KEPT_S or (key_id not in self._keys and age_s > ASK_AGAIN_S):
                await self._fetch()
        if key_id not in self._keys:
            raise BadTokenError("no key of the issuer has signed it")
        return self._keys[key_id]

    async def _fetch(self) -> None:
        import httpx  # noqa: PLC0415  (it takes long to import)

        issuer = self._options.issuer
        malformed = (ValueError, RecursionError, self._jwt.PyJWTError)
        try:
            keys = self._jwt.PyJWKSet.from_dict(await self._json(await self._keys_url())).keys
            named: list[tuple[Any, jwt.PyJWK]] = [(each.key_id, each) for each in keys]
        except (httpx.HTTPError, httpx.InvalidURL, *malformed) as error:
            raise HttpError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "issuer_unavailable",
                f"The issuer {issuer} does not tell its keys: {error!r}.",
                hint="Check oidc.issuer in the access file, and that the gateway reaches it.",
            ) from None
        # One whose name is no text is none that a token could name.
        self._keys = {name or "": each for name, each in named if name is None or isinstance(name, str)}
        self._fetched_s = time.monotonic()

    async def _keys_url(self) -> str:
        issuer = self._options.issuer
        found = await self._json(issuer.rstrip("/") + "/.well-known/openid-configuration")
        if found.get("issuer") != issuer:
            raise ValueError(f"it says that it is {found.get('issuer')!r}")
        return str(found.get("jwks_uri", ""))

    async def _json(self, url: str) -> dict[str, Any]:
        response = (await self._http.get(url)).raise_for_status()
        return msgspec.json.decode(response.content, type=dict[str, Any])


def _roles(claims: dict[str, Any], options: OidcOptions) -> list[Role]:
    value: Any = claims
    for part in options.role_claim.split("."):
        value = cast("dict[str, Any]", value).get(part) if isinstance(value, dict) else None
    given: list[Any] = []
    if isinstance(value, str):
        given = [*value.split()]
    elif isinstance(value, list):
        given = [*cast("Iterable[Any]", value)]
    return [options.roles[each] for each in given if isinstance(each, str) and each in options.roles]
