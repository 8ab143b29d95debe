"""Remembering one fact about an execution; total, and nothing else."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import assert_never

from talka_core.scheduler.index import index_of
from talka_core.scheduler.state import ExecutionRecord, Kept, Return, TaskRecord, allocation_id
from talka_protocols import events as e
from talka_protocols.events import ExecutionEvent, Holder
from talka_protocols.states import ExecutionState, TaskStatus

_ACTIVE = (TaskStatus.QUEUED, TaskStatus.SCHEDULED, TaskStatus.RUNNING)


def evolve(state: ExecutionRecord, event: ExecutionEvent, at: int) -> None:
    """Remember one event that happened at ``at`` (milliseconds since the epoch)."""
    state.version += 1
    match event:
        case e.TaskReady() | e.TaskQueued() | e.TaskScheduled() | e.TaskStarted() | e.AllocationHandedOn():
            _on_the_way(state, event, at)
        case e.TaskSucceeded() | e.TaskFailed() | e.TaskTimedOut() | e.TaskCancelled() | e.TaskSkipped():
            _ended(state, event, at)
        case e.AllocationReleased() | e.AllocationRequestWithdrawn():
            _return(state, event.allocation_id)
        case e.AllocationKept():
            state.kept[event.allocation_id] = Kept(event.task_id, event.until)
        case e.AllocationSettled():
            state.returning.pop(event.allocation_id, None)
        case e.HandOnSettled():
            if (handing := state.handing.get(event.allocation_id)) and handing.fence <= event.fence:
                del state.handing[event.allocation_id]
        case e.TaskRetrying() | e.TaskAttemptLost() | e.TaskCancelRequested():
            _interrupted(state, event, at)
        case e.PermitWithdrawn():
            for record in state.tasks.values():
                if record.allocation_id == event.allocation_id:
                    record.hands = 0
        case _:
            _whole(state, event, at)


def _on_the_way(
    state: ExecutionRecord,
    event: e.TaskReady | e.TaskQueued | e.TaskScheduled | e.TaskStarted | e.AllocationHandedOn,
    at: int,
) -> None:
    if isinstance(event, e.AllocationHandedOn):
        _hand_on(state, event)
        return
    record = state.tasks[event.task_id]
    match event:
        case e.TaskReady():
            record.status, record.rank, record.ready_at = TaskStatus.READY, event.rank, at
            heappush(state.ready, (event.rank, event.task_id))
        case e.TaskQueued():
            _leave_ready(state, event.task_id)
            record.status, record.attempt, record.queued_at = TaskStatus.QUEUED, event.attempt, at
            record.allocation_id = allocation_id(state.execution_id, event.task_id, event.attempt)
            state.active += 1
            state.queued += 1
        case e.TaskScheduled():
            _schedule(state, record, event, at)
        case e.TaskStarted():
            record.status, record.started_at = TaskStatus.RUNNING, event.started_at


def _schedule(state: ExecutionRecord, record: TaskRecord, event: e.TaskScheduled, at: int) -> None:
    if record.status is TaskStatus.QUEUED:
        state.queued -= 1
    else:
        _leave_ready(state, event.task_id)
        state.active += 1
    record.status, record.attempt, record.scheduled_at = TaskStatus.SCHEDULED, event.attempt, at
    record.worker_id, record.allocation_id, record.fence = event.worker_id, event.allocation_id, event.fence
    record.hands, record.hands_until = event.hands, event.hands_until
    record.incarnation, record.is_shared = event.incarnation, event.is_shared
    record.started_at = record.finished_at = 0


def _hand_on(state: ExecutionRecord, event: e.AllocationHandedOn) -> None:
    state.kept.pop(event.allocation_id, None)
    _let_go(state.tasks[event.from_task])
    holder = Holder(state.execution_id, event.to_task, event.attempt)
    state.handing[event.allocation_id] = Return(holder, event.fence)


def _ended(
    state: ExecutionRecord,
    event: e.TaskSucceeded | e.TaskFailed | e.TaskTimedOut | e.TaskCancelled | e.TaskSkipped,
    at: int,
) -> None:
    record = state.tasks[event.task_id]
    _leave(state, event.task_id, record)
    state.unfinished -= 1
    record.finished_at = at if isinstance(event, e.TaskSkipped) else event.finished_at
    match event:
        case e.TaskSucceeded():
            record.status = TaskStatus.SUCCEEDED
            record.result, record.claim, record.extracts = event.result.copy(), event.claim, event.extracts
            for successor in state.index.successors[event.task_id]:
                state.tasks[successor].waits_for -= 1
        case e.TaskFailed():
            record.status, record.error = TaskStatus.FAILED, event.error
            state.failed.append(event.task_id)
        case e.TaskTimedOut():
            record.status, record.error = TaskStatus.TIMED_OUT, event.error
            state.failed.append(event.task_id)
        case e.TaskCancelled():
            record.status = TaskStatus.CANCELLED
        case e.TaskSkipped():
            record.status, record.because = TaskStatus.SKIPPED, event.because


def _interrupted(
    state: ExecutionRecord, event: e.TaskRetrying | e.TaskAttemptLost | e.TaskCancelRequested, at: int
) -> None:
    record = state.tasks[event.task_id]
    match event:
        case e.TaskCancelRequested():
            record.is_stopping = True
        case e.TaskRetrying():
            _leave(state, event.task_id, record)
            record.status, record.error = TaskStatus.RETRYING, event.error
            record.failures, record.due_at = record.failures + 1, event.due_at
        case e.TaskAttemptLost():
            _leave(state, event.task_id, record)
            record.status, record.ready_at = TaskStatus.READY, at
            record.lost += not event.is_handed_back
            heappush(state.ready, (record.rank, event.task_id))


def _leave(state: ExecutionRecord, task_id: str, record: TaskRecord) -> None:
    """Take the task out of the counts and queues that its old status is part of."""
    if record.status in _ACTIVE:
        state.active -= 1
        if record.status is TaskStatus.QUEUED:
            state.queued -= 1
    elif record.status is TaskStatus.READY:
        _leave_ready(state, task_id)


def _leave_ready(state: ExecutionRecord, task_id: str) -> None:
    if state.ready and state.ready[0][1] == task_id:
        heappop(state.ready)
        return
    state.ready = [entry for entry in state.ready if entry[1] != task_id]
    heapify(state.ready)


def _return(state: ExecutionRecord, allocation: str) -> None:
    state.kept.pop(allocation, None)
    if handing := state.handing.pop(allocation, None):
        state.returning[allocation] = handing
    for task_id, record in _holding(state, allocation):
        holder = Holder(state.execution_id, task_id, record.attempt)
        state.returning[allocation] = Return(holder, record.fence)
        _let_go(record)


def _holding(state: ExecutionRecord, allocation: str) -> list[tuple[str, TaskRecord]]:
    task_id = allocation.removeprefix(state.execution_id + "/").rpartition("/")[0]
    record = state.tasks.get(task_id)
    if record is not None and record.allocation_id == allocation:
        return [(task_id, record)]
    return [(t, r) for t, r in state.tasks.items() if r.allocation_id == allocation]


def _let_go(record: TaskRecord) -> None:
    record.allocation_id, record.hands = "", 0


def _whole(
    state: ExecutionRecord,
    event: e.ExecutionAccepted
    | e.ExecutionRejected
    | e.ExecutionStarted
    | e.ExecutionCancelRequested
    | e.ExecutionTimeoutReached
    | e.ExecutionSucceeded
    | e.ExecutionFailed
    | e.ExecutionTimedOut
    | e.ExecutionCancelled,
    at: int,
) -> None:
    match event:
        case e.ExecutionAccepted():
            _accept(state, event, at)
        case e.ExecutionRejected():
            state.status, state.reason, state.name = ExecutionState.REJECTED, event.message, event.name
            state.accepted_at = state.finished_at = at
        case e.ExecutionStarted():
            state.status, state.started_at = ExecutionState.RUNNING, at
            state.timeout_at = at + _limit_ms(state)
        case e.ExecutionCancelRequested():
            state.is_cancelling, state.reason = True, event.reason
        case e.ExecutionTimeoutReached():
            state.is_timing_out = True
            state.reason = f"The execution's time limit of {event.limit_ms / 1000:g} s passed."
        case e.ExecutionSucceeded():
            state.status, state.finished_at = ExecutionState.SUCCEEDED, at
        case e.ExecutionFailed():
            state.status, state.finished_at = ExecutionState.FAILED, at
        case e.ExecutionTimedOut():
            state.status, state.finished_at = ExecutionState.TIMED_OUT, at
        case e.ExecutionCancelled():
            state.status, state.finished_at = ExecutionState.CANCELLED, at
        case _:
            assert_never(event)


def _accept(state: ExecutionRecord, event: e.ExecutionAccepted, at: int) -> None:
    workflow = event.workflow
    assert workflow is not None, "the shell loads a definition before it folds ExecutionAccepted"
    state.status, state.accepted_at = ExecutionState.ACCEPTED, at
    state.workflow, state.definition, state.name = workflow, event.definition, workflow.name
    state.index = index_of(workflow)
    needs = state.index.predecessors
    state.tasks = {task.id: TaskRecord(waits_for=len(needs[task.id])) for task in workflow.tasks}
    state.unfinished = len(state.tasks)


def _limit_ms(state: ExecutionRecord) -> int:
    assert state.workflow is not None
    limit = state.workflow.constraints.max_seconds
    own = state.workflow.config.timeout
    return int(1000 * (limit if own is None else min(own, limit)))


def restore(state: ExecutionRecord) -> None:
    """Derive again what snapshots leave out."""
    if state.workflow is not None:
        state.index = index_of(state.workflow)
