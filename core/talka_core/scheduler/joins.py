"""When a task may start: what the ends of its dependencies come to under its join."""

from __future__ import annotations

from enum import Enum, auto

from talka_core.scheduler.state import ExecutionRecord, TaskRecord
from talka_protocols.enums import quick
from talka_protocols.policies import Join, OnFailure
from talka_protocols.states import FINAL_TASK_STATUSES, TaskStatus


@quick
class Verdict(Enum):
    """What a pending task is to do."""

    WAIT = auto()
    START = auto()
    SKIP = auto()


def on_failure_of(state: ExecutionRecord, task_id: str) -> OnFailure:
    """Return what a failure of the task means to the others."""
    assert state.workflow is not None, "only what was accepted has tasks"
    return state.index.tasks[task_id].on_failure or state.workflow.config.on_failure


def is_satisfied(record: TaskRecord) -> bool:
    """Tell whether the task counts as succeeded to those that need it."""
    return record.status is TaskStatus.SUCCEEDED or (record.is_failure and record.is_tolerated)


def verdict(state: ExecutionRecord, task_id: str) -> Verdict:
    """Judge a pending task by everything that it needs."""
    join = state.index.joins.get(task_id)
    if join is not None:
        return _tallied(state, task_id, join)
    if state.tasks[task_id].waits_for == 0:
        return Verdict.START
    needed = (state.tasks[need] for need in state.index.predecessors[task_id])
    is_lost = any(r.status in FINAL_TASK_STATUSES and not is_satisfied(r) for r in needed)
    return Verdict.SKIP if is_lost else Verdict.WAIT


def verdict_after(state: ExecutionRecord, task_id: str, ended: str) -> Verdict:
    """Judge a pending task when one of those that it needs has just ended.

    It looks at nothing else where all are needed, so a task that needs a
    thousand others costs a thousand looks and not a million.
    """
    join = state.index.joins.get(task_id)
    if join is not None:
        return _tallied(state, task_id, join)
    if not is_satisfied(state.tasks[ended]):
        return Verdict.SKIP
    return Verdict.WAIT if state.tasks[task_id].waits_for else Verdict.START


def _tallied(state: ExecutionRecord, task_id: str, join: Join | int) -> Verdict:
    needed = [state.tasks[need] for need in state.index.predecessors[task_id]]
    satisfied = sum(map(is_satisfied, needed))
    unfinished = sum(record.status not in FINAL_TASK_STATUSES for record in needed)
    if join is Join.DONE:
        return Verdict.WAIT if unfinished else Verdict.START
    least = 1 if isinstance(join, Join) else join
    if satisfied >= min(least, len(needed)):
        return Verdict.START
    return Verdict.WAIT if satisfied + unfinished >= least else Verdict.SKIP
