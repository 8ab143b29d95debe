"""How far a rollback or a restart reaches: which tasks run again, and which items their maps keep."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from msgspec import Struct

from talka_core.scheduler.state import ExecutionRecord, TaskRecord
from talka_protocols.states import FINAL_TASK_STATUSES, TaskStatus


class Extent(Struct, frozen=True):
    """The tasks that run again, as the record has them; those ``resumed`` are maps that keep other items."""

    tasks: tuple[str, ...]
    resumed: tuple[str, ...] = ()


def since(state: ExecutionRecord, event: int) -> Extent:
    """Return what had not ended at an event; a map that waited for its items then goes on with the others."""

    def may_resume(map_id: str) -> bool:
        return state.maps[map_id].since <= event

    def keeps(record: TaskRecord) -> bool:
        return had_ended(record, event)

    return _extent(state, [t for t, r in state.tasks.items() if not keeps(r)], keeps, may_resume)


def behind(state: ExecutionRecord, first: Iterable[str]) -> Extent:
    """Return tasks and all that needs them, every map of which runs again as a whole."""
    return _extent(state, _downstream(state, first), _keeps_nothing, _never)


def undone(state: ExecutionRecord) -> Extent:
    """Return what did not succeed, and all that needs it; a map keeps what did succeed of the same list."""
    lost = [t for t, record in state.tasks.items() if _is_lost(state, t, record)]
    wanted = _downstream(state, lost)

    def may_resume(map_id: str) -> bool:
        return wanted.isdisjoint(state.index.predecessors[map_id])

    return _extent(state, wanted, _has_succeeded, may_resume)


def had_ended(record: TaskRecord, event: int) -> bool:
    """Tell whether the task stays as it is when everything after the event is undone."""
    is_final = record.status in FINAL_TASK_STATUSES
    return bool(record.undoes) or (is_final and record.ended_version <= event)


def is_begun(record: TaskRecord) -> bool:
    """Tell whether the task has begun and not ended."""
    return record.status not in FINAL_TASK_STATUSES and record.status is not TaskStatus.PENDING


def _is_lost(state: ExecutionRecord, task_id: str, record: TaskRecord) -> bool:
    is_over = record.status in FINAL_TASK_STATUSES and record.status is not TaskStatus.SUCCEEDED
    return is_over and not (record.undoes or record.condition or task_id in state.index.maps)


def _has_succeeded(record: TaskRecord) -> bool:
    return record.status is TaskStatus.SUCCEEDED


def _keeps_nothing(_record: TaskRecord) -> bool:
    return False


def _never(_map_id: str) -> bool:
    return False


def _extent(
    state: ExecutionRecord,
    tasks: Collection[str],
    keeps: Callable[[TaskRecord], bool],
    may_resume: Callable[[str], bool],
) -> Extent:
    """Return the tasks and all that they added to the graph, but for items that are kept."""
    wanted = set(tasks)
    resumed = {t for t in wanted if _has_kept(state, t, keeps) and may_resume(t)}
    while True:
        new = {
            task.id
            for addition in state.added
            if addition.by in wanted
            for task in addition.tasks
            if task.id not in wanted and not (addition.by in resumed and keeps(state.tasks[task.id]))
        }
        if not new:
            return Extent(
                tuple(t for t in state.tasks if t in wanted), tuple(t for t in state.tasks if t in resumed)
            )
        wanted |= new
        # A map that leaves the graph itself keeps nothing.
        resumed -= new


def _has_kept(state: ExecutionRecord, task_id: str, keeps: Callable[[TaskRecord], bool]) -> bool:
    """Tell whether the task is a map that began, and some item of which is kept."""
    progress = state.maps.get(task_id)
    if progress is None or not progress.since:
        return False
    return any(keeps(state.tasks[item]) for item in state.index.items.get(task_id, ()))


def _downstream(state: ExecutionRecord, first: Iterable[str]) -> frozenset[str]:
    wanted = dict.fromkeys(first)
    frontier = list(wanted)
    while frontier:
        new = [s for s in state.index.successors[frontier.pop()] if s not in wanted]
        wanted |= dict.fromkeys(new)
        frontier += new
    return frozenset(wanted)
