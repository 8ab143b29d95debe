"""What undoes what tasks did, in which order: compensations are tasks that are added to the graph.

So they are retried, time out, hold allocations and survive lost workers as
every task does. What needed a task is undone before it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from talka_core.scheduler.index import MAP
from talka_core.scheduler.names import COMPENSATION, undo_id
from talka_core.scheduler.state import ExecutionRecord, TaskRecord
from talka_core.scheduler.waiting import WORKFLOW
from talka_protocols.events import TasksAdded
from talka_protocols.policies import Action, OnFailure
from talka_protocols.states import TaskStatus
from talka_protocols.workflow import Dependency, Task

RETRIES = 10
"""How often a compensation is tried again where its definition does not say."""

TASKS_PER_FACT = 100

_CASCADE = Action(WORKFLOW)
"""Undoes sub-workflows, which try their own compensations again; a map has none, and is undone at once."""


def has_acted(record: TaskRecord) -> bool:
    """Tell whether the task may have left an effect behind.

    One that reports its failure has left none: what it does is all or nothing.
    """
    is_clean = record.status is TaskStatus.FAILED and not record.is_unclear
    return record.may_have_acted and not is_clean


def to_undo(state: ExecutionRecord, task_ids: Collection[str]) -> list[str]:
    """Return, in order of undoing, those of the tasks that have something to undo and a compensation."""
    wanted = {task_id for task_id in task_ids if _is_undoable(state, task_id)}
    # A map is undone when its items are, so that what it needed waits for one thing and not for each of them.
    wanted |= {state.index.maps[t] for t in wanted if state.index.maps.get(t) in task_ids}
    return _last_first(_followers(state), [task_id for task_id in task_ids if task_id in wanted])


def _is_undoable(state: ExecutionRecord, task_id: str) -> bool:
    """Tell whether there is something to undo; what a sub-workflow did, only it knows."""
    record, task = state.tasks[task_id], state.index.tasks[task_id]
    is_own = has_acted(record) and task.compensation is not None and task.map is None
    return is_own or (bool(record.children) and not task.is_irreversible)


def missing(state: ExecutionRecord, task_ids: Collection[str]) -> list[str]:
    """Return, in order of undoing, those to undo whose compensation has not been added yet."""
    return [t for t in to_undo(state, task_ids) if undo_id(t, state.tasks[t].round) not in state.tasks]


def added(state: ExecutionRecord, task_ids: Collection[str]) -> list[str]:
    """Return the compensations of the tasks' current rounds."""
    names = (undo_id(task_id, state.tasks[task_id].round) for task_id in task_ids)
    return [name for name in names if name in state.tasks]


def add(state: ExecutionRecord, wanted: Sequence[str], among: Collection[str]) -> Iterator[TasksAdded]:
    """Add the compensations of ``wanted``; each waits for those of what, ``among`` these, needed its task."""
    after = _followers(state)
    for first in range(0, len(wanted), TASKS_PER_FACT):
        part = wanted[first : first + TASKS_PER_FACT]
        tasks = tuple(_compensation(state, task_id) for task_id in part)
        known = {*part, *(t for t in among if undo_id(t, state.tasks[t].round) in state.tasks)}
        edges = tuple(
            Dependency(undo_id(later, state.tasks[later].round), undo_id(task_id, state.tasks[task_id].round))
            for task_id in part
            for later in _next_behind(after, task_id, known)
        )
        yield TasksAdded(tasks, edges, reason=COMPENSATION)


def _compensation(state: ExecutionRecord, task_id: str) -> Task:
    task = state.index.tasks[task_id]
    own = None if task.map is not None else task.compensation
    action = own or _CASCADE
    return Task(
        undo_id(task_id, state.tasks[task_id].round),
        action.agent_type,
        payload=action.payload,
        priority=task.priority,
        timeout=action.timeout_seconds,
        retries=action.retries or (RETRIES if own else 0),
        on_failure=OnFailure.SKIP,
    )


def _followers(state: ExecutionRecord) -> Mapping[str, Sequence[str]]:
    """Return what came after each task: what needs it or its map, and what it added."""
    after: dict[str, Sequence[str]] = dict(state.index.successors)
    for addition in state.added:
        if addition.reason != COMPENSATION:
            ids = [task.id for task in addition.tasks]
            after[addition.by] = [*after[addition.by], *ids]
            if addition.reason == MAP:
                behind = state.index.successors[addition.by]
                after |= {item: [*after[item], *behind] for item in ids}
    return after


def _last_first(after: Mapping[str, Sequence[str]], wanted: Sequence[str]) -> list[str]:
    """Order tasks so that each comes after all that needed it; ties as in the definition."""
    among = frozenset(wanted)
    behind = {task_id: _next_behind(after, task_id, among) for task_id in wanted}
    waits = {task_id: len(later) for task_id, later in behind.items()}
    before: dict[str, list[str]] = {task_id: [] for task_id in wanted}
    for task_id, later in behind.items():
        for follower in later:
            before[follower].append(task_id)
    order = [task_id for task_id in wanted if not waits[task_id]]
    for task_id in order:
        for earlier in before[task_id]:
            waits[earlier] -= 1
            if not waits[earlier]:
                order.append(earlier)
    return order


def _next_behind(after: Mapping[str, Sequence[str]], task_id: str, among: Collection[str]) -> list[str]:
    """Return the nearest of the tasks ``among`` these behind a task, looking through all others."""
    found: dict[str, None] = {}
    seen = {task_id}
    frontier = [task_id]
    while frontier:
        for successor in after[frontier.pop()]:
            if successor in seen:
                continue
            seen.add(successor)
            if successor in among:
                found[successor] = None
            else:
                frontier.append(successor)
    return list(found)
