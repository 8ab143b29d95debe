"""The worker: accepts attempts, has them run, reports until the outcome is settled.

Its facts about attempts live as long as its incarnation and are never stored:
a new incarnation starts with none, and the pool revokes what the old one held.
"""

from talka_core.behaviour import Behaviour
from talka_core.worker.decide import decide
from talka_core.worker.effects import answer, is_over, react, resume
from talka_core.worker.state import WorkerFact, WorkerRecord, evolve, initial
from talka_protocols.messages import WorkerMessage
from talka_protocols.subjects import WORKER

WORKER_BEHAVIOUR: Behaviour[WorkerRecord, WorkerMessage, WorkerFact] = Behaviour(
    log_kind=WORKER,
    initial=initial,
    decide=decide,
    answer=answer,
    evolve=evolve,
    react=react,
    resume=resume,
    is_over=is_over,
)

__all__ = ["WORKER_BEHAVIOUR", "WorkerFact", "WorkerRecord"]
