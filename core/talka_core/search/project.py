"""A workflow as scheduling theory sees it: durations, precedence, and amounts of renewable resources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from heapq import heappop, heappush

from talka_core.graph import SLOTS, TaskGraph, duration_of
from talka_core.keys import amounts_of, is_keyed
from talka_core.payloads import KINDS
from talka_protocols.workflow import Task, Workflow


class Project:
    """The resource-constrained project scheduling problem, in whole milliseconds and thousandths.

    Tasks are numbered in a topological order; ``tasks`` has the place of each in the workflow. What
    a task takes of all resources is one number, a field of bits for each resource: amounts are
    added and taken off at once, and the highest bit of a field tells that it went below nothing.

    ``heads`` is the longest path to a task's start, ``tails`` that from its end on.
    """

    def __init__(
        self,
        tasks: Sequence[int],
        durations: Sequence[int],
        predecessors: Sequence[Sequence[int]],
        demands: Sequence[Sequence[int]],
        capacity: Sequence[int],
    ) -> None:
        self.tasks = tuple(tasks)
        self.durations = list(durations)
        self.predecessors = [tuple(needed) for needed in predecessors]
        self.successors = _turned(self.predecessors)
        self.demands = [tuple(needs) for needs in demands]
        self.capacity = tuple(capacity)
        width = max((amount.bit_length() for amount in capacity), default=0) + 1
        self.guards = sum(1 << (width * place + width - 1) for place in range(len(self.capacity)))
        self.takes = [_packed(needs, width) for needs in self.demands]
        self.free = _packed(self.capacity, width) | self.guards
        self.heads = _longest(self.predecessors, self.durations, range(len(self.tasks)))
        self.tails = _longest(self.successors, self.durations, range(len(self.tasks) - 1, -1, -1))

    @cached_property
    def mirrored(self) -> Project:
        """Return the project that runs backwards; a task's number there counts from the other end."""
        last = len(self.tasks) - 1
        mirrored = Project(
            self.tasks[::-1],
            self.durations[::-1],
            [tuple(last - task for task in following) for following in reversed(self.successors)],
            self.demands[::-1],
            self.capacity,
        )
        mirrored.__dict__["mirrored"] = self
        return mirrored


def project_of(workflow: Workflow, capacity: Mapping[str, float]) -> Project | None:
    """Return a checked workflow as a project, or None where nothing is scarce or something never fits.

    Resources that all tasks can have at once are left out, and so is what nobody gave a capacity.

    Args:
        workflow: With complete dependencies.
        capacity: What all workers offer together, by resource; ``slots`` counts tasks at once.
    """
    graph = TaskGraph.of(workflow)
    order = _topological(graph)
    place = {position: number for number, position in enumerate(order)}
    amounts = [_amounts(workflow.tasks[position]) for position in order]
    limits = limits_of(workflow, capacity)
    scarce: list[tuple[str, int]] = []
    for name, limit in sorted(limits.items()):
        asked = [needs.get(name, 0) for needs in amounts]
        if max(asked, default=0) > 1000 * limit:
            return None
        if sum(asked) > 1000 * limit:
            scarce.append((name, int(1000 * limit)))
    if not scarce:
        return None
    return Project(
        order,
        [_milliseconds(workflow.tasks[position]) for position in order],
        [tuple(place[needed] for needed in graph.predecessors[position]) for position in order],
        [tuple(needs.get(name, 0) for name, _ in scarce) for needs in amounts],
        [limit for _, limit in scarce],
    )


def limits_of(workflow: Workflow, capacity: Mapping[str, float]) -> dict[str, float]:
    """Return what there is of each resource, with the workflow's own limit of tasks at once."""
    limits = dict(capacity)
    if workflow.config.max_parallel is not None:
        limits[SLOTS] = min(workflow.config.max_parallel, limits.get(SLOTS, float("inf")))
    return limits


def _topological(graph: TaskGraph) -> list[int]:
    """Return the places of all tasks, each after its predecessors, else in the order of the document."""
    missing = [len(needed) for needed in graph.predecessors]
    free = [place for place, count in enumerate(missing) if not count]
    order: list[int] = []
    while free:
        place = heappop(free)
        order.append(place)
        for following in graph.successors[place]:
            missing[following] -= 1
            if not missing[following]:
                heappush(free, following)
    return order


def _amounts(task: Task) -> dict[str, int]:
    if task.agent_type in KINDS:
        return {}
    needs = {name: amount for name, amount in amounts_of(task).items() if not is_keyed(name)}
    return {SLOTS: 1000} | {name: -int(-1000 * amount // 1) for name, amount in needs.items()}


def _milliseconds(task: Task) -> int:
    return round(1000 * duration_of(task))


def _packed(amounts: Sequence[int], width: int) -> int:
    return sum(amount << (width * place) for place, amount in enumerate(amounts))


def _turned(edges: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    turned: list[list[int]] = [[] for _ in edges]
    for task, others in enumerate(edges):
        for other in others:
            turned[other].append(task)
    return [tuple(found) for found in turned]


def _longest(before: Sequence[Sequence[int]], durations: Sequence[int], order: range) -> list[int]:
    paths = [0] * len(durations)
    for task in order:
        paths[task] = max((paths[other] + durations[other] for other in before[task]), default=0)
    return paths
