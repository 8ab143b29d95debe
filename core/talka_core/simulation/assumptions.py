"""What a simulation takes for granted, because only a real run can tell.

Every task succeeds in its first attempt and returns nothing. So a condition
counts as met, a map and a loop run once, a signal or an answer comes after the
task's estimate, and a sub-workflow is one task as long as its critical path.
"""

from __future__ import annotations

from math import ceil
from typing import Any

from msgspec.structs import replace

from talka_core.graph import duration_of
from talka_protocols.workflow import Task, Workflow

_WAIT = "wait"
_AWAITED = (_WAIT, "signal", "approval")


def assumed(workflow: Workflow) -> Workflow:
    """Return a checked workflow as it is simulated: the same graph, needs and order of tasks.

    Estimates are whole milliseconds, rounded up.
    """
    return replace(workflow, tasks=tuple(map(_assumed, workflow.tasks)))


def _assumed(task: Task) -> Task:
    is_awaited = task.agent_type in _AWAITED
    seconds = ceil(round(1000 * (_waited_s(task) if is_awaited else duration_of(task)), 6)) / 1000
    return replace(
        task,
        agent_type=_WAIT if is_awaited else task.agent_type,
        payload={"seconds": seconds} if is_awaited else dict[str, Any](),
        estimated_seconds=seconds,
        timeout=None,
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
    seconds = task.payload.get("seconds")
    if isinstance(seconds, int | float):
        return float(seconds)
    return task.estimated_seconds or 0.0
