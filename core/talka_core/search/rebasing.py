"""Projects of which a part is done: what is left of them, and schedules that begin with what runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from talka_core.search.improvement import feasible
from talka_core.search.project import Project
from talka_core.search.schedules import serial


def remaining(project: Project, ended: Collection[int], elapsed: Mapping[int, int]) -> Project:
    """Return what is left to do, from now on.

    Args:
        project: All of it.
        ended: The tasks that are over, by their numbers in the project; they take nothing any more.
        elapsed: How long (milliseconds) each task runs already that is under way.
    """
    durations = list(project.durations)
    demands = list(project.demands)
    for task in ended:
        durations[task], demands[task] = 0, (0,) * len(project.capacity)
    for task, since in elapsed.items():
        # What ran longer than was thought may end at any moment.
        durations[task] = max(1, durations[task] - since)
    predecessors = [() if task in elapsed else needed for task, needed in enumerate(project.predecessors)]
    return Project(project.tasks, durations, predecessors, demands, project.capacity)


def rebased(project: Project, wanted: Sequence[float], under_way: Collection[int]) -> list[int]:
    """Return the schedule of what is left in the wanted order, in which what is under way goes first."""
    ranks = [float("-inf") if task in under_way else rank for task, rank in enumerate(wanted)]
    return serial(project, feasible(project, ranks))
