"""Stretches of a schedule that are made anew while the rest keeps its order.

What comes before the stretch stays where it is, and what comes after it waits
as long as the wanted makespan allows: both keep who hands resources on to whom
(a partial order schedule), so nothing collides. After Godard, Laborie and
Nuijten, "Randomized large neighborhood search for cumulative scheduling",
Proceedings of ICAPS (2005).
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from talka_core.search.baselines import links_of
from talka_core.search.project import Project


class Window(Struct, frozen=True):
    """A smaller problem: places for the free tasks, so that all is over at ``target`` (milliseconds).

    ``starts`` has the fixed start of all others; what is there for a free task is where it was.
    A free task may begin from its ``earliest`` to its ``latest``, both by its place in ``free``.
    """

    free: tuple[int, ...]
    starts: list[int]
    earliest: list[int]
    latest: list[int]
    target: int

    @property
    def is_closed(self) -> bool:
        """Tell whether some free task has no place at all."""
        return any(low > high for low, high in zip(self.earliest, self.latest, strict=True))


def window_of(project: Project, starts: Sequence[int], first: int, size: int, target: int) -> Window:
    """Return the problem of placing so many tasks anew, from the one that begins as the ``first``-th.

    Args:
        project: What is scheduled.
        starts: A schedule of it whose tasks cannot begin sooner in the order that they have.
        first: Counts tasks by their starts, from 0.
        size: How many are free.
        target: The makespan that is wanted.
    """
    order = sorted(range(len(starts)), key=lambda task: (starts[task], task))
    free, fixed = tuple(order[first : first + size]), list(starts)
    if len(free) < len(order):
        leads = _leads(project, starts, order)
        for task in order[first + size :]:
            fixed[task] = target - leads[task]
    is_free = [False] * len(order)
    for task in free:
        is_free[task] = True
    durations = project.durations
    earliest, latest = list[int](), list[int]()
    for task in free:
        needed = [fixed[t] + durations[t] for t in project.predecessors[task] if not is_free[t]]
        needing = [fixed[t] for t in project.successors[task] if not is_free[t]]
        earliest.append(max([project.heads[task], *needed]))
        latest.append(min([target - project.tails[task], *needing]) - durations[task])
    return Window(free, fixed, earliest, latest, target)


def _leads(project: Project, starts: Sequence[int], order: Sequence[int]) -> list[int]:
    """Return how long before the end each task must begin if all keep their order on the resources."""
    following: list[list[int]] = [list(after) for after in project.successors]
    for before, after in links_of(project, starts):
        following[before].append(after)
    leads = [0] * len(starts)
    for task in reversed(order):
        leads[task] = max((leads[other] for other in following[task]), default=0) + project.durations[task]
    return leads
