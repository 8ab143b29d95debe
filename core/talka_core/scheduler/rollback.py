"""Back to an earlier event: stop what runs, undo what came after it in reverse order, and go on from there.

While it goes back, an execution starts nothing but compensations. Every step
follows from the record alone, so whoever folds a log that was cut short goes on.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from talka_core.scheduler import compensation
from talka_core.scheduler.dispatch import dispatch, make_ready, release_kept
from talka_core.scheduler.endings import cancel_task, conclude, follow_up_all
from talka_core.scheduler.extent import is_begun
from talka_core.scheduler.joins import Verdict, verdict
from talka_core.scheduler.plans import planned, restarted
from talka_core.scheduler.state import ExecutionRecord, Rollback
from talka_core.scheduler.waiting import begin_all
from talka_protocols.errors import RequestRefusedError
from talka_protocols.events import (
    ExecutionEvent,
    ExecutionRestarted,
    ExecutionRolledBack,
    RequestRefused,
    RollbackFailed,
    RollbackStarted,
)
from talka_protocols.messages import RestartExecution, RollBackExecution
from talka_protocols.policies import Then
from talka_protocols.states import FINAL_TASK_STATUSES, ExecutionState, TaskStatus

ROLLBACK = "rollback"
RESTART = "restart"
"""How requests are called in refusals."""


def requested(
    state: ExecutionRecord, message: RollBackExecution | RestartExecution, now_ms: int
) -> Iterator[ExecutionEvent]:
    """Begin to go back or to run again, or refuse; a request that arrives again changes nothing."""
    if state.status is None or message.request_id in state.requests:
        return
    try:
        if isinstance(message, RollBackExecution):
            yield from _roll_back(state, message, now_ms)
        else:
            yield from _restart(state, message, now_ms)
    except RequestRefusedError as error:
        match message:
            case RollBackExecution():
                yield RequestRefused(ROLLBACK, error.code, str(error), message.task_id)
            case RestartExecution():
                yield RequestRefused(RESTART, error.code, str(error), message.from_task)


def _roll_back(state: ExecutionRecord, message: RollBackExecution, now_ms: int) -> Iterator[ExecutionEvent]:
    plan = planned(state, message)
    tasks = (*plan.again, *plan.removed)
    about = (plan.to, tasks, message.then, message.request_id)
    yield RollbackStarted(*about, resumed=plan.resumed, paused=plan.paused)
    yield from stop(state, now_ms)


def _restart(state: ExecutionRecord, message: RestartExecution, now_ms: int) -> Iterator[ExecutionEvent]:
    """Let tasks run again; those with a compensation are undone first."""
    reach = restarted(state, message)
    tasks, resumed = reach.tasks, reach.resumed
    progress = message.progress if message.from_task else None
    failed = state.rollback
    if failed is not None:
        about = (failed.to, failed.tasks, failed.then, message.request_id)
        going = (failed.resumed, failed.paused, failed.progress)
        yield RollbackStarted(*about, None, *going)
    elif compensation.to_undo(state, tasks):
        about = (state.version, tasks, Then.CONTINUE, message.request_id)
        yield RollbackStarted(*about, resumed=resumed, progress=progress)
    else:
        # What a task that runs again has kept for an heir would have no holder afterwards.
        yield from release_kept(state)
        yield ExecutionRestarted(tasks, message.request_id, resumed, progress)
        # It may have been paused, which is over now.
        yield from begin_all(state, now_ms)
        yield from follow_up_all(state, now_ms)
        yield from dispatch(state, now_ms)
        yield from conclude(state)


def stop(state: ExecutionRecord, now_ms: int) -> Iterator[ExecutionEvent]:
    """Stop whatever has begun and is to be undone."""
    assert state.rollback is not None
    yield from release_kept(state)
    for task_id in state.rollback.tasks:
        if state.tasks[task_id].status is not TaskStatus.PENDING:
            yield from cancel_task(state, task_id, now_ms)


def proceed(state: ExecutionRecord, now_ms: int) -> Iterator[ExecutionEvent]:
    """Take the next step of a rollback, if there is nothing to wait for."""
    if not state.is_rolling_back or state.active:
        return
    going = state.rollback
    assert going is not None
    if any(is_begun(state.tasks[task_id]) for task_id in going.tasks):
        # A sub-workflow that is being cancelled is not active, and not over.
        return
    missing = compensation.missing(state, going.tasks)
    yield from compensation.add(state, missing, going.tasks)
    yield from begin_all(state, now_ms)
    yield from follow_up_all(state, now_ms)
    yield from dispatch(state, now_ms)
    undone = [state.tasks[name] for name in compensation.added(state, going.tasks)]
    if any(record.status not in FINAL_TASK_STATUSES for record in undone):
        return
    failed = tuple(r.undoes for r in undone if r.status is not TaskStatus.SUCCEEDED)
    if failed:
        yield RollbackFailed(going.to, failed, _failure(state, failed))
    else:
        yield ExecutionRolledBack(going.to, going.then)
        yield from _go_on(state, going, now_ms)


def _failure(state: ExecutionRecord, failed: tuple[str, ...]) -> str:
    culprit = next((t for t in failed if state.tasks[t].status is TaskStatus.FAILED), failed[0])
    error = state.tasks[culprit].error
    why = f": {error.message}" if error else "."
    return f"The compensation of {culprit!r} failed, so the rollback stands still{why}"


def _go_on(state: ExecutionRecord, done: Rollback, now_ms: int) -> Iterator[ExecutionEvent]:
    """Run again, first of all what held something at the event that was gone back to."""
    if state.status is not ExecutionState.RUNNING:
        return
    yield from begin_all(state, now_ms)
    for task_id in [task_id for task_id in done.tasks if _held_something(state, task_id, done.to)]:
        if verdict(state, task_id) is Verdict.START:
            yield from make_ready(state, task_id, now_ms)
            yield from dispatch(state, now_ms)
    yield from follow_up_all(state, now_ms)
    yield from dispatch(state, now_ms)
    yield from conclude(state)


def _held_something(state: ExecutionRecord, task_id: str, event: int) -> bool:
    record = state.tasks.get(task_id)
    return record is not None and bisect_right(record.spans, event) % 2 == 1
