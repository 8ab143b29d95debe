"""Serving: a socket of our own, uvicorn on the loop that runs, and an end in good order."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from msgspec import Struct

from talka_protocols.errors import CallerError
from talka_services.alerting import AlertOptions, Watcher
from talka_services.client import Orchestrator
from talka_services.gateway.app import application
from talka_services.gateway.calls import Source
from talka_services.gateway.guard import guard_for, is_loopback
from talka_services.gateway.metrics import Metrics
from talka_services.tracing import Taker, TraceSender

HOST = "127.0.0.1"
PORT = 8420
BACKLOG = 512
GRACE_S = 3
"""How long requests under way get to end in when the gateway stops."""


class GatewayOptions(Struct, frozen=True):
    """Where it listens, and whom it answers.

    With ``any_port`` another port is taken where the wished one is in use.
    ``allowed_hosts`` are further names that it may be asked by. ``alerts`` say what it
    raises alerts about, and whom it tells; ``collector`` is sent the trace of each execution.
    """

    host: str = HOST
    port: int = PORT
    token: str = ""
    allowed_hosts: tuple[str, ...] = ()
    is_insecure: bool = False
    any_port: bool = False
    alerts: AlertOptions = AlertOptions()
    collector: Taker | None = None


class AddressInUseError(CallerError):
    """The gateway cannot listen where it was told to."""

    code = "address"


def check_options(options: GatewayOptions) -> GatewayOptions:
    """Return the options if it may be served so.

    Raises:
        CallerError: others could reach it, and there is no token.
    """
    if is_loopback(options.host) or options.token or options.is_insecure:
        return options
    raise CallerError(
        f"Everybody who reaches {options.host} could start work here.",
        hint="Give a token (--token-file or TALKA_TOKEN), or say --insecure.",
    )


@asynccontextmanager
async def serving(orchestrator: Orchestrator, options: GatewayOptions) -> AsyncGenerator[str]:
    """Serve for as long as the context lasts, and yield the address.

    Raises:
        CallerError: others could reach it, and there is no token.
        AddressInUseError: it cannot listen there.
    """
    check_options(options)
    listening = _bound(options)
    source = Source(orchestrator)
    guard = guard_for(options.host, options.token, options.allowed_hosts)
    metrics = Metrics(source, guard)
    watcher = Watcher(orchestrator.node, orchestrator.histories, options.alerts)
    sender = _sender(orchestrator, options.collector)
    app = application(source, guard, metrics)
    server = _Server(_configuration(app))
    task = asyncio.create_task(server.serve([listening]), name="gateway")
    try:
        yield _address(options.host, listening)
    finally:
        app.closing.set()
        server.should_exit = True
        await task
        if sender is not None:
            await sender.close()
        await watcher.close()
        await metrics.close()
        await source.close()


def _sender(orchestrator: Orchestrator, collector: Taker | None) -> TraceSender | None:
    if collector is None:
        return None
    return TraceSender(orchestrator.node, orchestrator.histories, collector)


class _Server(uvicorn.Server):
    """Leaves the process's signals to whoever runs the loop."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def _configuration(app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )


def _bound(options: GatewayOptions) -> socket.socket:
    """Return a socket that listens, so that nobody who was told the address comes too early."""
    try:
        return _listen(options.host, options.port)
    except OSError as error:
        if not options.any_port:
            raise AddressInUseError(
                f"The gateway cannot listen at {options.host}:{options.port}: {error.strerror}.",
                hint="Choose another port; 0 takes any that is free.",
            ) from error
    try:
        return _listen(options.host, 0)
    except OSError as error:
        raise AddressInUseError(
            f"The gateway cannot listen at {options.host}: {error.strerror}.",
            hint="Name an address of this machine.",
        ) from error


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


def _address(host: str, listening: socket.socket) -> str:
    port = listening.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
