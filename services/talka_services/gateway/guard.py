"""From where a gateway may be asked: the checks before any operation.

A page of another site must not reach a gateway on the visitor's own machine,
neither by its address nor by a name that it points there (DNS rebinding), so
on loopback the Host must be a name of this machine, and a request that a
browser makes for a page must come from a page of the same host.
"""

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus
from urllib.parse import urlsplit

from msgspec import Struct
from starlette.datastructures import Headers

from talka_services.gateway.addresses import is_loopback, name_of
from talka_services.gateway.problems import HttpError

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Guard(Struct, frozen=True):
    """What is asked of requests: ``hosts`` are the names that they may use, None where any will do."""

    hosts: frozenset[str] | None = LOOPBACK

    def check(self, headers: Headers) -> None:
        """Refuse a request by its host or origin.

        Raises:
            HttpError: 403, or 400 without a host that can be read.
        """
        host = name_of(headers.get("host", ""))
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

    def _is_ours(self, origin: str, host: str) -> bool:
        name = name_of(urlsplit(origin).netloc)
        return name == host or (self.hosts is not None and name in self.hosts)


def guard_for(host: str, allowed: Collection[str] = ()) -> Guard:
    """Return the guard of a gateway at ``host``; names are checked on loopback, or where given."""
    if is_loopback(host):
        return Guard(LOOPBACK | {host.lower()} | frozenset(map(str.lower, allowed)))
    return Guard(frozenset(map(str.lower, allowed)) or None)
