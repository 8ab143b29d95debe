"""Listening: a socket of our own, uvicorn on the loop that runs, and an end in good order."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from functools import partial

import uvicorn

from talka_protocols.errors import CallerError
from talka_services.gateway.connections import Connection, Doorkeeper

BACKLOG = 512
GRACE_S = 3
"""How long requests under way get to end in when the server stops."""


class AddressInUseError(CallerError):
    """We cannot listen where we were told to."""

    code = "address"


def bound(host: str, port: int, *, any_port: bool = False) -> socket.socket:
    """Return a socket that listens, so that nobody who was told the address comes too early.

    With ``any_port`` another port is taken where the wished one is in use.

    Raises:
        AddressInUseError: it cannot listen there.
    """
    try:
        return _listen(host, port)
    except OSError as error:
        if not any_port:
            raise AddressInUseError(
                f"Nobody can listen at {host}:{port}: {error.strerror}.",
                hint="Choose another port; 0 takes any that is free.",
            ) from error
    try:
        return _listen(host, 0)
    except OSError as error:
        raise AddressInUseError(
            f"Nobody can listen at {host}: {error.strerror}.", hint="Name an address of this machine."
        ) from error


def address_of(host: str, listening: socket.socket) -> str:
    """Return the URL at which the socket is asked."""
    port = listening.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@asynccontextmanager
async def answering(
    app: object,
    listening: socket.socket,
    on_closing: Callable[[], None] = lambda: None,
    doorkeeper: Doorkeeper | None = None,
) -> AsyncGenerator[None]:
    """Serve an ASGI application for as long as the context lasts; ``on_closing`` ends what streams."""
    server = _Server(_configuration(app, doorkeeper or Doorkeeper()))
    task = asyncio.create_task(server.serve([listening]), name="http")
    try:
        yield
    finally:
        on_closing()
        server.should_exit = True
        await task


class _Server(uvicorn.Server):
    """Leaves the process's signals to whoever runs the loop."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def _configuration(app: object, doorkeeper: Doorkeeper) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        http=partial(Connection, doorkeeper),  # type: ignore[arg-type]
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening
