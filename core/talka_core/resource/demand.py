"""How much work a pool has for its workers: what waits, for how long, and what is in use.

Work is counted in workers' worth: what waits of one shape by how many of it fit
on a worker at once, what is in use by its scarcest resource. Only what more
workers would help counts: not what waits for a licence or a circuit breaker,
nor what no such worker could ever run.
"""

from __future__ import annotations

from msgspec import Struct

from talka_core.resource import breaker, labels
from talka_core.resource.placement import Need, need_of
from talka_core.resource.shared import is_free, own_of
from talka_core.resource.state import (
    SLOTS,
    Amounts,
    Grant,
    PoolRecord,
    Request,
    Scaling,
    WorkerEntry,
    thousandths,
)

UNKNOWN = -1
"""A wait that nobody can foretell: there is no worker, or no duration is known."""
SAMPLED = 16
"""Of how many requests of a shape the expected durations are looked at; the others are like them."""


class Demand(Struct, frozen=True):
    """What waits that more workers help, and what is in use; ``others`` wait for something else.

    ``work_ms`` is how long one worker would take for what waits, as far as
    durations are known; ``unknown`` of them have none.
    """

    waiting: int = 0
    others: int = 0
    work_ms: float = 0.0
    unknown: int = 0
    load: float = 0.0

    def expected_wait_ms(self, workers: int) -> int:
        """Return how long the last in the queue waits with so many workers, or UNKNOWN."""
        if not self.waiting:
            return 0
        if not workers or self.unknown == self.waiting:
            return UNKNOWN
        return round(self.work_ms / workers)


def demand_of(state: PoolRecord, scaling: Scaling) -> Demand:
    """Return what there is to do for workers of the shape that a new one would have."""
    waiting = others = unknown = 0
    work_ms = 0.0
    for shape, queue in state.queues.items():
        request = state.waiting[queue[0][2]]
        per_worker = _helped(state, scaling, request)
        if not per_worker:
            others += len(queue)
            continue
        waiting += len(queue)
        duration_ms = _duration_ms(state, scaling, shape)
        unknown += 0 if duration_ms else len(queue)
        work_ms += duration_ms * len(queue) / per_worker
    return Demand(waiting, others, work_ms, unknown, load_of(scaling, scaling.peak))


def load_of(scaling: Scaling, used: Amounts) -> float:
    """Return how many workers' worth is in use: the share of the scarcest resource."""
    if scaling.shape is None:
        return 0.0
    capacity = scaling.shape.capacity
    return max((used[name] / capacity[name] for name in used if capacity.get(name)), default=0.0)


def oldest_at(state: PoolRecord, scaling: Scaling, now_ms: int) -> int:
    """Return since when the longest waiting request waits that more workers would help; 0 if none does.

    One that the clock of another owner has queued in the future waits since anything does.
    """
    helped: dict[str, bool] = {}
    oldest = 0
    for request in state.waiting.values():
        if request.shape not in helped:
            helped[request.shape] = _helped(state, scaling, request) > 0
        queued_at = request.queued_at if request.queued_at <= now_ms else scaling.waiting_since
        if helped[request.shape] and (not oldest or queued_at < oldest):
            oldest = queued_at
    return oldest


def own_amounts(grant: Grant) -> Amounts:
    """Return what a grant takes of its worker, in thousandths."""
    own = thousandths(own_of(grant.amounts, grant.shared))
    return own | {SLOTS: 1000} if grant.agent_type else own


def _helped(state: PoolRecord, scaling: Scaling, request: Request) -> int:
    """Return how many such requests one more worker would run at once; 0 if it would not help."""
    need = need_of(state, request.agent_type, request.amounts)
    if not is_free(state, need.shared) or not breaker.lets_start(state, request.agent_type):
        return 0
    shape = scaling.shape
    if shape is None:
        return 1
    is_served = not need.agent_type or need.agent_type in shape.agent_types
    return _fitting(shape, need) if is_served and labels.admits(shape, request.affinity) else 0


def _fitting(shape: WorkerEntry, need: Need) -> int:
    fitting = [shape.capacity.get(name, 0) // amount for name, amount in need.own if amount]
    if need.own_slot in shape.capacity:
        fitting.append(shape.capacity[need.own_slot] // 1000)
    return min(fitting, default=1)


def _duration_ms(state: PoolRecord, scaling: Scaling, shape: str) -> float:
    """Return how long a request of the shape will probably take; 0 if nobody knows."""
    sampled = [state.waiting[place[2]].estimate_ms for place in state.queues[shape][:SAMPLED]]
    return sum(estimate or scaling.took_ms for estimate in sampled) / len(sampled)
