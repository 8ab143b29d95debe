"""Facts about the execution as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from talka_core.scheduler.index import extend, fall_back, index_of
from talka_core.scheduler.ranking import ranking_of
from talka_core.scheduler.state import REQUESTS_KEPT, ExecutionRecord, TaskRecord
from talka_protocols import events as e
from talka_protocols.states import ExecutionState


def _accepted(state: ExecutionRecord, event: e.ExecutionAccepted, at: int) -> None:
    workflow = event.workflow
    assert workflow is not None, "the shell loads a definition before it folds ExecutionAccepted"
    state.status, state.accepted_at = ExecutionState.ACCEPTED, at
    state.workflow, state.definition, state.name = workflow, event.definition, workflow.name
    state.parent, state.schedule = event.parent, event.schedule
    if event.origin is not None:
        state.origin = replace(event.origin, tasks=(), added=())
        state.growing = list(event.origin.added)
        state.adopting = {adopted.task_id: adopted for adopted in event.origin.tasks}
    state.order, state.baseline = event.order, event.baseline
    state.index = index_of(workflow, ranking_of(state), event.baseline)
    needs = state.index.predecessors
    state.tasks = {task.id: TaskRecord(waits_for=len(needs[task.id])) for task in workflow.tasks}
    state.unfinished = len(state.tasks)


def _rejected(state: ExecutionRecord, event: e.ExecutionRejected, at: int) -> None:
    state.status, state.reason, state.name = ExecutionState.REJECTED, event.message, event.name
    state.schedule = event.schedule
    state.accepted_at = state.finished_at = at
    state.parent = event.parent


def _started(state: ExecutionRecord, _event: e.ExecutionStarted, at: int) -> None:
    state.started_at = at
    restart_clock(state, at)


def restart_clock(state: ExecutionRecord, at: int) -> None:
    """Let the execution run from now on, with its whole time limit before it."""
    state.status, state.limit_stopped_at = ExecutionState.RUNNING, 0
    state.limit_ms = limit_ms_of(state)
    state.timeout_at = at + state.limit_ms


def _cancel_requested(state: ExecutionRecord, event: e.ExecutionCancelRequested, _at: int) -> None:
    state.reason = state.reason if state.is_stopping else event.reason
    state.is_cancelling, state.is_forced = True, event.is_forced
    hear(state, event.request_id)


def _timeout_reached(state: ExecutionRecord, event: e.ExecutionTimeoutReached, _at: int) -> None:
    state.is_timing_out = True
    state.reason = f"The execution's time limit of {event.limit_ms / 1000:g} s passed."


def _fail_fast_began(state: ExecutionRecord, event: e.FailFastBegan, _at: int) -> None:
    state.is_failing, state.reason = True, f"Task {event.task_id!r} failed, and that ends everything."


_ENDINGS: dict[type, ExecutionState] = {
    e.ExecutionSucceeded: ExecutionState.SUCCEEDED,
    e.ExecutionPartlySucceeded: ExecutionState.PARTIAL,
    e.ExecutionFailed: ExecutionState.FAILED,
    e.ExecutionTimedOut: ExecutionState.TIMED_OUT,
    e.ExecutionCancelled: ExecutionState.CANCELLED,
}


def _ended(state: ExecutionRecord, event: Any, at: int) -> None:
    state.status, state.finished_at = _ENDINGS[type(event)], at


def _refused(state: ExecutionRecord, event: e.RequestRefused, _at: int) -> None:
    """Change nothing else: the event itself is the answer."""
    hear(state, event.request_id)


def hear(state: ExecutionRecord, request_id: str) -> None:
    """Remember a request that has an id, so that it is heard once."""
    if request_id:
        state.requests = [*state.requests, request_id][-REQUESTS_KEPT:]


def limit_ms_of(state: ExecutionRecord) -> int:
    """Return the time limit that the definition gives, in milliseconds."""
    assert state.workflow is not None
    limit = state.workflow.constraints.max_seconds
    own = state.workflow.config.timeout
    return int(1000 * (limit if own is None else min(own, limit)))


def restore(state: ExecutionRecord) -> None:
    """Derive again what snapshots leave out."""
    state.holders = {record.allocation_id: t for t, record in state.tasks.items() if record.allocation_id}
    if state.workflow is not None:
        state.index = index_of(state.workflow, ranking_of(state), state.baseline)
        for addition in state.added:
            extend(state.index, state.workflow, addition)
        for task_id, record in state.tasks.items():
            if record.is_fallback:
                fall_back(state.index, task_id)
        state.limit_ms = state.limit_ms or limit_ms_of(state)


HANDLERS: dict[type, Callable[[ExecutionRecord, Any, int], None]] = {
    e.ExecutionAccepted: _accepted,
    e.ExecutionRejected: _rejected,
    e.ExecutionStarted: _started,
    e.ExecutionCancelRequested: _cancel_requested,
    e.ExecutionTimeoutReached: _timeout_reached,
    e.FailFastBegan: _fail_fast_began,
    e.RequestRefused: _refused,
    **dict.fromkeys(_ENDINGS, _ended),
}
