"""Whether the gateway lives, and whether it can do its work: for whoever watches processes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from talka_protocols.errors import TalkaError
from talka_services.client import Orchestrator
from talka_services.gateway.operations import JSON
from talka_services.gateway.problems import response_of
from talka_services.jetstream.api import RefusedError, call, refused

READY_S = 2.0


class Health(Struct, frozen=True):
    """Well."""

    status: str
    namespace: str = ""


async def health(_request: Request) -> Response:
    """Say that the process answers."""
    return Response(msgspec.json.encode(Health("alive")), media_type=JSON)


def readiness(orchestrator: Orchestrator) -> Callable[[Request], Awaitable[Response]]:
    """Return what says whether the server behind the gateway answers, too."""

    async def ready(_request: Request) -> Response:
        connection = orchestrator.node.connection
        try:
            await _ask(orchestrator)
        except TalkaError as error:
            return response_of(error)
        return Response(msgspec.json.encode(Health("ready", connection.names.namespace)), media_type=JSON)

    return ready


async def _ask(orchestrator: Orchestrator) -> None:
    connection = orchestrator.node.connection
    stream = connection.names.stream("log")
    try:
        await call(connection, f"STREAM.INFO.{stream}", wait_s=READY_S)
    except RefusedError as error:
        raise refused(f"looking at the stream {stream}", error) from error
