"""What the end of a task means to others, how tasks end without running, and when an execution is over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import floor

from talka_core.scheduler import branching, compensation, groups, mapping
from talka_core.scheduler.clock import keep_time
from talka_core.scheduler.dispatch import make_ready, release_kept
from talka_core.scheduler.joins import Verdict, is_satisfied, on_failure_of, verdict, verdict_after
from talka_core.scheduler.state import ExecutionRecord
from talka_core.scheduler.waiting import WORKFLOW
from talka_protocols.events import (
    AllocationRequestWithdrawn,
    ExecutionCancelled,
    ExecutionEvent,
    ExecutionFailed,
    ExecutionPartlySucceeded,
    ExecutionSucceeded,
    ExecutionTimedOut,
    FailFastBegan,
    TaskCancelled,
    TaskCancelRequested,
    TaskSkipped,
)
from talka_protocols.policies import Join, OnFailure
from talka_protocols.states import FINAL_TASK_STATUSES, ExecutionState, TaskStatus


def follow_up(state: ExecutionRecord, task_id: str, now_ms: int) -> Iterator[ExecutionEvent]:
    """Start or skip what needs a task that has just ended, and so on behind what is skipped.

    If its failure ends everything, stop everything instead.
    """
    yield from _follow(state, task_id, now_ms)
    if state.broken:
        yield from _settle_groups(state, now_ms)


def _follow(state: ExecutionRecord, task_id: str, now_ms: int) -> Iterator[ExecutionEvent]:
    ended = [task_id]
    for last in ended:
        if _ends_all(state, last):
            yield FailFastBegan(last)
            yield from stop_all(state, now_ms)
        for successor in state.index.successors[last]:
            record = state.tasks[successor]
            if record.status is not TaskStatus.PENDING or state.holds_back(record):
                continue
            yield from _judged(state, successor, verdict_after(state, successor, last), last, now_ms)
            if state.tasks[successor].status in FINAL_TASK_STATUSES:
                ended.append(successor)
        map_id = state.index.maps.get(last, "")
        is_map_open = map_id and state.tasks[map_id].status is TaskStatus.WAITING
        if is_map_open and not state.holds_back(state.tasks[map_id]):
            yield from _go_on(state, map_id, now_ms)
            if state.tasks[map_id].status in FINAL_TASK_STATUSES:
                ended.append(map_id)


def begin(state: ExecutionRecord, task_ids: Iterable[str], now_ms: int) -> Iterator[ExecutionEvent]:
    """Judge these tasks as far as they are pending."""
    for task_id in task_ids:
        record = state.tasks[task_id]
        if record.status is TaskStatus.PENDING and not state.holds_back(record):
            yield from _judged(state, task_id, verdict(state, task_id), "", now_ms)
            if state.tasks[task_id].status in FINAL_TASK_STATUSES:
                yield from follow_up(state, task_id, now_ms)


def follow_up_all(state: ExecutionRecord, now_ms: int) -> Iterator[ExecutionEvent]:
    """Judge every task and every map: at the beginning, and after a commit that was cut short."""
    for task_id in list(state.failed):
        if _ends_all(state, task_id):
            yield from follow_up(state, task_id, now_ms)
            return
    yield from begin(state, list(state.tasks), now_ms)
    for map_id in [map_id for map_id in state.maps if not state.holds_back(state.tasks[map_id])]:
        yield from _go_on(state, map_id, now_ms)
        if state.tasks[map_id].status in FINAL_TASK_STATUSES:
            yield from follow_up(state, map_id, now_ms)
    yield from _settle_groups(state, now_ms)


def _settle_groups(state: ExecutionRecord, now_ms: int) -> Iterator[ExecutionEvent]:
    """Stop what is left of the groups that cannot succeed any more, then undo what their members did."""
    settled: dict[str, str] = {}
    while unsettled := [broken for broken in groups.broken(state) if broken[0] not in settled]:
        group, culprit = unsettled[0]
        settled[group] = culprit
        while unbegun := groups.unbegun(state, group):
            # One that is skipped may take others with it.
            yield TaskSkipped(unbegun[0], culprit)
            yield from _follow(state, unbegun[0], now_ms)
        for task_id in groups.begun(state, group):
            yield from cancel_task(state, task_id, now_ms, because=culprit)
        if not groups.begun(state, group):
            wanted = groups.undoable(state, group, culprit)
            yield from compensation.add(state, wanted, groups.members(state, group))
            for name in compensation.added(state, wanted):
                yield from _judged(state, name, verdict(state, name), "", now_ms)


def _go_on(state: ExecutionRecord, map_id: str, now_ms: int) -> Iterator[ExecutionEvent]:
    """Start a map's next items, stop all of them if too many failed, and end it with the last."""
    while tasks := mapping.next_items(state, map_id):
        yield from mapping.added(map_id, tasks)
        for task in tasks:
            yield from make_ready(state, task.id, now_ms)
    if mapping.is_lost(state, map_id):
        for item in state.index.items.get(map_id, ()):
            yield from cancel_task(state, item, now_ms, because=map_id)
    yield from mapping.ended(state, map_id, now_ms)


def _judged(
    state: ExecutionRecord, task_id: str, judged: Verdict, last: str, now_ms: int
) -> Iterator[ExecutionEvent]:
    match judged:
        case Verdict.WAIT:
            return
        case Verdict.START:
            yield from branching.judge(state, task_id, now_ms)
            if state.tasks[task_id].status is not TaskStatus.PENDING:
                return
            yield from make_ready(state, task_id, now_ms)
            if task_id in state.maps:
                yield from _go_on(state, task_id, now_ms)
            if state.index.joins.get(task_id) is Join.FIRST:
                yield from _cancel_losers(state, task_id, now_ms)
        case Verdict.SKIP:
            yield _skipped(state, task_id, last)


def _skipped(state: ExecutionRecord, task_id: str, last: str) -> TaskSkipped:
    """Blame what failed rather than what a condition left out."""
    is_known = last and not is_satisfied(state.tasks[last])
    needed = (last,) if is_known else state.index.predecessors[task_id]
    ended = [n for n in needed if state.tasks[n].status in FINAL_TASK_STATUSES]
    lost = [n for n in ended if not is_satisfied(state.tasks[n])]
    culprit = min(lost, key=lambda n: bool(state.tasks[n].condition))
    record = state.tasks[culprit]
    return TaskSkipped(task_id, record.because or culprit, record.condition)


def _cancel_losers(state: ExecutionRecord, winner: str, now_ms: int) -> Iterator[ExecutionEvent]:
    """Cancel what a task that starts with the first success no longer needs, and what only that needed."""
    losers = list(state.index.predecessors[winner])
    doomed = {winner}
    for task_id in losers:
        others = (s for s in state.index.successors[task_id] if s not in doomed)
        is_needed = any(state.tasks[s].status not in FINAL_TASK_STATUSES for s in others)
        if state.tasks[task_id].status in FINAL_TASK_STATUSES or is_needed or task_id in doomed:
            continue
        doomed.add(task_id)
        losers += state.index.predecessors[task_id]
        yield from cancel_task(state, task_id, now_ms, because=winner)


def stop_all(state: ExecutionRecord, now_ms: int) -> Iterator[ExecutionEvent]:
    """Cancel what has not begun, and ask the workers to stop what runs."""
    yield from release_kept(state)
    for task_id in list(state.tasks):
        yield from cancel_task(state, task_id, now_ms)


def cancel_task(
    state: ExecutionRecord, task_id: str, now_ms: int, because: str = ""
) -> Iterator[ExecutionEvent]:
    """End a task that has not begun, or ask its worker or its sub-workflow to stop; what has ended stays."""
    record = state.tasks[task_id]
    is_forced = state.is_forced or record.is_forced_out
    match record.status:
        case TaskStatus.WAITING if record.waiting == WORKFLOW:
            # Only its sub-workflow can end it, which is asked to stop.
            if not record.is_stopping or (is_forced and not record.is_forced):
                yield TaskCancelRequested(task_id, record.attempt, because or record.because, is_forced)
        case TaskStatus.PENDING | TaskStatus.READY | TaskStatus.RETRYING | TaskStatus.WAITING:
            yield TaskCancelled(task_id, record.attempt, now_ms, because)
            # A map that alone is unwanted is what ends its items, and no fault of theirs.
            of_items = because or (task_id if record.is_unwanted else "")
            for item in state.index.items.get(task_id, ()):
                yield from cancel_task(state, item, now_ms, of_items)
        case TaskStatus.QUEUED:
            if record.allocation_id:
                yield AllocationRequestWithdrawn(record.allocation_id)
            yield TaskCancelled(task_id, record.attempt, now_ms, because)
        case TaskStatus.SCHEDULED | TaskStatus.RUNNING if not record.is_stopping:
            yield TaskCancelRequested(task_id, record.attempt, because, is_forced)
        case TaskStatus.SCHEDULED | TaskStatus.RUNNING if is_forced and not record.is_forced:
            yield TaskCancelRequested(task_id, record.attempt, record.because, is_forced=True)
        case _:
            pass


def conclude(state: ExecutionRecord) -> Iterator[ExecutionEvent]:
    """End the execution when every task has ended; until then its time limit keeps up with it."""
    if state.status not in (ExecutionState.RUNNING, ExecutionState.PAUSED):
        return
    if state.unfinished:
        yield from keep_time(state)
        return
    yield from release_kept(state)
    faults = [
        record
        for record in state.tasks.values()
        if record.status is not TaskStatus.SUCCEEDED and not record.is_tolerated
    ]
    if state.is_timing_out and faults:
        yield ExecutionTimedOut()
    elif state.is_cancelling and faults:
        yield ExecutionCancelled()
    elif state.is_failing and faults:
        yield ExecutionFailed(tuple(state.failed))
    elif not state.failed and not faults:
        yield ExecutionSucceeded()
    elif not faults or 0 < _failures(state) <= _tolerated(state):
        yield ExecutionPartlySucceeded(tuple(state.failed))
    else:
        yield ExecutionFailed(tuple(state.failed))


def _ends_all(state: ExecutionRecord, task_id: str) -> bool:
    """Tell whether the task has failed in a way that ends everything: more failures than are tolerated."""
    record = state.tasks[task_id]
    if not record.is_failure or record.is_tolerated:
        return False
    is_ending = state.is_stopping or state.is_rolling_back
    if is_ending or on_failure_of(state, task_id) is not OnFailure.FAIL_FAST:
        return False
    faults = (t for t in state.failed if t not in state.index.maps and not state.tasks[t].is_tolerated)
    return sum(1 for _ in faults) > _tolerated(state)


def _failures(state: ExecutionRecord) -> int:
    """Count the tasks that failed; the items of a map count with it as one."""
    return sum(task_id not in state.index.maps for task_id in state.failed)


def _tolerated(state: ExecutionRecord) -> int:
    assert state.workflow is not None, "only what was accepted ends"
    config = state.workflow.config
    return max(config.tolerated_failures, floor((config.tolerated_failure_share or 0.0) * len(state.tasks)))
