"""``talka up``: the whole platform on a data directory, until it is told to stop."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Annotated

import typer

from talka_services.cli.alerts import AlertLimits, Webhook
from talka_services.cli.archiving import ArchiveTo, Retain, retaining, retention_of
from talka_services.cli.command import Target, command
from talka_services.cli.embedding import Flags
from talka_services.cli.followers import SendByOtlp
from talka_services.cli.outcome import UsageError
from talka_services.cli.pairs import (
    parse_amounts,
    parse_breakers,
    parse_labels,
    parse_quotas,
    parse_scaling,
    parse_weights,
)
from talka_services.cli.probing import tell_ready
from talka_services.cli.running import (
    AllowCommands,
    AllowModules,
    Breakers,
    Capacity,
    Durability,
    Labels,
    PoolStrategy,
    Quotas,
    SecretsDir,
    Shared,
    TimeScale,
    Weights,
    Workers,
)
from talka_services.cli.services import Processes
from talka_services.cli.serving import (
    Access,
    AllowHost,
    GatewayFlags,
    HttpHost,
    HttpPort,
    Insecure,
    NoHttp,
    TokenFile,
    checked,
)
from talka_services.cli.stopping import until_told
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_services.archives import Retention
    from talka_services.client import LocalOptions
    from talka_services.service import Node

ADMITTED_S = 0.05
"""How often a starting process looks whether its workers are in their pool."""

Scale = Annotated[
    str | None,
    typer.Option(
        "--scale",
        metavar="MIN:MAX[/DELAY_S[/COOL_DOWN_S[/ZERO_S]]]",
        help="Start and stop worker processes by what waits; see `talka pool scale`.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "up")(up)


def up(
    target: Target,
    workers: Workers = None,
    capacity: Capacity = None,
    shared: Shared = None,
    breaker: Breakers = None,
    label: Labels = None,
    scale: Scale = None,
    time_scale: TimeScale = 1.0,
    durability: Durability = None,
    allow_module: AllowModules = None,
    allow_command: AllowCommands = None,
    processes: Processes = None,
    http_host: HttpHost = "127.0.0.1",
    http_port: HttpPort = None,
    no_http: NoHttp = False,
    token_file: TokenFile = None,
    allow_host: AllowHost = None,
    insecure: Insecure = False,
    quota: Quotas = None,
    weight: Weights = None,
    strategy: PoolStrategy = None,
    webhook: Webhook = None,
    alert: AlertLimits = None,
    otlp: SendByOtlp = None,
    retain: Retain = None,
    archive_to: ArchiveTo = None,
    access: Access = None,
    secrets_dir: SecretsDir = None,
) -> None:
    """Run the whole platform on a data directory, until SIGTERM or Ctrl-C.

    Unfinished executions of the directory go on. Other commands with the same
    --data-dir use it. The HTTP API is served at the address that is printed. With
    --scale, workers are processes of their own, as many as the pool decides; see
    `talka pool scale --help`.
    """
    _refuse_server(target)
    from talka_services.cli.embedding import local_options

    where = (http_host, http_port, token_file, access, tuple(allow_host or ()), insecure)
    http = checked(GatewayFlags(*where, webhook, tuple(alert or ()), otlp), is_served=not no_http)
    flags = Flags(
        workers,
        parse_amounts(capacity or ()),
        time_scale,
        durability,
        tuple(allow_module or ()),
        tuple(allow_command or ()),
        processes,
        parse_amounts(shared or (), "--shared"),
        parse_breakers(breaker or ()),
        parse_labels(label or ()),
        parse_scaling(scale) if scale else None,
        parse_quotas(quota or ()),
        parse_weights(weight or ()),
        secrets_dir,
        strategy or "",
    )
    run_loop(_up(target, local_options(target, flags), http, retention_of(retain, archive_to)))


def _refuse_server(target: Target) -> None:
    if target.server:
        raise UsageError(
            "`talka up` embeds its own server, so --server (or TALKA_SERVER) cannot be given.",
            hint="Run `talka service ...` processes against that server.",
        )


async def _up(
    target: Target, options: LocalOptions, http: GatewayFlags | None, retention: Retention | None
) -> None:
    from talka_services.cli.beside import gateway_beside
    from talka_services.cli.logs import configure_logs
    from talka_services.cli.presence import Presence, present
    from talka_services.cli.scaling import scaled, staffed
    from talka_services.client import local
    from talka_services.client.local import largest_offer
    from talka_services.embedded import EmbeddedServer
    from talka_services.executors.registry import Executors

    configure_logs(is_verbose=target.is_verbose, form=target.log_format)
    offer = Presence(
        os.getpid(),
        target.namespace,
        {**largest_offer(options.offers), "slots": float(options.slots), **options.shared},
        Executors(options.executors).agent_types,
    )
    stopped = until_told()
    # The server is joined first, so that two at once meet at the lock and not half started.
    async with EmbeddedServer(options.data_dir, options.durability) as server:
        with present(options.data_dir, offer):
            async with (
                gateway_beside(target, http) as answering,
                local(staffed(options)) as orchestrator,
                scaled(target, options, server.url, orchestrator),
                retaining(orchestrator.node, retention),
            ):
                await _admitted(orchestrator.node, stopped)
                address = await answering(stopped)
                served = f", HTTP at {address}" if address else ""
                document = {
                    "ready": "up",
                    "server": server.url,
                    "http": address,
                    "data_dir": str(options.data_dir),
                    "pid": os.getpid(),
                }
                tell_ready(
                    target, f"talka is up at {server.url}, data in {options.data_dir}{served}", document
                )
                await stopped


async def _admitted(node: Node, stopped: asyncio.Future[None]) -> None:
    """Return when the pools list this process's workers, so that ready means ready, or when told to stop."""
    from talka_services.client.histories import Histories

    histories = Histories(node.ports.log, node.ports.blobs, node.ports.shards, node.ports.snapshots)
    for service in node.workers:
        options = service.options
        while not stopped.done() and options.worker_id not in (await histories.pool(options.pool)).workers:
            await asyncio.wait((stopped,), timeout=ADMITTED_S)
