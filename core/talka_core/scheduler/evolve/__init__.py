"""Remembering one fact about an execution; total, and nothing else.

Each kind of fact has one handler, in the module of what it is about.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from talka_core.scheduler.evolve import (
    allocations,
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
}


def evolve(state: ExecutionRecord, event: ExecutionEvent, at: int) -> None:
    """Remember one event that happened at ``at`` (milliseconds since the epoch)."""
    state.version += 1
    HANDLERS[type(event)](state, event, at)


__all__ = ["HANDLERS", "evolve", "restore"]
