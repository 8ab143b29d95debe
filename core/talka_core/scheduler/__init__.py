"""The scheduler: which task is ready, in which order, what is late, retried, skipped or cancelled."""

from talka_core.behaviour import Behaviour
from talka_core.scheduler.archiving import begin_anew, begins_anew, is_over
from talka_core.scheduler.decide import decide
from talka_core.scheduler.effects import answer, resume
from talka_core.scheduler.evolve import evolve, restore
from talka_core.scheduler.reactions import react
from talka_core.scheduler.state import ExecutionRecord, TaskRecord, initial
from talka_protocols.events import ExecutionEvent
from talka_protocols.messages import SchedulerMessage
from talka_protocols.subjects import EXECUTION

SCHEDULER: Behaviour[ExecutionRecord, SchedulerMessage, ExecutionEvent] = Behaviour(
    log_kind=EXECUTION,
    initial=initial,
    decide=decide,
    answer=answer,
    evolve=evolve,
    react=react,
    resume=resume,
    is_over=is_over,
)

__all__ = ["SCHEDULER", "ExecutionRecord", "TaskRecord", "begin_anew", "begins_anew", "restore"]
