"""Which ready task goes next: hands an allocation on, or asks the pool."""

from __future__ import annotations

from collections.abc import Iterator

from talka_core.scheduler import gangs, locality, waiting
from talka_core.scheduler.ranking import rank_of
from talka_core.scheduler.state import KEEP_MS, ExecutionRecord
from talka_core.scheduler.terms import start_by
from talka_protocols.events import (
    AllocationHandedOn,
    AllocationKept,
    AllocationReleased,
    ExecutionEvent,
    TaskQueued,
    TaskReady,
    TaskScheduled,
)
from talka_protocols.states import FINAL_TASK_STATUSES, Health, TaskStatus


def make_ready(state: ExecutionRecord, task_id: str, now_ms: int) -> Iterator[ExecutionEvent]:
    """Say that nothing keeps the task from running but resources and the parallel limit.

    One that needs neither begins to wait at once.
    """
    yield TaskReady(task_id, rank_of(state, task_id))
    yield from waiting.begin(state, task_id, now_ms)


def dispatch(state: ExecutionRecord, now_ms: int) -> Iterator[ExecutionEvent]:
    """Start as many ready tasks as the workflow's limit allows, best rank first.

    A task gets an allocation that is kept, or else the pool is asked; then what is still kept
    goes back, as the task may be waiting for just that.
    """
    while state.may_start and _has_room(state) and (task_id := _next(state)):
        members = gangs.together(state, task_id)
        if len(members) > 1 or gangs.has_asked(state, task_id):
            if not _has_room(state, len(members)):
                break
            yield from gangs.ask(state, members)
            continue
        source = _kept_for(state, task_id, now_ms)
        if source is None:
            attempt, near = state.tasks[task_id].attempt + 1, locality.near(state, task_id)
            yield TaskQueued(task_id, attempt, near, start_by=start_by(state, task_id))
        else:
            yield from _hand_on(state, source, task_id)
    if state.queued and state.kept:
        yield from release_kept(state)


def give_up(
    state: ExecutionRecord, task_id: str, now_ms: int, health: Health = Health.UNKNOWN
) -> Iterator[ExecutionEvent]:
    """Pass the ended task's allocation to the best ready task, keep it for a moment, or return it.

    It stays with the execution only under a live permit and never past a task
    of ours that waits in the pool's queue. An heir needs exactly the same. The
    pool hears what the attempt says of the ``health`` of its agent type.
    """
    record = state.tasks[task_id]
    # A task that is ready again has fallen back: its definition is no longer what the allocation was for.
    is_of_its_own = record.status is not TaskStatus.READY and not state.is_rolling_back
    is_permitted = record.hands > 0 and now_ms < record.hands_until and is_of_its_own
    if is_permitted and state.queued == 0 and state.may_start:
        heir = _next(state) if _has_room(state) else ""
        if heir and _needs_the_same(state, task_id, heir):
            yield from _hand_on(state, task_id, heir, health)
            return
        may_follow = not heir and state.active and state.unfinished > state.active + len(state.ready)
        if may_follow and record.status is not TaskStatus.RETRYING:
            yield AllocationKept(record.allocation_id, task_id, now_ms + KEEP_MS, health)
            return
    yield AllocationReleased(record.allocation_id, health)


def is_held(state: ExecutionRecord, task_id: str) -> bool:
    """Tell whether a ready task is to leave the resources to those that have them first by the baseline.

    That counts only while all goes as the baseline knows, and never keeps the execution from going on.
    A baseline knows no gangs, so that it holds none of their members.
    """
    if state.is_off_baseline or not state.active or task_id in state.index.ganged:
        return False
    links = state.index.links.get(task_id, ())
    return any(state.tasks[linked].status not in FINAL_TASK_STATUSES for linked in links)


def _next(state: ExecutionRecord) -> str:
    """Return the best ready task that nothing holds, or an empty string.

    While the execution goes back, only what undoes others may start.
    """
    if state.is_rolling_back:
        undoing = [entry for entry in state.ready if state.tasks[entry[1]].undoes]
        return min(undoing)[1] if undoing else ""
    if not state.index.links and not state.index.gangs:
        return state.ready[0][1] if state.ready else ""
    free = (task_id for _, task_id in state.ready if not is_held(state, task_id))
    return next((task_id for task_id in free if not gangs.is_incomplete(state, task_id)), "")


def release_kept(state: ExecutionRecord) -> Iterator[ExecutionEvent]:
    """Return every allocation that waits for an heir."""
    for allocation_id in list(state.kept):
        yield AllocationReleased(allocation_id)


def _hand_on(
    state: ExecutionRecord, task_id: str, heir: str, health: Health = Health.UNKNOWN
) -> Iterator[ExecutionEvent]:
    record = state.tasks[task_id]
    attempt = state.tasks[heir].attempt + 1
    allocation_id, worker_id, fence = record.allocation_id, record.worker_id, record.fence + 1
    hands, hands_until = record.hands - 1, record.hands_until
    yield AllocationHandedOn(allocation_id, task_id, heir, attempt, fence, health)
    yield TaskScheduled(
        heir,
        attempt,
        worker_id,
        allocation_id,
        fence,
        hands=hands,
        hands_until=hands_until,
        incarnation=record.incarnation,
        is_shared=record.is_shared,
    )


def _kept_for(state: ExecutionRecord, heir: str, now_ms: int) -> str | None:
    """Return the ended task whose kept allocation is what ``heir`` needs."""
    for kept in state.kept.values():
        if now_ms < state.tasks[kept.task_id].hands_until and _needs_the_same(state, kept.task_id, heir):
            return kept.task_id
    return None


def _needs_the_same(state: ExecutionRecord, task_id: str, heir: str) -> bool:
    """Tell whether the task's allocation is what the heir needs, under a newer fence than it ever had.

    A start that counts against a rate is always the pool's to allow.
    """
    if heir in state.index.ganged and gangs.is_ganged(state, heir):
        return False
    tasks, amounts = state.index.tasks, state.index.amounts
    if tasks[heir].reservation or tasks[heir].is_preemptible:
        return False
    is_newer = state.tasks[task_id].fence + 1 > _newest_fence(state, heir)
    is_same_type = tasks[heir].agent_type == tasks[task_id].agent_type and tasks[heir].rate is None
    is_same_place = tasks[heir].requires == tasks[task_id].requires
    return is_newer and is_same_type and is_same_place and amounts[heir] == amounts[task_id]


def _newest_fence(state: ExecutionRecord, task_id: str) -> int:
    record = state.tasks[task_id]
    undone = state.tasks[record.undoes].newest_fence if record.undoes else 0
    return max(record.newest_fence, undone)


def _has_room(state: ExecutionRecord, count: int = 1) -> bool:
    limit = state.workflow.config.max_parallel if state.workflow else None
    return limit is None or state.active + count <= limit
