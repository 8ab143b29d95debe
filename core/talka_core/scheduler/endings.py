"""How tasks end without running, and when an execution is over."""

from __future__ import annotations

from collections.abc import Iterator

from talka_core.scheduler.dispatch import release_kept
from talka_core.scheduler.state import ExecutionRecord
from talka_protocols.events import (
    AllocationRequestWithdrawn,
    ExecutionCancelled,
    ExecutionEvent,
    ExecutionFailed,
    ExecutionSucceeded,
    ExecutionTimedOut,
    TaskCancelled,
    TaskCancelRequested,
    TaskSkipped,
)
from talka_protocols.states import ExecutionState, TaskStatus

_UNSUCCESSFUL = (TaskStatus.FAILED, TaskStatus.TIMED_OUT, TaskStatus.CANCELLED, TaskStatus.SKIPPED)


def skip_behind(state: ExecutionRecord, task_id: str) -> Iterator[ExecutionEvent]:
    """Skip everything that needs, directly or not, a task that did not succeed."""
    pending = [task_id]
    for failed in pending:
        for successor in state.index.successors[failed]:
            if state.tasks[successor].status is TaskStatus.PENDING:
                yield TaskSkipped(successor, because=task_id)
                pending.append(successor)


def skip_orphans(state: ExecutionRecord) -> Iterator[ExecutionEvent]:
    """Skip what a commit that was cut short left behind a failed task."""
    for task_id, record in state.tasks.items():
        if record.status in _UNSUCCESSFUL and state.index.successors[task_id]:
            yield from skip_behind(state, record.because or task_id)


def stop_all(state: ExecutionRecord, now_ms: int) -> Iterator[ExecutionEvent]:
    """Cancel what has not begun, and ask the workers to stop what runs."""
    yield from release_kept(state)
    for task_id, record in state.tasks.items():
        match record.status:
            case TaskStatus.PENDING | TaskStatus.READY | TaskStatus.RETRYING:
                yield TaskCancelled(task_id, record.attempt, now_ms)
            case TaskStatus.QUEUED:
                if record.allocation_id:
                    yield AllocationRequestWithdrawn(record.allocation_id)
                yield TaskCancelled(task_id, record.attempt, now_ms)
            case TaskStatus.SCHEDULED | TaskStatus.RUNNING if not record.is_stopping:
                yield TaskCancelRequested(task_id, record.attempt)
            case _:
                pass


def conclude(state: ExecutionRecord) -> Iterator[ExecutionEvent]:
    """End the execution when every task has ended."""
    if state.unfinished or state.status is not ExecutionState.RUNNING:
        return
    yield from release_kept(state)
    if not any(record.status in _UNSUCCESSFUL for record in state.tasks.values()):
        yield ExecutionSucceeded()
    elif state.is_timing_out:
        yield ExecutionTimedOut()
    elif state.is_cancelling:
        yield ExecutionCancelled()
    else:
        yield ExecutionFailed(tuple(state.failed))
