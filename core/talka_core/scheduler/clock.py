"""What is late: the execution, whose limit may stand still, and a task that has not started yet."""

from __future__ import annotations

from collections.abc import Iterator

from talka_core.scheduler.state import PARKED, ExecutionRecord
from talka_protocols.events import ExecutionEvent, TimeLimitResumed, TimeLimitStopped
from talka_protocols.states import ExecutionState, TaskStatus

EARLY_MS = 1_000
"""A timer that rings so much before its time by the wall clock is believed: it ran on a better one."""


def keep_time(state: ExecutionRecord) -> Iterator[ExecutionEvent]:
    """Stop the time limit when nothing can run, and let it go on when something can."""
    assert state.workflow is not None, "only what was accepted has a limit"
    if state.is_stopping or state.workflow.config.is_wall_time:
        return
    is_standing = state.limit_stopped_at > 0
    if _is_idle(state) is not is_standing:
        yield TimeLimitResumed() if is_standing else TimeLimitStopped()


def has_passed(state: ExecutionRecord, now_ms: int) -> bool:
    """Tell whether the time limit has passed."""
    is_under_way = state.status in (ExecutionState.RUNNING, ExecutionState.PAUSED)
    is_going = is_under_way and not state.is_stopping and not state.limit_stopped_at
    return is_going and now_ms + EARLY_MS >= state.timeout_at


def start_due_at(state: ExecutionRecord, task_id: str) -> int:
    """Return when the task must have started (Unix milliseconds); 0 if nothing bounds that now."""
    limit_s, record = state.index.tasks[task_id].start_timeout, state.tasks[task_id]
    is_running = state.status is ExecutionState.RUNNING and not state.is_stopping
    if limit_s is None or not is_running or record.is_paused:
        return 0
    is_sent = record.status is TaskStatus.SCHEDULED and not (
        record.is_stopping or record.is_overdue or record.is_preempted
    )
    is_waiting = is_sent or record.status in (TaskStatus.READY, TaskStatus.QUEUED)
    return record.ready_at + int(limit_s * 1000) if is_waiting else 0


def _is_idle(state: ExecutionRecord) -> bool:
    if state.status is ExecutionState.PAUSED:
        return True
    if state.ready or state.active:
        return False
    # A parked task waits for somebody who may never come: the limit is what ends it then.
    return not any(
        record.status is TaskStatus.RETRYING
        or (record.status is TaskStatus.WAITING and record.waiting == PARKED)
        for record in state.tasks.values()
    )
