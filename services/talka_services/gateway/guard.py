"""Who may ask: the checks before any operation.

A page of another site must not reach a gateway on the visitor's own machine,
neither by its address nor by a name that it points there (DNS rebinding), so
on loopback the Host must be a name of this machine, and a request that a
browser makes for a page must come from a page of the same host. A token, where
there is one, is asked of everybody.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import urlsplit

from msgspec import Struct
from starlette.datastructures import Headers

from talka_services.gateway.problems import HttpError

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Guard(Struct, frozen=True):
    """What is asked of requests: ``hosts`` are the names that they may use, None where any will do."""

    token: str = ""
    hosts: frozenset[str] | None = LOOPBACK

    def check(self, headers: Headers) -> None:
        """Refuse a request by its host or origin.

        Raises:
            HttpError: 403, or 400 without a host that can be read.
        """
        host = _name_of(headers.get("host", ""))
        if self.hosts is not None and host not in self.hosts:
            raise HttpError(
                HTTPStatus.FORBIDDEN,
                "forbidden_host",
                f"This gateway is not asked by the name {host!r}.",
                hint="Use its address, or allow the name with --allow-host.",
            )
        origin = headers.get("origin")
        if origin is not None and not self._is_ours(origin, host):
            raise HttpError(
                HTTPStatus.FORBIDDEN,
                "forbidden_origin",
                f"A page of {origin!r} may not ask this gateway.",
                hint="Allow its host with --allow-host.",
            )

    def check_token(self, headers: Headers) -> None:
        """Refuse a request without the token, in constant time.

        Raises:
            HttpError: 401.
        """
        if not self.token:
            return
        scheme, _, given = headers.get("authorization", "").partition(" ")
        is_right = hmac.compare_digest(given.strip().encode(), self.token.encode())
        if scheme.lower() != "bearer" or not is_right:
            raise HttpError(
                HTTPStatus.UNAUTHORIZED,
                "unauthorized",
                "The token is missing or wrong.",
                hint="Send Authorization: Bearer TOKEN.",
                headers={"WWW-Authenticate": "Bearer"},
            )

    def _is_ours(self, origin: str, host: str) -> bool:
        name = _name_of(urlsplit(origin).netloc)
        return name == host or (self.hosts is not None and name in self.hosts)


def guard_for(host: str, token: str, allowed: Collection[str] = ()) -> Guard:
    """Return the guard of a gateway at ``host``; names are checked on loopback, or where given."""
    if is_loopback(host):
        return Guard(token, LOOPBACK | {host.lower()} | frozenset(map(str.lower, allowed)))
    return Guard(token, frozenset(map(str.lower, allowed)) or None)


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach the address."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _name_of(netloc: str) -> str:
    """Return the name in ``name:port``, in lower case; empty if it cannot be read."""
    try:
        return (urlsplit(f"//{netloc}").hostname or "").lower()
    except ValueError:
        return ""
