"""Baseline schedules: what is proposed to the scheduler, and whether it may be followed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

from talka_core.graph import TaskGraph
from talka_core.search.project import Project, project_of
from talka_core.search.rules import best_ranks
from talka_core.search.schedules import makespan
from talka_core.strategies import strategy_of
from talka_protocols.baseline import Baseline
from talka_protocols.workflow import Strategy, Workflow

TASKS_MAX = 3_000
"""Beyond this many tasks the rules would keep a planner from its other work for too long."""


def ruled(workflow: Workflow, capacity: Mapping[str, float]) -> Baseline | None:
    """Return the best of the orders that priority rules give, or None where there is nothing to choose.

    Args:
        workflow: With complete dependencies.
        capacity: What the workers offer together, by resource.
    """
    if not capacity or len(workflow.tasks) > TASKS_MAX:
        return None
    project = project_of(workflow, capacity)
    if project is None:
        return None
    length, ranks = best_ranks(project)
    return Baseline(_by_place(project, [-rank for rank in ranks]), (), length / 1000)


def baseline_of(project: Project, starts: Sequence[int]) -> Baseline:
    """Return a schedule (starts in milliseconds) as a baseline whose links make it come about as it is."""
    length = makespan(project, starts)
    leads = _by_place(project, [length - start for start in starts])
    tasks = project.tasks
    links = tuple((tasks[before], tasks[after]) for before, after in links_of(project, starts))
    return Baseline(leads, links, length / 1000)


def fault_of(workflow: Workflow, baseline: Baseline) -> str:
    """Say in one sentence why the workflow cannot follow the baseline; an empty string if it can."""
    count = len(workflow.tasks)
    if workflow.config.strategy is not Strategy.RESOURCE_OPTIMIZED:
        return f"Only resource_optimized follows a baseline, not {strategy_of(workflow.config)}."
    if len(baseline.leads) != count:
        return f"The baseline has {len(baseline.leads)} tasks, the workflow {count}."
    if not all(map(isfinite, baseline.leads)):
        return "The baseline has a lead that is no number."
    if not all(0 <= task < count for link in baseline.links for task in link):
        return f"The baseline links a task that is not among the {count} of the workflow."
    ids = [task.id for task in workflow.tasks]
    edges = [(edge.from_task, edge.to_task) for edge in workflow.dependencies]
    edges += [(ids[before], ids[after]) for before, after in baseline.links]
    try:
        TaskGraph(ids, edges).levels()
    except ValueError as cycle:
        return f"The links of the baseline form a cycle with the dependencies: {cycle}."
    return ""


def _by_place(project: Project, leads: Sequence[float]) -> tuple[float, ...]:
    """Return milliseconds by number as seconds by place in the workflow."""
    placed = [0.0] * len(leads)
    for place, lead in zip(project.tasks, leads, strict=True):
        placed[place] = lead / 1000
    return tuple(placed)


def links_of(project: Project, starts: Sequence[int]) -> list[tuple[int, int]]:
    """Return who hands resources on to whom, where no dependency says so already.

    After Artigues, Michelon and Reusser, "Insertion techniques for static and dynamic
    resource-constrained project scheduling", European Journal of Operational Research 149 (2003).
    """
    links: list[tuple[int, int]] = []
    before = [0] * len(starts)
    idle: list[dict[int, int]] = [{-1: amount} for amount in project.capacity]
    ends = [start + own for start, own in zip(starts, project.durations, strict=True)]
    for task in sorted(range(len(starts)), key=lambda number: (starts[number], number)):
        for needed in project.predecessors[task]:
            before[task] |= before[needed] | 1 << needed
        for resource, amount in enumerate(project.demands[task]):
            if not amount or not project.durations[task]:
                continue
            for giver in _givers(idle[resource], amount, before[task], ends, starts[task]):
                if giver >= 0 and not before[task] >> giver & 1:
                    links.append((giver, task))
                    before[task] |= before[giver] | 1 << giver
            idle[resource][task] = amount
    return links


def _givers(idle: dict[int, int], amount: int, before: int, ends: Sequence[int], start: int) -> list[int]:
    """Take the amount from tasks that have ended: first those that come before anyway, then the latest."""
    ended = [giver for giver in idle if giver < 0 or ends[giver] <= start]
    ended.sort(key=lambda giver: (giver >= 0 and not before >> giver & 1, giver >= 0 and -ends[giver]))
    taken: list[int] = []
    for giver in ended:
        part = min(amount, idle[giver])
        taken.append(giver)
        amount -= part
        idle[giver] -= part
        if not idle[giver]:
            del idle[giver]
        if not amount:
            break
    return taken
