"""Facts about how the graph grows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from talka_core.scheduler.evolve.tasks import leave
from talka_core.scheduler.index import EXTENSION, MAP, extend
from talka_core.scheduler.joins import is_satisfied
from talka_core.scheduler.names import COMPENSATION, undone_by
from talka_core.scheduler.state import ExecutionRecord, OpenExtension, Retired, TaskRecord
from talka_protocols import events as e
from talka_protocols.states import TaskStatus


def _added(state: ExecutionRecord, event: e.TasksAdded, _at: int) -> None:
    assert state.workflow is not None, "only what was accepted grows"
    # What a fork takes over is added first of all, in this order.
    del state.growing[:1]
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
    if event.reason == MAP and event.by in state.maps:
        state.maps[event.by].added += len(event.tasks)
    for edge in event.dependencies:
        if not is_satisfied(state.tasks[edge.from_task]):
            state.tasks[edge.to_task].waits_for += 1


def _requested(state: ExecutionRecord, event: e.ExtensionRequested, _at: int) -> None:
    record = state.tasks[event.task_id]
    leave(state, event.task_id, record)
    record.status, record.waiting, record.due_at = TaskStatus.WAITING, EXTENSION, 0
    record.result, record.claim, record.extracts = event.result.copy(), event.claim, event.extracts
    state.extensions[event.task_id] = OpenExtension(event.extension, event.finished_at)


def _accepted(state: ExecutionRecord, event: e.ExtensionAccepted, _at: int) -> None:
    asked = state.extensions[event.task_id]
    asked.dependencies, asked.is_accepted, asked.is_settled = event.dependencies, True, True


def _refused(state: ExecutionRecord, event: e.ExtensionRefused, _at: int) -> None:
    if asked := state.extensions.get(event.task_id):
        asked.is_settled = True


HANDLERS: dict[type, Callable[[ExecutionRecord, Any, int], None]] = {
    e.TasksAdded: _added,
    e.ExtensionRequested: _requested,
    e.ExtensionAccepted: _accepted,
    e.ExtensionRefused: _refused,
}
