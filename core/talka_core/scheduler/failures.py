"""What a failed attempt comes to: another attempt, or the end of its task."""

from __future__ import annotations

from collections.abc import Iterator

from talka_core import retry
from talka_core.scheduler import endings
from talka_core.scheduler.state import ExecutionRecord
from talka_protocols.events import ExecutionEvent, TaskFailed, TaskFailure, TaskRetrying, TaskTimedOut


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
    if record.failures < state.index.tasks[task_id].retries and not state.is_stopping:
        due_at = now_ms + retry.delay_ms(state.execution_id, task_id, record.failures + 1)
        yield TaskRetrying(task_id, record.attempt, finished_at, due_at, error)
        return
    kind = TaskTimedOut if is_late else TaskFailed
    yield kind(task_id, record.attempt, finished_at, error)
    yield from endings.follow_up(state, task_id, now_ms)
