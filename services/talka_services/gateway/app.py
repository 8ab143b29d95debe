"""The ASGI application: checks, the table of operations, and an answer to everything else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from http import HTTPStatus
from itertools import groupby
from urllib.parse import unquote

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Message, Receive, Scope, Send

from talka_protocols.errors import TalkaError
from talka_services.client.asking import asking_as
from talka_services.gateway.assets import page_routes
from talka_services.gateway.callers import Callers
from talka_services.gateway.calls import Call, Source
from talka_services.gateway.guard import Guard
from talka_services.gateway.health import health_routes
from talka_services.gateway.metrics import Metrics
from talka_services.gateway.openapi import openapi
from talka_services.gateway.operations import JSON, Operation
from talka_services.gateway.problems import HttpError, internal, response_of
from talka_services.gateway.table import OPERATIONS, PREFIX
from talka_services.service.readiness import Readiness
from talka_services.telemetry import get_logger

SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'self'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
]

log = get_logger(__name__)


def application(source: Source, guard: Guard, callers: Callers, metrics: Metrics) -> Guarded:
    """Return the application; set ``closing`` on its state to end what streams."""
    routes: list[BaseRoute] = [
        Route(path, Endpoint({each.method: each for each in operations}, source, callers))
        for path, operations in _by_path(OPERATIONS)
    ]
    readiness = Readiness()
    readiness.begin(source.orchestrator.node.connection)
    routes += [
        Route(f"{PREFIX}/openapi.json", _document),
        *health_routes(readiness),
        Route("/metrics", metrics.scrape),
        *page_routes(),
    ]
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False
    app.router.default = _not_found
    app.state.closing = asyncio.Event()
    return Guarded(app, guard)


class Guarded:
    """Checks host and origin, matches paths before they are decoded, and tells browsers what to trust."""

    def __init__(self, app: Starlette, guard: Guard) -> None:
        self.closing: asyncio.Event = app.state.closing
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        assert scope["type"] == "http", "no lifespan and no websockets are served"
        request = Request(scope, receive)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list[tuple[bytes, bytes]](message.get("headers", ()))
                names = {name for name, _ in given}
                message["headers"] = given + [each for each in SECURITY_HEADERS if each[0] not in names]
            await send(message)

        try:
            self._guard.check(request.headers)
        except HttpError as error:
            await response_of(error)(scope, receive, send_with_headers)
            return
        # A task's id may hold a slash, which is encoded in a path and must not part it.
        scope["path"] = scope["raw_path"].decode("ascii", "replace")
        await self._app(scope, receive, send_with_headers)


class Endpoint:
    """All operations of one path, as an ASGI application."""

    def __init__(self, operations: Mapping[str, Operation], source: Source, callers: Callers) -> None:
        self._operations = dict(operations)
        if "GET" in self._operations:
            self._operations["HEAD"] = self._operations["GET"]
        self._source = source
        self._callers = callers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request = Request(scope, receive)
        with ExitStack() as served:
            try:
                response = await self._response(request, served)
            except TalkaError as error:
                response = response_of(error)
            except ClientDisconnect:
                return
            except Exception as error:
                log.exception("gateway.failed", method=request.method, path=scope["path"])
                response = internal(error)
            await response(scope, receive, send)

    async def _response(self, request: Request, served: ExitStack) -> Response:
        caller = await self._callers.identify(request)
        operation = self._operations.get(request.method)
        if operation is None:
            raise _wrong_method(request.method, self._operations)
        names = request.path_params
        request.scope["path_params"] = {name: _decoded(value) for name, value in names.items()}
        served.enter_context(self._callers.admitted(caller, operation.needs))
        served.enter_context(asking_as(caller.name))
        call = Call(request, self._source, operation.name, caller)
        answer = await operation.run(call)
        if isinstance(answer, Response):
            return answer
        status = call.status or operation.statuses[0]
        return Response(msgspec.json.encode(answer), status, call.headers, JSON)


def _decoded(part: str) -> str:
    try:
        return unquote(part, errors="strict")
    except UnicodeDecodeError:
        raise HttpError(
            HTTPStatus.BAD_REQUEST, "bad_parameter", f"The path has {part!r}, no UTF-8."
        ) from None


def _by_path(operations: Iterable[Operation]) -> Iterable[tuple[str, Iterable[Operation]]]:
    """Return the operations by path; the literal ones first, so that no variable part hides them."""
    ordered = sorted(operations, key=lambda each: (each.path.count("{"), each.path))
    for path, some in groupby(ordered, key=lambda each: each.path):
        yield PREFIX + path, list(some)


def _wrong_method(method: str, known: Iterable[str]) -> HttpError:
    allowed = ", ".join(sorted(known))
    return HttpError(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "method_not_allowed",
        f"{method} cannot be done here.",
        hint=f"Use {allowed}.",
        headers={"Allow": allowed},
    )


async def _document(_request: Request) -> Response:
    return Response(openapi(), media_type=JSON)


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    error = HttpError(
        HTTPStatus.NOT_FOUND,
        "unknown_route",
        f"There is nothing at {scope['path']}.",
        hint=f"{PREFIX}/openapi.json says what there is.",
    )
    await response_of(error)(scope, receive, send)
