"""What a worker's own log comes to: the incarnation that was begun last, and whether it was stopped."""

from __future__ import annotations

from msgspec import Struct

from talka_protocols.events import WorkerEvent, WorkerRegistered


class IncarnationRecord(Struct):
    """A worker's newest incarnation, 0 before the first."""

    worker_id: str
    version: int = 0
    incarnation: int = 0
    is_stopped: bool = False


def evolve_incarnation(state: IncarnationRecord, event: WorkerEvent, _at: int) -> None:
    """Remember one fact; total, and nothing else."""
    state.version += 1
    state.incarnation = event.incarnation
    state.is_stopped = not isinstance(event, WorkerRegistered)


def begins_anew(_state: IncarnationRecord, version: int, _event: WorkerEvent) -> bool:
    """Tell whether a log begins here that was removed before, when nobody knew the worker any more."""
    return version == 1


def begin_anew(state: IncarnationRecord, before: int) -> None:
    """Forget what was removed."""
    state.version = before
