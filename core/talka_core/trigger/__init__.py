"""Triggers: what an event from outside starts or signals.

An event that matches is fired once: what it starts has an id that follows
from the trigger, the event's source and its id. The trigger asks the planner
for the execution, or the execution to take the signal, until that is on record.
"""

from talka_core.behaviour import Behaviour
from talka_core.trigger.decide import decide
from talka_core.trigger.effects import answer, is_over, react, resume
from talka_core.trigger.state import TriggerRecord, evolve
from talka_protocols.events import TriggerEvent
from talka_protocols.messages import TriggerMessage
from talka_protocols.subjects import TRIGGER

TRIGGER_BEHAVIOUR: Behaviour[TriggerRecord, TriggerMessage, TriggerEvent] = Behaviour(
    log_kind=TRIGGER,
    initial=TriggerRecord,
    decide=decide,
    answer=answer,
    evolve=evolve,
    react=react,
    resume=resume,
    is_over=is_over,
)

__all__ = ["TRIGGER_BEHAVIOUR", "TriggerRecord"]
