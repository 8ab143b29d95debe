"""What a message makes happen to one trigger.

Every decision is one event, complete in itself. What an event starts has an id
that follows from trigger, source and id, so whatever is delivered, published
or decided twice starts nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

import msgspec

from talka_core.conditions import ConditionError
from talka_core.scheduler.arrivals import UNKNOWN_EXECUTION
from talka_core.trigger.expressions import (
    check_name,
    check_trigger,
    execution_of,
    is_met,
    matches,
    told,
    variables_of,
)
from talka_core.trigger.state import TriggerRecord
from talka_core.validation import check
from talka_protocols.errors import CallerError, TriggerInvalidError, UnknownTriggerError
from talka_protocols.events import (
    FiringRefused,
    FiringSettled,
    Occurrence,
    RequestRefused,
    TriggerCreated,
    TriggerDeleted,
    TriggerEvent,
    TriggerFailed,
    TriggerFired,
    TriggerPaused,
    TriggerResumed,
)
from talka_protocols.messages import (
    Advance,
    CreateTrigger,
    DeleteTrigger,
    FiringRecorded,
    PauseTrigger,
    ResumeTrigger,
    TakeEvent,
    TimerFired,
    TriggerMessage,
)

PATIENCE_MS = 60_000
"""How long a signal waits for its execution to begin: it may have been submitted a moment ago."""

Request = CreateTrigger | DeleteTrigger | PauseTrigger | ResumeTrigger


def decide(state: TriggerRecord, message: TriggerMessage, now_ms: int) -> Iterator[TriggerEvent]:
    """Yield what the message makes happen; see ``behaviour.step``."""
    match message:
        case TakeEvent():
            yield from _take(state, message)
        case FiringRecorded():
            yield from _recorded(state, message, now_ms)
        case CreateTrigger() | DeleteTrigger() | PauseTrigger() | ResumeTrigger():
            if message.request_id not in state.requests:
                yield _asked(state, message)
        case TimerFired() | Advance():
            pass


def firing_id(trigger: str, source: str, event_id: str) -> str:
    """Name what an event leads to at a trigger: the same for the same event, and for no other."""
    named = msgspec.json.encode([trigger, source, event_id])
    return f"{trigger}-{blake2b(named, digest_size=16).hexdigest()}"


def _take(state: TriggerRecord, message: TakeEvent) -> Iterator[TriggerEvent]:
    """Act upon an event, once; those up to ``after`` came before the trigger, or while it was paused."""
    trigger, event = state.trigger, message.event
    if trigger is None or state.is_paused or message.position <= state.after:
        return
    named = firing_id(state.name, event.source, event.id)
    if not matches(trigger.on, event.type) or named in state.recent or named in state.pending:
        return
    occurrence = Occurrence(message.position, event.source, event.id, event.type)
    try:
        values = variables_of(event)
        if not is_met(trigger, values):
            return
        execution_id = execution_of(trigger, values) if trigger.signal else named
        fired = TriggerFired(named, occurrence, execution_id, trigger.signal, told(trigger, values))
    except ConditionError as error:
        yield TriggerFailed(named, occurrence, error.code, str(error))
        return
    yield fired


def _recorded(state: TriggerRecord, message: FiringRecorded, now_ms: int) -> Iterator[TriggerEvent]:
    firing = state.pending.get(message.firing_id)
    if firing is None:
        return
    if not message.code:
        yield FiringSettled(message.firing_id)
    elif message.code != UNKNOWN_EXECUTION or now_ms - firing.at >= PATIENCE_MS:
        yield FiringRefused(message.firing_id, message.code, message.message)


def _asked(state: TriggerRecord, message: Request) -> TriggerEvent:
    try:
        match message:
            case CreateTrigger():
                return _created(state, message)
            case _ if state.trigger is None:
                raise UnknownTriggerError(state.name)
            case DeleteTrigger():
                return TriggerDeleted(message.request_id)
            case PauseTrigger():
                return TriggerPaused(message.request_id)
            case ResumeTrigger():
                # One that was not paused misses nothing.
                after = message.after if state.is_paused else state.after
                return TriggerResumed(after, message.request_id)
    except CallerError as error:
        request = type(message).__name__
        return RequestRefused(request, error.code, str(error), request_id=message.request_id)


def _created(state: TriggerRecord, message: CreateTrigger) -> TriggerEvent:
    if state.trigger is not None:
        raise TriggerInvalidError(
            f"There is a trigger {state.name!r} already.",
            hint=f"Choose another name, or `talka trigger delete {state.name}` first.",
            code="trigger_exists",
        )
    check_name(state.name)
    workflow = check(message.workflow) if message.workflow is not None else None
    if message.definition is not None and workflow != message.workflow:
        raise TriggerInvalidError(
            "A definition stored by digest must be complete: check it before it is stored.",
            code="incomplete_definition",
        )
    check_trigger(message.trigger, workflow)
    return TriggerCreated(
        message.trigger, message.after, workflow, message.definition, request_id=message.request_id
    )
