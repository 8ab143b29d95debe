"""An upgrade: every process gives way to one of a newer version while work goes on, one after the other."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from talka_chaos.processes import NATS, SERVICES, Cluster
from talka_chaos.scenarios.kills import Stage
from talka_chaos.scenarios.older import ROOTS, unpack
from talka_chaos.scenarios.rolling import LIVE, MOST, replace_service, restart
from talka_chaos.scenarios.scenario import Staged
from talka_services.client import Orchestrator

MIXED_S = 2.0
"""How long each mixture of versions works before the next process gives way."""
WORKERS, SLOTS = ("w1", "w2"), 16


def upgrade_from(commit: str, *, workers_first: bool) -> Stage:
    """Start everything as of a commit, and let the processes of this version take over, one after the other.

    In between services and workers of both versions work together, in every mixture that the order gives.
    """

    @asynccontextmanager
    async def stage(directory: Path) -> AsyncGenerator[Staged]:
        source = directory / "older"
        source.mkdir()
        unpack(commit, source)
        older = {"PYTHONPATH": os.pathsep.join(str(source / root) for root in ROOTS)}
        assert _imported(older).is_relative_to(source), (
            "what is installed would run in place of the older version"
        )
        cluster = Cluster(directory)
        for worker_id in WORKERS:
            cluster.add_worker(worker_id, "--slots", str(SLOTS))
        for name, program in cluster.programs.items():
            if name != NATS:
                program.environment = older

        async def inject(_orchestrator: Orchestrator) -> None:
            for step in (_workers, _services) if workers_first else (_services, _workers):
                await step(cluster)

        yield Staged(cluster, inject, workers=WORKERS, most=MOST, live=LIVE)

    return stage


async def _services(cluster: Cluster) -> None:
    for name in SERVICES:
        await replace_service(cluster, name)
        await asyncio.sleep(MIXED_S)


async def _workers(cluster: Cluster) -> None:
    for name in WORKERS:
        await restart(cluster, name)
        await asyncio.sleep(MIXED_S)


def _imported(environment: Mapping[str, str]) -> Path:
    """Return where a process with these variables has its code from."""
    command = [sys.executable, "-c", "import talka_services; print(talka_services.__file__)"]
    found = subprocess.run(  # noqa: S603
        command, env={**os.environ, **environment}, capture_output=True, check=True, text=True
    )
    return Path(found.stdout.strip())
