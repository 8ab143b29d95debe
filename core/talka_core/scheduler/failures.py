"""What a failed attempt comes to: another attempt, its fallback, or the end of its task."""

from __future__ import annotations

from collections.abc import Iterator

from talka_core import retry
from talka_core.scheduler import endings, waiting
from talka_core.scheduler.state import ExecutionRecord, TaskRecord
from talka_protocols.events import (
    ExecutionEvent,
    TaskCancelled,
    TaskFailed,
    TaskFailure,
    TaskFellBack,
    TaskRetrying,
    TaskTimedOut,
)
from talka_protocols.states import FINAL_TASK_STATUSES, TaskStatus


def failed(
    state: ExecutionRecord,
    task_id: str,
    finished_at: int,
    error: TaskFailure,
    now_ms: int,
    *,
    is_late: bool = False,
) -> Iterator[ExecutionEvent]:
    """Let the task's attempt have failed, or have run past its time-out if it ``is_late``."""
    record = state.tasks[task_id]
    can_retry, can_fall_back = _may_retry(state, task_id, error), _may_fall_back(state, task_id)
    if state.is_timing_out and (can_retry or can_fall_back):
        # It would have gone on, and so it does when the execution is resumed.
        yield TaskCancelled(task_id, record.attempt, finished_at)
        return
    is_ending = state.is_stopping or (record.is_stopping and state.is_rolling_back)
    if can_retry and not is_ending:
        policy = state.index.tasks[task_id].retry
        due_at = now_ms + retry.delay_ms(state.execution_id, task_id, record.failures + 1, policy)
        yield TaskRetrying(task_id, record.attempt, finished_at, due_at, error)
        return
    if can_fall_back and not is_ending:
        yield TaskFellBack(task_id, record.attempt, finished_at, error)
        yield from waiting.begin(state, task_id, now_ms)
        if record.status in FINAL_TASK_STATUSES:
            yield from endings.follow_up(state, task_id, now_ms)
        return
    kind = TaskTimedOut if is_late else TaskFailed
    yield kind(task_id, record.attempt, finished_at, error)
    yield from endings.follow_up(state, task_id, now_ms)


def _may_retry(state: ExecutionRecord, task_id: str, error: TaskFailure) -> bool:
    task, record = state.index.tasks[task_id], state.tasks[task_id]
    has_run = record.status not in (TaskStatus.READY, TaskStatus.QUEUED)
    is_left = has_run and record.failures < task.retries
    return is_left and _is_wanted(state, record) and retry.may_retry(task.retry, error)


def _may_fall_back(state: ExecutionRecord, task_id: str) -> bool:
    return state.index.tasks[task_id].fallback is not None and _is_wanted(state, state.tasks[task_id])


def _is_wanted(state: ExecutionRecord, record: TaskRecord) -> bool:
    """Tell whether the task would go on: it was not stopped, or only by the time limit."""
    is_stopped_by_limit = state.is_timing_out and not record.because and not record.is_unwanted
    return not record.is_stopping or is_stopped_by_limit
