"""Lower bounds: what no schedule can beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush

from talka_core.graph import duration_of
from talka_core.keys import amounts_of
from talka_core.search.project import Project, limits_of, project_of
from talka_protocols.policies import Join
from talka_protocols.workflow import Workflow

HEADS_MAX = 64
"""So many instants are looked at as the first at which some work can begin."""

TASKS_MAX = 3_000
"""Beyond this many tasks a planner has no time for it."""


def lower_bound(project: Project) -> int:
    """Return the best bound known here, in milliseconds."""
    own = [(_window_work(project, resource), _one_at_a_time(project, resource)) for resource in _all(project)]
    return max(_critical_path(project), *(max(pair) for pair in own), 0)


def resource_bound(workflow: Workflow, capacity: Mapping[str, float]) -> float:
    """Return seconds that no run takes less than; 0 where nothing is scarce or nothing is known.

    It holds for whole milliseconds and thousandths of amounts only, and where tasks wait for all
    that they depend on.
    """
    if not limits_of(workflow, capacity) or len(workflow.tasks) > TASKS_MAX:
        return 0.0
    if any(
        task.join not in (Join.ALL, Join.DONE) or not _is_exact(duration_of(task), *amounts_of(task).values())
        for task in workflow.tasks
    ):
        return 0.0
    project = project_of(workflow, capacity)
    return 0.0 if project is None else lower_bound(project) / 1000


def _is_exact(*numbers: float) -> bool:
    return all(round(1000 * number) == 1000 * number for number in numbers)


def _all(project: Project) -> range:
    return range(len(project.capacity))


def _critical_path(project: Project) -> int:
    return max(
        (h + d + t for h, d, t in zip(project.heads, project.durations, project.tails, strict=True)),
        default=0,
    )


def _window_work(project: Project, resource: int) -> int:
    """Return the bound by work: of the tasks that have a head and a tail, both have to pass as well.

    Energetic reasoning on the windows from a head to a tail; all work is the window from 0 to 0.
    """
    capacity = project.capacity[resource]
    tasks = [
        task for task, needs in enumerate(project.demands) if needs[resource] and project.durations[task]
    ]
    tasks.sort(key=project.tails.__getitem__, reverse=True)
    work = {task: project.durations[task] * project.demands[task][resource] for task in tasks}
    heads = sorted({project.heads[task] for task in tasks})
    most = 0
    for head in heads[:: max(1, len(heads) // HEADS_MAX)]:
        done = 0
        for task in tasks:
            if project.heads[task] >= head:
                done += work[task]
                most = max(most, head - (-done // capacity) + project.tails[task])
    return most


def _one_at_a_time(project: Project, resource: int) -> int:
    """Return Jackson's bound for the tasks of which no two fit at once, as if they could be interrupted.

    After Carlier and Pinson, "An algorithm for solving the job-shop problem", Management Science 35 (1989).
    """
    capacity = project.capacity[resource]
    large = [task for task, needs in enumerate(project.demands) if 2 * needs[resource] > capacity]
    coming = [(project.heads[task], task) for task in large if project.durations[task]]
    heapify(coming)
    return _preemptive(coming, project.durations, project.tails)


def _preemptive(coming: list[tuple[int, int]], durations: Sequence[int], tails: Sequence[int]) -> int:
    """Always do what has the longest tail, and return when the last tail is over."""
    ready: list[tuple[int, int, int]] = []
    now, most = 0, 0
    while coming or ready:
        if not ready:
            now = max(now, coming[0][0])
        while coming and coming[0][0] <= now:
            _, task = heappop(coming)
            heappush(ready, (-tails[task], task, durations[task]))
        tail, task, left = heappop(ready)
        if coming and now + left > coming[0][0]:
            heappush(ready, (tail, task, left - (coming[0][0] - now)))
            now = coming[0][0]
        else:
            now += left
            most = max(most, now - tail)
    return most
