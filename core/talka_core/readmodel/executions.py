"""What the facts of an execution change in the read model.

The states of executions and tasks are those that the scheduler's own fold gives:
what a rollback or a restart means is said there, once. Attempts are recorded
as the facts tell of them, since the fold forgets all but the newest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from talka_core.history import FOLDS, advance
from talka_core.readmodel.changes import Changes
from talka_core.readmodel.rows import AttemptRow, ExecutionRow, TaskRow
from talka_core.scheduler import ExecutionRecord
from talka_core.scheduler.state import TaskRecord
from talka_core.status import status_of
from talka_protocols import events as e
from talka_protocols.commit import Commit
from talka_protocols.events import ExecutionEvent
from talka_protocols.states import TaskStatus
from talka_protocols.subjects import EXECUTION

BROKEN = "broken"
"""The status of an execution whose log cannot be folded."""

_OPEN = (TaskStatus.QUEUED, TaskStatus.SCHEDULED, TaskStatus.RUNNING, TaskStatus.WAITING)
"""Where a task stands while an attempt of it has begun and not ended."""

_WIDE = (
    e.ExecutionAccepted,
    e.ExecutionResumed,
    e.RollbackStarted,
    e.ExecutionRolledBack,
    e.RollbackFailed,
    e.ExecutionRestarted,
    e.TasksAdded,
)
"""Facts that change tasks which they do not name."""

_OUTCOMES: dict[type, str] = {
    e.TaskSucceeded: "succeeded",
    e.TaskFailed: "failed",
    e.TaskTimedOut: "timed_out",
    e.TaskRetrying: "retried",
    e.TaskIterated: "iterated",
    e.TaskFellBack: "fell_back",
    e.TaskCancelled: "cancelled",
    e.TaskAttemptLost: "lost",
    e.TaskParked: "parked",
    e.TaskWithdrawn: "withdrawn",
}


def fold_execution(
    state: ExecutionRecord, commit: Commit[ExecutionEvent], position: int, changes: Changes
) -> None:
    """Fold a commit into the state of its execution, and note what it changes.

    Raises:
        BrokenHistoryError: it is not the next one, or cannot be folded.
    """
    fold, execution_id = FOLDS[EXECUTION], state.execution_id
    changes.executions[execution_id] = position
    for version, _cause, event in commit.events():
        task = state.tasks.get(getattr(event, "task_id", ""))
        is_open = task is not None and task.status in _OPEN
        if isinstance(event, e.ExecutionArchived):
            changes.archive(execution_id, position)
        advance(fold, state, version, event, commit.at)
        if isinstance(event, _WIDE):
            changes.touch(execution_id, None)
        elif (task_id := getattr(event, "task_id", "")) in state.tasks:
            changes.touch(execution_id, [task_id, *_undone(state, task_id)])
            for row in _attempt(state, event, commit.at, is_open=is_open):
                changes.put(row)


def rows_of(state: ExecutionRecord, changes: Changes) -> None:
    """Write the rows of an execution, and of those of its tasks that are to be looked at."""
    execution_id = state.execution_id
    changes.put(_execution_row(state, changes.executions[execution_id]))
    if execution_id not in changes.tasks:
        return
    tasks = changes.tasks[execution_id]
    for task_id in [*state.tasks, *state.retired] if tasks is None else tasks:
        record = state.tasks.get(task_id)
        if record is None:
            changes.remove("tasks", (execution_id, task_id))
        else:
            changes.put(_task_row(state, task_id, record))


def unreadable(execution_id: str, reason: str, changes: Changes) -> None:
    """Say of an execution that its log cannot be folded, and nothing else."""
    changes.forget(execution_id)
    changes.put(ExecutionRow(execution_id, "", BROKEN, 0, 0, 0, 0, 0, 0, "", "", reason, 0, 0, ""))


def _undone(state: ExecutionRecord, task_id: str) -> tuple[str, ...]:
    undoes = state.tasks[task_id].undoes
    return (undoes,) if undoes else ()


def _execution_row(state: ExecutionRecord, position: int) -> ExecutionRow:
    status = status_of(state)
    failed = status.counts.get(TaskStatus.FAILED, 0) + status.counts.get(TaskStatus.TIMED_OUT, 0)
    return ExecutionRow(
        state.execution_id,
        state.name,
        status.status.value,
        state.accepted_at,
        state.started_at,
        state.finished_at,
        status.total,
        status.done,
        failed,
        state.parent.execution_id if state.parent else "",
        state.schedule,
        state.reason,
        state.version,
        position,
        msgspec.json.encode(status).decode(),
        status.archived,
    )


def _task_row(state: ExecutionRecord, task_id: str, record: TaskRecord) -> TaskRow:
    return TaskRow(
        state.execution_id,
        task_id,
        state.index.tasks[task_id].agent_type,
        record.status.value,
        record.attempt,
        record.worker_id,
        record.ready_at,
        record.started_at,
        record.finished_at,
        record.error.code if record.error else "",
    )


def _attempt(state: ExecutionRecord, event: Any, at: int, *, is_open: bool) -> Iterator[AttemptRow]:
    """Yield what a fact says of an attempt; ``is_open`` tells that one had begun and not ended before."""
    if type(event) in _BEGINNINGS:
        yield _BEGINNINGS[type(event)](state, event, at)
    elif type(event) in _OUTCOMES and is_open and event.attempt:
        error = getattr(event, "error", None)
        yield AttemptRow(
            state.execution_id,
            event.task_id,
            event.attempt,
            finished_at=getattr(event, "finished_at", 0) or at,
            outcome=_OUTCOMES[type(event)],
            error_code=error.code if error else None,
        )


def _queued(state: ExecutionRecord, event: e.TaskQueued, at: int) -> AttemptRow:
    agent_type, ready_at = _origin(state, event.task_id)
    return AttemptRow(
        state.execution_id, event.task_id, event.attempt, agent_type, ready_at=ready_at, queued_at=at
    )


def _scheduled(state: ExecutionRecord, event: e.TaskScheduled, at: int) -> AttemptRow:
    agent_type, ready_at = _origin(state, event.task_id)
    return AttemptRow(
        state.execution_id,
        event.task_id,
        event.attempt,
        agent_type,
        event.worker_id,
        event.allocation_id,
        event.fence,
        ready_at,
        scheduled_at=at,
    )


def _started(state: ExecutionRecord, event: e.TaskStarted, _at: int) -> AttemptRow:
    return AttemptRow(state.execution_id, event.task_id, event.attempt, started_at=event.started_at)


def _waiting(state: ExecutionRecord, event: e.TaskWaiting, at: int) -> AttemptRow:
    agent_type, ready_at = _origin(state, event.task_id)
    return AttemptRow(
        state.execution_id, event.task_id, event.attempt, agent_type, ready_at=ready_at, started_at=at
    )


def _measured(state: ExecutionRecord, event: e.TaskUsageMeasured, _at: int) -> AttemptRow:
    usage = event.usage
    return AttemptRow(
        state.execution_id, event.task_id, event.attempt, cpu_ms=usage.cpu_ms, memory_mb=usage.memory_mb
    )


_BEGINNINGS: dict[type, Callable[[ExecutionRecord, Any, int], AttemptRow]] = {
    e.TaskQueued: _queued,
    e.TaskScheduled: _scheduled,
    e.TaskStarted: _started,
    e.TaskWaiting: _waiting,
    e.TaskUsageMeasured: _measured,
}


def _origin(state: ExecutionRecord, task_id: str) -> tuple[str, int]:
    return state.index.tasks[task_id].agent_type, state.tasks[task_id].ready_at
