"""What people say to work under way: pause, resume (also after the time limit), release what is parked."""

from __future__ import annotations

from collections.abc import Iterator

from talka_core.scheduler import endings, waiting
from talka_core.scheduler.dispatch import dispatch, release_kept
from talka_core.scheduler.state import PARKED, ExecutionRecord
from talka_protocols.events import (
    ExecutionEvent,
    ExecutionPaused,
    ExecutionResumed,
    RequestRefused,
    TaskFailed,
    TaskPaused,
    TaskReleased,
    TaskResumed,
    TaskWithdrawn,
)
from talka_protocols.messages import PauseExecution, ReleaseTask, ResumeExecution
from talka_protocols.states import FINAL_TASK_STATUSES, ExecutionState, TaskStatus

Asked = PauseExecution | ReleaseTask | ResumeExecution
_NAMES = {PauseExecution: "pause", ReleaseTask: "release", ResumeExecution: "resume"}


def asked(state: ExecutionRecord, message: Asked, now_ms: int) -> Iterator[ExecutionEvent]:
    """Do what was asked, or refuse it by an event; each request is heard once."""
    if message.request_id in state.requests:
        return
    match message:
        case PauseExecution():
            yield from _pause(state, message)
        case ResumeExecution():
            yield from _resume(state, message, now_ms)
        case ReleaseTask():
            yield from _release(state, message, now_ms)


def _pause(state: ExecutionRecord, message: PauseExecution) -> Iterator[ExecutionEvent]:
    """Let nothing new start, of the execution or of one task; pausing again is no fault."""
    is_under_way = state.status in (ExecutionState.RUNNING, ExecutionState.PAUSED) and not state.is_stopping
    if not is_under_way:
        yield _refused(message, "not_running", f"The execution is {_shown(state)}: nothing can be paused.")
    elif not message.task_id:
        yield ExecutionPaused(message.request_id, message.reason)
        yield from hold_back(state)
        yield from endings.conclude(state)
    elif (refusal := _unfit(state, message)) is not None:
        yield refusal
    else:
        yield TaskPaused(message.task_id, message.request_id, message.reason)
        yield from hold_back(state)
        yield from endings.conclude(state)


def _resume(state: ExecutionRecord, message: ResumeExecution, now_ms: int) -> Iterator[ExecutionEvent]:
    """Let the work go on: after a pause, or where the time limit had stopped it."""
    if message.task_id:
        yield from _resume_task(state, message, now_ms)
    elif state.status is ExecutionState.TIMED_OUT and state.parent is not None:
        whose = f"task {state.parent.task_id!r} of {state.parent.execution_id}"
        yield _refused(message, "has_parent", f"It is the sub-workflow of {whose}, which knows its end.")
    elif state.status is ExecutionState.TIMED_OUT:
        yield ExecutionResumed(message.request_id, message.limit_ms or state.limit_ms)
        yield from go_on(state, now_ms)
    elif state.status is ExecutionState.PAUSED and not state.is_stopping:
        yield ExecutionResumed(message.request_id, message.limit_ms)
        yield from go_on(state, now_ms)
    else:
        yield _refused(message, "not_paused", f"The execution is {_shown(state)}: nothing can be resumed.")


def _release(state: ExecutionRecord, message: ReleaseTask, now_ms: int) -> Iterator[ExecutionEvent]:
    """Let a parked task run again, or have failed."""
    task_id, record = message.task_id, state.tasks.get(message.task_id)
    refusal = _unfit(state, message)
    if refusal is not None or record is None:
        yield refusal or _refused(message, "unknown_task", f"The execution has no task {task_id!r}.")
    elif record.status is not TaskStatus.WAITING or record.waiting != PARKED:
        yield _refused(message, "not_parked", f"Task {task_id!r} is {record.status.value} and not parked.")
    elif message.is_failed:
        assert record.error is not None, "a parked task says why"
        yield TaskFailed(task_id, record.attempt, now_ms, record.error)
        yield from endings.follow_up(state, task_id, now_ms)
        yield from go_on(state, now_ms)
    else:
        yield TaskReleased(task_id, message.request_id)
        yield from go_on(state, now_ms)


def hold_back(state: ExecutionRecord) -> Iterator[ExecutionEvent]:
    """Take back what is asked of the pool for tasks that may not start."""
    if state.status is ExecutionState.PAUSED:
        yield from release_kept(state)
    for task_id, record in state.tasks.items():
        is_held = record.is_paused or state.status is ExecutionState.PAUSED
        if is_held and record.status is TaskStatus.QUEUED and record.allocation_id:
            yield TaskWithdrawn(task_id, record.attempt)


def go_on(state: ExecutionRecord, now_ms: int) -> Iterator[ExecutionEvent]:
    """Start whatever may start now."""
    yield from waiting.begin_all(state, now_ms)
    yield from endings.follow_up_all(state, now_ms)
    yield from dispatch(state, now_ms)
    yield from endings.conclude(state)


def _resume_task(state: ExecutionRecord, message: ResumeExecution, now_ms: int) -> Iterator[ExecutionEvent]:
    refusal = _unfit(state, message)
    if refusal is not None:
        yield refusal
    elif not state.tasks[message.task_id].is_paused:
        yield _refused(message, "not_paused", f"Task {message.task_id!r} is not paused.")
    else:
        yield TaskResumed(message.task_id, message.request_id)
        yield from go_on(state, now_ms)


def _unfit(state: ExecutionRecord, message: Asked) -> RequestRefused | None:
    task_id = message.task_id
    record = state.tasks.get(task_id)
    if record is None:
        return _refused(message, "unknown_task", f"The execution has no task {task_id!r}.")
    if record.status in FINAL_TASK_STATUSES:
        return _refused(message, "task_over", f"Task {task_id!r} is {record.status.value} already.")
    return None


def _shown(state: ExecutionRecord) -> str:
    if state.is_stopping and state.finished_at == 0:
        return "being stopped"
    return state.status.value if state.status else "not accepted yet"


def _refused(message: Asked, code: str, sentence: str) -> RequestRefused:
    return RequestRefused(_NAMES[type(message)], code, sentence, message.task_id, message.request_id)
