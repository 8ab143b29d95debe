"""Facts about one task."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any

import msgspec
from msgspec import Raw

from talka_core.scheduler.evolve.undoing import compensated, compensation_begun, compensation_failed
from talka_core.scheduler.index import MAP, fall_back
from talka_core.scheduler.joins import is_satisfied, on_failure_of
from talka_core.scheduler.ranking import rank_of
from talka_core.scheduler.state import Artifact, ExecutionRecord, MapRecord, TaskRecord, allocation_id
from talka_core.scheduler.waiting import WORKFLOW
from talka_protocols import events as e
from talka_protocols.errors import TaskTimeoutError
from talka_protocols.events import TaskFailure
from talka_protocols.policies import OnFailure
from talka_protocols.states import ACTIVE_TASK_STATUSES, TaskStatus

_STOPPED = TaskFailure("compensation_failed", "its compensation was cancelled.")


def _ready(state: ExecutionRecord, event: e.TaskReady, at: int) -> None:
    record = state.tasks[event.task_id]
    record.status, record.rank, record.ready_at = TaskStatus.READY, event.rank, at
    enqueue(state, event.task_id, record)
    if record.undoes:
        compensation_begun(state, record.undoes)


def _queued(state: ExecutionRecord, event: e.TaskQueued, at: int) -> None:
    record = state.tasks[event.task_id]
    _leave_ready(state, event.task_id)
    record.status, record.attempt, record.queued_at = TaskStatus.QUEUED, event.attempt, at
    record.near, record.start_by = event.near, event.start_by
    if event.gang:
        record.gang, record.members = event.gang, event.members
    record.allocation_id = allocation_id(state.execution_id, event.task_id, event.attempt)
    state.holders[record.allocation_id] = event.task_id
    record.spans.append(state.version)
    state.active += 1
    state.queued += 1


def _scheduled(state: ExecutionRecord, event: e.TaskScheduled, at: int) -> None:
    record = state.tasks[event.task_id]
    if record.status is TaskStatus.QUEUED:
        state.queued -= 1
    else:
        _leave_ready(state, event.task_id)
        record.spans.append(state.version)
        state.active += 1
    record.status, record.attempt, record.scheduled_at = TaskStatus.SCHEDULED, event.attempt, at
    record.worker_id, record.allocation_id, record.fence = event.worker_id, event.allocation_id, event.fence
    state.holders[event.allocation_id] = event.task_id
    record.hands, record.hands_until = event.hands, event.hands_until
    record.incarnation, record.is_shared = event.incarnation, event.is_shared
    record.began_version, record.started_at = state.version, 0
    record.finished_at = record.members = 0
    record.is_overdue = record.is_preempted = False
    record.preempted = ""
    record.may_have_acted, record.newest_fence = True, event.fence
    if record.undoes:
        state.tasks[record.undoes].newest_fence = event.fence


def _started(state: ExecutionRecord, event: e.TaskStarted, _at: int) -> None:
    record = state.tasks[event.task_id]
    record.status, record.started_at = TaskStatus.RUNNING, event.started_at


def _waiting(state: ExecutionRecord, event: e.TaskWaiting, at: int) -> None:
    record = state.tasks[event.task_id]
    leave(state, event.task_id, record)
    record.status, record.attempt, record.due_at = TaskStatus.WAITING, event.attempt, event.due_at
    record.waiting, record.started_at, record.began_version = event.kind, at, state.version
    record.awaited, record.asked = event.name, event.data.copy()
    record.answer, record.is_answered, record.is_child_started = Raw(b"null"), False, False
    if event.kind == WORKFLOW:
        record.children.append(event.name)
    if event.kind == MAP:
        state.maps[event.task_id] = _map_of(state, event)


def _map_of(state: ExecutionRecord, event: e.TaskWaiting) -> MapRecord:
    """Count what a fork has of the map's items from its beginning; elsewhere there are none yet."""
    items = [state.tasks[item] for item in state.index.items.get(event.task_id, ())]
    failed = sum(record.status is not TaskStatus.SUCCEEDED for record in items)
    count = msgspec.json.decode(event.data, type=int)
    return MapRecord(count, len(items), len(items), failed, state.version, taken_in_order=not items)


def _succeeded(state: ExecutionRecord, event: e.TaskSucceeded, _at: int) -> None:
    record = _end(state, event.task_id, TaskStatus.SUCCEEDED, event.finished_at)
    record.result, record.claim, record.extracts = event.result.copy(), event.claim, event.extracts
    _satisfy(state, event.task_id)
    if record.undoes:
        compensated(state, record.undoes)


def _failed(state: ExecutionRecord, event: e.TaskFailed | e.TaskTimedOut, _at: int) -> None:
    is_late = isinstance(event, e.TaskTimedOut)
    status = TaskStatus.TIMED_OUT if is_late else TaskStatus.FAILED
    record = _end(state, event.task_id, status, event.finished_at)
    record.error = event.error
    _count_as_failed(state, event.task_id, record)
    _break_group(state, event.task_id, record)
    if record.undoes:
        compensation_failed(state, record.undoes, event.error)


def _count_as_failed(state: ExecutionRecord, task_id: str, record: TaskRecord) -> None:
    state.failed.append(task_id)
    if task_id in state.index.maps:
        record.is_tolerated = True
    if on_failure_of(state, task_id) is OnFailure.CONTINUE:
        record.is_tolerated = True
        _satisfy(state, task_id)


def _cancelled(state: ExecutionRecord, event: e.TaskCancelled, _at: int) -> None:
    record = _end(state, event.task_id, TaskStatus.CANCELLED, event.finished_at)
    record.because, record.is_tolerated = event.because, bool(event.because)
    if record.is_failure:
        said = f": {record.unwanted_reason}" if record.unwanted_reason else "."
        record.error = TaskFailure("cancelled", f"Somebody cancelled this task alone{said}")
        _count_as_failed(state, event.task_id, record)
    else:
        record.is_expired = state.is_timing_out and not event.because and not record.undoes
    _break_group(state, event.task_id, record)
    if record.undoes and state.tasks[record.undoes].status is TaskStatus.COMPENSATING:
        compensation_failed(state, record.undoes, _STOPPED)


def _skipped(state: ExecutionRecord, event: e.TaskSkipped, at: int) -> None:
    record = _end(state, event.task_id, TaskStatus.SKIPPED, at)
    record.because, record.condition = event.because, event.condition
    record.is_tolerated = bool(event.condition)
    _break_group(state, event.task_id, record)


def _adopted(state: ExecutionRecord, event: e.TaskAdopted, _at: int) -> None:
    task_id = event.task_id
    state.adopting.pop(task_id, None)
    record = _end(state, task_id, event.status, event.finished_at)
    record.attempt, record.started_at, record.error = event.attempt, event.started_at, event.error
    record.result, record.claim, record.extracts = event.result.copy(), event.claim, event.extracts
    record.because, record.condition = event.because, event.condition
    record.is_tolerated, record.is_fallback = event.is_tolerated, event.is_fallback
    record.worker_id = event.worker_id
    if event.is_fallback:
        fall_back(state.index, task_id)
    # What was stopped with everything else is not taken over, so this one was cancelled alone.
    record.is_unwanted = event.status is TaskStatus.CANCELLED and not event.because
    if record.is_failure:
        state.failed.append(task_id)
    if is_satisfied(record):
        _satisfy(state, task_id)
    if event.status not in (TaskStatus.SUCCEEDED, TaskStatus.COMPENSATED):
        _break_group(state, task_id, record)
    for name, claim in event.artifacts.items():
        state.artifacts[name] = Artifact(task_id, event.attempt, claim)


def _break_group(state: ExecutionRecord, task_id: str, record: TaskRecord) -> None:
    """Remember that the task's group, if it has one, cannot succeed any more."""
    group = state.index.tasks[task_id].group
    if group and not record.is_tolerated:
        state.broken.setdefault(group, task_id)


def _cancel_requested(state: ExecutionRecord, event: e.TaskCancelRequested, _at: int) -> None:
    record = state.tasks[event.task_id]
    record.is_stopping, record.because, record.is_forced = True, event.because, event.is_forced


def _retrying(state: ExecutionRecord, event: e.TaskRetrying, _at: int) -> None:
    record = state.tasks[event.task_id]
    leave(state, event.task_id, record)
    record.status, record.error = TaskStatus.RETRYING, event.error
    record.failures, record.due_at = record.failures + 1, event.due_at
    record.is_unclear |= event.error.code == TaskTimeoutError.code


def _iterated(state: ExecutionRecord, event: e.TaskIterated, _at: int) -> None:
    record = state.tasks[event.task_id]
    leave(state, event.task_id, record)
    record.status, record.due_at, record.iteration = TaskStatus.RETRYING, event.due_at, event.iteration
    record.failures = record.lost = 0
    record.checkpoint, record.steps = None, {}
    record.result, record.claim, record.extracts = event.result.copy(), event.claim, event.extracts


def _attempt_lost(state: ExecutionRecord, event: e.TaskAttemptLost, at: int) -> None:
    record = state.tasks[event.task_id]
    record.members = 0
    leave(state, event.task_id, record)
    record.status, record.ready_at = TaskStatus.READY, at
    record.lost += not event.is_handed_back
    record.is_unclear |= record.may_have_acted
    enqueue(state, event.task_id, record)


def _fell_back(state: ExecutionRecord, event: e.TaskFellBack, at: int) -> None:
    record = state.tasks[event.task_id]
    leave(state, event.task_id, record)
    fall_back(state.index, event.task_id)
    record.status, record.ready_at = TaskStatus.READY, at
    record.error, record.failures, record.is_fallback = event.error, 0, True
    record.checkpoint, record.steps = None, {}
    record.rank = record.rank or rank_of(state, event.task_id)
    enqueue(state, event.task_id, record)


def _end(state: ExecutionRecord, task_id: str, status: TaskStatus, finished_at: int) -> TaskRecord:
    record = state.tasks[task_id]
    leave(state, task_id, record)
    state.unfinished -= 1
    state.extensions.pop(task_id, None)
    record.status, record.finished_at, record.ended_version = status, finished_at, state.version
    if record.iteration:
        # What an earlier round returned is not the task's result.
        record.result, record.claim, record.extracts = Raw(b"null"), None, {}
    if item_of := state.maps.get(state.index.maps.get(task_id, "")):
        item_of.ended += 1
        item_of.failed += status is not TaskStatus.SUCCEEDED
    return record


def _satisfy(state: ExecutionRecord, task_id: str) -> None:
    for successor in state.index.successors[task_id]:
        state.tasks[successor].waits_for -= 1


def enqueue(state: ExecutionRecord, task_id: str, record: TaskRecord) -> None:
    """Let a ready task wait for its turn, unless it is paused."""
    if not record.is_paused:
        heappush(state.ready, (record.rank, task_id))


def leave(state: ExecutionRecord, task_id: str, record: TaskRecord) -> None:
    """Take the task out of the counts and queues that its old status is part of."""
    if record.status in ACTIVE_TASK_STATUSES:
        state.active -= 1
        record.spans.append(state.version)
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


HANDLERS: dict[type, Callable[[ExecutionRecord, Any, int], None]] = {
    e.TaskReady: _ready,
    e.TaskQueued: _queued,
    e.TaskScheduled: _scheduled,
    e.TaskStarted: _started,
    e.TaskWaiting: _waiting,
    e.TaskSucceeded: _succeeded,
    e.TaskFailed: _failed,
    e.TaskTimedOut: _failed,
    e.TaskCancelled: _cancelled,
    e.TaskSkipped: _skipped,
    e.TaskAdopted: _adopted,
    e.TaskCancelRequested: _cancel_requested,
    e.TaskRetrying: _retrying,
    e.TaskIterated: _iterated,
    e.TaskAttemptLost: _attempt_lost,
    e.TaskFellBack: _fell_back,
}
