"""Serving: who may ask, and everything that runs beside the answers for as long as it is served."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from talka_protocols.errors import CallerError
from talka_services.alerting import AlertOptions, Watcher
from talka_services.client import Orchestrator
from talka_services.gateway.access import AccessFile
from talka_services.gateway.addresses import is_loopback
from talka_services.gateway.app import application
from talka_services.gateway.callers import Callers
from talka_services.gateway.calls import Source
from talka_services.gateway.guard import guard_for
from talka_services.gateway.listening import address_of, answering, bound
from talka_services.gateway.metric_sender import INTERVAL_S, MetricSender, MetricTaker
from talka_services.gateway.metrics import Metrics
from talka_services.tracing import Taker, TraceSender

HOST = "127.0.0.1"
PORT = 8420


class GatewayOptions(Struct, frozen=True):
    """Where it listens, and whom it answers.

    The socket of a ``descriptor`` listens already, for whoever started this process.
    ``token`` is an admin's; the file ``access`` says who else may ask, and what.
    ``allowed_hosts`` are further names that it may be asked by. ``alerts`` say what it
    raises alerts about, and whom it tells; ``collector`` is sent the trace of each execution,
    ``metric_collector`` what ``/metrics`` answers, every so many seconds.
    ``database`` is where the read model lies that audits are compared with, empty if there is none.
    """

    host: str = HOST
    port: int = PORT
    token: str = ""
    access: Path | None = None
    allowed_hosts: tuple[str, ...] = ()
    is_insecure: bool = False
    descriptor: int | None = None
    alerts: AlertOptions = AlertOptions()
    collector: Taker | None = None
    metric_collector: MetricTaker | None = None
    metric_interval_s: float = INTERVAL_S
    database: str = ""


def check_options(options: GatewayOptions) -> GatewayOptions:
    """Return the options if it may be served so.

    Raises:
        CallerError: others could reach it, and there is no token.
    """
    if is_loopback(options.host) or options.token or options.access or options.is_insecure:
        return options
    raise CallerError(
        f"Everybody who reaches {options.host} could start work here.",
        hint="Give a token (--token-file or TALKA_TOKEN) or an access file (--access), or say --insecure.",
    )


@asynccontextmanager
async def serving(orchestrator: Orchestrator, options: GatewayOptions) -> AsyncGenerator[str]:
    """Serve for as long as the context lasts, and yield the address.

    Raises:
        CallerError: others could reach it, and there is no token; or the access file cannot be used.
        AddressInUseError: it cannot listen there.
    """
    check_options(options)
    callers = Callers(options.token, AccessFile(options.access) if options.access is not None else None)
    listening = _listening(options)
    source = Source(orchestrator, options.database)
    guard = guard_for(options.host, options.allowed_hosts)
    metrics = Metrics(source, callers)
    watcher = Watcher(orchestrator.node, orchestrator.histories, options.alerts)
    sender = _sender(orchestrator, options.collector)
    metric_sender = _metric_sender(metrics, options, listening)
    app = application(source, guard, callers, metrics)
    try:
        async with answering(app, listening, app.closing.set):
            yield address_of(options.host, listening)
    finally:
        if metric_sender is not None:
            await metric_sender.close()
        if sender is not None:
            await sender.close()
        await watcher.close()
        await metrics.close()
        await callers.close()
        await source.close()


def _listening(options: GatewayOptions) -> socket.socket:
    if options.descriptor is not None:
        return socket.socket(fileno=options.descriptor)
    return bound(options.host, options.port)


def _sender(orchestrator: Orchestrator, collector: Taker | None) -> TraceSender | None:
    if collector is None:
        return None
    return TraceSender(orchestrator.node, orchestrator.histories, collector)


def _metric_sender(
    metrics: Metrics, options: GatewayOptions, listening: socket.socket
) -> MetricSender | None:
    if options.metric_collector is None:
        return None
    # As a scrape would tell it; it stays the same when the gateway starts again.
    instance = f"{socket.gethostname()}:{listening.getsockname()[1]}"
    return MetricSender(metrics, options.metric_collector, instance, options.metric_interval_s)
