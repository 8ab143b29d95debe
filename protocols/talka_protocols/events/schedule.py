"""``schedule.<name>``, written by the starter.

``next_at`` is always the next due time, 0 for none; ``request_id`` that of the
request which led to the fact, if one did.
"""

from __future__ import annotations

from talka_protocols.events.fact import Fact
from talka_protocols.events.waiting import RequestRefused
from talka_protocols.schedules import Schedule
from talka_protocols.workflow import ClaimCheck, Workflow


class ScheduleSet(Fact, frozen=True, gc=False):
    """The schedule begins, or goes on in another way; ``execution_id`` is that of a single start."""

    schedule: Schedule
    next_at: int
    anchor_at: int
    workflow: Workflow | None = None
    definition: ClaimCheck | None = None
    execution_id: str = ""
    request_id: str = ""


class SchedulePaused(Fact, frozen=True, gc=False):
    """Nothing is due until the schedule is resumed."""

    request_id: str = ""


class ScheduleResumed(Fact, frozen=True, gc=False):
    """Due times count again; those that passed in between do not."""

    next_at: int
    request_id: str = ""


class ScheduleRemoved(Fact, frozen=True, gc=False):
    """The schedule is over; what it started goes on."""

    request_id: str = ""


class ScheduleFired(Fact, frozen=True, gc=False):
    """The planner is asked to start an execution; ``due_at`` is 0 when a person asked for it."""

    execution_id: str
    next_at: int
    due_at: int = 0
    request_id: str = ""


class ScheduleMissed(Fact, frozen=True, gc=False):
    """The due times from ``first_at`` to ``last_at`` had passed, and the catch-up rule lets them go."""

    first_at: int
    last_at: int
    next_at: int


class ScheduleSkipped(Fact, frozen=True, gc=False):
    """A due time was let go because an execution that was started before still ran."""

    due_at: int
    next_at: int
    execution_id: str


class ScheduleQueued(Fact, frozen=True, gc=False):
    """A due time waits for the end of the execution that still runs."""

    due_at: int
    next_at: int
    execution_id: str


class RunRecorded(Fact, frozen=True, gc=False):
    """The planner has taken the execution."""

    execution_id: str


class RunSuperseded(Fact, frozen=True, gc=False):
    """The execution is to be cancelled, because the next one is due."""

    execution_id: str


class RunEnded(Fact, frozen=True, gc=False):
    """An execution that the schedule had started is over."""

    execution_id: str
    status: str


ScheduleEvent = (
    ScheduleFired
    | RunRecorded
    | RunEnded
    | RunSuperseded
    | ScheduleSkipped
    | ScheduleQueued
    | ScheduleMissed
    | ScheduleSet
    | SchedulePaused
    | ScheduleResumed
    | ScheduleRemoved
    | RequestRefused
)
