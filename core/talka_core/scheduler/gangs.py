"""Gangs: tasks that are asked for together, because none of them is of use without the others.

A member that is ready waits until all others are, and then the pool is asked
for all of them under one name; it grants them in one decision. Members that
have ended before belong to the gang no longer. After that each is on its own:
one that fails or is lost is asked for alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from talka_core.scheduler import locality
from talka_core.scheduler.state import ExecutionRecord, TaskRecord
from talka_protocols.events import ExecutionEvent, TaskQueued, TaskWithdrawn
from talka_protocols.states import FINAL_TASK_STATUSES, TaskStatus


def is_ganged(state: ExecutionRecord, task_id: str) -> bool:
    """Tell whether a ready task is to be asked for with others, and not alone."""
    peers = peers_of(state, task_id)
    if not peers or _is_granted(state.tasks[task_id]):
        return False
    return not any(_is_granted(state.tasks[peer]) for peer in peers)


def is_incomplete(state: ExecutionRecord, task_id: str) -> bool:
    """Tell whether a ready task has to wait for other members of its gang to be ready."""
    if task_id not in state.index.ganged or not is_ganged(state, task_id):
        return False
    return not all(is_at_hand(state.tasks[peer]) for peer in peers_of(state, task_id))


def together(state: ExecutionRecord, task_id: str) -> list[str]:
    """Return the ready tasks that are asked for in one go: a gang, or the task alone."""
    if task_id not in state.index.ganged or not is_ganged(state, task_id):
        return [task_id]
    ready = [peer for peer in peers_of(state, task_id) if state.tasks[peer].status is TaskStatus.READY]
    return [task_id, *ready]


def has_asked(state: ExecutionRecord, task_id: str) -> bool:
    """Tell whether the pool has been asked already for other members of the task's gang."""
    if task_id not in state.index.ganged or not is_ganged(state, task_id):
        return False
    return any(_is_asked(state.tasks[peer]) for peer in peers_of(state, task_id))


def ask(state: ExecutionRecord, members: list[str]) -> Iterator[ExecutionEvent]:
    """Ask the pool for a gang; some of it may have been asked for before a commit was cut short."""
    first = members[0]
    asked = [record for peer in peers_of(state, first) if _is_asked(record := state.tasks[peer])]
    name = f"{state.execution_id}/{state.index.ganged[first]}/{state.version}"
    gang, count = (asked[0].gang, asked[0].members) if asked else (name, len(members))
    for task_id in members:
        attempt = state.tasks[task_id].attempt + 1
        yield TaskQueued(task_id, attempt, locality.near(state, task_id), gang, count)


def dissolve(state: ExecutionRecord) -> Iterator[ExecutionEvent]:
    """Take back what is asked for gangs of which a member ended, or was held back, before the grant."""
    for name in state.index.gangs:
        asked = [task_id for task_id in state.index.gangs[name] if _is_asked(state.tasks[task_id])]
        if not asked or any(_is_granted(state.tasks[task_id]) for task_id in state.index.gangs[name]):
            continue
        at_hand = [task_id for task_id in state.index.gangs[name] if is_at_hand(state.tasks[task_id])]
        if len(at_hand) < state.tasks[asked[0]].members:
            for task_id in asked:
                yield TaskWithdrawn(task_id, state.tasks[task_id].attempt)


def asked_with(state: ExecutionRecord, task_id: str) -> list[str]:
    """Return the other members of a gang that the pool is asked for together with this one."""
    if not _is_asked(state.tasks[task_id]):
        return []
    return [peer for peer in peers_of(state, task_id) if _is_asked(state.tasks[peer])]


def peers_of(state: ExecutionRecord, task_id: str) -> list[str]:
    """Return the other members of the task's gang that have not ended."""
    members = state.index.gangs.get(state.index.ganged.get(task_id, ""), ())
    return [m for m in members if m != task_id and state.tasks[m].status not in FINAL_TASK_STATUSES]


def _is_asked(record: TaskRecord) -> bool:
    return record.status is TaskStatus.QUEUED and record.members > 0


def _is_granted(record: TaskRecord) -> bool:
    return bool(record.gang) and not record.members


def is_at_hand(record: TaskRecord) -> bool:
    """Tell whether a member is asked for, or may be."""
    return _is_asked(record) or (record.status is TaskStatus.READY and not record.is_paused)
