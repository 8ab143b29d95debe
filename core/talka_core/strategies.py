"""Strategies: each is a rank, and the ready task with the smallest rank goes first.

A rank is ``(-priority or a constant, key, index)``; pools compare ranks of
different executions, so the first part is always on the priority scale, and
ages (see ``ageing``). Where something is due, the strategy ``deadline`` gives a
task the priority that its urgency is worth; the key is the instant by which
it has to start, and the index its place in a planned order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from talka_core.ageing import POINT_S
from talka_core.custom_strategies import custom_order
from talka_core.deadlines import (
    TASKS_ORDERED_MAX,
    dues_of,
    has_deadlines,
    latest_starts,
    order_of,
    urgencies,
)
from talka_core.graph import TaskGraph, duration_of
from talka_protocols.workflow import DEFAULT_PRIORITY, Strategy, Task, Workflow, WorkflowConfig


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
PRIORITY_MAX = 100.0


class Ranking(Struct, frozen=True):
    """How an execution ranks its tasks now: by which strategy, priority and planned order.

    A ``priority`` of None leaves each task its own, where the strategy looks at it, and is
    the default one elsewhere. ``order`` is that of the definition's tasks, by position. What
    ``is_custom`` goes by the order alone.
    """

    strategy: Strategy
    priority: int | None = None
    order: tuple[int, ...] = ()
    is_custom: bool = False


def _breadth_first(position: Position) -> float:
    return position.level


def _depth_first(position: Position) -> float:
    return -position.level


def _longest_rest(position: Position) -> float:
    return -position.remaining


def _slack(position: Position) -> float:
    return position.slack


_KEYS: dict[Strategy, Callable[[Position], float]] = {
    Strategy.BREADTH_FIRST: _breadth_first,
    Strategy.DEPTH_FIRST: _depth_first,
    Strategy.PRIORITY: _longest_rest,
    Strategy.RESOURCE_OPTIMIZED: _longest_rest,
    Strategy.DEADLINE: _slack,
}


def strategy_of(config: WorkflowConfig) -> Strategy:
    """Return the strategy by which a workflow is ranked: ``priority`` where it has none."""
    return config.strategy or Strategy.PRIORITY


def is_planned(workflow: Workflow) -> bool:
    """Tell whether an order is planned for all tasks: by a custom strategy, or where deadlines decide."""
    if workflow.config.custom_strategy:
        return True
    return workflow.config.strategy is Strategy.DEADLINE and has_deadlines(workflow)


def planned_order(workflow: Workflow, capacity: Mapping[str, float]) -> tuple[int, ...]:
    """Return the positions of a checked workflow's tasks in the order that its strategy plans.

    Empty where the strategy plans none, nothing is due, or the tasks are too many to try orders.

    Raises:
        WorkflowInvalidError: a custom strategy is not known here, or returned no order.
    """
    if workflow.config.custom_strategy:
        return custom_order(workflow, capacity)
    if not is_planned(workflow) or len(workflow.tasks) > TASKS_ORDERED_MAX:
        return ()
    return order_of(workflow, capacity)


def ranks_of(workflow: Workflow, positions: Mapping[str, Position], ranking: Ranking) -> dict[str, Rank]:
    """Return the ranks of all tasks of a checked workflow by id.

    Where the strategy is ``deadline`` and something is due, they follow the
    order, or the latest starts if none was planned.
    """
    if ranking.is_custom and len(ranking.order) == len(workflow.tasks):
        first = float(-(DEFAULT_PRIORITY if ranking.priority is None else ranking.priority))
        return {
            workflow.tasks[position].id: (first, float(place), float(position))
            for place, position in enumerate(ranking.order)
        }
    if ranking.strategy is Strategy.DEADLINE and has_deadlines(workflow):
        return _deadline_ranks(workflow, ranking)
    return {task.id: rank(ranking, task, positions[task.id]) for task in workflow.tasks}


def _deadline_ranks(workflow: Workflow, ranking: Ranking) -> dict[str, Rank]:
    urgent, fixed = _urgencies(workflow, ranking), ranking.priority
    return {
        workflow.tasks[position].id: (
            -_points(seconds) if fixed is None else float(-fixed),
            seconds,
            float(place),
        )
        for place, (position, seconds) in enumerate(urgent.items())
    }


def latest_of(workflow: Workflow, ranking: Ranking) -> dict[str, float]:
    """Return by when each task has to start (seconds from the beginning), if the strategy looks at that.

    That is no later than for any task that is planned to come after it: who goes first because
    a deadline is threatened must not overtake those that the plan puts in front of it.
    """
    if ranking.strategy is not Strategy.DEADLINE or ranking.is_custom or not has_deadlines(workflow):
        return {}
    urgent = _urgencies(workflow, ranking)
    return {task.id: urgent[position] for position, task in enumerate(workflow.tasks)}


def _urgencies(workflow: Workflow, ranking: Ranking) -> dict[int, float]:
    """Return by when each task has to start, by its position, in the order in which they are to begin."""
    graph, dues = TaskGraph.of(workflow), dues_of(workflow)
    durations = [duration_of(task) for task in workflow.tasks]
    latest = latest_starts(graph, durations, [dues.get(task_id) for task_id in graph.ids])
    order: Sequence[int] = ranking.order
    if len(order) != len(graph.ids):
        order = sorted(range(len(latest)), key=lambda position: (latest[position], position))
    urgent = urgencies(order, latest)
    return {position: urgent[position] for position in order}


def _points(seconds: float) -> float:
    """Return the priority of what has to start within some seconds: 100 at once, one less for each 30 s."""
    return float(min(PRIORITY_MAX, max(0.0, PRIORITY_MAX - seconds // POINT_S)))


def rank_beside(
    workflow: Workflow, task: Task, position: Position, ranking: Ranking, origin: Rank | None
) -> Rank:
    """Return the rank of a task that was added while the workflow ran; it goes with the one it came from."""
    is_planned_for = ranking.strategy is Strategy.DEADLINE and has_deadlines(workflow)
    if origin is not None and (is_planned_for or ranking.is_custom):
        return (*origin[:3], float(position.index))
    return rank(ranking, task, position)


def rank(ranking: Ranking, task: Task, position: Position) -> Rank:
    """Return the task's rank under a strategy; smaller goes first.

    All parts are floats, as they are read back from a log, so a replayed state has the same bytes.
    """
    own = task.priority if ranking.strategy is Strategy.PRIORITY else DEFAULT_PRIORITY
    priority = own if ranking.priority is None else ranking.priority
    return (float(-priority), float(_KEYS[ranking.strategy](position)), float(position.index))
