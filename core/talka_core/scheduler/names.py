"""Names that must never be the same for two different things: of compensations and of effects."""

from __future__ import annotations

from talka_core.scheduler.state import ExecutionRecord

COMPENSATION = "compensation"
"""Why tasks were added that undo others."""

UNDO = "undo:"
"""What the id of a compensation begins with; no task of a definition has such an id."""


def undo_id(task_id: str, round_: int) -> str:
    """Name what undoes the effect of one round of a task."""
    return f"{UNDO}{task_id}:{round_}"


def undone_by(undo: str) -> str:
    """Return the task that a compensation undoes."""
    return undo.removeprefix(UNDO).rpartition(":")[0]


def effect_key(state: ExecutionRecord, task_id: str) -> str:
    """Name the effect of a task's attempts for outside systems; empty where it is ``EXECUTION/TASK``."""
    record = state.tasks[task_id]
    if record.undoes:
        undone = effect_key(state, record.undoes) or f"{state.execution_id}/{record.undoes}"
        return f"{undone}/undo"
    return f"{state.execution_id}/{task_id}/{record.round}" if record.round > 1 else ""
