"""Judges pauses, time limits and failures by the events of an execution alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import floor
from typing import Any

from talka_chaos.graphs import AGENT_TYPE
from talka_core.scheduler.clock import EARLY_MS
from talka_core.scheduler.joins import is_satisfied
from talka_core.scheduler.names import UNDO, undone_by
from talka_protocols import events as e
from talka_protocols.commit import Commit
from talka_protocols.policies import OnFailure
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.subjects import LogName


def failures(log: LogName, state: Any) -> Iterator[str]:
    """H3 a failure that is to end everything does; H4 a task does not fail before its fallback did."""
    if state.is_stopping or state.workflow is None:
        return
    faults = [task_id for task_id in state.failed if not state.tasks[task_id].is_tolerated]
    config = state.workflow.config
    # On the way back, and where that has failed, a failure of something else ends nothing.
    is_going_on = state.rollback is None and state.status is not ExecutionState.ROLLED_BACK
    share = floor((config.tolerated_failure_share or 0.0) * len(state.tasks))
    tolerated = max(config.tolerated_failures, share)
    if is_going_on and config.on_failure is OnFailure.FAIL_FAST and len(faults) > tolerated:
        yield f"H3 {log}: {faults} failed, and the execution went on"
    for task in state.workflow.tasks:
        has_fallback = task.fallback is not None and task.map is None and task.agent_type == AGENT_TYPE
        record = state.tasks[task.id]
        # A condition without an answer, or one that never held, is no failed attempt to stand in for.
        is_judged = record.error is not None and record.error.code in {"condition_failed", "loop_exhausted"}
        is_excused = record.is_fallback or record.is_unwanted or is_judged
        if has_fallback and task.id in state.failed and not is_excused:
            yield f"H4 {log}: task {task.id} failed without its fallback"


def groups(log: LogName, state: Any) -> Iterator[str]:
    """H10 of a group that cannot succeed nothing stays done: neither by a member nor by an item of one."""
    is_left = state.status in (ExecutionState.FAILED, ExecutionState.SUCCEEDED, ExecutionState.PARTIAL)
    if not is_left or state.is_stopping or state.rollback is not None:
        return
    for name, culprit in state.broken.items():
        if is_satisfied(state.tasks[culprit]):
            continue
        named = state.index.groups[name]
        for task_id in [*named, *(item for map_id in named for item in state.index.items.get(map_id, ()))]:
            # What a fork has taken over was done by its origin, which alone undoes it.
            is_own = state.tasks[task_id].may_have_acted
            is_undoable = state.index.tasks[task_id].compensation is not None and is_own
            if is_undoable and state.tasks[task_id].status is TaskStatus.SUCCEEDED:
                yield f"H10 {log}: {task_id} of the group {name} stays done although {culprit} failed"


def cancellations(log: LogName, commits: list[Commit[Any]]) -> Iterator[str]:
    """H5 a task that somebody cancelled alone is not started, tried again or replaced by its fallback.

    A restart and a rollback let it begin again.
    """
    unwanted: set[str] = set()
    for commit in commits:
        for version, _, event in commit.events():
            match event:
                case e.TaskUnwanted():
                    unwanted.add(event.task_id)
                case e.ExecutionRestarted() | e.RollbackStarted():
                    unwanted.clear()
                case e.TaskQueued() | e.AllocationHandedOn() | e.TaskWaiting() | e.TaskReady():
                    task_id = event.to_task if isinstance(event, e.AllocationHandedOn) else event.task_id
                    if task_id in unwanted:
                        yield f"H5 {log}: event {version} lets {task_id} go on, which was cancelled"
                case e.TaskRetrying() | e.TaskFellBack() | e.TaskIterated() if event.task_id in unwanted:
                    yield f"H5 {log}: event {version} lets {event.task_id} go on, which was cancelled"
                case _:
                    pass


def pauses(log: LogName, commits: list[Commit[Any]]) -> Iterator[str]:
    """H1 nothing new starts while it is paused; H2 the time limit counts no time that stood still."""
    paused: dict[str, int] = {}
    started = stood = since = limit = whole = 0
    for commit in commits:
        for version, _, event in commit.events():
            match event:
                case e.ExecutionAccepted() if event.workflow is not None:
                    config, constraints = event.workflow.config, event.workflow.constraints
                    own = config.timeout or constraints.max_seconds
                    limit = whole = int(1000 * min(own, constraints.max_seconds))
                case e.ExecutionStarted():
                    started = commit.at
                case e.ExecutionPaused() | e.TaskPaused():
                    paused.setdefault(getattr(event, "task_id", ""), version)
                case e.RollbackStarted() | e.ExecutionRestarted():
                    # What a restart undoes first is a rollback to the event before, and keeps no pauses.
                    to = event.to if isinstance(event, e.RollbackStarted) else 0
                    paused = _still_paused(paused, event.tasks, to if to < version - 1 else 0)
                    if isinstance(event, e.ExecutionRestarted):
                        limit, started, stood, since = whole, commit.at, 0, 0
                case e.ExecutionRolledBack():
                    # What goes on after it has its whole time before it, as after a restart.
                    limit, started, stood, since = whole, commit.at, 0, 0
                case e.ExecutionResumed() | e.TaskResumed():
                    paused.pop(getattr(event, "task_id", ""), None)
                    if isinstance(event, e.ExecutionResumed) and event.limit_ms:
                        limit, started, stood, since = event.limit_ms, commit.at, 0, since and commit.at
                case e.TimeLimitStopped():
                    since = commit.at
                case e.TimeLimitResumed():
                    stood, since = stood + commit.at - since, 0
                case e.ExecutionTimeoutReached():
                    spent = commit.at - started - stood
                    if since or spent + EARLY_MS < limit:
                        yield f"H2 {log}: event {version} ends {limit} ms after {spent}"
                case e.TaskQueued() | e.AllocationHandedOn():
                    task_id = event.task_id if isinstance(event, e.TaskQueued) else event.to_task
                    if "" in paused or task_id in paused:
                        yield f"H1 {log}: event {version} starts {task_id}, which is paused"
                case _:
                    pass


def _still_paused(paused: dict[str, int], again: Iterable[str], to: int) -> dict[str, int]:
    """Return the pauses that outlast going back to event ``to``: of the tasks that run again, those as old.

    The execution itself goes on.
    """
    undone = frozenset(again)
    return {
        task_id: since
        for task_id, since in paused.items()
        if task_id
        and (task_id not in undone or since <= to)
        and not (task_id.startswith(UNDO) and undone_by(task_id) in undone)
    }
