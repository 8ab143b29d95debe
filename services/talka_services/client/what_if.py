"""What an execution on record would have been with something other than it was."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from msgspec import Struct

from talka_core.simulation import (
    Change,
    Recorded,
    SimulatedRun,
    altered,
    hastened,
    recorded,
    simulate,
)
from talka_core.spelling import did_you_mean
from talka_protocols.errors import RequestRefusedError
from talka_services.client.histories import Histories
from talka_services.machine import machine_capacity


class WhatIf(Struct, frozen=True):
    """How an execution went, and how it would have gone.

    ``recorded`` is None while it is not over. ``unchanged_s`` is what the simulation
    takes without the change, so that what a change saves can be told from
    what a simulation leaves out.
    """

    execution_id: str
    recorded: SimulatedRun | None
    unchanged_s: float
    simulated: SimulatedRun


async def what_if(
    histories: Histories, execution_id: str, change: Change, faster: Mapping[str, float]
) -> WhatIf:
    """Simulate an execution with its measured run times and a change, beside the loop.

    Args:
        histories: Where it and its pool are recorded.
        execution_id: One that has begun.
        change: What is to be other than it was.
        faster: By id of a task, what its run time is multiplied with.

    Raises:
        UnknownExecutionError: there is no such execution.
        NothingRecordedError: it never started.
        RequestRefusedError: it has no task that ``faster`` names.
        SimulationStuckError: with the change it would never be over.
    """
    found = await recalled(histories, execution_id)
    known = {task.id for task in found.workflow.tasks}
    for task_id in faster:
        if task_id not in known:
            raise RequestRefusedError(
                f"The execution {execution_id!r} has no task {task_id!r}.",
                hint=did_you_mean(task_id, sorted(known), label="Tasks"),
                code="unknown_task",
            )
    unchanged = await asyncio.to_thread(_simulated, found, Change(), {})
    simulated = await asyncio.to_thread(_simulated, found, change, faster)
    return WhatIf(execution_id, found.run, unchanged.makespan_s, simulated)


async def recalled(histories: Histories, execution_id: str) -> Recorded:
    """Return what an execution was; where it still runs, until now.

    Raises:
        UnknownExecutionError: there is no such execution.
        NothingRecordedError: it never started.
    """
    state = await histories.execution(execution_id)
    events = [event for _, event in await histories.timed(histories.name(execution_id))]
    pool = await histories.pool_events(execution_id, state.pool)
    return recorded(state, events, pool, time.time_ns() // 1_000_000)


def _simulated(found: Recorded, change: Change, faster: Mapping[str, float]) -> SimulatedRun:
    setting = altered(found, change, machine_capacity())
    workflow, seconds = hastened(setting.workflow, setting.seconds, faster)
    return simulate(workflow, setting.offers, setting.shared, seconds, setting.followed)
