"""Which ready task goes next: hands an allocation on, or asks the pool."""

from __future__ import annotations

from collections.abc import Iterator

from talka_core.scheduler.state import ExecutionRecord, TaskRecord
from talka_protocols.events import (
    AllocationHandedOn,
    AllocationReleased,
    ExecutionEvent,
    TaskQueued,
    TaskReady,
    TaskScheduled,
)


def make_ready(state: ExecutionRecord, task_id: str) -> Iterator[ExecutionEvent]:
    """Say that nothing keeps the task from running but resources and the parallel limit."""
    yield TaskReady(task_id, state.index.ranks[task_id])


def dispatch(state: ExecutionRecord) -> Iterator[ExecutionEvent]:
    """Ask the pool for as many ready tasks as the workflow's limit allows, best rank first."""
    while state.ready and not state.is_stopping and _has_room(state):
        task_id = state.ready[0][1]
        yield TaskQueued(task_id, state.tasks[task_id].attempt + 1)


def give_up(state: ExecutionRecord, task_id: str, now_ms: int) -> Iterator[ExecutionEvent]:
    """Pass the ended task's allocation to the best ready task, or return it to the pool.

    It is handed on only under a live permit, to a task that needs exactly the
    same, and never past a task of ours that the pool already knows of.
    """
    record = state.tasks[task_id]
    allocation_id = record.allocation_id
    if not allocation_id:
        return
    heir = _heir(state, task_id, record, now_ms)
    if heir is None:
        yield AllocationReleased(allocation_id)
        return
    attempt = state.tasks[heir].attempt + 1
    worker_id, fence = record.worker_id, record.fence + 1
    hands, hands_until = record.hands - 1, record.hands_until
    yield AllocationHandedOn(allocation_id, task_id, heir, attempt, fence)
    yield TaskScheduled(heir, attempt, worker_id, allocation_id, fence, hands=hands, hands_until=hands_until)


def _heir(state: ExecutionRecord, task_id: str, record: TaskRecord, now_ms: int) -> str | None:
    is_permitted = record.hands > 0 and now_ms < record.hands_until
    if not (is_permitted and state.ready and state.queued == 0) or state.is_stopping:
        return None
    if not _has_room(state):
        return None
    heir = state.ready[0][1]
    is_same = (
        state.index.tasks[heir].agent_type == state.index.tasks[task_id].agent_type
        and state.index.amounts[heir] == state.index.amounts[task_id]
    )
    return heir if is_same else None


def _has_room(state: ExecutionRecord) -> bool:
    limit = state.workflow.config.max_parallel if state.workflow else None
    return limit is None or state.active < limit
