"""Remembering one fact about an execution; total, and nothing else.

Each kind of fact has one handler, in the module of what it is about.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from talka_core.scheduler.evolve import (
    allocations,
    archive,
    artifacts,
    control,
    execution,
    growth,
    progress,
    tasks,
    undoing,
    usage,
    waiting,
)
from talka_core.scheduler.evolve.execution import restore
from talka_core.scheduler.state import ExecutionRecord
from talka_protocols import events as e
from talka_protocols.events import ExecutionEvent

HANDLERS: dict[type, Callable[[ExecutionRecord, Any, int], None]] = {
    **tasks.HANDLERS,
    **allocations.HANDLERS,
    **growth.HANDLERS,
    **waiting.HANDLERS,
    **progress.HANDLERS,
    **control.HANDLERS,
    **artifacts.HANDLERS,
    **execution.HANDLERS,
    **undoing.HANDLERS,
    **usage.HANDLERS,
    **archive.HANDLERS,
}

UNPLANNED = (
    e.ExecutionPaused,
    e.TaskPaused,
    e.TaskParked,
    e.TaskFailed,
    e.TaskTimedOut,
    e.TaskRetrying,
    e.TaskIterated,
    e.TaskAttemptLost,
    e.TaskWaiting,
    e.TasksAdded,
    e.RollbackStarted,
    e.ExecutionRestarted,
    e.ExecutionReprioritized,
)
"""Facts after which the links of a baseline schedule would hold up what they were not made for."""


def evolve(state: ExecutionRecord, event: ExecutionEvent, at: int) -> None:
    """Remember one event that happened at ``at`` (milliseconds since the epoch)."""
    state.version += 1
    HANDLERS[type(event)](state, event, at)
    if type(event) in UNPLANNED:
        state.plan_version += 1
        state.is_off_baseline = state.baseline is not None


__all__ = ["HANDLERS", "UNPLANNED", "evolve", "restore"]
