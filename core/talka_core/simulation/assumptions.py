"""What a simulation takes for granted, because only a real run can tell.

Every task succeeds in its first attempt and returns nothing. So a condition
counts as met, a map and a loop run once, a signal or an answer comes after the
task's estimate, and a sub-workflow is a wait as long as its critical path. No
reservation is made in advance, so a task that names one asks like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

from msgspec.structs import replace

from talka_core.graph import duration_of
from talka_core.payloads import KINDS
from talka_protocols.workflow import Task, Workflow


def assumed(
    workflow: Workflow, seconds: Mapping[str, float] | None = None, *, is_labelled: bool = False
) -> Workflow:
    """Return a checked workflow as it is simulated: the same graph, needs and order of tasks.

    Estimates, which are all that the actors know of a run time, are whole
    milliseconds, rounded up. ``seconds`` says by task id how long waits really take.
    What tasks require and prefer of labels counts if the workers are ``is_labelled``.
    """
    real = seconds or {}
    tasks = tuple(_assumed(task, real.get(task.id)) for task in workflow.tasks)
    if is_labelled:
        tasks = tuple(
            replace(task, requires=own.requires, prefers=own.prefers)
            for task, own in zip(tasks, workflow.tasks, strict=True)
        )
    return replace(workflow, tasks=tasks)


def real_milliseconds(workflow: Workflow, seconds: Mapping[str, float] | None = None) -> dict[str, int]:
    """Return how long each task of an assumed workflow takes: as ``seconds`` says, else its estimate."""
    real = seconds or {}
    return {task.id: _whole_ms(real.get(task.id, task.estimated_seconds or 0.0)) for task in workflow.tasks}


def hastened(
    workflow: Workflow, seconds: Mapping[str, float], factors: Mapping[str, float]
) -> tuple[Workflow, dict[str, float]]:
    """Return a workflow and its run times with some tasks faster or slower, their estimates too.

    Args:
        workflow: A checked workflow.
        seconds: How long tasks really take, by id; the others take their estimate.
        factors: By id of a task, what its run time is multiplied with.
    """
    real = dict(seconds)
    tasks: list[Task] = []
    for task in workflow.tasks:
        factor = factors.get(task.id, 1.0)
        if factor != 1.0:
            real[task.id] = factor * real.get(task.id, taken_s(task))
        tasks.append(replace(task, estimated_seconds=factor * duration_of(task)) if factor != 1.0 else task)
    return replace(workflow, tasks=tuple(tasks)), real


def within(workflow: Workflow, quota: Mapping[str, float]) -> Workflow:
    """Return a workflow that keeps within the quota of its tenant, which it has to itself.

    Then a quota is what a limit of its own would be. Of what no task can ask for nothing is bounded.
    """
    if not quota:
        return workflow
    limits = dict(workflow.config.limits)
    asked = {"slots"}.union(*(task.resources.amounts() for task in workflow.tasks))
    for name in asked & quota.keys():
        limits[name] = min(quota[name], limits.get(name, quota[name]))
    return replace(workflow, config=replace(workflow.config, limits=limits))


def taken_s(task: Task) -> float:
    """Return how long a task takes as far as its definition tells."""
    return _waited_s(task) if task.agent_type in KINDS else duration_of(task)


def _whole_ms(seconds: float) -> int:
    return ceil(round(1000 * seconds, 6))


def _assumed(task: Task, real: float | None) -> Task:
    is_waiting = task.agent_type in KINDS
    known = taken_s(task)
    return replace(
        task,
        agent_type="wait" if is_waiting else task.agent_type,
        payload={"seconds": _whole_ms(known if real is None else real) / 1000}
        if is_waiting
        else dict[str, Any](),
        estimated_seconds=_whole_ms(known) / 1000,
        timeout=None,
        heartbeat_timeout=None,
        fallback=None,
        when="",
        map=None,
        loop=None,
        workflow=None,
        reads=(),
        writes=(),
        requires={},
        reservation="",
        prefers={},
    )


def _waited_s(task: Task) -> float:
    """Return how long a task waits that holds nothing meanwhile; of an event or an instant nobody knows."""
    if task.workflow is not None:
        return duration_of(task)
    seconds = task.payload.get("seconds")
    if isinstance(seconds, int | float):
        return float(seconds)
    return task.estimated_seconds or 0.0
