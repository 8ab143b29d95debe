"""Making a schedule from an order of tasks: the two generation schemes of project scheduling.

After Kolisch, "Serial and parallel resource-constrained project scheduling
methods revisited", European Journal of Operational Research 90 (1996).
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush

from talka_core.search.project import Project


def serial(project: Project, order: Iterable[int]) -> list[int]:
    """Return the start of each task (milliseconds) when one after the other takes its earliest place.

    Args:
        project: What is scheduled.
        order: Every task, each after its predecessors.
    """
    durations, predecessors, takes, guards = (
        project.durations,
        project.predecessors,
        project.takes,
        project.guards,
    )
    starts = [0] * len(durations)
    ends = [0] * len(durations)
    times, free = [0], [project.free]
    for task in order:
        duration, take = durations[task], takes[task]
        start = 0
        for needed in predecessors[task]:
            start = max(start, ends[needed])
        if duration and take:
            first = at = bisect_right(times, start) - 1
            count = len(times)
            end = start + duration
            while at < count and times[at] < end:
                if (free[at] - take) & guards != guards:
                    first = at + 1
                    start = times[first]
                    end = start + duration
                at += 1
            if times[first] < start:
                first += 1
                times.insert(first, start)
                free.insert(first, free[first - 1])
                at += 1
            if at == len(times) or times[at] > end:
                times.insert(at, end)
                free.insert(at, free[at - 1])
            for place in range(first, at):
                free[place] -= take
        starts[task], ends[task] = start, start + duration
    return starts


def parallel(project: Project, ranks: Sequence[float]) -> list[int]:
    """Return the start of each task when at each instant all that fit begin, the smallest rank first.

    That is what a pool does with ranks, whose equals it takes in the order of the tasks.
    """
    durations, successors, takes, guards = (
        project.durations,
        project.successors,
        project.takes,
        project.guards,
    )
    missing = [len(needed) for needed in project.predecessors]
    starts = [0] * len(durations)
    eligible = sorted((ranks[task], task) for task, count in enumerate(missing) if not count)
    running: list[tuple[int, int]] = []
    now, free = 0, project.free
    while eligible or running:
        waiting: list[tuple[float, int]] = []
        for ranked in eligible:
            left = free - takes[ranked[1]]
            if left & guards == guards:
                free = left
                starts[ranked[1]] = now
                heappush(running, (now + durations[ranked[1]], ranked[1]))
            else:
                waiting.append(ranked)
        eligible = waiting
        now = running[0][0]
        while running and running[0][0] == now:
            ended = heappop(running)[1]
            free += takes[ended]
            for following in successors[ended]:
                missing[following] -= 1
                if not missing[following]:
                    insort(eligible, (ranks[following], following))
    return starts


def makespan(project: Project, starts: Sequence[int]) -> int:
    """Return when the last task ends (milliseconds)."""
    return max(map(int.__add__, starts, project.durations), default=0)
