"""The whole platform in one process, over the embedded server of a data directory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from talka_protocols.events import WorkerJoined
from talka_protocols.policies import Breaker, ScalingPolicy
from talka_protocols.subjects import POOL, LogName
from talka_services.client.histories import Histories
from talka_services.client.orchestrator import Orchestrator
from talka_services.embedded import Durability, EmbeddedServer
from talka_services.executors.agents import AgentExecutor
from talka_services.executors.registry import Executors, ExecutorSettings
from talka_services.machine import machine_capacity
from talka_services.service.configuration import PoolConfiguration
from talka_services.service.node import SNAPSHOT_EVERY, Node
from talka_services.service.worker import DRAIN_S, SLOTS, WorkerOptions, default_worker_id
from talka_services.telemetry import get_logger

EMBEDDED_SHARDS = 2
POOL_OWNED = "default"
JOIN_S = 5.0

log = get_logger(__name__)


class LocalOptions(Struct, frozen=True):
    """How an embedded platform is set up.

    ``capacity`` is what each worker offers (default: what the machine has);
    ``offers``, one for each worker, takes the place of both ``workers`` and
    ``capacity`` where workers differ. ``shared`` is what the workers have
    together (licences, mutexes), and ``breakers`` are the circuit breakers by
    agent type, ``quotas`` and ``weights`` those of tenants, ``strategy`` that of
    workflows which name none; without all of them the data directory's last
    declaration holds.
    ``scaling`` says how many workers the pool shall have, whoever starts them;
    ``labels`` are those of the workers here.
    ``drain_s`` is how long, at the end, workers wait for what others still run
    on them. ``secrets_dir`` is where files with secrets are, ``TALKA_SECRETS_DIR``
    if it is not said. ``executors`` says what tasks may do, everything by default,
    because they run as the user who started this process.
    """

    data_dir: Path = Path(".talka")
    durability: Durability = "power"
    namespace: str = "default"
    workers: int = 1
    slots: int = SLOTS
    capacity: dict[str, float] = field(default_factory=machine_capacity)
    offers: tuple[dict[str, float], ...] = ()
    shared: dict[str, float] = field(default_factory=dict[str, float])
    breakers: dict[str, Breaker] = field(default_factory=dict[str, Breaker])
    scaling: ScalingPolicy | None = None
    labels: dict[str, str] = field(default_factory=dict[str, str])
    quotas: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    weights: dict[str, float] = field(default_factory=dict[str, float])
    strategy: str = ""
    snapshot_every: int = SNAPSHOT_EVERY
    drain_s: float = DRAIN_S
    secrets_dir: str | None = None
    executors: ExecutorSettings = field(
        default_factory=lambda: ExecutorSettings(allow_modules=("*",), allow_commands=("*",))
    )


@asynccontextmanager
async def local(
    options: LocalOptions | None = None, *, agents: Mapping[str, Any] | None = None, **changes: Any
) -> AsyncGenerator[Orchestrator]:
    """Run everything here: the embedded server, the services and the workers.

    ``agents`` maps agent types to objects of the platform's agent framework;
    ``changes`` are fields of ``LocalOptions``.

    Raises:
        DataDirectoryError: the data directory cannot be used.
    """
    chosen = replace(options or LocalOptions(), **changes)
    async with EmbeddedServer(chosen.data_dir, chosen.durability) as server:
        node = await Node.open(
            server.url,
            namespace=chosen.namespace,
            default_shards=EMBEDDED_SHARDS,
            snapshot_every=chosen.snapshot_every,
        )
        async with node:
            configuration = PoolConfiguration(
                chosen.shared,
                breakers=chosen.breakers,
                scaling=chosen.scaling,
                quotas=chosen.quotas,
                weights=chosen.weights,
                strategy=chosen.strategy,
            )
            node.own(configuration=configuration)
            offers = chosen.offers or (chosen.capacity,) * chosen.workers
            served = [await _add_worker(node, chosen, offer, agents or {}) for offer in offers]
            largest = {**largest_offer(offers), "slots": float(chosen.slots), **chosen.shared}
            ceiling = largest if offers else None
            agent_types = frozenset[str]().union(*served) if served else None
            strategies = {POOL_OWNED: await _strategy_of(node, configuration)}
            orchestrator = Orchestrator(node, ceiling=ceiling, agent_types=agent_types, strategies=strategies)
            await _until_joined(orchestrator)
            try:
                yield orchestrator
            finally:
                await orchestrator.resources.close()


async def _strategy_of(node: Node, configuration: PoolConfiguration) -> str:
    """Return the strategy of the pool here: what is declared now, or else what was declared last."""
    if configuration.is_given:
        return configuration.strategy
    ports = node.ports
    histories = Histories(ports.log, ports.blobs, ports.shards, ports.snapshots)
    return (await histories.pool(POOL_OWNED)).strategy


async def _until_joined(orchestrator: Orchestrator) -> None:
    """Return when the pool knows our workers; whoever owns it may take a moment to appear."""
    missing = {worker.options.worker_id for worker in orchestrator.node.workers}
    if not missing:
        return
    pool = LogName(POOL, "-", POOL_OWNED)
    try:
        async with asyncio.timeout(JOIN_S), aclosing(orchestrator.histories.follow_commits(pool)) as commits:
            async for _position, commit in commits:
                missing -= {e.worker_id for _, _, e in commit.events() if isinstance(e, WorkerJoined)}
                if not missing:
                    return
    except TimeoutError:
        log.warning("workers.not_joined", workers=sorted(missing), waited_s=JOIN_S)


def largest_offer(offers: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the most of each resource that one worker offers."""
    names = {name: None for offer in offers for name in offer}
    return {name: max(offer.get(name, 0.0) for offer in offers) for name in names}


async def _add_worker(
    node: Node, options: LocalOptions, capacity: dict[str, float], agents: Mapping[str, Any]
) -> frozenset[str]:
    executors = Executors(options.executors)
    slots_by_agent: dict[str, int] = {}
    for agent_type, agent in agents.items():
        executor = AgentExecutor(agent)
        for served in executor.agent_types(agent_type):
            executors.register(served, executor)
            slots_by_agent[served] = executor.slots
    worker = WorkerOptions(
        worker_id=default_worker_id(),
        slots=options.slots,
        capacity=capacity,
        slots_by_agent=slots_by_agent,
        drain_s=options.drain_s,
        labels=options.labels,
        secrets_dir=options.secrets_dir,
    )
    await node.add_worker(worker, executors)
    return frozenset(executors.agent_types)
