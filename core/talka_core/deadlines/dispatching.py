"""What an order of tasks comes to: dispatch as the pool does it, in integers, fast enough to try thousands.

The pool is taken as one whole: a task starts as soon as what it needs is free,
and of those that could start the first in the order does (Kolisch 1996 calls
it the parallel schedule generation scheme).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush

from msgspec import Struct

from talka_core.deadlines.due import Due, dues_of
from talka_core.graph import SLOTS, TaskGraph, duration_of
from talka_core.payloads import KINDS
from talka_protocols.workflow import Task, Workflow

Needs = tuple[tuple[int, int], ...]
"""What a task holds: pairs of a resource's number and thousandths of it."""


class Problem(Struct, frozen=True):
    """The tasks by position: milliseconds, needs, what is due, and the graph; ``capacity`` in thousandths.

    Tasks with the same needs have the same ``shapes`` number; a due time of -1 is none.
    """

    graph: TaskGraph
    durations: list[int]
    dues: list[int]
    weights: list[float]
    shapes: list[int]
    needs: list[Needs]
    capacity: list[int]


class Outcome(Struct, frozen=True, order=True):
    """What an order comes to: weighted tardiness (weight times milliseconds), then the makespan."""

    tardiness: float
    makespan: int


def problem_of(workflow: Workflow, capacity: Mapping[str, float]) -> Problem:
    """Return a checked workflow as a problem for a pool with these amounts in all.

    Resources that are not named are unlimited. ``max_parallel`` counts as
    slots. A task that asks for more than there is takes all of it.
    """
    graph = TaskGraph.of(workflow)
    limits = dict(capacity)
    if workflow.config.max_parallel is not None:
        limits[SLOTS] = min(workflow.config.max_parallel, limits.get(SLOTS, float("inf")))
    names = {name: number for number, name in enumerate(sorted(limits))}
    whole = [round(1000 * limits[name]) for name in names]
    shapes: dict[Needs, int] = {}
    dues: dict[str, Due] = dues_of(workflow)
    due = [dues.get(task.id) for task in workflow.tasks]
    return Problem(
        graph,
        [round(1000 * duration_of(task)) for task in workflow.tasks],
        [-1 if each is None else round(1000 * each.seconds) for each in due],
        [0.0 if each is None else each.weight for each in due],
        [shapes.setdefault(_needs(task, names, whole), len(shapes)) for task in workflow.tasks],
        list(shapes),
        whole,
    )


def _needs(task: Task, names: Mapping[str, int], whole: Sequence[int]) -> Needs:
    if task.agent_type in KINDS:
        return ()
    amounts = {**task.resources.amounts(), SLOTS: 1.0}
    wanted = {names[name]: round(1000 * amount) for name, amount in amounts.items() if name in names}
    return tuple((number, min(amount, whole[number])) for number, amount in sorted(wanted.items()))


def unlimited(problem: Problem) -> Outcome:
    """Return what no order can beat: every task starts as soon as the graph allows."""
    ends = [0] * len(problem.durations)
    for level in problem.graph.levels():
        for task in level:
            start = max((ends[before] for before in problem.graph.predecessors[task]), default=0)
            ends[task] = start + problem.durations[task]
    late = (
        weight * max(0, end - due)
        for end, due, weight in zip(ends, problem.dues, problem.weights, strict=True)
        if due >= 0
    )
    return Outcome(float(sum(late)), max(ends, default=0))


class Dispatcher:
    """Tries orders on one problem, and counts in ``looks`` how often it looked at a task to start."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.looks = 0
        graph = problem.graph
        self._missing = [len(before) for before in graph.predecessors]
        self._first = [task for task, count in enumerate(self._missing) if not count]

    def dispatch(self, order: Sequence[int], most: float = float("inf")) -> Outcome:
        """Return what an order comes to; one that passes ``most`` of tardiness is followed no further."""
        problem, place = self.problem, [0] * len(order)
        for number, task in enumerate(order):
            place[task] = number
        shapes, durations, dues = problem.shapes, problem.durations, problem.dues
        missing, free = self._missing.copy(), problem.capacity.copy()
        queues: list[list[int]] = [[] for _ in problem.needs]
        for task in self._first:
            queues[shapes[task]].append(place[task])
        for queue in queues:
            heapify(queue)
        running: list[tuple[int, int]] = []
        now, tardiness = 0, 0.0
        while True:
            for task in self._startable(queues, order, free):
                end = now + durations[task]
                heappush(running, (end, task))
                if end > dues[task] >= 0:
                    tardiness += problem.weights[task] * (end - dues[task])
            if not running or tardiness > most:
                return Outcome(tardiness, now)
            now = running[0][0]
            while running and running[0][0] == now:
                ended = heappop(running)[1]
                for number, amount in problem.needs[shapes[ended]]:
                    free[number] += amount
                for successor in problem.graph.successors[ended]:
                    missing[successor] -= 1
                    if not missing[successor]:
                        heappush(queues[shapes[successor]], place[successor])

    def _startable(self, queues: list[list[int]], order: Sequence[int], free: list[int]) -> list[int]:
        """Take what can start now from the queues, first in the order first, and its needs from what is free.

        Of a shape whose first does not fit, none does.
        """
        started: list[int] = []
        heads = [(queue[0], shape) for shape, queue in enumerate(queues) if queue]
        heapify(heads)
        while heads:
            place, shape = heappop(heads)
            needs = self.problem.needs[shape]
            self.looks += 1
            if any(free[number] < amount for number, amount in needs):
                continue
            for number, amount in needs:
                free[number] -= amount
            queue = queues[shape]
            heappop(queue)
            started.append(order[place])
            if queue:
                heappush(heads, (queue[0], shape))
        return started
