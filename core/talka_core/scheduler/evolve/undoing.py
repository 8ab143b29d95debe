"""Facts about undoing: of one task, and of everything after an event; and about running again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from msgspec.structs import replace

from talka_core.scheduler.evolve.execution import hear, restart_clock, restore
from talka_core.scheduler.index import MAP, take_back
from talka_core.scheduler.joins import is_satisfied
from talka_core.scheduler.names import COMPENSATION, undo_id
from talka_core.scheduler.state import Checkpoint, ExecutionRecord, MapRecord, Retired, Rollback, TaskRecord
from talka_protocols import events as e
from talka_protocols.events import Progress, TaskFailure
from talka_protocols.policies import Then
from talka_protocols.states import FINAL_TASK_STATUSES, ExecutionState, TaskStatus


def compensation_begun(state: ExecutionRecord, task_id: str) -> None:
    """Remember that the task is being undone."""
    record = state.tasks[task_id]
    if record.status is not TaskStatus.COMPENSATING:
        record.status = TaskStatus.COMPENSATING
        state.unfinished += 1


def compensated(state: ExecutionRecord, task_id: str) -> None:
    """Remember that nothing is left of the task's effect; its result stays until it runs again."""
    record = state.tasks[task_id]
    record.status, record.may_have_acted = TaskStatus.COMPENSATED, False
    _undone(state, record)


def compensation_failed(state: ExecutionRecord, task_id: str, error: TaskFailure) -> None:
    """Remember that nobody knows what is left of the task's effect."""
    record = state.tasks[task_id]
    record.status, record.is_unclear = TaskStatus.FAILED, True
    record.error = TaskFailure(
        "compensation_failed", f"It could not be undone: {error.message}", error.detail
    )
    _undone(state, record)


def _undone(state: ExecutionRecord, record: TaskRecord) -> None:
    state.unfinished -= 1
    state.lost_spans.append((record.ended_version, state.version))
    record.ended_version = state.version


def _rollback_started(state: ExecutionRecord, event: e.RollbackStarted, _at: int) -> None:
    _begin_anew(state, event.request_id)
    state.status = ExecutionState.ROLLING_BACK
    state.rollback = Rollback(
        event.to,
        event.tasks,
        event.then,
        resumed=event.resumed,
        paused=event.paused,
        progress=event.progress,
    )
    if event.parent is not None:
        state.undone_for, state.is_parent_informed = event.parent, False
    again: list[str] = []
    for task_id in event.tasks:
        undo = undo_id(task_id, state.tasks[task_id].round)
        left = state.tasks.get(undo)
        if left is not None and left.status in FINAL_TASK_STATUSES and not is_satisfied(left):
            state.tasks[undo] = _fresh(left)
            again.append(undo)
    _await(state, again)
    _count(state)


def _rolled_back(state: ExecutionRecord, event: e.ExecutionRolledBack, at: int) -> None:
    assert state.rollback is not None, "only what was begun ends"
    done, state.rollback = state.rollback, None
    state.lost_spans.append((event.to + 1, state.version))
    if event.then is Then.CONTINUE:
        # What was ready could not start meanwhile, so its time to start begins anew.
        for task_id, record in state.tasks.items():
            if record.status is TaskStatus.READY and state.index.tasks[task_id].start_timeout is not None:
                record.ready_at = at
        pauses = {t: state.tasks[t].paused_version for t in done.paused if state.tasks[t].is_paused}
        _run_again(state, done.tasks, done.resumed, event.to, at)
        _go_on(state, done.progress)
        _pause_again(state, pauses)
        return
    state.status, state.finished_at = ExecutionState.ROLLED_BACK, at
    state.reason = f"It was rolled back to event {event.to}."
    for task_id in done.tasks:
        _end_undone(state, task_id, at)
    _count(state)


def _pause_again(state: ExecutionRecord, pauses: Mapping[str, int]) -> None:
    """Let tasks be paused still: that is somebody's wish and no effect, so it ends when somebody says so."""
    for task_id, version in pauses.items():
        if (record := state.tasks.get(task_id)) is not None:
            # What has left the graph comes back as a task that nobody has paused.
            record.is_paused, record.paused_version = True, version


def _rollback_failed(state: ExecutionRecord, event: e.RollbackFailed, at: int) -> None:
    assert state.rollback is not None, "only what was begun fails"
    state.rollback = replace(state.rollback, has_failed=True)
    state.status, state.finished_at, state.reason = ExecutionState.FAILED, at, event.reason


def _child_undone(state: ExecutionRecord, event: e.ChildUndone, _at: int) -> None:
    record = state.tasks[event.task_id]
    left = state.tasks[record.undoes].children
    left.remove(event.child_id)
    record.awaited = left[-1] if left else ""


def _restarted(state: ExecutionRecord, event: e.ExecutionRestarted, at: int) -> None:
    _begin_anew(state, event.request_id)
    _run_again(state, event.tasks, event.resumed, state.version, at)
    _go_on(state, event.progress)


def _go_on(state: ExecutionRecord, progress: Progress | None) -> None:
    """Give a task that runs again what it had saved by the checkpoint that was chosen."""
    if progress is None:
        return
    record = state.tasks[progress.task_id]
    record.checkpoint = Checkpoint(progress.attempt, progress.sequence, progress.checkpoint)
    record.steps = dict(progress.steps)


def _run_again(
    state: ExecutionRecord, tasks: Collection[str], resumed: Collection[str], to: int, at: int
) -> None:
    """Put the tasks back to where they were before their first attempts; what they added leaves the graph."""
    ended = [state.tasks[task_id].ended_version for task_id in tasks if state.tasks[task_id].ended_version]
    if ended:
        state.lost_spans.append((min(ended), state.version))
    restart_clock(state, at)
    progress = {task_id: state.maps.pop(task_id) for task_id in tasks if task_id in state.maps}
    for task_id in tasks:
        is_resumed = task_id in resumed
        state.tasks[task_id] = _waiting_on(state, task_id) if is_resumed else _again(state, task_id, to)
    again = frozenset(tasks)
    state.broken = {group: culprit for group, culprit in state.broken.items() if culprit not in again}
    _forget_additions(state, again, frozenset(resumed), to)
    for map_id in resumed:
        state.maps[map_id] = _kept_items(state, map_id, progress[map_id])
    _await(state, [task_id for task_id in tasks if task_id in state.tasks])
    _count(state)


def _await(state: ExecutionRecord, tasks: Collection[str]) -> None:
    for task_id in tasks:
        needed = (state.tasks[need] for need in state.index.predecessors[task_id])
        state.tasks[task_id].waits_for = sum(not is_satisfied(record) for record in needed)


def _begin_anew(state: ExecutionRecord, request_id: str) -> None:
    hear(state, request_id)
    state.is_cancelling = state.is_timing_out = state.is_failing = state.is_forced = False
    state.finished_at, state.reason = 0, ""


def _again(state: ExecutionRecord, task_id: str, to: int) -> TaskRecord:
    """Return the task as it was before its first attempt, but for what must never be used twice.

    What was done or undone gets a key of its own the next time. The effect of
    an irreversible task stands, and so does its key.
    """
    record = state.tasks[task_id]
    is_new = record.status in (TaskStatus.SUCCEEDED, TaskStatus.COMPENSATED)
    if record.is_fallback:
        take_back(state.index, task_id)
    again = _fresh(record)
    again.round += is_new and not state.index.tasks[task_id].is_irreversible
    if not is_new and not record.is_fallback and 0 < record.ended_version <= to:
        # It had failed and is restarted in the same round, so it goes on from what it saved.
        again.checkpoint, again.steps = record.checkpoint, record.steps
    return again


def _waiting_on(state: ExecutionRecord, map_id: str) -> TaskRecord:
    """Return a map as it was while it waited for its items."""
    record = state.tasks[map_id]
    again = _fresh(record)
    again.status, again.waiting, again.asked = TaskStatus.WAITING, MAP, record.asked
    again.started_at = record.started_at
    again.round += record.status is TaskStatus.COMPENSATED
    return again


def _kept_items(state: ExecutionRecord, map_id: str, progress: MapRecord) -> MapRecord:
    kept = [state.tasks[item] for item in state.index.items.get(map_id, ())]
    failed = sum(record.status is not TaskStatus.SUCCEEDED for record in kept)
    return MapRecord(progress.items, len(kept), len(kept), failed, progress.since)


def _fresh(record: TaskRecord) -> TaskRecord:
    return TaskRecord(
        attempt=record.attempt,
        round=record.round,
        newest_fence=record.newest_fence,
        spans=record.spans,
        added_at=record.added_at,
        undoes=record.undoes,
    )


def _end_undone(state: ExecutionRecord, task_id: str, at: int) -> None:
    """Leave a task that stays undone as what it is now: undone, or not done."""
    record = state.tasks[task_id]
    has_acted = record.may_have_acted and not state.index.tasks[task_id].is_irreversible
    is_done = has_acted or record.status is TaskStatus.COMPENSATED
    record.status = TaskStatus.COMPENSATED if is_done else TaskStatus.CANCELLED
    record.finished_at, record.ended_version = record.finished_at or at, state.version
    record.is_unwanted = False


def _forget_additions(
    state: ExecutionRecord, again: frozenset[str], resumed: frozenset[str], to: int
) -> None:
    """Take out of the graph what was added after event ``to``, or by tasks that run again.

    A map that is resumed keeps the items that do not.
    """
    kept: list[tuple[e.TasksAdded, int]] = []
    for addition, version in zip(state.added, state.added_versions, strict=True):
        if addition.by in resumed:
            items = tuple(task for task in addition.tasks if task.id not in again)
            kept += [(replace(addition, tasks=items), version)] if items else []
        elif addition.reason == COMPENSATION or (version <= to and addition.by not in again):
            kept.append((addition, version))
    if len(kept) == len(state.added) and not resumed:
        return
    state.added, state.added_versions = [a for a, _ in kept], [v for _, v in kept]
    restore(state)
    for task_id in [task_id for task_id in state.tasks if task_id not in state.index.tasks]:
        gone = state.tasks.pop(task_id)
        state.retired[task_id] = Retired(gone.attempt, gone.round, gone.newest_fence)


def _count(state: ExecutionRecord) -> None:
    """Derive again what is counted and listed."""
    records = state.tasks.values()
    state.unfinished = sum(record.status not in FINAL_TASK_STATUSES for record in records)
    known = [task_id for task_id in state.failed if task_id in state.tasks]
    state.failed = [task_id for task_id in known if state.tasks[task_id].is_failure]


HANDLERS: dict[type, Callable[[ExecutionRecord, Any, int], None]] = {
    e.RollbackStarted: _rollback_started,
    e.ExecutionRolledBack: _rolled_back,
    e.RollbackFailed: _rollback_failed,
    e.ChildUndone: _child_undone,
    e.ExecutionRestarted: _restarted,
}
