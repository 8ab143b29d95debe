"""Facts about what attempts save while they run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from talka_core.scheduler.state import Checkpoint, ExecutionRecord
from talka_protocols import events as e
from talka_protocols.events import Saved


def _checkpointed(state: ExecutionRecord, event: e.TaskCheckpointed, _at: int) -> None:
    state.tasks[event.task_id].checkpoint = Checkpoint(event.attempt, event.sequence, _kept(event.saved))


def _step_finished(state: ExecutionRecord, event: e.TaskStepFinished, _at: int) -> None:
    state.tasks[event.task_id].steps[event.name] = _kept(event.saved)


def _kept(saved: Saved) -> Saved:
    """Return the value without the message that it came in, which would stay in memory with it."""
    return Saved(saved.data.copy(), saved.claim)


HANDLERS: dict[type, Callable[[ExecutionRecord, Any, int], None]] = {
    e.TaskCheckpointed: _checkpointed,
    e.TaskStepFinished: _step_finished,
}
