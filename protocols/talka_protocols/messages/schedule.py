"""To the starter: about one schedule."""

from __future__ import annotations

from talka_protocols.messages.kinds import Advance, TimerFired, ToSchedule
from talka_protocols.schedules import Schedule
from talka_protocols.workflow import ClaimCheck, Workflow


class PutSchedule(ToSchedule, frozen=True, gc=False):
    """Somebody wants a workflow to start by itself, in place of what was set under this name before.

    ``execution_id`` is the id of the only execution of a schedule for one instant.
    A request with a ``request_id`` is heard once; those of old have none.
    """

    schedule: Schedule
    workflow: Workflow | None = None
    definition: ClaimCheck | None = None
    execution_id: str = ""
    request_id: str = ""


class RemoveSchedule(ToSchedule, frozen=True, gc=False):
    """Nothing is to be started any more."""

    request_id: str = ""


class PauseSchedule(ToSchedule, frozen=True, gc=False):
    """Nothing is to be started for now."""

    request_id: str = ""


class ResumeSchedule(ToSchedule, frozen=True, gc=False):
    """A paused schedule is to go on."""

    request_id: str = ""


class RunSchedule(ToSchedule, frozen=True, gc=False):
    """Start one execution now, whatever is due or still runs; ``execution_id`` makes repeats harmless."""

    execution_id: str
    request_id: str = ""


class SubmissionRecorded(ToSchedule, frozen=True, gc=False):
    """The planner has recorded its verdict on an execution that the starter asked for."""

    execution_id: str


class ExecutionEnded(ToSchedule, frozen=True, gc=False):
    """An execution that the starter asked for is over."""

    execution_id: str
    status: str


StarterMessage = (
    SubmissionRecorded
    | ExecutionEnded
    | PutSchedule
    | RemoveSchedule
    | PauseSchedule
    | ResumeSchedule
    | RunSchedule
    | TimerFired
    | Advance
)
