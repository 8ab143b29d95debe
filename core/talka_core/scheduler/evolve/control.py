"""Facts about pauses, about what goes on after them, and about the time limit that keeps up with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from talka_core.scheduler.evolve.allocations import give_back
from talka_core.scheduler.evolve.execution import hear
from talka_core.scheduler.evolve.tasks import enqueue, leave
from talka_core.scheduler.state import ExecutionRecord
from talka_protocols import events as e
from talka_protocols.states import ExecutionState, TaskStatus


def _paused(state: ExecutionRecord, event: e.ExecutionPaused, _at: int) -> None:
    state.status, state.reason = ExecutionState.PAUSED, event.reason
    hear(state, event.request_id)


def _resumed(state: ExecutionRecord, event: e.ExecutionResumed, at: int) -> None:
    if state.status is ExecutionState.TIMED_OUT:
        _take_up(state)
    state.status, state.reason = ExecutionState.RUNNING, ""
    if event.limit_ms:
        state.limit_ms, state.timeout_at = event.limit_ms, at + event.limit_ms
        state.limit_stopped_at = state.limit_stopped_at and at
    hear(state, event.request_id)


def _take_up(state: ExecutionRecord) -> None:
    """Let what the time limit cancelled be as if it had not begun."""
    state.is_timing_out, state.finished_at = False, 0
    for record in state.tasks.values():
        if record.is_expired:
            record.status, record.finished_at = TaskStatus.PENDING, 0
            record.is_expired = record.is_stopping = False
            state.unfinished += 1


def _task_paused(state: ExecutionRecord, event: e.TaskPaused, _at: int) -> None:
    record = state.tasks[event.task_id]
    if record.status is TaskStatus.READY and not record.is_paused:
        leave(state, event.task_id, record)
    record.is_paused = True
    hear(state, event.request_id)


def _task_resumed(state: ExecutionRecord, event: e.TaskResumed, _at: int) -> None:
    record = state.tasks[event.task_id]
    if record.is_paused:
        record.is_paused = False
        if record.status is TaskStatus.READY:
            enqueue(state, event.task_id, record)
    hear(state, event.request_id)


def _withdrawn(state: ExecutionRecord, event: e.TaskWithdrawn, _at: int) -> None:
    record = state.tasks[event.task_id]
    leave(state, event.task_id, record)
    give_back(state, event.task_id, record)
    record.status = TaskStatus.READY
    enqueue(state, event.task_id, record)


def _time_stopped(state: ExecutionRecord, _event: e.TimeLimitStopped, at: int) -> None:
    state.limit_stopped_at = at


def _time_resumed(state: ExecutionRecord, _event: e.TimeLimitResumed, at: int) -> None:
    state.timeout_at += at - state.limit_stopped_at
    state.limit_stopped_at = 0


HANDLERS: dict[type, Callable[[ExecutionRecord, Any, int], None]] = {
    e.ExecutionPaused: _paused,
    e.ExecutionResumed: _resumed,
    e.TaskPaused: _task_paused,
    e.TaskResumed: _task_resumed,
    e.TaskWithdrawn: _withdrawn,
    e.TimeLimitStopped: _time_stopped,
    e.TimeLimitResumed: _time_resumed,
}
