"""One task that somebody cancels, while the execution goes on without it.

It counts as failed: what needs it follows its rule for failures, and it uses
up what is tolerated. It is neither tried again nor replaced by its fallback.
"""

from __future__ import annotations

from collections.abc import Iterator

from talka_core.scheduler import endings
from talka_core.scheduler.dispatch import dispatch
from talka_core.scheduler.state import ExecutionRecord
from talka_protocols.events import ExecutionEvent, RequestRefused, TaskUnwanted
from talka_protocols.messages import CancelSingleTask
from talka_protocols.states import FINAL_TASK_STATUSES, ExecutionState


def requested(state: ExecutionRecord, message: CancelSingleTask, now_ms: int) -> Iterator[ExecutionEvent]:
    """End the task, or have it stopped by whoever runs it; or refuse that by an event."""
    if message.request_id in state.requests:
        return
    refusal = _refusal(state, message)
    if refusal is not None:
        yield refusal
        return
    yield TaskUnwanted(message.task_id, message.request_id, message.reason, message.is_forced)
    yield from _end(state, message.task_id, now_ms)
    yield from dispatch(state, now_ms)
    yield from endings.conclude(state)


def finish_all(state: ExecutionRecord, now_ms: int) -> Iterator[ExecutionEvent]:
    """End every unwanted task: a commit may have been cut short in front of that."""
    for task_id in [t for t, record in state.tasks.items() if record.is_unwanted]:
        record = state.tasks[task_id]
        is_asked = record.is_stopping and record.is_forced >= record.is_forced_out
        if record.status not in FINAL_TASK_STATUSES and not is_asked:
            yield from _end(state, task_id, now_ms)


def _end(state: ExecutionRecord, task_id: str, now_ms: int) -> Iterator[ExecutionEvent]:
    yield from endings.cancel_task(state, task_id, now_ms)
    if state.tasks[task_id].status in FINAL_TASK_STATUSES:
        yield from endings.follow_up(state, task_id, now_ms)


def _refusal(state: ExecutionRecord, message: CancelSingleTask) -> RequestRefused | None:
    task_id, record = message.task_id, state.tasks.get(message.task_id)
    if state.is_rolling_back:
        return _refused(message, "rolling_back", "The execution is being rolled back. Wait for its end.")
    if state.status not in (ExecutionState.RUNNING, ExecutionState.PAUSED):
        shown = state.status.value if state.status else "not accepted yet"
        return _refused(message, "not_running", f"The execution is {shown}: nothing can be cancelled.")
    if record is None:
        return _refused(message, "unknown_task", f"The execution has no task {task_id!r}.")
    if record.status in FINAL_TASK_STATUSES:
        return _refused(message, "task_over", f"Task {task_id!r} is {record.status.value} already.")
    return None


def _refused(message: CancelSingleTask, code: str, sentence: str) -> RequestRefused:
    return RequestRefused("cancel", code, sentence, message.task_id, message.request_id)
