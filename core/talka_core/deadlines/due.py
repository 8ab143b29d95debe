"""What is due when: the tasks' own deadlines, and the execution's for all that nothing follows."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from talka_core.graph import TaskGraph
from talka_protocols.workflow import Workflow

NEVER_S = 1e12
"""Stands for no deadline at all, where a number is needed that a log can hold."""


class Due(Struct, frozen=True):
    """When a task should have ended (seconds from the beginning), and what each second beyond it counts."""

    seconds: float
    weight: float


def has_deadlines(workflow: Workflow) -> bool:
    """Tell whether the execution or any task is due at some time."""
    return workflow.config.deadline is not None or any(task.deadline is not None for task in workflow.tasks)


def dues_of(workflow: Workflow) -> dict[str, Due]:
    """Return what is due by task id.

    The deadline of the execution is that of every task that nothing follows,
    unless such a task is due earlier by itself.
    """
    dues = {t.id: Due(t.deadline, t.weight) for t in workflow.tasks if t.deadline is not None}
    whole = workflow.config.deadline
    if whole is not None:
        followed = {edge.from_task for edge in workflow.dependencies}
        for task in workflow.tasks:
            if task.id not in followed and (task.id not in dues or dues[task.id].seconds > whole):
                dues[task.id] = Due(whole, task.weight)
    return dues


def latest_starts(graph: TaskGraph, durations: Sequence[float], dues: Sequence[Due | None]) -> list[float]:
    """Return when each task has to start at the latest so that nothing behind it is late (seconds)."""
    latest = [NEVER_S] * len(graph.ids)
    for level in reversed(graph.levels()):
        for position in level:
            due = dues[position]
            end = min((latest[s] for s in graph.successors[position]), default=NEVER_S)
            if due is not None:
                end = min(end, due.seconds)
            latest[position] = end - durations[position] if end < NEVER_S else NEVER_S
    return latest


def urgencies(order: Sequence[int], latest: Sequence[float]) -> list[float]:
    """Return for each task the instant by which it must start so that the order goes on in time (seconds).

    That is the earliest of the latest starts from its place in the order on, so
    it never falls along the order. Where a task that follows is late already,
    it is that one's latest start: who waits for it cannot wait any longer.
    """
    urgent = [NEVER_S] * len(latest)
    soonest = NEVER_S
    for position in reversed(order):
        soonest = min(soonest, latest[position])
        urgent[position] = soonest
    return urgent
