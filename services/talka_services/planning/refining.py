"""A schedule is made shorter window by window, as long as there is time."""

from __future__ import annotations

from functools import reduce
from math import gcd

from msgspec import Struct

from talka_core.search import Project, Search
from talka_core.search.dice import Dice
from talka_core.search.improvement import join
from talka_core.search.justification import justified
from talka_core.search.schedules import makespan
from talka_core.search.windows import window_of
from talka_services.planning.solver import solved

EFFORT = 0.02
SIZE_MIN = 10
GROWTH = 1.03
SHRINKAGE = 0.95

WHOLE_EVERY = 32
"""So often a window is all there is, with more effort each time: only that can prove an optimum."""


class Refinement(Struct):
    """How a schedule is being refined: how many tasks a window has now, and how many windows there were.

    ``effort`` is what the next window of all tasks may take.
    """

    size: float
    effort: float = EFFORT
    windows: int = 0

    @classmethod
    def of(cls, project: Project) -> Refinement:
        """Return where to begin: at a fifth of the tasks, or fewer if there are many."""
        return cls(min(50.0, max(15.0, len(project.tasks) / 5)))


def refine(project: Project, search: Search, refinement: Refinement, limit_s: float) -> None:
    """Look for something better in one window of one of the best schedules, in place.

    Windows grow while the solver shows that nothing better is in them, and shrink where it gets lost.
    A window that is everything proves the best schedule optimal.

    Args:
        project: What is scheduled.
        search: With a schedule at least; takes what is found.
        refinement: Goes on from where it was.
        limit_s: An end to it by the clock.
    """
    dice = Dice(search.dice)
    count = len(project.tasks)
    is_whole = refinement.windows % WHOLE_EVERY == WHOLE_EVERY - 1
    size = count if is_whole else min(count, int(refinement.size))
    base = search.best
    if search.members and size < count and dice.share() < 0.5:
        base = search.members[dice.below(len(search.members))][1]
    first = min(max(0, dice.below(count) - size // 2), count - size)
    search.dice = dice.state
    refinement.windows += 1
    unit = reduce(gcd, project.durations) or 1
    target = max(search.bound, search.makespan - max(unit, search.makespan // 1_000 // unit * unit))
    window = window_of(project, base, first, size, target // unit * unit)
    effort = refinement.effort if size == count else EFFORT
    found = solved(project, window, effort, limit_s, refinement.windows)
    if found is True and size == count:
        refinement.effort *= 2
    if found is True and not is_whole:
        refinement.size = max(SIZE_MIN, refinement.size * SHRINKAGE)
    elif found is False:
        refinement.size = min(count, refinement.size * GROWTH)
        if size == count:
            search.bound = max(search.bound, min(search.makespan, window.target + unit))
    elif found is not True:
        better = justified(project, found)
        join(search, better, makespan(project, better))
