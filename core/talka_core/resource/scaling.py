"""How many workers a pool shall have, decided from its queue and remembered as events.

More at once, when what waits would take longer than the target delay; some more
when something has waited so long although nothing foretold it. Fewer only when
the cool-down is over since the last decision, and never fewer than were in use
at any moment since: then a constant load cannot make the number go up and down.
Elastic workers beyond the number are drained, those with the least to do first,
in the same decision, so that nothing new goes to a worker that is to leave.

Whoever starts workers follows the pool's log; nothing is sent, so nothing gets lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from talka_core.behaviour import Effect, SetTimer
from talka_core.resource.demand import Demand, demand_of, oldest_at, own_amounts
from talka_core.resource.state import Amounts, Grant, PoolRecord, Scaling, WorkerEntry
from talka_protocols import events as e
from talka_protocols.events import PoolEvent
from talka_protocols.policies import ScalingPolicy

SCALING = "scaling"
"""The timer after which the number of workers is looked at again."""
FULL = 0.8
"""How much of the workers that stay may have been in use when others go."""
NEWEST = 0.2
"""How much the newest grant's duration counts in the average."""
LOOK_MS = 1_000
"""For how long use is measured at least before fewer workers will do."""
NOISE = 1e-6
"""Less than any thousandth of a worker: what the division of whole numbers may leave."""


# --- what is decided -----------------------------------------------------------------------------


def settle(state: PoolRecord, now_ms: int) -> Iterator[PoolEvent]:
    """Yield a new number of workers if there is to be one, whom to drain, and when to look again."""
    scaling = state.scaling
    if scaling is None:
        return
    demand = demand_of(state, scaling)
    yield from _decide(state, scaling, demand, now_ms)
    yield from _drain(state, scaling)
    due_at = _next_look(state, scaling, demand, now_ms)
    is_over = 0 < scaling.due_at <= now_ms
    is_earlier = due_at > 0 and (not scaling.due_at or due_at < scaling.due_at)
    if (is_over and due_at != scaling.due_at) or is_earlier:
        yield e.ScalingDeferred(due_at, _is_measured(scaling, now_ms))


def wanted(state: PoolRecord, scaling: Scaling, demand: Demand, now_ms: int) -> tuple[int, str]:
    """Return how many workers there shall be, and why; the present number with no reason."""
    policy, workers = scaling.policy, scaling.workers
    within = min(max(workers, policy.min_workers), policy.max_workers)
    if within != workers:
        return within, "bounds"
    more, reason = _more(state, scaling, demand, now_ms)
    more = min(more, policy.max_workers)
    if more > workers:
        return more, reason
    zero_at = _zero_at(scaling)
    if workers and zero_at and now_ms >= zero_at:
        return 0, "idle"
    fewer = _fewest(scaling, demand)
    return (fewer, "idle") if fewer < workers and _is_measured(scaling, now_ms) else (workers, "")


def _more(state: PoolRecord, scaling: Scaling, demand: Demand, now_ms: int) -> tuple[int, str]:
    policy, workers = scaling.policy, scaling.workers
    if not demand.waiting:
        return workers, ""
    needed = ceil(demand.work_ms / policy.target_delay_ms - NOISE)
    if not workers:
        # Nobody knows what a worker will offer before the first one has been there.
        return (max(1, needed) if scaling.shape else 1), "zero"
    if needed > workers:
        return needed, "backlog"
    if now_ms >= _late_at(scaling) and now_ms - oldest_at(state, scaling, now_ms) >= policy.target_delay_ms:
        return workers + max(1, workers // 2), "late"
    return workers, ""


def _fewest(scaling: Scaling, demand: Demand) -> int:
    """Return how many workers would do for what was in use since the last look, and for what waits."""
    policy = scaling.policy
    in_use = ceil(demand.load / FULL - NOISE)
    queued = ceil(2 * demand.work_ms / policy.target_delay_ms - NOISE)
    return max(1, policy.min_workers, in_use, queued, scaling.workers if demand.unknown else 0)


def _is_measured(scaling: Scaling, now_ms: int) -> bool:
    """Tell whether a whole cool-down has passed since the last decision, and since use is measured."""
    return now_ms >= scaling.measured_at + _window_ms(scaling)


def _window_ms(scaling: Scaling) -> int:
    return max(scaling.policy.cool_down_ms, LOOK_MS)


def _late_at(scaling: Scaling) -> int:
    """Return when something will have waited too long, counted from the last decision."""
    return max(scaling.waiting_since, scaling.decided_at) + scaling.policy.target_delay_ms


def _zero_at(scaling: Scaling) -> int:
    """Return when the last worker may go; 0 if it stays."""
    policy = scaling.policy
    if policy.min_workers or not (scaling.idle_since and policy.scale_to_zero_after_ms):
        return 0
    return max(scaling.idle_since + policy.scale_to_zero_after_ms, scaling.decided_at + policy.cool_down_ms)


def _decide(state: PoolRecord, scaling: Scaling, demand: Demand, now_ms: int) -> Iterator[PoolEvent]:
    number, reason = wanted(state, scaling, demand, now_ms)
    if not reason:
        return
    waits_since = oldest_at(state, scaling, now_ms)
    yield e.ScalingDecided(
        number,
        scaling.workers,
        reason,
        len(active(state)),
        demand.waiting,
        demand.expected_wait_ms(scaling.workers),
        max(0, now_ms - waits_since) if waits_since else 0,
        round(demand.load, 3),
    )


def _next_look(state: PoolRecord, scaling: Scaling, demand: Demand, now_ms: int) -> int:
    """Return the next instant at which time alone may change the number; 0 if there is none."""
    policy, workers = scaling.policy, scaling.workers
    looks: list[int] = []
    if demand.waiting and workers < policy.max_workers:
        late_at = _late_at(scaling)
        if late_at <= now_ms:
            late_at = max(oldest_at(state, scaling, now_ms), scaling.decided_at) + policy.target_delay_ms
        looks.append(late_at)
    if workers > max(1, policy.min_workers):
        begun_at = now_ms if _is_measured(scaling, now_ms) else scaling.measured_at
        looks.append(begun_at + _window_ms(scaling))
    if workers and (zero_at := _zero_at(scaling)):
        looks.append(zero_at)
    return max(min(looks), now_ms + 1) if looks else 0


def _drain(state: PoolRecord, scaling: Scaling) -> Iterator[PoolEvent]:
    """Drain the elastic workers that are too many, but none on which something is reserved now."""
    there = active(state)
    excess = len(there) - scaling.workers
    if excess <= 0:
        return
    reserved = {reservation.worker_id for reservation in state.reservations.values()}
    leaving = [
        (_use(entry), worker_id)
        for worker_id, entry in there.items()
        if entry.is_elastic and worker_id not in reserved
    ]
    for _, worker_id in sorted(leaving)[:excess]:
        yield e.WorkerDraining(worker_id, there[worker_id].incarnation)


def active(state: PoolRecord) -> dict[str, WorkerEntry]:
    """Return the workers that take what is new."""
    return {worker_id: entry for worker_id, entry in state.workers.items() if not entry.is_draining}


def _use(entry: WorkerEntry) -> float:
    return max(
        (1 - entry.free[name] / amount for name, amount in entry.capacity.items() if amount), default=0
    )


# --- what has happened ---------------------------------------------------------------------------


def configured(state: PoolRecord, policy: ScalingPolicy | None, at: int) -> None:
    """Remember a policy; what is measured goes on where there was one before."""
    if policy is None:
        state.scaling = None
        return
    if state.scaling is not None:
        state.scaling.policy, state.scaling.due_at = policy, 0
        return
    there = active(state)
    shapes = sorted((not entry.is_elastic, worker_id) for worker_id, entry in there.items())
    scaling = Scaling(policy, len(there), at, measured_at=at)
    scaling.shape = _unused(there[shapes[0][1]]) if shapes else None
    for grant in state.grants.values():
        if not grant.is_revoked:
            _count(scaling, own_amounts(grant))
    scaling.peak = dict(scaling.used)
    state.scaling = scaling
    changed(state, at)


def changed(state: PoolRecord, at: int) -> None:
    """Remember since when something waits, or nothing is to do."""
    scaling = state.scaling
    if scaling is None:
        return
    if not state.waiting:
        scaling.waiting_since = 0
    elif not scaling.waiting_since:
        scaling.waiting_since = at
    if state.waiting or state.grants:
        scaling.idle_since = 0
    elif not scaling.idle_since:
        scaling.idle_since = at


def granted(state: PoolRecord, allocation_id: str, at: int) -> None:
    """Remember what a grant uses."""
    scaling = state.scaling
    if scaling is not None:
        _count(scaling, own_amounts(state.grants[allocation_id]))
        scaling.begun[allocation_id] = at
        changed(state, at)


def handed_on(state: PoolRecord, allocation_id: str, at: int) -> None:
    """Remember that an attempt has ended, and that another one began with what it had."""
    if state.scaling is not None:
        _learn(state.scaling, allocation_id, at)
        state.scaling.begun[allocation_id] = at


def revoked(state: PoolRecord, allocation_id: str) -> None:
    """Remember that a grant uses nothing any more; how long it took says nothing."""
    if state.scaling is not None:
        state.scaling.begun.pop(allocation_id, None)
        _count(state.scaling, own_amounts(state.grants[allocation_id]), sign=-1)


def ended(state: PoolRecord, allocation_id: str, grant: Grant, at: int) -> None:
    """Remember that a grant uses nothing any more, and how long its last attempt took."""
    if state.scaling is not None:
        _learn(state.scaling, allocation_id, at)
        _count(state.scaling, own_amounts(grant), sign=-1)


def _learn(scaling: Scaling, allocation_id: str, at: int) -> None:
    begun_at = scaling.begun.pop(allocation_id, None)
    if begun_at is not None:
        took_ms = float(max(1, at - begun_at))
        scaling.took_ms += NEWEST * (took_ms - scaling.took_ms) if scaling.took_ms else took_ms


def joined(state: PoolRecord, entry: WorkerEntry) -> None:
    """Remember what a worker offers, since the next one will probably offer the same."""
    scaling = state.scaling
    is_better = scaling is not None and (scaling.shape is None or entry.is_elastic)
    if scaling is not None and is_better:
        scaling.shape = _unused(entry)


def moved(state: PoolRecord, event: e.ScalingDecided | e.ScalingDeferred, at: int) -> None:
    """Remember a decision, or when to look again."""
    scaling = state.scaling
    if scaling is None:
        return
    match event:
        case e.ScalingDecided():
            scaling.workers, scaling.decided_at, scaling.measured_at = event.workers, at, at
            scaling.peak = dict(scaling.used)
        case e.ScalingDeferred():
            scaling.due_at = event.due_at
            if event.is_restart:
                scaling.measured_at, scaling.peak = at, dict(scaling.used)


def _count(scaling: Scaling, amounts: Amounts, sign: int = 1) -> None:
    used, peak = scaling.used, scaling.peak
    for name, amount in amounts.items():
        now = used.get(name, 0) + sign * amount
        if now:
            used[name] = now
        else:
            used.pop(name, None)
        if now > peak.get(name, 0):
            peak[name] = now


def _unused(entry: WorkerEntry) -> WorkerEntry:
    return WorkerEntry(1, entry.agent_types, entry.capacity, dict(entry.capacity), labels=entry.labels)


def restart(state: PoolRecord, at: int) -> None:
    """Look anew at once, on the clock of the pool's new owner; what lies ahead of it is its present."""
    scaling = state.scaling
    if scaling is None:
        return
    scaling.decided_at, scaling.measured_at = min(scaling.decided_at, at), min(scaling.measured_at, at)
    scaling.waiting_since, scaling.idle_since = min(scaling.waiting_since, at), min(scaling.idle_since, at)
    scaling.due_at = min(scaling.due_at, at)


# --- what is owed --------------------------------------------------------------------------------


def timers(state: PoolRecord) -> Iterator[Effect]:
    """Yield the timer of the next look."""
    if state.scaling is not None and state.scaling.due_at:
        yield SetTimer(state.pool, SCALING, state.scaling.due_at)
