"""Who asks: from the bearer token of a request to a name and a role, and whether that one asks too much.

The token of ``--token-file`` is an admin's; those of the access file have the roles that it gives
them; all others are looked at as tokens of its issuer. Without any of these, everybody who
reaches the gateway is an admin, recorded under the address that asks.
"""

from __future__ import annotations

import hmac
import math
import time
from collections.abc import Generator
from contextlib import contextmanager
from http import HTTPStatus

from starlette.requests import Request

from talka_protocols.errors import CallerError
from talka_services.gateway.access import Access, AccessFile, OidcOptions, digest_of
from talka_services.gateway.addresses import is_loopback
from talka_services.gateway.oidc import BadTokenError, NoRoleError, Oidc
from talka_services.gateway.problems import HttpError
from talka_services.gateway.rates import Rates
from talka_services.gateway.roles import Caller, Role
from talka_services.telemetry import get_logger

SOLE = "token"
"""The name of whoever has the one token of ``--token-file``."""

log = get_logger(__name__)


class Callers:
    """Knows the callers of one gateway."""

    def __init__(self, token: str = "", file: AccessFile | None = None, oidc: Oidc | None = None) -> None:
        self._sole = digest_of(token) if token else ""
        self._file = file
        access = file.access if file is not None else Access()
        self._oidc = oidc or (Oidc(access.oidc) if access.oidc is not None else None)
        self._oidc_options: OidcOptions | None = access.oidc
        self._rates = Rates(access.rate)

    @property
    def is_open(self) -> bool:
        """Tell whether everybody is let in."""
        return not self._sole and self._file is None

    async def identify(self, request: Request) -> Caller:
        """Return who sends a request.

        Raises:
            HttpError: 401 for whom nobody knows, 403 for whom the issuer knows and nobody gave a role, 503
                where it cannot be known: the access file or the issuer cannot be read.
        """
        if self.is_open:
            host = request.client.host if request.client is not None else "unknown"
            return Caller(f"anonymous@{host}", Role.ADMIN, is_limited=not is_loopback(host))
        access = self._access()
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        token = given.strip()
        if scheme.lower() != "bearer" or not token:
            raise _unauthorized("The token is missing.")
        known = self._known(token, access)
        if known is not None:
            return known
        if self._oidc is None:
            raise _unauthorized("The token is wrong.")
        try:
            return await self._oidc.caller(token)
        except BadTokenError as error:
            raise _unauthorized(f"The token is not accepted: {error}.") from None
        except NoRoleError as error:
            raise HttpError(
                HTTPStatus.FORBIDDEN,
                "no_role",
                f"{error} has no role here.",
                hint="Give it one: the access file's oidc.roles says which claims count.",
            ) from None

    @contextmanager
    def admitted(self, caller: Caller, needs: Role) -> Generator[None]:
        """Let a caller do what needs a role, for as long as the context lasts.

        Raises:
            HttpError: 403 if it may not, 429 if it asks too much.
        """
        if not caller.role.holds(needs):
            log.warning("gateway.forbidden", caller=caller.name, role=caller.role.value, needs=needs.value)
            raise HttpError(
                HTTPStatus.FORBIDDEN,
                "forbidden_role",
                f"This takes the role {needs}, and {caller.name} is {_a(caller.role)}.",
                hint=f"Ask with a token of the role {needs}.",
            )
        if not caller.is_limited:
            yield
            return
        now_s = time.monotonic()
        if wait_s := self._rates.take(caller.name, now_s):
            raise _too_many(f"{caller.name} asks more than {self._rates.per_s:g} times a second.", wait_s)
        with self._rates.serving(caller.name, now_s) as is_served:
            if not is_served:
                raise _too_many(f"{caller.name} has too many requests and streams open.", 1.0)
            yield

    async def close(self) -> None:
        """Ask nobody's keys any more."""
        if self._oidc is not None:
            await self._oidc.close()

    def _access(self) -> Access:
        try:
            access = self._file.refresh() if self._file is not None else Access()
        except CallerError as error:
            log.error("gateway.access_file", error=error.message)
            raise HttpError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "bad_access_file",
                "The gateway cannot read who may ask.",
                hint="Its log says why; it is read again when the file has changed.",
            ) from None
        self._rates.per_s = access.rate
        if access.oidc != self._oidc_options:
            self._oidc_options = access.oidc
            self._oidc = Oidc(access.oidc) if access.oidc is not None else None
        return access

    def _known(self, token: str, access: Access) -> Caller | None:
        """Return whose token it is, in a time that does not depend on which is nearly right."""
        digest = digest_of(token)
        found: Caller | None = None
        if self._sole and hmac.compare_digest(digest, self._sole):
            found = Caller(SOLE, Role.ADMIN)
        for entry in access.tokens:
            if hmac.compare_digest(digest, entry.sha256):
                found = Caller(f"token:{entry.name}", entry.role)
        return found


def _unauthorized(message: str) -> HttpError:
    return HttpError(
        HTTPStatus.UNAUTHORIZED,
        "unauthorized",
        message,
        hint="Send Authorization: Bearer TOKEN.",
        headers={"WWW-Authenticate": "Bearer"},
    )


def _too_many(message: str, wait_s: float) -> HttpError:
    seconds = math.ceil(wait_s)
    return HttpError(
        HTTPStatus.TOO_MANY_REQUESTS,
        "too_many_requests",
        message,
        hint=f"Ask again in {seconds} s.",
        headers={"Retry-After": str(seconds)},
    )


def _a(role: Role) -> str:
    return f"{'a' if role is Role.VIEWER else 'an'} {role}"
