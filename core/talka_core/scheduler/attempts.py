"""What a worker's reports, and the loss of a worker, make happen to a task."""

from __future__ import annotations

from collections.abc import Iterator

from talka_core import retry
from talka_core.scheduler import artifacts, endings, extending, failures, looping, progress, usage
from talka_core.scheduler.clock import EARLY_MS, start_due_at
from talka_core.scheduler.dispatch import dispatch, give_up
from talka_core.scheduler.state import LOST_MAX, ExecutionRecord, TaskRecord
from talka_protocols.events import (
    AllocationReleased,
    ExecutionEvent,
    TaskAttemptLost,
    TaskCancelled,
    TaskFailure,
    TaskParked,
    TaskStarted,
    TaskStartTimeoutReached,
    TaskSucceeded,
    TaskWithdrawn,
)
from talka_protocols.messages import (
    DRAINING_CODE,
    AttemptFinished,
    AttemptStarted,
    Outcome,
    RefuseAllocation,
    RevokeAllocation,
)
from talka_protocols.states import FINAL_TASK_STATUSES, Health, TaskStatus

_LIVE = (TaskStatus.SCHEDULED, TaskStatus.RUNNING)
_HOLDING = (TaskStatus.QUEUED, *_LIVE)
_UNKNOWN = TaskFailure("unknown", "The worker gave no reason.")


def started(state: ExecutionRecord, message: AttemptStarted) -> Iterator[ExecutionEvent]:
    """Record that the wanted attempt runs."""
    record = progress.live(state, message)
    if record is not None and record.status is TaskStatus.SCHEDULED:
        yield TaskStarted(message.task_id, message.attempt, message.started_at)


def finished(state: ExecutionRecord, message: AttemptFinished, now_ms: int) -> Iterator[ExecutionEvent]:
    """Record the outcome of the wanted attempt, once, and what follows from it."""
    record = progress.live(state, message)
    if record is None:
        return
    if record.status is TaskStatus.SCHEDULED and message.started_at:
        yield TaskStarted(message.task_id, message.attempt, message.started_at)
    if message.usage is not None:
        yield from usage.measured(state, message)
    held, health = record.allocation_id, _health(state, message)
    match message.outcome:
        case Outcome.SUCCEEDED:
            yield from _succeeded(state, message, now_ms)
        case Outcome.CANCELLED if record.is_stopping:
            yield TaskCancelled(message.task_id, message.attempt, message.finished_at, record.because)
            yield from endings.follow_up(state, message.task_id, now_ms)
        case Outcome.CANCELLED if record.is_overdue:
            missed = f"was not started by worker {record.worker_id}"
            yield from _too_late(state, message.task_id, now_ms, missed)
        case Outcome.CANCELLED if record.is_preempted:
            reason = f"It was preempted. {record.preempted}"
            yield from _lost(state, message.task_id, record, reason, now_ms, is_handed_back=True)
            yield AllocationReleased(held)
        case Outcome.LOST | Outcome.CANCELLED:
            reason = message.error.message if message.error else "The worker gave the attempt back."
            is_handed_back = message.error is not None and message.error.code == DRAINING_CODE
            yield from _lost(state, message.task_id, record, reason, now_ms, is_handed_back=is_handed_back)
            yield AllocationReleased(held)
        case Outcome.FAILED | Outcome.TIMED_OUT:
            error = message.error or _UNKNOWN
            is_late = message.outcome is Outcome.TIMED_OUT
            yield from failures.failed(
                state, message.task_id, message.finished_at, error, now_ms, is_late=is_late
            )
    if record.allocation_id:
        yield from give_up(state, message.task_id, now_ms, health)
    yield from dispatch(state, now_ms)
    yield from endings.conclude(state)


def _health(state: ExecutionRecord, message: AttemptFinished) -> Health:
    """Return what the attempt's end says of its agent type.

    An error that no attempt could mend is the task's own, and what was stopped says nothing.
    """
    task = state.index.tasks[message.task_id]
    match message.outcome:
        case Outcome.SUCCEEDED:
            return Health.GOOD
        case _ if state.tasks[message.task_id].is_stopping:
            return Health.UNKNOWN
        case Outcome.TIMED_OUT:
            return Health.BAD
        case Outcome.FAILED if retry.may_retry(task.retry, message.error or _UNKNOWN):
            return Health.BAD
        case _:
            return Health.UNKNOWN


def revoked(state: ExecutionRecord, message: RevokeAllocation, now_ms: int) -> Iterator[ExecutionEvent]:
    """Take an attempt for lost when its allocation is gone with its worker.

    That holds also where the grant itself never arrived: asking again under the
    same allocation id would let a late grant of the lost worker be taken for the new one.
    """
    task_id = state.holder_of(message.allocation_id)
    if task_id is not None and state.tasks[task_id].status in _HOLDING:
        yield from _lost(state, task_id, state.tasks[task_id], message.reason, now_ms)
        yield AllocationReleased(message.allocation_id)
        yield from dispatch(state, now_ms)
        yield from endings.conclude(state)
        return
    if message.allocation_id in state.kept:
        yield AllocationReleased(message.allocation_id)


def not_started(state: ExecutionRecord, task_id: str, now_ms: int) -> Iterator[ExecutionEvent]:
    """Give a task up that has waited too long for its resources, and what it asked of the pool with it.

    One that was sent to a worker is given up only when that has said that it will not start.
    """
    record = state.tasks.get(task_id)
    if record is None or (due_at := start_due_at(state, task_id)) == 0 or now_ms + EARLY_MS < due_at:
        return
    if record.status is TaskStatus.SCHEDULED:
        yield TaskStartTimeoutReached(task_id, record.attempt)
        return
    if record.status is TaskStatus.QUEUED:
        yield TaskWithdrawn(task_id, record.attempt)
    yield from _too_late(state, task_id, now_ms, "did not get its resources")
    yield from dispatch(state, now_ms)
    yield from endings.conclude(state)


def denied(
    state: ExecutionRecord, message: RevokeAllocation | RefuseAllocation, now_ms: int
) -> Iterator[ExecutionEvent]:
    """Take what the pool says of an allocation that it takes back, or will never grant."""
    if isinstance(message, RevokeAllocation):
        yield from revoked(state, message, now_ms)
    else:
        yield from refused(state, message, now_ms)


def refused(state: ExecutionRecord, message: RefuseAllocation, now_ms: int) -> Iterator[ExecutionEvent]:
    """Let a task fail whose resources the pool will never grant."""
    record = state.tasks.get(message.task_id)
    is_asked = record is not None and record.status is TaskStatus.QUEUED
    if record is None or not is_asked or record.allocation_id != message.allocation_id:
        return
    yield TaskWithdrawn(message.task_id, record.attempt)
    error = TaskFailure(message.code, message.reason)
    yield from failures.failed(state, message.task_id, now_ms, error, now_ms)
    yield from dispatch(state, now_ms)
    yield from endings.conclude(state)


def return_strays(state: ExecutionRecord) -> Iterator[ExecutionEvent]:
    """Give back what nobody needs any more because a commit was cut short.

    That is what an ended task still holds, and what was handed on to a task that never got it.
    """
    for record in state.tasks.values():
        is_kept = record.allocation_id in state.kept
        if record.allocation_id and record.status not in _HOLDING and not is_kept:
            yield AllocationReleased(record.allocation_id)
    held = {record.allocation_id for record in state.tasks.values()}
    for allocation_id in [a for a in state.handing if a not in held]:
        yield AllocationReleased(allocation_id)


def _too_late(state: ExecutionRecord, task_id: str, now_ms: int, missed: str) -> Iterator[ExecutionEvent]:
    """Let the task have missed its time to start: while it waited for resources, or on its worker."""
    limit_s = state.index.tasks[task_id].start_timeout
    error = TaskFailure("start_timeout", f"Task {task_id!r} {missed} within {limit_s:g} s.")
    yield from failures.failed(state, task_id, now_ms, error, now_ms, is_late=True)


def _succeeded(state: ExecutionRecord, message: AttemptFinished, now_ms: int) -> Iterator[ExecutionEvent]:
    if message.artifacts:
        yield from artifacts.written(state, message)
    if (error := artifacts.failure(state, message.task_id)) is not None:
        yield from failures.failed(state, message.task_id, message.finished_at, error, now_ms)
        return
    is_loop = state.index.tasks[message.task_id].loop is not None
    is_held_back = state.holds_back(state.tasks[message.task_id])
    if message.extension is not None and not is_loop and not is_held_back:
        yield from extending.requested(state, message, now_ms)
        return
    if is_loop:
        if message.extension is not None:
            yield extending.refused_in_loop(message)
        yield looping.after_round(state, message, now_ms)
    else:
        yield TaskSucceeded(
            message.task_id,
            message.attempt,
            message.finished_at,
            message.result,
            message.claim,
            message.extracts,
        )
    if state.tasks[message.task_id].status in FINAL_TASK_STATUSES:
        yield from endings.follow_up(state, message.task_id, now_ms)


def _lost(
    state: ExecutionRecord,
    task_id: str,
    record: TaskRecord,
    reason: str,
    now_ms: int,
    *,
    is_handed_back: bool = False,
) -> Iterator[ExecutionEvent]:
    if record.is_stopping:
        yield TaskCancelled(task_id, record.attempt, now_ms, record.because)
        yield from endings.follow_up(state, task_id, now_ms)
    elif is_handed_back or record.lost < LOST_MAX:
        yield TaskAttemptLost(task_id, record.attempt, reason, is_handed_back)
    else:
        yield TaskParked(
            task_id, record.attempt, f"{LOST_MAX + 1} attempts were lost with their workers: {reason}"
        )
