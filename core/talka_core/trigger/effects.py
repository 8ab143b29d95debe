"""What new facts call for, and what is still owed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from talka_core.behaviour import Alert, Effect, Send
from talka_core.inputs import bind
from talka_core.trigger.state import Firing, TriggerRecord
from talka_protocols.events import FiringRefused, TriggerEvent, TriggerFailed, TriggerFired
from talka_protocols.messages import Recipient, SignalExecution, SubmitWorkflow, TriggerMessage


def react(state: TriggerRecord, event: TriggerEvent) -> Iterator[Effect]:
    """Yield what one new fact calls for."""
    match event:
        case TriggerFired():
            yield _owed(state, event.firing_id, state.pending[event.firing_id])
        case TriggerFailed():
            yield Alert("trigger.failed", f"{_about(state, event)}: {event.message}")
        case FiringRefused():
            yield Alert("trigger.refused", f"Trigger {state.name}, {event.firing_id}: {event.message}")
        case _:
            pass


def resume(state: TriggerRecord) -> Iterator[Effect]:
    """Yield everything still owed."""
    for firing_id, firing in state.pending.items():
        yield _owed(state, firing_id, firing)


def answer(_state: TriggerRecord, _message: TriggerMessage) -> Iterable[Effect]:
    """Nobody waits for an answer: clients follow the log."""
    return ()


def is_over(state: TriggerRecord) -> bool:
    """Tell whether events lead to nothing any more, and nothing is owed."""
    return state.trigger is None and not state.pending


def _owed(state: TriggerRecord, firing_id: str, firing: Firing) -> Effect:
    if firing.signal:
        message = SignalExecution(
            firing.execution_id, firing.signal, firing_id, firing.values, trigger=state.name
        )
        return Send(Recipient.SCHEDULER, message)
    workflow = state.definitions[str(firing.generation)].workflow
    assert workflow is not None, "the shell loads a definition before it folds TriggerCreated"
    bound = bind(workflow, msgspec.json.decode(firing.values))
    return Send(Recipient.PLANNER, SubmitWorkflow(firing.execution_id, bound, trigger=state.name))


def _about(state: TriggerRecord, event: TriggerFailed) -> str:
    what = event.occurrence
    return f"Trigger {state.name}, event {what.id!r} of {what.source!r} ({what.type})"
