"""The load of a soak: executions at a rate that is a share of what the platform can do at most."""

from __future__ import annotations

import asyncio
import time

from talka_core.builder import WorkflowBuilder
from talka_protocols.errors import TalkaError
from talka_protocols.workflow import Task, Workflow
from talka_services.client import Orchestrator
from talka_services.telemetry import get_logger

AT_ONCE = 16

log = get_logger(__name__)


def small() -> Workflow:
    """Return a workflow of five steps: one, three that need it, and one that needs these."""
    builder = WorkflowBuilder("soak")
    builder.add_task(Task("first", "sleep", payload={"seconds": 0.0}))
    builder.add_task(Task("last", "sleep", payload={"seconds": 0.0}))
    for number in range(3):
        builder.add_task(Task(f"t{number}", "sleep", payload={"seconds": 0.0}))
        builder.add_dependency("first", f"t{number}")
        builder.add_dependency(f"t{number}", "last")
    return builder.build()


async def peak(orchestrator: Orchestrator, seconds: float) -> float:
    """Return how many executions a second there are at most: so many are always under way at once."""
    done, ends_at = 0, time.monotonic() + seconds

    async def runner() -> None:
        nonlocal done
        while time.monotonic() < ends_at:
            await orchestrator.execute_workflow(small())
            done += 1

    began = time.monotonic()
    await asyncio.gather(*(runner() for _ in range(AT_ONCE)))
    return done / (time.monotonic() - began)


class Load:
    """Submits at a rate for as long as it runs; ``submitted`` are the ids that were acknowledged."""

    def __init__(self, orchestrator: Orchestrator, per_s: float) -> None:
        self.submitted: list[str] = []
        self.refused = 0
        self.orchestrator = orchestrator
        self._per_s = per_s

    async def run(self, seconds: float) -> None:
        """Submit until the time is over; what is late because of an outage is not made up for."""
        ends_at = time.monotonic() + seconds
        while (now := time.monotonic()) < ends_at:
            try:
                self.submitted.append(await self.orchestrator.submit_workflow(small()))
            except TalkaError as error:
                log.warning("soak.refused", error=str(error))
                self.refused += 1
            await asyncio.sleep(max(0.0, now + 1 / self._per_s - time.monotonic()))
