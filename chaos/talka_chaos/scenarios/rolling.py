"""Every process in turn gives way to a successor, as in an upgrade, while work goes on."""

from __future__ import annotations

import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from talka_chaos.processes import SERVICES, Cluster, free_port
from talka_chaos.scenarios.readers import GATEWAY, PROJECTOR, differences
from talka_chaos.scenarios.scenario import Staged
from talka_services.client import Orchestrator

STOPPED_S = 30.0
MOST, LIVE = 200, 20
"""So many executions arrive at most until all have given way, and so many are under way at once."""


@asynccontextmanager
async def roll(directory: Path) -> AsyncGenerator[Staged]:
    """Start a second process of each service and tell the first to stop; start workers and readers again.

    Two workers of one id, or two projectors of one file, would be in each other's way.
    """
    cluster = Cluster(directory)
    port, database = free_port(), directory / "model.sqlite"
    cluster.configure(GATEWAY, "--port", str(port))
    cluster.configure(PROJECTOR, "--database", str(database))

    async def inject(_orchestrator: Orchestrator) -> None:
        for name in SERVICES:
            await replace_service(cluster, name)
        for name in ("w1", "w2", GATEWAY, PROJECTOR):
            await restart(cluster, name)

    async def check(orchestrator: Orchestrator) -> list[str]:
        return await differences(orchestrator, cluster.url, port, database)

    yield Staged(cluster, inject, check, most=MOST, live=LIVE)


async def replace_service(cluster: Cluster, name: str) -> None:
    """Start a second process of a service, and tell the first to stop when that one is ready."""
    await cluster.start(cluster.add_standby(name).name)
    await _stop(cluster, name)


async def restart(cluster: Cluster, name: str) -> None:
    """Tell a process to stop, and start it again in the environment of this one."""
    await _stop(cluster, name)
    cluster[name].environment = {}
    await cluster.start(name)


async def _stop(cluster: Cluster, name: str) -> None:
    cluster[name].send(signal.SIGTERM)
    code = await cluster[name].exited(STOPPED_S)
    assert code == 0, f"{name} ended with {code} when it was told to stop"
