"""Facts about what tasks wrote and read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from talka_core.scheduler.state import Artifact, ExecutionRecord
from talka_protocols import events as e


def _written(state: ExecutionRecord, event: e.ArtifactsWritten, _at: int) -> None:
    for name, claim in event.artifacts.items():
        state.artifacts[name] = Artifact(event.task_id, event.attempt, claim)


def _read(state: ExecutionRecord, event: e.ArtifactRead, _at: int) -> None:
    state.readers.setdefault(event.name, {})[event.task_id] = event.written_by


def _violated(state: ExecutionRecord, event: e.DependencyViolationDetected, _at: int) -> None:
    state.violations.append(event)


HANDLERS: dict[type, Callable[[ExecutionRecord, Any, int], None]] = {
    e.ArtifactsWritten: _written,
    e.ArtifactRead: _read,
    e.DependencyViolationDetected: _violated,
}
