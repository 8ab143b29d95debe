"""Facts about pauses, about what goes on after them, and about the time limit that keeps up with them."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify
from typing import Any

from talka_core.scheduler.evolve.allocations import give_back
from talka_core.scheduler.evolve.execution import hear, restore
from talka_core.scheduler.evolve.tasks import enqueue, leave
from talka_core.scheduler.index import MAP, rank_anew
from talka_core.scheduler.ranking import rank_of, ranking_of
from talka_core.scheduler.state import PARKED, ExecutionRecord
from talka_protocols import events as e
from talka_protocols.events import TaskFailure
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
    for record in state.tasks.values():
        if record.status is TaskStatus.READY:
            record.ready_at = at
    hear(state, event.request_id)


def _take_up(state: ExecutionRecord) -> None:
    """Let what the time limit cancelled be as if it had not begun."""
    state.is_timing_out = state.is_cancelling = state.is_forced = False
    state.finished_at = 0
    # Snapshots sort their keys, so the order of the dictionary itself says nothing.
    for task_id, record in sorted(state.tasks.items()):
        if record.is_expired:
            is_map = record.waiting == MAP and task_id in state.maps
            record.status, record.finished_at = TaskStatus.WAITING if is_map else TaskStatus.PENDING, 0
            if item_of := state.maps.get(state.index.maps.get(task_id, "")):
                item_of.ended -= 1
                item_of.failed -= 1
            record.is_expired = record.is_stopping = record.is_forced = False
            record.lost = 0
            if record.ended_version:
                state.lost_spans.append((record.ended_version, state.version))
                record.ended_version = 0
            state.unfinished += 1


def _unwanted(state: ExecutionRecord, event: e.TaskUnwanted, _at: int) -> None:
    record = state.tasks[event.task_id]
    record.is_unwanted, record.is_forced_out = True, record.is_forced_out or event.is_forced
    record.unwanted_reason = event.reason or record.unwanted_reason
    hear(state, event.request_id)


def _reprioritized(state: ExecutionRecord, event: e.ExecutionReprioritized, _at: int) -> None:
    assert state.workflow is not None, "only what was accepted is reprioritized"
    if event.strategy:
        state.strategy, state.order = event.strategy, event.order
    state.priority = state.priority if event.priority is None else event.priority
    rank_anew(state.index, state.workflow, ranking_of(state), state.added)
    _queue_anew(state)
    hear(state, event.request_id)


def _baseline_adopted(state: ExecutionRecord, event: e.BaselineAdopted, _at: int) -> None:
    state.baseline, state.is_off_baseline, state.is_replanned = event.baseline, False, True
    state.plan_version += 1
    restore(state)
    _queue_anew(state)
    hear(state, event.request_id)


def _queue_anew(state: ExecutionRecord) -> None:
    """Let what waits go by the ranks that hold now."""
    for task_id, record in state.tasks.items():
        # What the pool was asked for keeps the rank that it was asked at, until it is taken back.
        if record.rank and record.status is not TaskStatus.QUEUED:
            record.rank = rank_of(state, task_id)
    state.ready = [(state.tasks[task_id].rank, task_id) for _, task_id in state.ready]
    heapify(state.ready)


def _task_paused(state: ExecutionRecord, event: e.TaskPaused, _at: int) -> None:
    record = state.tasks[event.task_id]
    if record.status is TaskStatus.READY and not record.is_paused:
        leave(state, event.task_id, record)
    if not record.is_paused:
        record.is_paused, record.paused_version = True, state.version
    hear(state, event.request_id)


def _task_resumed(state: ExecutionRecord, event: e.TaskResumed, at: int) -> None:
    record = state.tasks[event.task_id]
    if record.is_paused:
        record.is_paused = False
        if record.status is TaskStatus.READY:
            record.ready_at = at
            enqueue(state, event.task_id, record)
    hear(state, event.request_id)


def _withdrawn(state: ExecutionRecord, event: e.TaskWithdrawn, _at: int) -> None:
    record = state.tasks[event.task_id]
    leave(state, event.task_id, record)
    give_back(state, event.task_id, record)
    record.status = TaskStatus.READY
    if record.members:
        record.gang, record.members = "", 0
    if state.is_reordered:
        record.rank = rank_of(state, event.task_id)
    enqueue(state, event.task_id, record)


def _overdue(state: ExecutionRecord, event: e.TaskStartTimeoutReached, _at: int) -> None:
    state.tasks[event.task_id].is_overdue = True


def _preempted(state: ExecutionRecord, event: e.TaskPreempted, _at: int) -> None:
    record = state.tasks[event.task_id]
    record.is_preempted, record.preempted = True, event.reason
    record.preemptions += 1


def _threatened(state: ExecutionRecord, event: e.DeadlineThreatened, _at: int) -> None:
    state.threatened = event


def _parked(state: ExecutionRecord, event: e.TaskParked, _at: int) -> None:
    record = state.tasks[event.task_id]
    leave(state, event.task_id, record)
    record.status, record.waiting, record.due_at = TaskStatus.WAITING, PARKED, 0
    record.error = TaskFailure("worker_lost", event.reason)
    record.is_unclear |= record.may_have_acted


def _released(state: ExecutionRecord, event: e.TaskReleased, at: int) -> None:
    record = state.tasks[event.task_id]
    record.status, record.waiting, record.ready_at = TaskStatus.READY, "", at
    record.lost, record.error = 0, None
    enqueue(state, event.task_id, record)
    hear(state, event.request_id)


def _time_stopped(state: ExecutionRecord, _event: e.TimeLimitStopped, at: int) -> None:
    state.limit_stopped_at = at


def _time_resumed(state: ExecutionRecord, _event: e.TimeLimitResumed, at: int) -> None:
    state.timeout_at += at - state.limit_stopped_at
    state.limit_stopped_at = 0


HANDLERS: dict[type, Callable[[ExecutionRecord, Any, int], None]] = {
    e.ExecutionPaused: _paused,
    e.ExecutionResumed: _resumed,
    e.TaskUnwanted: _unwanted,
    e.ExecutionReprioritized: _reprioritized,
    e.BaselineAdopted: _baseline_adopted,
    e.TaskPaused: _task_paused,
    e.TaskResumed: _task_resumed,
    e.TaskWithdrawn: _withdrawn,
    e.TaskStartTimeoutReached: _overdue,
    e.TaskPreempted: _preempted,
    e.DeadlineThreatened: _threatened,
    e.TaskParked: _parked,
    e.TaskReleased: _released,
    e.TimeLimitStopped: _time_stopped,
    e.TimeLimitResumed: _time_resumed,
}
