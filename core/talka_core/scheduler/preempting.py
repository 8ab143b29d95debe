"""What deadlines mean to an execution: when its tasks have to start, and what makes way for others'.

The pool decides who makes way. The attempt is stopped by its worker as one that
is cancelled, so that it can save what it has; its resources go back when it has
ended, and the task is ready again at once. That is neither a failure nor a loss.
"""

from __future__ import annotations

from collections.abc import Iterator

from talka_core.scheduler.dispatch import dispatch
from talka_core.scheduler.state import ExecutionRecord
from talka_protocols.events import DeadlineThreatened, ExecutionEvent, TaskPreempted, TaskWithdrawn
from talka_protocols.messages import PreemptAllocation, WarnOfDeadline
from talka_protocols.states import TaskStatus

_LIVE = (TaskStatus.SCHEDULED, TaskStatus.RUNNING)


def told(
    state: ExecutionRecord, message: PreemptAllocation | WarnOfDeadline, now_ms: int
) -> Iterator[ExecutionEvent]:
    """Stop the attempt that has to make way, or record that a deadline is threatened."""
    if isinstance(message, PreemptAllocation):
        yield from _make_way(state, message, now_ms)
        return
    record = state.tasks.get(message.task_id)
    is_waiting = record is not None and record.status is TaskStatus.QUEUED
    if record is not None and is_waiting and record.attempt == message.attempt and not state.threatened:
        yield DeadlineThreatened(message.task_id, message.start_by)


def _make_way(state: ExecutionRecord, message: PreemptAllocation, now_ms: int) -> Iterator[ExecutionEvent]:
    for task_id, record in state.tasks.items():
        if record.allocation_id != message.allocation_id:
            continue
        if record.status is TaskStatus.QUEUED:
            # The grant has not arrived: nothing runs on it yet.
            yield TaskWithdrawn(task_id, record.attempt)
            yield from dispatch(state, now_ms)
        elif record.status in _LIVE and not (record.is_preempted or record.is_stopping or record.is_overdue):
            yield TaskPreempted(task_id, record.attempt, message.by, message.reason)
        return


def sentence(state: ExecutionRecord, event: DeadlineThreatened) -> str:
    """Say in one sentence which deadline is threatened by what."""
    return (
        f"Deadline threatened: task {event.task_id!r} of execution {state.execution_id} had to wait for its "
        "resources until just before the latest start with which all is done in time."
    )
