"""To a trigger: about what it is, what has happened outside, and what became of what it fired."""

from __future__ import annotations

from talka_protocols.cloudevents import CloudEvent
from talka_protocols.messages.kinds import Advance, TimerFired, ToTrigger
from talka_protocols.triggers import Trigger
from talka_protocols.workflow import ClaimCheck, Workflow


class CreateTrigger(ToTrigger, frozen=True, gc=False):
    """Somebody wants events behind position ``after`` of the stream to lead to something.

    Each request has an id, under which it is heard once.
    """

    request_id: str
    trigger: Trigger
    after: int
    workflow: Workflow | None = None
    definition: ClaimCheck | None = None


class DeleteTrigger(ToTrigger, frozen=True, gc=False):
    """No event is to lead to anything any more."""

    request_id: str


class PauseTrigger(ToTrigger, frozen=True, gc=False):
    """No event is to lead to anything for now."""

    request_id: str


class ResumeTrigger(ToTrigger, frozen=True, gc=False):
    """A paused trigger is to go on with the events behind position ``after``."""

    request_id: str
    after: int


class TakeEvent(ToTrigger, frozen=True, gc=False):
    """An event of a type that the trigger is on lies at this position of the stream."""

    event: CloudEvent
    position: int


class FiringRecorded(ToTrigger, frozen=True, gc=False):
    """What the trigger fired is on record; or it was refused, if there is a ``code``."""

    firing_id: str
    code: str = ""
    message: str = ""


TriggerMessage = (
    TakeEvent
    | FiringRecorded
    | CreateTrigger
    | DeleteTrigger
    | PauseTrigger
    | ResumeTrigger
    | TimerFired
    | Advance
)
