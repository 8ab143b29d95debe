"""Groups: their members succeed together, or what they did is undone; nothing here changes anything."""

from __future__ import annotations

from talka_core.scheduler import compensation
from talka_core.scheduler.extent import is_begun
from talka_core.scheduler.joins import is_satisfied
from talka_core.scheduler.state import ExecutionRecord
from talka_protocols.states import FINAL_TASK_STATUSES, TaskStatus

_UNBEGUN = (TaskStatus.PENDING, TaskStatus.READY)


def broken(state: ExecutionRecord) -> list[tuple[str, str]]:
    """Return the groups that cannot succeed any more, each with the member that failed."""
    if state.is_stopping or state.is_rolling_back:
        return []
    return [(name, culprit) for name, culprit in state.broken.items() if _is_lost(state, culprit)]


def members(state: ExecutionRecord, group: str) -> list[str]:
    """Return the members, and the items of those that are maps."""
    named = state.index.groups[group]
    return [*named, *(item for name in named for item in state.index.items.get(name, ()))]


def unbegun(state: ExecutionRecord, group: str) -> list[str]:
    """Return the members that have not begun; the items of a map that has begun are ended with that."""
    return [t for t in members(state, group) if state.tasks[t].status in _UNBEGUN and not _is_item(state, t)]


def begun(state: ExecutionRecord, group: str) -> list[str]:
    """Return the members that have begun and not ended."""
    return [t for t in members(state, group) if is_begun(state.tasks[t])]


def undoable(state: ExecutionRecord, group: str, culprit: str) -> list[str]:
    """Return the members whose compensation is still to be added, in order of undoing.

    The one that failed stays what it is, unless it is a sub-workflow, which may have done a part of its work;
    of a map that failed the items are undone that did theirs.
    """
    return compensation.missing(
        state, [t for t in members(state, group) if t != culprit or state.tasks[t].children]
    )


def _is_item(state: ExecutionRecord, task_id: str) -> bool:
    map_id = state.index.maps.get(task_id)
    return map_id is not None and state.tasks[map_id].status is TaskStatus.WAITING


def _is_lost(state: ExecutionRecord, culprit: str) -> bool:
    record = state.tasks[culprit]
    return record.status in FINAL_TASK_STATUSES and not is_satisfied(record)
