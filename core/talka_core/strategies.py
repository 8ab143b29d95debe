"""Strategies: each is a rank, and the ready task with the smallest rank goes first.

A rank is ``(-priority or a constant, key, index)``; pools compare ranks of
different executions, so the first part is always on the priority scale.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from talka_protocols.workflow import DEFAULT_PRIORITY, Strategy, Task


class Position(Struct, frozen=True):
    """Where a task stands in its graph.

    ``level`` counts from the roots, ``remaining`` is the seconds from its start
    to the end of the longest path behind it, ``slack`` is seconds too, and
    ``index`` is its place in the file.
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


def rank(strategy: Strategy, task: Task, position: Position) -> Rank:
    """Return the task's rank under a strategy; smaller goes first.

    All parts are floats, as they are read back from a log, so a replayed state has the same bytes.
    """
    return tuple(map(float, _RANKS[strategy](task, position)))
