"""The fact that an execution lies in an archive: nothing of it stays but what that says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from talka_core.scheduler.archiving import begin_anew
from talka_core.scheduler.state import ExecutionRecord
from talka_protocols import events as e


def _archived(state: ExecutionRecord, event: e.ExecutionArchived, _at: int) -> None:
    begin_anew(state, event.events + 1)
    state.archived = event
    state.status, state.reason, state.name = event.status, event.reason, event.name
    state.accepted_at, state.started_at = event.accepted_at, event.started_at
    state.finished_at, state.schedule = event.finished_at, event.schedule
    state.parent, state.is_parent_informed = event.parent, True


HANDLERS: dict[type, Callable[[ExecutionRecord, Any, int], None]] = {e.ExecutionArchived: _archived}
