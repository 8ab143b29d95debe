"""The order in which tasks should start so that little is late: constructed, tried, then improved.

Constructed by *apparent tardiness cost* (Vepsalainen and Morton 1987): weight
over duration, the less the more time is left before the latest start, with
several ideas of how far to look ahead. Each order is judged by what dispatch
would make of it. The best is improved by exchanging and moving tasks, and
shaken and improved again (Lourenco, Martin and Stuetzle's iterated local
search), until the looks at tasks that it may cost are used up. Everything is
deterministic.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import exp

from talka_core.deadlines.dispatching import Dispatcher, Outcome, Problem, problem_of, unlimited
from talka_core.deadlines.due import Due, latest_starts
from talka_protocols.workflow import Workflow

LOOKS_MAX = 100_000
"""About 0.2 s on one core, whatever the number of tasks."""
TASKS_ORDERED_MAX = 10_000
"""Larger workflows are ranked by their latest starts alone."""
LOOK_AHEADS = (0.3, 0.5, 1.0, 1.5, 2.0, 3.0, 4.5)
RENEWALS = 40
"""How often the construction looks again at what has become urgent."""
SHAKEN = 4
"""How many tasks are moved before the order is improved again, and how far at most."""


def order_of(
    workflow: Workflow, capacity: Mapping[str, float], looks_max: int = LOOKS_MAX
) -> tuple[int, ...]:
    """Return the positions of a checked workflow's tasks in the order in which they should start.

    Args:
        workflow: With deadlines, and complete dependencies.
        capacity: What the pool has in all, by resource; what is not named is unlimited.
        looks_max: Bounds the work; a look at a task takes about two microseconds.
    """
    problem = problem_of(workflow, capacity)
    dispatcher = Dispatcher(problem)
    least = unlimited(problem)
    candidates = ((dispatcher.dispatch(order), order) for order in _constructed(problem))
    outcome, order = next(candidates)
    for found, other in candidates:
        if outcome.tardiness <= least.tardiness or dispatcher.looks >= looks_max:
            break
        if found < outcome:
            outcome, order = found, other
    return tuple(_improved(dispatcher, outcome, order, least, looks_max))


def _constructed(problem: Problem) -> Iterator[list[int]]:
    """Yield orders to begin with: the earliest latest start first, then by apparent tardiness cost."""
    durations = [float(duration) for duration in problem.durations]
    dues = [
        Due(float(due), weight) if due >= 0 else None
        for due, weight in zip(problem.dues, problem.weights, strict=True)
    ]
    latest = latest_starts(problem.graph, durations, dues)
    tails = _tails(problem)
    yield sorted(range(len(durations)), key=lambda task: (latest[task], -tails[task], task))
    weights = _weights(problem)
    width = _width(problem)
    for look_ahead in LOOK_AHEADS:
        yield _by_apparent_cost(problem, latest, weights, tails, width, look_ahead)


def _by_apparent_cost(
    problem: Problem,
    latest: Sequence[float],
    weights: Sequence[float],
    tails: Sequence[int],
    width: float,
    look_ahead: float,
) -> list[int]:
    durations, graph = problem.durations, problem.graph
    missing = [len(before) for before in graph.predecessors]
    eligible = {task for task, count in enumerate(missing) if not count}
    left = [float(sum(durations)), float(len(durations))]
    order: list[int] = []
    now = 0.0
    while eligible:
        scale = max(look_ahead * left[0] / left[1], 1e-9)

        def urgency(task: int, now: float = now, scale: float = scale) -> tuple[float, int, int]:
            slack = max(0.0, latest[task] - now)
            # Behind a slack beyond any float's exponent nothing is urgent.
            share = exp(-slack / scale) if slack < 700 * scale else 0.0
            return (-weights[task] / max(durations[task], 1) * share, -tails[task], task)

        for task in sorted(eligible, key=urgency)[: max(1, len(durations) // RENEWALS)]:
            eligible.discard(task)
            order.append(task)
            now += durations[task] / width
            left = [left[0] - durations[task], left[1] - 1]
            for successor in graph.successors[task]:
                missing[successor] -= 1
                if not missing[successor]:
                    eligible.add(successor)
    return order


def _weights(problem: Problem) -> list[float]:
    """Return for each task the largest weight of what is due at it or behind it."""
    weights = list(problem.weights)
    for level in reversed(problem.graph.levels()):
        for task in level:
            behind = (weights[successor] for successor in problem.graph.successors[task])
            weights[task] = max(weights[task], *behind, 0.0)
    return weights


def _tails(problem: Problem) -> list[int]:
    """Return the longest path from the start of each task."""
    tails = list(problem.durations)
    for level in reversed(problem.graph.levels()):
        for task in level:
            tails[task] += max((tails[successor] for successor in problem.graph.successors[task]), default=0)
    return tails


def _width(problem: Problem) -> float:
    """Return how many tasks run at once on average, as far as capacity and graph decide it."""
    work = sum(problem.durations)
    loads = [0.0] * len(problem.capacity)
    for duration, shape in zip(problem.durations, problem.shapes, strict=True):
        for number, amount in problem.needs[shape]:
            loads[number] += duration * amount
    shortest = [load / whole for load, whole in zip(loads, problem.capacity, strict=True) if whole]
    longest = max((*shortest, *_tails(problem)), default=0.0)
    return work / longest if longest else 1.0


def _improved(
    dispatcher: Dispatcher, outcome: Outcome, order: list[int], least: Outcome, looks_max: int
) -> list[int]:
    """Return the best order that improving and shaking found within the looks that are left."""
    best = (outcome, order)
    turns = _turns()
    while best[0].tardiness > least.tardiness and dispatcher.looks < looks_max and len(order) > 1:
        found = _descended(dispatcher, outcome, order, least, looks_max)
        best = min(best, found, key=lambda each: each[0])
        order = _shaken(best[1], turns)
        outcome = dispatcher.dispatch(order)
    return best[1]


def _descended(
    dispatcher: Dispatcher, outcome: Outcome, order: list[int], least: Outcome, looks_max: int
) -> tuple[Outcome, list[int]]:
    """Take every exchange and move that helps, near ones first, until none does."""
    has_improved = True
    while has_improved:
        has_improved = False
        for first, second in _pairs(len(order)):
            for changed in _neighbours(order, first, second):
                found = dispatcher.dispatch(changed, outcome.tardiness)
                if found.tardiness < outcome.tardiness:
                    outcome, order, has_improved = found, changed, True
                    break
            if outcome.tardiness <= least.tardiness or dispatcher.looks >= looks_max:
                return outcome, order
    return outcome, order


def _pairs(count: int) -> Iterable[tuple[int, int]]:
    return ((first, first + distance) for distance in range(1, count) for first in range(count - distance))


def _neighbours(order: list[int], first: int, second: int) -> Iterator[list[int]]:
    """Yield the order with two tasks exchanged, and with either moved to the other's place."""
    before, between, after = order[:first], order[first + 1 : second], order[second + 1 :]
    yield [*before, order[second], *between, order[first], *after]
    if between:
        yield [*before, order[second], order[first], *between, *after]
        yield [*before, *between, order[second], order[first], *after]


def _shaken(order: list[int], turns: Iterator[int]) -> list[int]:
    shaken = order.copy()
    for _ in range(SHAKEN):
        start = next(turns) % len(shaken)
        end = start + next(turns) % (2 * SHAKEN + 1) - SHAKEN
        task = shaken.pop(start)
        shaken.insert(max(0, min(end, len(shaken))), task)
    return shaken


def _turns() -> Iterator[int]:
    """Yield always the same numbers, in no order that a workflow could have (a linear congruence)."""
    state = 1
    while True:
        state = (state * 1_103_515_245 + 12_345) % 2**31
        yield state >> 8
