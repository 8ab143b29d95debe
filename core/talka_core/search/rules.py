"""Priority rules: orders that one look at a project gives; the smallest rank goes first."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter

from talka_core.search.justification import postponed
from talka_core.search.project import Project
from talka_core.search.schedules import makespan, parallel

Rule = Callable[[Project], list[float]]


def latest_finish(project: Project) -> list[float]:
    """Rank by the latest end that the longest path behind a task allows."""
    return [-float(tail) for tail in project.tails]


def latest_start(project: Project) -> list[float]:
    """Rank by the latest start that the longest path from a task on allows."""
    return [-float(tail + own) for tail, own in zip(project.tails, project.durations, strict=True)]


def backward(project: Project) -> list[float]:
    """Rank by the latest start in a schedule that is made backwards, and so knows what resources allow."""
    mirrored = project.mirrored
    ends = [-float(tail) for tail in mirrored.tails]
    starts = parallel(mirrored, ends)
    return [-float(start + own) for start, own in zip(starts, mirrored.durations, strict=True)][::-1]


def postponed_finish(project: Project) -> list[float]:
    """Rank by the latest start in the schedule of ``latest_finish``, pushed to its end."""
    return [-float(lead) for lead in postponed(project, parallel(project, latest_finish(project)))]


RULES: tuple[Rule, ...] = (latest_finish, backward, latest_start, postponed_finish)


def best_ranks(project: Project) -> tuple[int, list[float]]:
    """Return the shortest makespan (milliseconds) that dispatch by a rule gives, and the ranks."""
    ranked = [rule(project) for rule in RULES]
    return min(((makespan(project, parallel(project, ranks)), ranks) for ranks in ranked), key=itemgetter(0))
