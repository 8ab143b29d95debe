"""Forward-backward improvement: push a schedule to its end, and back to its beginning.

After Valls, Ballestin and Quintanilla, "Justification and RCPSP: a technique
that pays", European Journal of Operational Research 165 (2005). Neither step
makes a schedule longer.
"""

from __future__ import annotations

from collections.abc import Sequence

from talka_core.search.project import Project
from talka_core.search.schedules import serial


def postponed(project: Project, starts: Sequence[int]) -> list[int]:
    """Return how long before the common end each task starts when all are pushed there, the last first."""
    durations = project.durations
    last = len(durations) - 1
    mirrored = project.mirrored
    # Tasks have their numbers in reverse there; of those that end together the later one goes first.
    order = sorted(range(last + 1), key=lambda task: (-starts[last - task] - durations[last - task], task))
    placed = serial(mirrored, order)
    return [placed[last - task] + durations[task] for task in range(last + 1)]


def advanced(project: Project, leads: Sequence[int]) -> list[int]:
    """Return the starts when all tasks are pushed to the beginning, the largest lead first."""
    return serial(project, sorted(range(len(leads)), key=lambda task: (-leads[task], task)))


def justified(project: Project, starts: Sequence[int]) -> list[int]:
    """Return the schedule pushed to its end and back; it is not longer."""
    return advanced(project, postponed(project, starts))
