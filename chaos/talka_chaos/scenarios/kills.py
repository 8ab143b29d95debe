"""Processes that die, or stand still for longer than their lease and come back as stale owners."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from random import Random

from talka_chaos.processes import NATS, SERVICES, Cluster, Program
from talka_chaos.records import pool_events
from talka_chaos.scenarios.scenario import Staged
from talka_protocols.events import WorkerLost
from talka_services.client import Orchestrator
from talka_services.jetstream.api import last_message

AWAY_S = 0.5
FROZEN_S = 5.0
TAKEN_S = 15.0
DECIDING_S = 2.0
"""How long the new owner decides before the old one comes back."""
STORM_S = 6.0

Stage = Callable[[Path], AbstractAsyncContextManager[Staged]]


def kill(*names: str, away_s: float = AWAY_S) -> Stage:
    """Kill these programs at once, and start them again shortly after."""

    @asynccontextmanager
    async def stage(directory: Path) -> AsyncGenerator[Staged]:
        cluster = Cluster(directory)

        async def inject(_orchestrator: Orchestrator) -> None:
            for name in names:
                cluster[name].kill()
            await asyncio.sleep(away_s)
            await cluster.start(*names)

        yield Staged(cluster, inject)

    return stage


@asynccontextmanager
async def storm(directory: Path) -> AsyncGenerator[Staged]:
    """Kill one program after the other, each while the one before is still starting."""
    cluster = Cluster(directory)
    random = Random(str(directory))  # noqa: S311  (faults are no secret)

    async def inject(_orchestrator: Orchestrator) -> None:
        until = time.monotonic() + STORM_S
        while time.monotonic() < until:
            name = random.choice((*SERVICES, "w1", "w2", NATS))
            cluster[name].kill()
            await asyncio.sleep(random.uniform(0.0, AWAY_S))
            cluster[name].start()
            await asyncio.sleep(random.uniform(0.1, 1.0))
        await asyncio.gather(*(program.ready() for program in cluster.programs.values()))

    yield Staged(cluster, inject)


def freeze_owner(service: str) -> Stage:
    """Freeze one of two processes of a service until all it owned is the other's; then it comes back."""

    @asynccontextmanager
    async def stage(directory: Path) -> AsyncGenerator[Staged]:
        cluster = Cluster(directory)
        cluster.add_standby(service)

        async def inject(orchestrator: Orchestrator) -> None:
            frozen, owned = await owner(orchestrator, service, (cluster[service], cluster[f"{service}-2"]))
            frozen.freeze()
            await taken_over(orchestrator, frozen, owned)
            await asyncio.sleep(DECIDING_S)
            frozen.thaw()

        yield Staged(cluster, inject)

    return stage


@asynccontextmanager
async def freeze_worker(directory: Path) -> AsyncGenerator[Staged]:
    """Freeze a worker until it counts as lost; then it comes back with reports of stale attempts."""
    cluster = Cluster(directory)

    async def inject(orchestrator: Orchestrator) -> None:
        cluster["w1"].freeze()
        await asyncio.sleep(FROZEN_S)
        cluster["w1"].thaw()
        assert await losses(orchestrator, "w1"), "the worker was never declared lost"

    yield Staged(cluster, inject)


@asynccontextmanager
async def freeze_server(directory: Path) -> AsyncGenerator[Staged]:
    """Freeze the server: connections stay open, and nobody answers."""
    cluster = Cluster(directory)

    async def inject(_orchestrator: Orchestrator) -> None:
        cluster[NATS].freeze()
        await asyncio.sleep(FROZEN_S)
        cluster[NATS].thaw()

    yield Staged(cluster, inject)


async def losses(orchestrator: Orchestrator, worker_id: str) -> int:
    """Return how often a worker was declared lost."""
    events = await pool_events(orchestrator)
    return sum(isinstance(event, WorkerLost) and event.worker_id == worker_id for event in events)


async def owner(
    orchestrator: Orchestrator, service: str, programs: tuple[Program, ...]
) -> tuple[Program, list[str]]:
    """Return the program that owns most addresses of a service, and those."""
    count = orchestrator.node.ports.shards
    places = ["resource.default"] if service == "resource" else [f"{service}.{n}" for n in range(count)]
    holders = {place: await holder(orchestrator, place) for place in places}
    owned = {
        program: [place for place, who in holders.items() if is_of(who, program)] for program in programs
    }
    most = max(programs, key=lambda program: len(owned[program]))
    assert owned[most], f"none of {[program.name for program in programs]} owns anything: {holders}"
    return most, owned[most]


async def taken_over(orchestrator: Orchestrator, program: Program, places: list[str]) -> None:
    """Return when somebody else owns all the addresses that were a program's."""
    deadline = time.monotonic() + TAKEN_S
    for place in places:
        while is_of(who := await holder(orchestrator, place), program) or not who:
            assert time.monotonic() < deadline, f"{place} was never taken over"
            await asyncio.sleep(0.05)


async def holder(orchestrator: Orchestrator, place: str) -> str:
    """Return who holds the lease of an address; empty while nobody does."""
    connection = orchestrator.node.connection
    bucket = connection.names.bucket("leases")
    stored = await last_message(connection, f"KV_{bucket}", f"$KV.{bucket}.lease.{place}")
    found: str = json.loads(stored.data)["holder"] if stored is not None and stored.data else ""
    return found


def is_of(holder_: str, program: Program) -> bool:
    """Tell whether a holder's name is that of a program's current run."""
    return holder_.endswith(f":{program.pid}")
