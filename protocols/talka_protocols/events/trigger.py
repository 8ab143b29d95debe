"""``trigger.<name>``, written by the trigger: which outside events led to what."""

from __future__ import annotations

from msgspec import Raw, Struct

from talka_protocols.events.fact import Fact
from talka_protocols.events.waiting import RequestRefused
from talka_protocols.triggers import Trigger
from talka_protocols.workflow import ClaimCheck, Workflow


class Occurrence(Struct, frozen=True, omit_defaults=True, gc=False):
    """Which event it was: its names, and its position in the stream of events."""

    position: int
    source: str
    id: str
    type: str


class TriggerCreated(Fact, frozen=True, gc=False):
    """The trigger takes up the events behind position ``after`` of the stream."""

    trigger: Trigger
    after: int
    workflow: Workflow | None = None
    definition: ClaimCheck | None = None
    request_id: str = ""


class TriggerPaused(Fact, frozen=True, gc=False):
    """No event leads to anything until the trigger is resumed."""

    request_id: str = ""


class TriggerResumed(Fact, frozen=True, gc=False):
    """Events behind position ``after`` count again; those that came in between do not."""

    after: int
    request_id: str = ""


class TriggerDeleted(Fact, frozen=True, gc=False):
    """The trigger is over; what it has fired is still carried out."""

    request_id: str = ""


class TriggerFired(Fact, frozen=True, gc=False):
    """An event starts an execution, or signals one; ``firing_id`` follows from trigger, source and id.

    ``values`` are the inputs of the workflow by name, or what the signal says.
    """

    firing_id: str
    occurrence: Occurrence
    execution_id: str
    signal: str = ""
    values: Raw = Raw(b"null")


class TriggerFailed(Fact, frozen=True, gc=False):
    """An event led to nothing, because one of the trigger's expressions has no usable answer for it."""

    firing_id: str
    occurrence: Occurrence
    code: str
    message: str


class FiringSettled(Fact, frozen=True, gc=False):
    """The planner has accepted the execution, or the execution has recorded the signal."""

    firing_id: str


class FiringRefused(Fact, frozen=True, gc=False):
    """The planner has rejected the execution, or the execution would not take the signal."""

    firing_id: str
    code: str
    message: str


TriggerEvent = (
    TriggerFired
    | FiringSettled
    | FiringRefused
    | TriggerFailed
    | TriggerCreated
    | TriggerPaused
    | TriggerResumed
    | TriggerDeleted
    | RequestRefused
)
