"""The resource actor: inventory, reservations, allocations with fences, and the queue that waits."""

from talka_core.behaviour import Behaviour
from talka_core.resource.beginning import beginning
from talka_core.resource.decide import decide, decide_batch
from talka_core.resource.effects import answer, is_over, react, resume
from talka_core.resource.evolve import evolve
from talka_core.resource.state import PoolRecord, initial
from talka_protocols.events import PoolEvent
from talka_protocols.messages import ResourceMessage
from talka_protocols.subjects import POOL

RESOURCE: Behaviour[PoolRecord, ResourceMessage, PoolEvent] = Behaviour(
    log_kind=POOL,
    initial=initial,
    decide=decide,
    answer=answer,
    evolve=evolve,
    react=react,
    resume=resume,
    is_over=is_over,
    decide_batch=decide_batch,
)

__all__ = ["RESOURCE", "PoolRecord", "beginning"]
