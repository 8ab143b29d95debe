"""What the starter remembers of one schedule."""

from __future__ import annotations

from typing import assert_never

from msgspec import Struct, field

from talka_protocols.events import (
    RequestRefused,
    RunEnded,
    RunRecorded,
    RunSuperseded,
    ScheduleEvent,
    ScheduleFired,
    ScheduleMissed,
    SchedulePaused,
    ScheduleQueued,
    ScheduleRemoved,
    ScheduleResumed,
    ScheduleSet,
    ScheduleSkipped,
)
from talka_protocols.schedules import Schedule
from talka_protocols.workflow import ClaimCheck, Workflow

BY_HAND_KEPT = 16
REQUESTS_KEPT = 64


class Run(Struct):
    """An execution that was asked for and is not over; its workflow is kept until the planner has it."""

    due_at: int
    workflow: Workflow | None = None
    definition: ClaimCheck | None = None
    is_recorded: bool = False
    is_superseded: bool = False


class ScheduleRecord(Struct):
    """One schedule's state; instants are milliseconds since the epoch, 0 for none.

    ``queued_at`` is the due time that waits for the end of what runs; ``by_hand``
    are the last executions that people asked for, and ``requests`` their last requests by their ids.
    """

    name: str
    version: int = 0
    schedule: Schedule | None = None
    workflow: Workflow | None = None
    definition: ClaimCheck | None = None
    execution_id: str = ""
    anchor_at: int = 0
    next_at: int = 0
    last_at: int = 0
    queued_at: int = 0
    fired: int = 0
    is_paused: bool = False
    is_removed: bool = False
    alive: dict[str, Run] = field(default_factory=dict[str, Run])
    by_hand: list[str] = field(default_factory=list[str])
    requests: list[str] = field(default_factory=list[str])

    @property
    def is_armed(self) -> bool:
        """Tell whether the next due time counts."""
        return self.schedule is not None and not self.is_paused and self.next_at > 0


Asked = ScheduleSet | ScheduleFired | ScheduleResumed | SchedulePaused | ScheduleRemoved | RequestRefused
"""The facts that a request may lead to."""


def evolve(state: ScheduleRecord, event: ScheduleEvent, _at: int) -> None:
    """Remember one fact; total, and nothing else."""
    state.version += 1
    if isinstance(event, Asked) and event.request_id:
        state.requests = [*state.requests, event.request_id][-REQUESTS_KEPT:]
    match event:
        case ScheduleSet():
            _set(state, event)
        case ScheduleFired():
            state.alive[event.execution_id] = Run(event.due_at, state.workflow, state.definition)
            state.next_at = event.next_at
            if event.due_at:
                state.fired += 1
                state.last_at = event.due_at
                state.queued_at = 0 if event.due_at == state.queued_at else state.queued_at
            else:
                state.by_hand = [*state.by_hand, event.execution_id][-BY_HAND_KEPT:]
        case ScheduleQueued():
            state.queued_at, state.next_at = event.due_at, event.next_at
        case ScheduleMissed() | ScheduleSkipped() | ScheduleResumed():
            state.next_at = event.next_at
            state.is_paused = state.is_paused and not isinstance(event, ScheduleResumed)
        case SchedulePaused():
            state.is_paused = True
        case ScheduleRemoved():
            state.schedule, state.workflow, state.definition = None, None, None
            state.next_at = state.queued_at = 0
            state.is_paused, state.is_removed = False, True
        case RunRecorded() | RunSuperseded() | RunEnded():
            _run(state, event)
        case RequestRefused():
            pass
        case _:
            assert_never(event)


def _set(state: ScheduleRecord, event: ScheduleSet) -> None:
    state.schedule, state.workflow, state.definition = event.schedule, event.workflow, event.definition
    state.execution_id, state.anchor_at, state.next_at = event.execution_id, event.anchor_at, event.next_at
    state.fired = state.queued_at = 0
    state.is_paused = state.is_removed = False


def _run(state: ScheduleRecord, event: RunRecorded | RunSuperseded | RunEnded) -> None:
    run = state.alive.get(event.execution_id)
    if run is None:
        return
    match event:
        case RunRecorded():
            run.is_recorded, run.workflow, run.definition = True, None, None
        case RunSuperseded():
            run.is_superseded = True
        case RunEnded():
            del state.alive[event.execution_id]
