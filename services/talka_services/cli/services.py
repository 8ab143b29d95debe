"""``talka service``: each service as a process of its own, until it is told to stop."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from talka_protocols.messages import Recipient
from talka_services.cli.archiving import archiver
from talka_services.cli.command import Target, command
from talka_services.cli.embedding import Flags
from talka_services.cli.offering import Offer
from talka_services.cli.pairs import (
    parse_amounts,
    parse_breakers,
    parse_labels,
    parse_objects,
    parse_quotas,
    parse_weights,
)
from talka_services.cli.probing import Health, probed, tell_ready
from talka_services.cli.projecting import projector
from talka_services.cli.running import (
    AllowCommands,
    AllowModules,
    Breakers,
    Capacity,
    Labels,
    PoolStrategy,
    Quotas,
    SecretsDir,
    Shared,
    TimeScale,
    Weights,
)
from talka_services.cli.sections import Group
from talka_services.cli.serving import gateway
from talka_services.cli.stopping import UntilInputEnds, first_of, until_told
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_services.service.configuration import PoolConfiguration

Pools = Annotated[list[str] | None, typer.Option("--pool", help="A pool to own; repeatable.")]
OnePool = Annotated[str, typer.Option("--pool", help="The pool to work for.")]
WorkerId = Annotated[
    str | None, typer.Option("--worker-id", help="Default: the host's name and random digits.")
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
    services = typer.Typer(
        cls=Group, help="Run one service as this process, until SIGTERM.", no_args_is_help=True
    )
    command(services, "planner")(planner)
    command(services, "scheduler")(scheduler)
    command(services, "resource")(resource)
    command(services, "worker")(worker)
    command(services, "gateway")(gateway)
    command(services, "projector")(projector)
    command(services, "archiver")(archiver)
    app.add_typer(services, name="service")


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
    strategy: PoolStrategy = None,
    health: Health = None,
) -> None:
    """Own pools: who gets which resources.

    --shared, --ceiling, --agent-type, --breaker, --quota, --weight and --strategy together
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
        strategy=strategy or "",
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
    from talka_services.machine import beyond_machine, machine_capacity
    from talka_services.service.worker import WorkerOptions, default_worker_id
    from talka_services.telemetry import get_logger

    executors = Executors(settings)
    slots_by_agent: dict[str, int] = {}
    for agent_type, agent in offer.agents.items():
        executor = executors.register_agent(agent_type, agent)
        slots_by_agent |= dict.fromkeys(executor.agent_types(agent_type), executor.slots)
    has = machine_capacity()
    options = WorkerOptions(
        worker_id=offer.worker_id or default_worker_id(),
        pool=offer.pool,
        slots=offer.slots,
        capacity={**has, **offer.capacity},
        slots_by_agent=slots_by_agent,
        drain_s=offer.drain_s,
        labels=offer.labels,
        is_elastic=offer.is_elastic,
        is_witnessed=True,
        secrets_dir=offer.secrets_dir,
    )
    if (warning := beyond_machine(options.capacity, has)) is not None:
        get_logger(__name__).warning("worker.beyond_machine", worker=options.worker_id, problem=warning)
    stopped = until_told(is_until_input_ends=offer.is_until_input_ends)
    async with probed(health) as readiness, reach_node(target, create=True) as node:
        service = await node.add_worker(options, executors)
        readiness.begin(node.connection, lambda: service.is_admitted)
        document = {"ready": "worker", "worker_id": options.worker_id, "pool": options.pool}
        more = {"pid": os.getpid(), "health": readiness.address}
        tell_ready(target, f"worker {options.worker_id} is ready", {**document, **more})
        await first_of(stopped, service.failed())
