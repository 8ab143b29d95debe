"""Facts about what attempts used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from talka_core.scheduler.state import ExecutionRecord
from talka_protocols import events as e


def _measured(state: ExecutionRecord, event: e.TaskUsageMeasured, _at: int) -> None:
    state.usage[event.task_id] = event


HANDLERS: dict[type, Callable[[ExecutionRecord, Any, int], None]] = {e.TaskUsageMeasured: _measured}
