"""Planted bugs of the scheduler."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from talka_chaos.mutants.planting import behaving
from talka_core.behaviour import Send, SetTimer
from talka_core.scheduler.state import ExecutionRecord
from talka_protocols.messages import (
    AttemptFinished,
    ChildFinished,
    GrantAllocation,
    Recipient,
    RecordProgress,
    RevokeAllocation,
)
from talka_protocols.states import ExecutionState, TaskStatus

artifacts = import_module("talka_core.scheduler.artifacts")
arrivals = import_module("talka_core.scheduler.arrivals")
attempts = import_module("talka_core.scheduler.attempts")
branching = import_module("talka_core.scheduler.branching")
children = import_module("talka_core.scheduler.children")
compensation = import_module("talka_core.scheduler.compensation")
decide = import_module("talka_core.scheduler.decide")
dispatch = import_module("talka_core.scheduler.dispatch")
effects = import_module("talka_core.scheduler.effects")
letters = import_module("talka_core.scheduler.letters")
endings = import_module("talka_core.scheduler.endings")
failures = import_module("talka_core.scheduler.failures")
progress = import_module("talka_core.scheduler.progress")
evolve = import_module("talka_core.scheduler.evolve.execution")
extending = import_module("talka_core.scheduler.extending")
undoing = import_module("talka_core.scheduler.evolve.undoing")
looping = import_module("talka_core.scheduler.looping")
mapping = import_module("talka_core.scheduler.mapping")


def dependencies_ignored() -> AbstractContextManager[Any]:
    """Everything is ready at once."""
    real = evolve.index_of

    def index_of(workflow: Any, ranking: Any, baseline: Any) -> Any:
        index = real(workflow, ranking, baseline)
        nothing: dict[str, Any] = {task_id: [] for task_id in index.tasks}
        return replace(index, predecessors=nothing, successors=nothing)

    return patch.object(evolve, "index_of", index_of)


def attempt_ignored() -> AbstractContextManager[Any]:
    """A report of any attempt is taken for one of the current attempt."""
    real = attempts.finished

    def finished(state: ExecutionRecord, message: AttemptFinished, now_ms: int) -> Any:
        record = state.tasks.get(message.task_id)
        attempt = record.attempt if record else 0
        return real(state, replace(message, attempt=attempt), now_ms)

    return patch.object(attempts, "finished", finished)


def stale_grant_accepted() -> AbstractContextManager[Any]:
    """A grant of any attempt is taken for the current one."""
    real = decide._granted  # noqa: SLF001

    def granted(state: ExecutionRecord, message: GrantAllocation) -> Iterator[Any]:
        record = state.tasks.get(message.task_id)
        if record is not None and record.status is TaskStatus.QUEUED:
            asked = replace(message, attempt=record.attempt, allocation_id=record.allocation_id)
            yield from real(state, asked)

    return patch.object(decide, "_granted", granted)


def heirs_needs_ignored() -> AbstractContextManager[Any]:
    """An allocation is handed on to a task that needs another one."""

    def needs_the_same(_state: Any, _task_id: str, _heir: str) -> bool:
        return True

    return patch.object(dispatch, "_needs_the_same", needs_the_same)


def late_grant_releases_heir() -> AbstractContextManager[Any]:
    """A repeated grant is given back although its allocation was handed on."""

    def is_held(state: ExecutionRecord, allocation: str) -> bool:
        task_id = allocation.removeprefix(state.execution_id + "/").rpartition("/")[0]
        record = state.tasks.get(task_id)
        return record is not None and record.allocation_id == allocation

    return patch.object(effects, "_is_held", is_held)


def revocation_of_queued_ignored() -> AbstractContextManager[Any]:
    """A revocation that overtakes its grant is forgotten."""
    real = attempts.revoked

    def revoked(state: ExecutionRecord, message: RevokeAllocation, now_ms: int) -> Iterator[Any]:
        held = [r.status for r in state.tasks.values() if r.allocation_id == message.allocation_id]
        return iter(()) if TaskStatus.QUEUED in held else real(state, message, now_ms)

    return patch.object(attempts, "revoked", revoked)


def resume_forgotten() -> AbstractContextManager[Any]:
    """A scheduler that takes over, or gets no answer, repeats nothing."""

    def resume(_state: Any) -> tuple[()]:
        return ()

    return behaving(Recipient.SCHEDULER, resume=resume)


def retry_forgotten() -> AbstractContextManager[Any]:
    """A scheduler that takes over does not go on waiting for the next attempt of a failed task."""
    real = effects.resume

    def resume(state: ExecutionRecord) -> Iterator[Any]:
        for effect in real(state):
            if not (isinstance(effect, SetTimer) and effect.name.startswith(decide.RETRY)):
                yield effect

    return behaving(Recipient.SCHEDULER, resume=resume)


def conditions_ignored() -> AbstractContextManager[Any]:
    """A task runs whatever its condition says."""

    def judge(_state: ExecutionRecord, _task_id: str, _now_ms: int) -> Iterator[Any]:
        return iter(())

    return patch.object(branching, "judge", judge)


def repeated_signal_recorded() -> AbstractContextManager[Any]:
    """A signal that comes again is taken for another one."""
    real = arrivals._refusal_of_signal  # noqa: SLF001

    def refusal(state: ExecutionRecord, message: Any) -> Any:
        return real(replace(state, signal_ids={}), message)

    return patch.object(arrivals, "_refusal_of_signal", refusal)


def child_reported_once() -> AbstractContextManager[Any]:
    """A sub-workflow takes its parent for informed as soon as the report is sent."""
    real = effects.resume

    def resume(state: ExecutionRecord) -> Iterator[Any]:
        for effect in real(state):
            if not (isinstance(effect, Send) and isinstance(effect.message, ChildFinished)):
                yield effect

    return behaving(Recipient.SCHEDULER, resume=resume)


def map_limit_ignored() -> AbstractContextManager[Any]:
    """All items of a map begin at once."""
    real = mapping._rule  # noqa: SLF001

    def rule(state: ExecutionRecord, map_id: str) -> Any:
        return replace(real(state, map_id), max_parallel=None)

    return patch.object(mapping, "_rule", rule)


def lost_items_forgotten() -> AbstractContextManager[Any]:
    """A map that cannot succeed any more succeeds with what it has."""

    def is_lost(_state: ExecutionRecord, _map_id: str) -> bool:
        return False

    return patch.object(mapping, "is_lost", is_lost)


def loop_without_bound() -> AbstractContextManager[Any]:
    """A loop counts every round as its first."""
    real = looping.after_round

    def after_round(state: ExecutionRecord, message: AttemptFinished, now_ms: int) -> Any:
        state.tasks[message.task_id].iteration = 0
        return real(state, message, now_ms)

    return patch.object(looping, "after_round", after_round)


def checkpoint_forgotten() -> AbstractContextManager[Any]:
    """An attempt is started without what earlier ones have saved."""
    real = letters.start

    def start(state: ExecutionRecord, task_id: str, record: Any) -> Any:
        return real(state, task_id, replace(record, checkpoint=None))

    return patch.object(letters, "start", start)


def steps_forgotten() -> AbstractContextManager[Any]:
    """An attempt is started without the steps that earlier ones have finished."""
    real = letters.start

    def start(state: ExecutionRecord, task_id: str, record: Any) -> Any:
        return real(state, task_id, replace(record, steps={}))

    return patch.object(letters, "start", start)


def checkpoints_ordered_across_attempts() -> AbstractContextManager[Any]:
    """A new attempt's first checkpoints are taken for repeats of the last attempt's."""

    def is_known(record: Any, message: RecordProgress) -> bool:
        return record.checkpoint is not None and record.checkpoint.sequence >= message.sequence

    return patch.object(progress, "_is_known", is_known)


def pause_ignored() -> AbstractContextManager[Any]:
    """A paused execution dispatches as ever."""

    def may_start(state: ExecutionRecord) -> bool:
        return not state.is_stopping

    return patch.object(ExecutionRecord, "may_start", property(may_start))


def stopped_time_ends() -> AbstractContextManager[Any]:
    """A timer of before the pause ends the execution."""

    def has_passed(state: ExecutionRecord, _now_ms: int) -> bool:
        return state.status in (ExecutionState.RUNNING, ExecutionState.PAUSED) and not state.is_stopping

    return patch.object(decide, "has_passed", has_passed)


def fail_fast_ignored() -> AbstractContextManager[Any]:
    """A failure that is to end everything is one like any other."""

    def ends_all(_state: Any, _task_id: str) -> bool:
        return False

    return patch.object(endings, "_ends_all", ends_all)


def fallback_forgotten() -> AbstractContextManager[Any]:
    """A task fails for good although it has a fallback."""

    def may_fall_back(_state: Any, _task_id: str) -> bool:
        return False

    return patch.object(failures, "_may_fall_back", may_fall_back)


def extension_forgotten() -> AbstractContextManager[Any]:
    """What was accepted is never added."""

    def added(_state: ExecutionRecord, _task_id: str, _asked: Any) -> Iterator[Any]:
        return iter(())

    return patch.object(extending, "_added", added)


def races_unseen() -> AbstractContextManager[Any]:
    """Any two tasks are taken to be in an order."""

    def is_before(_state: ExecutionRecord, _first: str, _second: str) -> bool:
        return True

    return patch.object(artifacts, "_is_before", is_before)


def compensations_unordered() -> AbstractContextManager[Any]:
    """Everything is undone at once."""

    def next_behind(_index: Any, _task_id: str, _among: Any) -> list[str]:
        return []

    return patch.object(compensation, "_next_behind", next_behind)


def attempts_counted_anew() -> AbstractContextManager[Any]:
    """A task that runs again begins with its first attempt."""
    real = undoing._fresh  # noqa: SLF001

    def fresh(record: Any) -> Any:
        return replace(real(record), attempt=0)

    return patch.object(undoing, "_fresh", fresh)


def waiting_task_not_cancelled() -> AbstractContextManager[Any]:
    """Of the tasks that somebody cancels only those that run are stopped."""
    real = endings.cancel_task

    def cancel_task(state: ExecutionRecord, task_id: str, now_ms: int, because: str = "") -> Iterator[Any]:
        record = state.tasks[task_id]
        is_waiting = record.status in (TaskStatus.PENDING, TaskStatus.READY, TaskStatus.QUEUED)
        if not (record.is_unwanted and is_waiting and not state.is_stopping):
            yield from real(state, task_id, now_ms, because)

    return patch.object(endings, "cancel_task", cancel_task)


SCHEDULER_MUTANTS = (
    waiting_task_not_cancelled,
    pause_ignored,
    stopped_time_ends,
    fail_fast_ignored,
    fallback_forgotten,
    races_unseen,
    checkpoint_forgotten,
    steps_forgotten,
    checkpoints_ordered_across_attempts,
    extension_forgotten,
    conditions_ignored,
    child_reported_once,
    map_limit_ignored,
    lost_items_forgotten,
    loop_without_bound,
    dependencies_ignored,
    attempt_ignored,
    stale_grant_accepted,
    heirs_needs_ignored,
    late_grant_releases_heir,
    revocation_of_queued_ignored,
    resume_forgotten,
    retry_forgotten,
    repeated_signal_recorded,
    compensations_unordered,
    attempts_counted_anew,
)
