"""What new facts call for, and what is still owed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from talka_core.behaviour import ClearAlarm, Effect, Send, SetAlarm
from talka_core.starter.state import Run, ScheduleRecord
from talka_protocols.events import (
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
from talka_protocols.messages import (
    CancelExecution,
    PauseSchedule,
    Recipient,
    RemoveSchedule,
    ReportEnd,
    StarterMessage,
    SubmitWorkflow,
    TimerFired,
)

DUE = "due"


def react(state: ScheduleRecord, event: ScheduleEvent) -> Iterator[Effect]:
    """Yield what one new fact calls for."""
    match event:
        case ScheduleFired():
            yield _submit(state, event.execution_id, state.alive[event.execution_id])
        case RunRecorded():
            yield from _owed_to(state, event.execution_id, state.alive[event.execution_id])
        case RunSuperseded():
            if (run := state.alive[event.execution_id]).is_recorded:
                yield _cancel(state, event.execution_id, run)
        case _:
            pass
    if moves_alarm(event) or stops_alarm(event):
        yield from _alarm(state)


def moves_alarm(event: ScheduleEvent) -> bool:
    """Tell whether the fact says anew when the schedule is due."""
    if isinstance(event, ScheduleFired):
        return event.due_at > 0
    return isinstance(
        event, ScheduleSet | ScheduleResumed | ScheduleMissed | ScheduleSkipped | ScheduleQueued
    )


def stops_alarm(event: ScheduleEvent) -> bool:
    """Tell whether the fact says that the schedule is not due, however far off that would have been."""
    return isinstance(event, SchedulePaused | ScheduleRemoved)


def resume(state: ScheduleRecord) -> Iterator[Effect]:
    """Yield everything still owed."""
    yield from _alarm(state)
    for execution_id, run in state.alive.items():
        yield from _owed_to(state, execution_id, run)


def answer(state: ScheduleRecord, message: StarterMessage) -> Iterable[Effect]:
    """Set the alarm again if it rang too early: the clock was set back, or it ran fast.

    A request that comes again may be one whose alarm nobody has cleared yet.
    """
    return _alarm(state) if isinstance(message, TimerFired | PauseSchedule | RemoveSchedule) else ()


def is_over(state: ScheduleRecord) -> bool:
    """Tell whether nothing will be started any more, and nothing runs whose end matters."""
    return not state.next_at and not state.queued_at and not state.alive


def is_spent(state: ScheduleRecord) -> bool:
    """Tell whether nobody needs it any more: it was removed or never set, or for one start, which came."""
    return is_over(state) and (state.schedule is None or bool(state.execution_id))


def _owed_to(state: ScheduleRecord, execution_id: str, run: Run) -> Iterator[Effect]:
    if not run.is_recorded:
        yield _submit(state, execution_id, run)
        return
    yield Send(Recipient.SCHEDULER, ReportEnd(execution_id, state.name))
    if run.is_superseded:
        yield _cancel(state, execution_id, run)


def _submit(state: ScheduleRecord, execution_id: str, run: Run) -> Effect:
    return Send(
        Recipient.PLANNER, SubmitWorkflow(execution_id, run.workflow, run.definition, schedule=state.name)
    )


def _cancel(state: ScheduleRecord, execution_id: str, _run: Run) -> Effect:
    reason = f"The schedule {state.name} starts the next one."
    return Send(Recipient.SCHEDULER, CancelExecution(execution_id, reason))


def _alarm(state: ScheduleRecord) -> Iterator[Effect]:
    if state.is_armed:
        yield SetAlarm(state.name, DUE, state.next_at)
    elif state.is_paused or state.is_removed:
        yield ClearAlarm(state.name, DUE)
