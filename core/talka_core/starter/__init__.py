"""The starter: when work starts by itself.

It asks the planner for an execution at every due time, and the scheduler for
its end. The log knows the next due time and what still runs, so after an outage
nothing is started twice and what was missed is dealt with by the schedule's rules.
"""

from talka_core.behaviour import Behaviour
from talka_core.starter.decide import decide
from talka_core.starter.effects import answer, is_over, is_spent, react, resume
from talka_core.starter.state import ScheduleRecord, evolve
from talka_protocols.events import ScheduleEvent
from talka_protocols.messages import StarterMessage
from talka_protocols.subjects import SCHEDULE

STARTER: Behaviour[ScheduleRecord, StarterMessage, ScheduleEvent] = Behaviour(
    log_kind=SCHEDULE,
    initial=ScheduleRecord,
    decide=decide,
    answer=answer,
    evolve=evolve,
    react=react,
    resume=resume,
    is_over=is_over,
)

__all__ = ["STARTER", "ScheduleRecord", "is_spent"]
