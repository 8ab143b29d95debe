"""``talka up`` and ``talka service``: what stays until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from talka_protocols.messages import Recipient
from talka_services.cli.alerts import AlertLimits, Webhook
from talka_services.cli.archiving import ArchiveTo, Retain, archiver, retaining, retention_of
from talka_services.cli.command import Target, command
from talka_services.cli.embedding import Flags
from talka_services.cli.followers import SendTraces, refuse_followers
from talka_services.cli.offering import Offer
from talka_services.cli.outcome import UsageError
from talka_services.cli.pairs import (
    parse_amounts,
    parse_breakers,
    parse_labels,
    parse_objects,
    parse_quotas,
    parse_scaling,
    parse_weights,
)
from talka_services.cli.probing import Health, probed
from talka_services.cli.projecting import projector
from talka_services.cli.running import (
    AllowCommands,
    AllowModules,
    Breakers,
    Capacity,
    Durability,
    Labels,
    Quotas,
    SecretsDir,
    Shared,
    TimeScale,
    Weights,
    Workers,
)
from talka_services.cli.screen import print_json
from talka_services.cli.serving import (
    Access,
    AllowHost,
    GatewayFlags,
    HttpHost,
    HttpPort,
    Insecure,
    NoHttp,
    TokenFile,
    gateway,
)
from talka_services.cli.stopping import UntilInputEnds, first_of, until_told
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_services.archives import Retention
    from talka_services.client import LocalOptions
    from talka_services.service import Node
    from talka_services.service.configuration import PoolConfiguration

ADMITTED_S = 0.05
"""How often a starting process looks whether its workers are in their pool."""

Pools = Annotated[list[str] | None, typer.Option("--pool", help="A pool to own; repeatable.")]
OnePool = Annotated[str, typer.Option("--pool", help="The pool to work for.")]
WorkerId = Annotated[
    str | None, typer.Option("--worker-id", help="Default: the host's name and random digits.")
]
Scale = Annotated[
    str | None,
    typer.Option(
        "--scale",
        metavar="MIN:MAX[/DELAY_S[/COOL_DOWN_S[/ZERO_S]]]",
        help="Start and stop worker processes by what waits; see `talka pool scale`.",
    ),
]
Elastic = Annotated[
    bool, typer.Option("--elastic", help="Let the pool drain this worker when it wants fewer.")
]
Slots = Annotated[int, typer.Option("--slots", min=1, help="The most attempts at once.")]
Agents = Annotated[
    list[str] | None,
    typer.Option("--agent", metavar="TYPE=module:object", help="An agent that runs this type's tasks."),
]
Processes = Annotated[
    int | None, typer.Option("--processes", min=1, help="Child processes for python tasks (default: cores).")
]

Ceiling = Annotated[
    list[str] | None,
    typer.Option("--ceiling", metavar="K=V", help="The most one worker will ever offer, e.g. cpu_cores=64."),
]
AgentTypes = Annotated[
    list[str] | None,
    typer.Option("--agent-type", metavar="TYPE", help="An agent type that will be served; repeatable."),
]
Drain = Annotated[
    float,
    typer.Option("--drain", min=0.0, help="Seconds that running tasks get to end in when the worker stops."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "up")(up)
    services = typer.Typer(help="Run one service as this process, until SIGTERM.", no_args_is_help=True)
    command(services, "planner")(planner)
    command(services, "scheduler")(scheduler)
    command(services, "resource")(resource)
    command(services, "worker")(worker)
    command(services, "gateway")(gateway)
    command(services, "projector")(projector)
    command(services, "archiver")(archiver)
    app.add_typer(services, name="service")


# --- up ------------------------------------------------------------------------------------------


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
    webhook: Webhook = None,
    alert: AlertLimits = None,
    otlp: SendTraces = None,
    retain: Retain = None,
    archive_to: ArchiveTo = None,
    access: Access = None,
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
    http = None if no_http else GatewayFlags(*where, webhook, tuple(alert or ()), otlp)
    if http is None:
        refuse_followers(webhook, otlp)
    else:
        http.options(any_port=True)
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
    )
    retention = retention_of(retain, archive_to)
    run_loop(_up(target, local_options(target, flags), http, retention))


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
                address = await answering()
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


# --- service -------------------------------------------------------------------------------------


def planner(target: Target, health: Health = None) -> None:
    """Own plans, schedules and triggers: is a workflow valid, what follows from it, what starts it."""
    from talka_services.service.node import PLANNING

    run_loop(_own(target, PLANNING, health))


def scheduler(target: Target, health: Health = None) -> None:
    """Own executions: which task is ready, late, retried or over."""
    run_loop(_own(target, (Recipient.SCHEDULER,), health))


def resource(
    target: Target,
    pool: Pools = None,
    shared: Shared = None,
    ceiling: Ceiling = None,
    agent_type: AgentTypes = None,
    breaker: Breakers = None,
    quota: Quotas = None,
    weight: Weights = None,
    health: Health = None,
) -> None:
    """Own pools: who gets which resources.

    --shared, --ceiling, --agent-type, --breaker, --quota and --weight together
    declare anew what the pools are; without any of them the last declaration holds.
    """
    from talka_services.service.configuration import PoolConfiguration

    configuration = PoolConfiguration(
        parse_amounts(shared or (), "--shared"),
        parse_amounts(ceiling, "--ceiling") if ceiling else None,
        tuple(agent_type) if agent_type else None,
        parse_breakers(breaker or ()),
        quotas=parse_quotas(quota or ()),
        weights=parse_weights(weight or ()),
    )
    pools = tuple(pool or ("default",))
    run_loop(_own(target, (Recipient.RESOURCE,), health, pools, configuration))


def worker(
    target: Target,
    pool: OnePool = "default",
    worker_id: WorkerId = None,
    slots: Slots = 256,
    capacity: Capacity = None,
    allow_module: AllowModules = None,
    allow_command: AllowCommands = None,
    agent: Agents = None,
    processes: Processes = None,
    time_scale: TimeScale = 1.0,
    drain: Drain = 10.0,
    label: Labels = None,
    elastic: Elastic = False,
    until_input_ends: UntilInputEnds = False,
    health: Health = None,
    secrets_dir: SecretsDir = None,
) -> None:
    """Offer this machine to a pool and run what it is given.

    Nothing is allowed unless told: --allow-module, --allow-command, '*' for all.
    """
    from talka_services.executors.registry import ExecutorSettings

    changes: dict[str, Any] = {} if processes is None else {"processes": processes}
    settings = ExecutorSettings(
        allow_modules=tuple(allow_module or ()),
        allow_commands=tuple(allow_command or ()),
        time_scale=Flags(time_scale=time_scale).time_scale,
        **changes,
    )
    offer = Offer(pool, worker_id, slots, parse_amounts(capacity or ()), parse_objects(agent or ()), drain)
    offer.labels, offer.is_elastic = parse_labels(label or ()), elastic
    offer.is_until_input_ends, offer.secrets_dir = until_input_ends, secrets_dir
    run_loop(_work(target, offer, settings, health))


async def _own(
    target: Target,
    kinds: tuple[Recipient, ...],
    health: str | None,
    pools: tuple[str, ...] = ("default",),
    configuration: PoolConfiguration | None = None,
) -> None:
    from talka_services.cli.reach import reach_node

    stopped = until_told()
    # Health is told first and last: while the server is awaited, and while work is ended.
    async with probed(health) as readiness, reach_node(target, create=True) as node:
        node.own(kinds, pools, configuration)
        readiness.begin(node.connection)
        document = {"ready": kinds[0].value, "namespace": target.namespace, "pid": os.getpid()}
        tell_ready(target, f"{kinds[0].value} is ready", {**document, "health": readiness.address})
        await stopped


async def _work(target: Target, offer: Offer, settings: Any, health: str | None) -> None:
    from talka_services.cli.reach import reach_node
    from talka_services.executors.registry import Executors
    from talka_services.service.machine import machine_capacity
    from talka_services.service.worker import WorkerOptions, default_worker_id

    executors = Executors(settings)
    slots_by_agent: dict[str, int] = {}
    for agent_type, agent in offer.agents.items():
        executor = executors.register_agent(agent_type, agent)
        slots_by_agent |= dict.fromkeys(executor.agent_types(agent_type), executor.slots)
    options = WorkerOptions(
        worker_id=offer.worker_id or default_worker_id(),
        pool=offer.pool,
        slots=offer.slots,
        capacity={**machine_capacity(), **offer.capacity},
        slots_by_agent=slots_by_agent,
        drain_s=offer.drain_s,
        labels=offer.labels,
        is_elastic=offer.is_elastic,
        is_witnessed=True,
        secrets_dir=offer.secrets_dir,
    )
    stopped = until_told(is_until_input_ends=offer.is_until_input_ends)
    async with probed(health) as readiness, reach_node(target, create=True) as node:
        service = await node.add_worker(options, executors)
        readiness.begin(node.connection, lambda: service.is_admitted)
        document = {"ready": "worker", "worker_id": options.worker_id, "pool": options.pool}
        more = {"pid": os.getpid(), "health": readiness.address}
        tell_ready(target, f"worker {options.worker_id} is ready", {**document, **more})
        await first_of(stopped, service.failed())


async def _admitted(node: Node, stopped: asyncio.Future[None]) -> None:
    """Return when the pools list this process's workers, so that ready means ready, or when told to stop."""
    from talka_services.client.histories import Histories

    histories = Histories(node.ports.log, node.ports.blobs, node.ports.shards, node.ports.snapshots)
    for service in node.workers:
        options = service.options
        while not stopped.done() and options.worker_id not in (await histories.pool(options.pool)).workers:
            await asyncio.wait((stopped,), timeout=ADMITTED_S)


def tell_ready(target: Target, sentence: str, document: dict[str, Any]) -> None:
    """Say once that it is ready: a sentence on standard error, or a line of JSON on standard output."""
    if target.is_json:
        print_json(document)
    else:
        sys.stderr.write(f"{sentence}\n")
        sys.stderr.flush()
