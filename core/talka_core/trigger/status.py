"""What people see of a trigger."""

from __future__ import annotations

from talka_core.trigger.state import TriggerRecord
from talka_protocols.triggers import TriggerState, TriggerStatus


def trigger_status(state: TriggerRecord) -> TriggerStatus:
    """Return where a trigger stands."""
    return TriggerStatus(
        state.name,
        _state_of(state),
        state.version,
        state.trigger,
        state.workflow.name if state.workflow else "",
        state.fired,
        state.failed,
        state.refused,
        state.last_at / 1000 if state.last_at else None,
        tuple(state.pending),
    )


def _state_of(state: TriggerRecord) -> TriggerState:
    if state.trigger is None:
        return TriggerState.DELETED
    return TriggerState.PAUSED if state.is_paused else TriggerState.ACTIVE
