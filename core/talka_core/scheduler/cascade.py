"""A rollback reaches sub-workflows: what undoes such a task asks its executions to undo all that they did.

A task may have had several, one for each attempt; they are asked one after the
other, the newest first, so that effects are undone in reverse order. Each side
can lose any message: the parent asks until it has recorded the answer, the
child reports until it is settled.
"""

from __future__ import annotations

from collections.abc import Iterator

from talka_core.scheduler import endings, failures, rollback
from talka_core.scheduler.plans import BEGINNING, is_undone_by_parent
from talka_core.scheduler.state import ExecutionRecord, TaskRecord
from talka_core.scheduler.waiting import UNDOING
from talka_protocols.events import (
    ChildUndone,
    ExecutionEvent,
    Parent,
    RollbackStarted,
    TaskFailure,
    TaskSucceeded,
)
from talka_protocols.messages import ChildRolledBack, RollBackChild, SettleChild
from talka_protocols.policies import Then
from talka_protocols.states import FINAL_EXECUTION_STATES, ExecutionState, TaskStatus

# --- the parent's side ---------------------------------------------------------------------------


def is_asking(record: TaskRecord) -> bool:
    """Tell whether the compensation waits for a sub-workflow to undo what it did."""
    return record.status is TaskStatus.WAITING and record.waiting == UNDOING and record.awaited != ""


def request(state: ExecutionRecord, task_id: str) -> RollBackChild:
    """Return what asks the sub-workflow that is next to undo what it did."""
    return RollBackChild(state.tasks[task_id].awaited, _asker(state, task_id))


def settlement(state: ExecutionRecord, task_id: str, child_id: str) -> SettleChild:
    """Return what tells a sub-workflow that its answer is recorded."""
    return SettleChild(child_id, _asker(state, task_id))


def answered(state: ExecutionRecord, message: ChildRolledBack, now_ms: int) -> Iterator[ExecutionEvent]:
    """Record that one sub-workflow is undone, or that it cannot be."""
    task_id = message.task_id
    record = state.tasks.get(task_id)
    if record is None or record.attempt != message.attempt:
        return
    if not is_asking(record) or record.awaited != message.child_id:
        return
    if message.error is not None:
        yield from failures.failed(state, task_id, now_ms, message.error, now_ms)
        return
    yield ChildUndone(task_id, record.attempt, message.child_id)
    yield from _finished(state, task_id, now_ms)


def finish_all(state: ExecutionRecord, now_ms: int) -> Iterator[ExecutionEvent]:
    """End every compensation whose sub-workflows are all undone: a commit may have been cut short."""
    for task_id, record in list(state.tasks.items()):
        if record.status is TaskStatus.WAITING and record.waiting == UNDOING:
            yield from _finished(state, task_id, now_ms)


def _finished(state: ExecutionRecord, task_id: str, now_ms: int) -> Iterator[ExecutionEvent]:
    record = state.tasks[task_id]
    if not record.awaited:
        yield TaskSucceeded(task_id, record.attempt, now_ms)
        yield from endings.follow_up(state, task_id, now_ms)


def _asker(state: ExecutionRecord, task_id: str) -> Parent:
    return Parent(state.execution_id, task_id, state.tasks[task_id].attempt)


# --- the child's side ----------------------------------------------------------------------------


def asked(state: ExecutionRecord, message: RollBackChild, now_ms: int) -> Iterator[ExecutionEvent]:
    """Begin to undo everything; whoever asks in the middle of something else asks again."""
    is_begun = state.workflow is not None and state.status is not ExecutionState.ACCEPTED
    is_known = is_undone_by_parent(state) or state.undone_for == message.undo
    is_busy = state.is_rolling_back or (state.is_stopping and state.status not in FINAL_EXECUTION_STATES)
    if state.parent is None or not is_begun or is_known or is_busy:
        return
    tasks = tuple(task_id for task_id, record in state.tasks.items() if not record.undoes)
    yield RollbackStarted(BEGINNING, tasks, Then.STOP, parent=message.undo)
    yield from rollback.stop(state, now_ms)


def report(state: ExecutionRecord, undo: Parent) -> ChildRolledBack | None:
    """Return what the task that undoes the sub-workflow is to know; None while there is nothing to say."""
    known = (undo.execution_id, undo.task_id, undo.attempt, state.execution_id)
    if state.status is ExecutionState.REJECTED or is_undone_by_parent(state):
        return ChildRolledBack(*known)
    if state.undone_for == undo and state.rollback is not None and state.rollback.has_failed:
        said = f"Sub-workflow {state.execution_id}: {state.reason}"
        return ChildRolledBack(*known, TaskFailure("child_not_undone", said))
    return None
