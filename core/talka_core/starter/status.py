"""What people see of a schedule."""

from __future__ import annotations

from talka_core.starter.state import ScheduleRecord
from talka_protocols.schedules import ScheduleState, ScheduleStatus


def schedule_status(state: ScheduleRecord) -> ScheduleStatus:
    """Return where a schedule stands."""
    return ScheduleStatus(
        state.name,
        _state_of(state),
        state.version,
        state.schedule,
        state.workflow.name if state.workflow else "",
        state.execution_id,
        _seconds(state.next_at),
        _seconds(state.last_at),
        _seconds(state.queued_at),
        state.fired,
        tuple(state.alive),
    )


def _state_of(state: ScheduleRecord) -> ScheduleState:
    if state.schedule is None:
        return ScheduleState.REMOVED
    if state.is_paused:
        return ScheduleState.PAUSED
    return ScheduleState.ACTIVE if state.next_at or state.queued_at else ScheduleState.FINISHED


def _seconds(at: int) -> float | None:
    return at / 1000 if at else None
