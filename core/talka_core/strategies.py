"""Strategies: each is a rank, and the ready task with the smallest rank goes first.

A rank is ``(-priority or a constant, key, index)``; pools compare ranks of
different executions, so the first part is always on the priority scale. Where
something is due, the key of the strategy ``deadline`` is the instant by which
the task has to start, and the index its place in a planned order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from talka_core.deadlines import (
    TASKS_ORDERED_MAX,
    dues_of,
    has_deadlines,
    latest_starts,
    order_of,
    urgencies,
)
from talka_core.graph import TaskGraph, duration_of
from talka_protocols.workflow import DEFAULT_PRIORITY, Strategy, Task, Workflow


class Position(Struct, frozen=True):
    """Where a task stands in its graph.

    ``level`` counts from the roots, ``remaining`` is the seconds from its start
    to the end of its baseline schedule or, without one, of the longest path
    behind it, ``slack`` is seconds too, and ``index`` is its place in the file.
    """

    level: int
    remaining: float
    slack: float
    index: int


Rank = tuple[float, ...]


def _breadth_first(_task: Task, position: Position) -> Rank:
    return (-DEFAULT_PRIORITY, position.level, position.index)


def _depth_first(_task: Task, position: Position) -> Rank:
    return (-DEFAULT_PRIORITY, -position.level, position.index)


def _priority(task: Task, position: Position) -> Rank:
    return (-task.priority, -position.remaining, position.index)


def _resource_optimized(_task: Task, position: Position) -> Rank:
    return (-DEFAULT_PRIORITY, -position.remaining, position.index)


def _deadline(_task: Task, position: Position) -> Rank:
    return (-DEFAULT_PRIORITY, position.slack, position.index)


_RANKS: dict[Strategy, Callable[[Task, Position], Rank]] = {
    Strategy.BREADTH_FIRST: _breadth_first,
    Strategy.DEPTH_FIRST: _depth_first,
    Strategy.PRIORITY: _priority,
    Strategy.RESOURCE_OPTIMIZED: _resource_optimized,
    Strategy.DEADLINE: _deadline,
}


def is_planned(workflow: Workflow) -> bool:
    """Tell whether deadlines decide the order of the tasks, so that one is planned for all of them."""
    return workflow.config.strategy is Strategy.DEADLINE and has_deadlines(workflow)


def planned_order(workflow: Workflow, capacity: Mapping[str, float]) -> tuple[int, ...]:
    """Return the positions of a checked workflow's tasks in the order that suits its deadlines best.

    Empty where the strategy is another, nothing is due, or the tasks are too many to try orders.
    """
    if not is_planned(workflow) or len(workflow.tasks) > TASKS_ORDERED_MAX:
        return ()
    return order_of(workflow, capacity)


def ranks_of(
    workflow: Workflow, positions: Mapping[str, Position], order: Sequence[int] = ()
) -> dict[str, Rank]:
    """Return the ranks of all tasks of a checked workflow by id.

    Where the strategy is ``deadline`` and something is due, they follow
    ``order``, or the latest starts if none was planned.
    """
    if is_planned(workflow):
        return _deadline_ranks(workflow, order)
    return {task.id: rank(workflow.config.strategy, task, positions[task.id]) for task in workflow.tasks}


def _deadline_ranks(workflow: Workflow, order: Sequence[int]) -> dict[str, Rank]:
    graph, dues = TaskGraph.of(workflow), dues_of(workflow)
    durations = [duration_of(task) for task in workflow.tasks]
    latest = latest_starts(graph, durations, [dues.get(task_id) for task_id in graph.ids])
    if len(order) != len(graph.ids):
        order = sorted(range(len(latest)), key=lambda position: (latest[position], position))
    urgent = urgencies(order, latest)
    return {
        graph.ids[position]: (float(-DEFAULT_PRIORITY), urgent[position], float(place))
        for place, position in enumerate(order)
    }


def rank_beside(workflow: Workflow, task: Task, position: Position, origin: Rank | None) -> Rank:
    """Return the rank of a task that was added while the workflow ran; it goes with the one it came from."""
    if origin is not None and is_planned(workflow):
        return (*origin[:3], float(position.index))
    return rank(workflow.config.strategy, task, position)


def rank(strategy: Strategy, task: Task, position: Position) -> Rank:
    """Return the task's rank under a strategy; smaller goes first.

    All parts are floats, as they are read back from a log, so a replayed state has the same bytes.
    """
    return tuple(map(float, _RANKS[strategy](task, position)))
