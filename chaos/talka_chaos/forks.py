"""Forks of what has happened in a world so far, and what must hold of them and of undone sub-workflows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from talka_chaos.rewinding import OUTCOMES
from talka_core.history import FOLDS, apply
from talka_core.scheduler import SCHEDULER, ExecutionRecord
from talka_core.scheduler.forking import origin_of
from talka_core.scheduler.names import UNDO, undone_by
from talka_core.scheduler.waiting import WORKFLOW
from talka_core.status import task_result
from talka_protocols import events as e
from talka_protocols.commit import Commit
from talka_protocols.errors import RequestRefusedError
from talka_protocols.messages import SubmitWorkflow
from talka_protocols.states import ExecutionState
from talka_protocols.subjects import EXECUTION, LogName

SHARE = 0.3
"""The share of seeds in which somebody forks."""

_BEGUN = (e.TaskReady, e.TaskQueued, e.TaskScheduled, e.TaskWaiting)
Logs = Mapping[LogName, list[Commit[Any]]]


def moments(seed: int, storm_s: float) -> list[float]:
    """Return when somebody forks, in virtual seconds; no other draw of the seed depends on it."""
    random = Random(f"fork {seed}")  # noqa: S311  (the same for the same seed is the point)
    if random.random() >= SHARE:
        return []
    return [random.uniform(2.0, 2 * storm_s) for _ in range(random.choice((1, 2, 3)))]


def fork(random: Random, logs: Logs, name: str) -> SubmitWorkflow | None:
    """Return what asks for a fork of some execution at some event; None where that is refused."""
    executions = (log for log in logs if log.kind == EXECUTION and not log.key.startswith("fork-"))
    known = sorted(executions, key=str)
    if not known:
        return None
    log = random.choice(known)
    newest = state_at(logs, log)
    state = state_at(logs, log, random.randint(1, newest.version))
    try:
        origin = origin_of(state)
    except RequestRefusedError:
        return None
    return SubmitWorkflow(name, state.workflow, origin=origin)


def fork_findings(logs: Logs) -> Iterator[str]:
    """Y1 a fork keeps exactly what had ended in its origin, as it was there; Y2 it runs none of that."""
    for log, commits in logs.items():
        if log.kind != EXECUTION:
            continue
        events = [event for commit in commits for _, _, event in commit.events()]
        accepted = events[0]
        if not isinstance(accepted, e.ExecutionAccepted) or accepted.origin is None:
            continue
        origin = accepted.origin
        theirs = state_at(logs, _named(logs, origin.execution_id), origin.version)
        mine = state_at(logs, log)
        kept = {event.task_id for event in events if isinstance(event, e.TaskAdopted)}
        if kept != {adopted.task_id for adopted in origin_of(theirs).tasks}:
            yield f"Y1 {log} keeps {sorted(kept)} of {origin.execution_id} at {origin.version}"
        for task_id in kept:
            ours, was = (task_result(task_id, state.tasks[task_id]) for state in (mine, theirs))
            if ours != was:
                yield f"Y1 {log}: {task_id} is {ours}, and was {was}"
        began = {event.task_id for event in events if isinstance(event, _BEGUN)}
        if again := sorted(kept & began):
            yield f"Y2 {log} runs {again}, which it keeps"


def cascade_findings(logs: Logs) -> Iterator[str]:
    """C2 what is undone has had each of its sub-workflows undone, and each of these has undone everything."""
    states = {log.key: state_at(logs, log) for log in logs if log.kind == EXECUTION}
    for log, commits in logs.items():
        if log.kind == EXECUTION:
            yield from _undone(log, commits, states)
            yield from sparing_findings(log, commits)


def _undone(log: LogName, commits: list[Commit[Any]], states: Mapping[str, ExecutionRecord]) -> Iterator[str]:
    left: dict[str, list[str]] = {}
    going: tuple[str, ...] = ()
    for event in (event for commit in commits for _, _, event in commit.events()):
        match event:
            case e.TaskWaiting() if event.kind == WORKFLOW:
                left.setdefault(event.task_id, []).append(event.name)
            case e.ChildUndone():
                left = {t: [child for child in known if child != event.child_id] for t, known in left.items()}
                if not _is_undone(states.get(event.child_id)):
                    yield f"C2 {log} takes {event.child_id} for undone, which it is not"
            case e.RollbackStarted():
                going = event.tasks
            case e.ExecutionRolledBack():
                if spared := {t: left[t] for t in going if left.get(t)}:
                    yield f"C2 {log} went back, and these sub-workflows did not: {spared}"
            case e.ExecutionRestarted():
                if spared := {t: left[t] for t in event.tasks if left.get(t)}:
                    yield f"C2 {log} was restarted, and these sub-workflows were not undone: {spared}"
            case _:
                pass


def sparing_findings(log: LogName, commits: list[Commit[Any]]) -> Iterator[str]:
    """U3 a rollback leaves what had ended at the event that it goes back to."""
    ended: dict[str, int] = {}
    going: tuple[str, ...] = ()
    expired: dict[str, int] | None = None
    for version, event in ((version, event) for commit in commits for version, _, event in commit.events()):
        match event:
            case e.RollbackStarted():
                going = event.tasks
                is_asked = event.to < version - 1 and event.parent is None
                if is_asked and (early := [t for t in event.tasks if 0 < ended.get(t, 0) <= event.to]):
                    yield f"U3 {log}: event {version} undoes {early}, which had ended by {event.to}"
            case e.ExecutionRolledBack() | e.ExecutionRestarted():
                again = event.tasks if isinstance(event, e.ExecutionRestarted) else going
                ended = {task_id: at for task_id, at in ended.items() if task_id not in again}
            case e.ExecutionTimeoutReached():
                expired = {}
            case e.ExecutionResumed():
                # What the time limit had cancelled is as if it had not begun.
                ended = {task_id: at for task_id, at in ended.items() if at != (expired or {}).get(task_id)}
                expired = None
            case _ if isinstance(event, OUTCOMES):
                ended[event.task_id] = version
                if expired is not None and isinstance(event, e.TaskCancelled):
                    expired[event.task_id] = version
            case _ if isinstance(event, _BEGUN):
                ended.pop(event.task_id, None)
                if event.task_id.startswith(UNDO):
                    # What is being undone has not ended until it is.
                    ended.pop(undone_by(event.task_id), None)
            case _:
                pass


def _is_undone(child: ExecutionRecord | None) -> bool:
    if child is None or child.status is ExecutionState.REJECTED:
        return child is not None
    return child.status is ExecutionState.ROLLED_BACK and child.undone_for is not None


def _named(logs: Logs, execution_id: str) -> LogName:
    return next(log for log in logs if log.kind == EXECUTION and log.key == execution_id)


def state_at(logs: Logs, log: LogName, version: int | None = None) -> ExecutionRecord:
    """Return the state of an execution at a version, or now."""
    state: ExecutionRecord = apply(FOLDS[EXECUTION], SCHEDULER.initial(log.key), logs[log], version)
    return state
