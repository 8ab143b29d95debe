"""Facts about how the graph grows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from talka_core.scheduler.index import MAP, extend
from talka_core.scheduler.joins import is_satisfied
from talka_core.scheduler.names import COMPENSATION, undone_by
from talka_core.scheduler.state import ExecutionRecord, Retired, TaskRecord
from talka_protocols import events as e


def _added(state: ExecutionRecord, event: e.TasksAdded, _at: int) -> None:
    assert state.workflow is not None, "only what was accepted grows"
    state.added.append(event)
    extend(state.index, state.workflow, event)
    state.added_versions.append(state.version)
    for task in event.tasks:
        past = state.retired.pop(task.id, Retired(0, 1, 0))
        state.tasks[task.id] = TaskRecord(
            added_at=state.version,
            attempt=past.attempt,
            round=past.round,
            newest_fence=past.newest_fence,
            undoes=undone_by(task.id) if event.reason == COMPENSATION else "",
        )
    state.unfinished += len(event.tasks)
    if event.reason == MAP:
        state.maps[event.by].added += len(event.tasks)
    for edge in event.dependencies:
        if not is_satisfied(state.tasks[edge.from_task]):
            state.tasks[edge.to_task].waits_for += 1


HANDLERS: dict[type, Callable[[ExecutionRecord, Any, int], None]] = {e.TasksAdded: _added}
