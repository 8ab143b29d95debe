"""Wall clocks that jump: of the services, or of a worker; the server's clock stays right."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from talka_chaos.processes import Cluster, Program
from talka_chaos.scenarios.scenario import FAKETIME, Staged
from talka_services.client import Orchestrator

WRONG_S = 5.0


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

    def give_to(self, program: Program) -> None:
        """Let a program go by this clock from its next start on."""
        program.environment = {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


def clock_jump(ahead_s: int, *names: str) -> Callable[[Path], AbstractAsyncContextManager[Staged]]:
    """Let the clock of these programs jump by so many seconds, and back after a while."""

    @asynccontextmanager
    async def stage(directory: Path) -> AsyncGenerator[Staged]:
        cluster, clock = Cluster(directory), Clock(directory)
        for worker_id in ("w1", "w2"):
            cluster.add_worker(worker_id)
        for name in names:
            clock.give_to(cluster[name])

        async def inject(_orchestrator: Orchestrator) -> None:
            clock.set(ahead_s)
            await asyncio.sleep(WRONG_S)
            clock.set(0)

        yield Staged(cluster, inject, workers=())

    return stage
