"""Judges that attempts start in time or never, that silence and force end them, and that poison is parked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

from talka_chaos.runs import Run
from talka_core.history import FOLDS, advance
from talka_core.scheduler import ExecutionRecord
from talka_core.scheduler.state import LOST_MAX
from talka_protocols import events as e
from talka_protocols.commit import Commit
from talka_protocols.events import TaskFailure
from talka_protocols.states import FINAL_EXECUTION_STATES
from talka_protocols.subjects import EXECUTION, LogName

START_SLACK_MS = 4_000
"""How long nobody may be there to see that a start is late."""
FORCE_SLACK_MS = 60_000
"""How long it may take until a forced cancel has reached everything that runs."""

_PAUSES = (e.ExecutionPaused, e.TaskPaused)


def timeliness_findings(
    log: LogName,
    commits: list[Commit[Any]],
    begun: Collection[Run],
    silent: Collection[Run],
    skew_ms: int = 0,
) -> Iterator[str]:
    """Yield what is wrong with an execution, given which attempts truly began and which fell silent.

    ``skew_ms`` is by how much its clock may have jumped meanwhile, for which nobody is to blame.
    """
    yield from _heartbeats(log, commits, silent)
    yield from _force(log, commits, FORCE_SLACK_MS + skew_ms)
    yield from _poison(log, commits)
    workflow = next(
        (_workflow(event) for c in commits for _, _, event in c.events() if _workflow(event)), None
    )
    if workflow is not None and any(task.start_timeout for task in workflow.tasks):
        yield from _starts(log, commits, begun, START_SLACK_MS + skew_ms)


def _workflow(event: Any) -> Any:
    return event.workflow if isinstance(event, e.ExecutionAccepted) else None


def _error(event: Any, code: str) -> TaskFailure | None:
    """Return the error that an attempt ended with, if it has this code."""
    if isinstance(event, e.TaskRetrying | e.TaskTimedOut | e.TaskFellBack) and event.error.code == code:
        return event.error
    return None


def _starts(log: LogName, commits: list[Commit[Any]], begun: Collection[Run], slack_ms: int) -> Iterator[str]:
    """H6 an attempt starts in time or is withdrawn, and what its worker did not start never runs."""
    fold = FOLDS[EXECUTION]
    state: ExecutionRecord = fold.initial(log.key)
    has_stood = False
    for commit in commits:
        for version, _, event in commit.events():
            has_stood |= isinstance(event, _PAUSES)
            if isinstance(event, e.TaskStarted) and not has_stood:
                record, limit_s = state.tasks[event.task_id], state.index.tasks[event.task_id].start_timeout
                late_ms = event.started_at - record.ready_at - int(1000 * (limit_s or 0))
                is_excused = record.is_overdue or record.is_stopping
                if limit_s is not None and not is_excused and late_ms > slack_ms:
                    yield f"H6 {log}: event {version} is {late_ms} ms late, and nobody withdrew it"
            error = _error(event, "start_timeout")
            if error is not None and "was not started by" in error.message:
                record, run = state.tasks[event.task_id], (log.key, event.task_id, event.attempt)
                if not record.started_at and run in begun:
                    yield f"H6 {log}: event {version} says that {run} never ran, which it did"
            advance(fold, state, version, event, commit.at)


def _heartbeats(log: LogName, commits: list[Commit[Any]], silent: Collection[Run]) -> Iterator[str]:
    """H7 only silence ends an attempt as silent: no outage does."""
    for commit in commits:
        for version, _, event in commit.events():
            if _error(event, "heartbeat_timeout") and (log.key, event.task_id, event.attempt) not in silent:
                yield f"H7 {log}: event {version} ends an attempt of {event.task_id} that was not silent"


def _force(log: LogName, commits: list[Commit[Any]], slack_ms: int) -> Iterator[str]:
    """H8 a forced cancel ends the execution soon, whatever its tasks make of a wish to stop."""
    fold = FOLDS[EXECUTION]
    forced = [
        commit.at
        for commit in commits
        for _, _, event in commit.events()
        if isinstance(event, e.ExecutionCancelRequested) and event.is_forced
    ]
    if not forced:
        return
    state: ExecutionRecord = fold.initial(log.key)
    for commit in commits:
        for version, _, event in commit.events():
            advance(fold, state, version, event, commit.at)
        if commit.at >= forced[0] and state.status in FINAL_EXECUTION_STATES:
            if commit.at - forced[0] > slack_ms:
                yield f"H8 {log}: it ended {commit.at - forced[0]} ms after a forced cancel"
            return


def _poison(log: LogName, commits: list[Commit[Any]]) -> Iterator[str]:
    """H9 a task whose attempts are lost again and again is parked."""
    lost: Counter[str] = Counter()
    for commit in commits:
        for version, _, event in commit.events():
            match event:
                case e.TaskReleased() | e.TaskIterated():
                    del lost[event.task_id]
                case e.RollbackStarted() | e.ExecutionRestarted() | e.ExecutionResumed():
                    lost.clear()
                case e.TaskAttemptLost() if not event.is_handed_back:
                    lost[event.task_id] += 1
                    if lost[event.task_id] > LOST_MAX:
                        yield f"H9 {log}: event {version} is loss {lost[event.task_id]} of {event.task_id}"
                case _:
                    pass
