"""Facts about the execution as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from talka_core.scheduler.index import extend, index_of
from talka_core.scheduler.state import ExecutionRecord, TaskRecord
from talka_protocols import events as e
from talka_protocols.states import ExecutionState


def _accepted(state: ExecutionRecord, event: e.ExecutionAccepted, at: int) -> None:
    workflow = event.workflow
    assert workflow is not None, "the shell loads a definition before it folds ExecutionAccepted"
    state.status, state.accepted_at = ExecutionState.ACCEPTED, at
    state.workflow, state.definition, state.name = workflow, event.definition, workflow.name
    state.parent, state.schedule = event.parent, event.schedule
    state.index = index_of(workflow)
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
    state.status, state.timeout_at = ExecutionState.RUNNING, at + limit_ms(state)


def _cancel_requested(state: ExecutionRecord, event: e.ExecutionCancelRequested, _at: int) -> None:
    state.is_cancelling, state.reason = True, event.reason


def _timeout_reached(state: ExecutionRecord, event: e.ExecutionTimeoutReached, _at: int) -> None:
    state.is_timing_out = True
    state.reason = f"The execution's time limit of {event.limit_ms / 1000:g} s passed."


_ENDINGS: dict[type, ExecutionState] = {
    e.ExecutionSucceeded: ExecutionState.SUCCEEDED,
    e.ExecutionPartlySucceeded: ExecutionState.PARTIAL,
    e.ExecutionFailed: ExecutionState.FAILED,
    e.ExecutionTimedOut: ExecutionState.TIMED_OUT,
    e.ExecutionCancelled: ExecutionState.CANCELLED,
}


def _ended(state: ExecutionRecord, event: Any, at: int) -> None:
    state.status, state.finished_at = _ENDINGS[type(event)], at


def _refused(_state: ExecutionRecord, _event: e.RequestRefused, _at: int) -> None:
    """Change nothing: the event itself is the answer."""


def limit_ms(state: ExecutionRecord) -> int:
    """Return how long the execution may run, in milliseconds."""
    assert state.workflow is not None
    limit = state.workflow.constraints.max_seconds
    own = state.workflow.config.timeout
    return int(1000 * (limit if own is None else min(own, limit)))


def restore(state: ExecutionRecord) -> None:
    """Derive again what snapshots leave out."""
    if state.workflow is not None:
        state.index = index_of(state.workflow)
        for addition in state.added:
            extend(state.index, state.workflow, addition)


HANDLERS: dict[type, Callable[[ExecutionRecord, Any, int], None]] = {
    e.ExecutionAccepted: _accepted,
    e.ExecutionRejected: _rejected,
    e.ExecutionStarted: _started,
    e.ExecutionCancelRequested: _cancel_requested,
    e.ExecutionTimeoutReached: _timeout_reached,
    e.RequestRefused: _refused,
    **dict.fromkeys(_ENDINGS, _ended),
}
