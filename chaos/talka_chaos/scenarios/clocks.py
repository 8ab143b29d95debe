"""Wall clocks that jump: of the services, or of a worker; the server's clock stays right."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from talka_chaos.processes import Cluster
from talka_chaos.scenarios.scenario import FAKETIME, Staged, command
from talka_services.client import Orchestrator

WRONG_S = 5.0
NEAR_S = 30.0


class Clock:
    """The wall clock of some programs, which can be set while they run; their monotonic clocks stay right."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "clock"
        self.set(0)

    def set(self, ahead_s: int) -> None:
        """Let it be so many seconds ahead of the truth."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{ahead_s:+d}\n")
        fresh.replace(self._file)

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that let a program go by this clock."""
        return {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    async def ahead_s(self) -> float:
        """Return how far a program that goes by this clock is ahead of the truth."""
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        asked = "import time; print(time.time())"
        return float(await command("env", *variables, sys.executable, "-c", asked)) - time.time()


def clock_jump(ahead_s: int, *names: str) -> Callable[[Path], AbstractAsyncContextManager[Staged]]:
    """Let the clock of these programs jump by so many seconds, and back after a while."""

    @asynccontextmanager
    async def stage(directory: Path) -> AsyncGenerator[Staged]:
        cluster, clock = Cluster(directory), Clock(directory)
        for worker_id in ("w1", "w2"):
            cluster.add_worker(worker_id)
        for name in names:
            cluster[name].environment = clock.environment

        async def inject(_orchestrator: Orchestrator) -> None:
            clock.set(ahead_s)
            await asyncio.sleep(WRONG_S)
            assert abs(await clock.ahead_s() - ahead_s) < NEAR_S, "the clock is not as it was set"
            clock.set(0)

        yield Staged(cluster, inject, workers=())

    return stage
