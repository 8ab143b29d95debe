"""What a simulation takes for granted, because only a real run can tell.

Every task succeeds in its first attempt and returns nothing. So a condition
counts as met, a map and a loop run once, a signal or an answer comes after the
task's estimate, and a sub-workflow is a wait as long as its critical path.
"""

from __future__ import annotations

from math import ceil
from typing import Any

from msgspec.structs import replace

from talka_core.graph import duration_of
from talka_core.payloads import KINDS
from talka_protocols.workflow import Task, Workflow


def assumed(workflow: Workflow) -> Workflow:
    """Return a checked workflow as it is simulated: the same graph, needs and order of tasks.

    Estimates are whole milliseconds, rounded up.
    """
    return replace(workflow, tasks=tuple(map(_assumed, workflow.tasks)))


def _assumed(task: Task) -> Task:
    is_waiting = task.agent_type in KINDS
    seconds = ceil(round(1000 * (_waited_s(task) if is_waiting else duration_of(task)), 6)) / 1000
    return replace(
        task,
        agent_type="wait" if is_waiting else task.agent_type,
        payload={"seconds": seconds} if is_waiting else dict[str, Any](),
        estimated_seconds=seconds,
        timeout=None,
        heartbeat_timeout=None,
        fallback=None,
        when="",
        map=None,
        loop=None,
        workflow=None,
        reads=(),
        writes=(),
    )


def _waited_s(task: Task) -> float:
    """Return how long a task waits that holds nothing meanwhile; of an event or an instant nobody knows."""
    if task.workflow is not None:
        return duration_of(task)
    seconds = task.payload.get("seconds")
    if isinstance(seconds, int | float):
        return float(seconds)
    return task.estimated_seconds or 0.0
