"""Whether a process lives, and whether it can do its work: for whoever watches processes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import msgspec
from msgspec import Struct
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from talka_protocols.errors import TalkaError
from talka_services.gateway.listening import address_of, answering, bound
from talka_services.gateway.operations import JSON
from talka_services.gateway.problems import response_of
from talka_services.service.readiness import Readiness


class Health(Struct, frozen=True):
    """Well."""

    status: str
    namespace: str = ""


def health_routes(readiness: Readiness) -> list[BaseRoute]:
    """Return what says that the process answers, and whether the server behind it does, too."""

    async def health(_request: Request) -> Response:
        return Response(msgspec.json.encode(Health("alive")), media_type=JSON)

    async def ready(_request: Request) -> Response:
        try:
            namespace = await readiness.check()
        except TalkaError as error:
            return response_of(error)
        return Response(msgspec.json.encode(Health("ready", namespace)), media_type=JSON)

    return [Route("/healthz", health), Route("/readyz", ready)]


@asynccontextmanager
async def serving_health(host: str, port: int) -> AsyncGenerator[Readiness]:
    """Serve a process's health, of a service that serves no HTTP otherwise.

    Raises:
        AddressInUseError: it cannot listen there.
    """
    listening = bound(host, port)
    readiness = Readiness(address_of(host, listening))
    async with answering(Starlette(routes=health_routes(readiness)), listening):
        yield readiness
