"""Remembering one fact about a pool; total, and nothing else."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import assert_never

from msgspec.structs import replace

from talka_core.resource import accounts, breaker, preemption, scaling, shared
from talka_core.resource.placement import claim_of, need_of, take
from talka_core.resource.state import (
    LOST_KEPT,
    SLOTS,
    Booking,
    Grant,
    PoolRecord,
    Request,
    Reservation,
    WorkerEntry,
    shape_of,
    slot_of,
    thousandths,
)
from talka_protocols import events as e
from talka_protocols.events import PoolEvent


def evolve(state: PoolRecord, event: PoolEvent, at: int) -> None:
    """Remember one event that happened at ``at`` (milliseconds since the epoch)."""
    state.version += 1
    match event:
        case e.AllocationGranted():
            _grant(state, event, at)
        case e.GangGranted():
            for granted in event.grants:
                _grant(state, granted, at)
        case e.AllocationFreed():
            _free(state, event, at)
        case e.AllocationQueued():
            _queue(state, event, at)
        case e.AllocationHolderChanged():
            _hand_on(state, event, at)
        case e.AllocationPermitWithdrawn():
            _end_permit(state, event.allocation_id, state.grants[event.allocation_id])
        case e.AllocationRevoked():
            _revoke(state, event, at)
        case e.RequestPromoted() | e.AllocationPreempted():
            _of_deadline(state, event)
        case e.WorkerJoined() | e.WorkerDraining() | e.WorkerLost():
            _worker(state, event)
        case e.ReservationBooked() | e.ReservationMade() | e.ReservationEnded():
            _reservation(state, event)
        case e.AllocationRefused():
            state.reserving.pop(event.allocation_id, None)
        case e.PoolOwnershipTaken():
            _restart(state, event, at)
        case e.PoolConfigured():
            _configure(state, event)
        case e.BreakerOpened() | e.BreakerHalfOpened() | e.BreakerClosed():
            breaker.moved(state, event, at)
        case e.ScalingConfigured():
            scaling.configured(state, event.policy, at)
        case e.ScalingDecided() | e.ScalingDeferred():
            scaling.moved(state, event, at)
        case e.SharedReturned():
            key = shared.rate_key(event.fence) if event.is_rate else str(event.fence)
            if held := state.held_back.pop(key, None):
                shared.take(state, held.amounts, sign=-1)
        case _:
            assert_never(event)


def _grant(state: PoolRecord, event: e.AllocationGranted, at: int) -> None:
    _leave_queue(state, event.allocation_id)
    breaker.granted(state, event)
    need = need_of(state, event.agent_type, event.amounts)
    grant = Grant(
        event.holder,
        event.agent_type,
        event.worker_id,
        event.incarnation,
        event.amounts,
        event.fence,
        event.hands,
        event.hands_until,
        granted_at=at,
        shared=shared.start(state, event.fence, need.shared, at),
        ends_at=at + event.estimate_ms if event.estimate_ms else 0,
        terms=event.terms,
        rank=event.rank,
    )
    accounts.taken(state, grant)
    state.grants[event.allocation_id] = grant
    if event.hands:
        state.permits.setdefault(event.holder.execution_id, {})[event.allocation_id] = None
    state.next_fence = event.fence + event.hands + 1
    if entry := state.workers.get(event.worker_id):
        take(entry, need)
    scaling.granted(state, event.allocation_id, at)


def _hand_on(state: PoolRecord, event: e.AllocationHolderChanged, at: int) -> None:
    grant = state.grants[event.allocation_id]
    breaker.failed(state, grant.agent_type, event.failed, at)
    hands = grant.hands - (event.fence - grant.fence)
    if grant.hands > 0 >= hands:
        _end_permit(state, event.allocation_id, grant)
    grant.hands = max(0, hands)
    grant.holder, grant.fence, grant.ends_at = event.holder, event.fence, 0
    scaling.handed_on(state, event.allocation_id, at)


def _revoke(state: PoolRecord, event: e.AllocationRevoked, at: int) -> None:
    grant = state.grants[event.allocation_id]
    if not grant.is_revoked:
        accounts.taken(state, grant, -1)
    grant.revoked = event.reason or "The worker is gone."
    shared.hold_back(state, grant, event.lease_ms, at)
    scaling.revoked(state, event.allocation_id)


def _restart(state: PoolRecord, event: e.PoolOwnershipTaken, at: int) -> None:
    state.epoch = event.epoch
    shared.restart_leases(state, at)
    breaker.restart(state, at)
    scaling.restart(state, at)


def _configure(state: PoolRecord, event: e.PoolConfigured) -> None:
    state.shared, state.ceiling, state.agent_types = event.shared, event.ceiling, event.agent_types
    state.breakers, state.quotas, state.weights = event.breakers, event.quotas, event.weights
    state.strategy = event.strategy
    breaker.configured(state)


def _end_permit(state: PoolRecord, allocation_id: str, grant: Grant) -> None:
    permits = state.permits.get(grant.holder.execution_id)
    if permits is not None:
        permits.pop(allocation_id, None)
        if not permits:
            del state.permits[grant.holder.execution_id]
    grant.hands = 0


def _free(state: PoolRecord, event: e.AllocationFreed, at: int) -> None:
    grant = state.grants.get(event.allocation_id)
    if grant is None:
        _leave_queue(state, event.allocation_id)
        scaling.changed(state, at)
        return
    if not grant.is_revoked:
        accounts.taken(state, grant, -1)
    del state.grants[event.allocation_id]
    _end_permit(state, event.allocation_id, grant)
    breaker.ended(state, grant, event, at)
    if not grant.is_revoked:
        shared.take(state, grant.shared, sign=-1)
        scaling.ended(state, event.allocation_id, grant, at)
    scaling.changed(state, at)
    entry = state.workers.get(grant.worker_id)
    if entry is not None and entry.incarnation == grant.incarnation:
        own = shared.own_of(grant.amounts, grant.shared)
        _take(state, grant.worker_id, grant.agent_type, own, sign=-1)


def _reservation(
    state: PoolRecord, event: e.ReservationBooked | e.ReservationMade | e.ReservationEnded
) -> None:
    match event:
        case e.ReservationBooked():
            state.bookings[event.reservation_id] = Booking(
                event.client_id,
                event.worker_id,
                event.amounts,
                event.starts_at,
                event.expires_at,
                event.tenant,
            )
        case e.ReservationMade():
            part = shared.shared_of(state, event.amounts)
            state.reservations[event.reservation_id] = Reservation(
                event.client_id, event.worker_id, event.amounts, event.expires_at, part, event.tenant
            )
            state.bookings.pop(event.reservation_id, None)
            shared.take(state, part)
            _take(state, event.worker_id, "", shared.own_of(event.amounts, part))
        case e.ReservationEnded():
            state.bookings.pop(event.reservation_id, None)
            _remember_end(state, event)
            if ended := state.reservations.pop(event.reservation_id, None):
                shared.take(state, ended.shared, sign=-1)
                own = shared.own_of(ended.amounts, ended.shared)
                _take(state, ended.worker_id, "", own, sign=-1)


def _remember_end(state: PoolRecord, event: e.ReservationEnded) -> None:
    state.ended[event.reservation_id] = state.version, event.reason
    if len(state.ended) > LOST_KEPT:
        del state.ended[min(state.ended, key=lambda reservation_id: state.ended[reservation_id])]


def _take(
    state: PoolRecord, worker_id: str, agent_type: str, amounts: dict[str, float], sign: int = 1
) -> None:
    entry = state.workers.get(worker_id)
    if entry is not None:
        for name, amount in claim_of(entry, agent_type, amounts).items():
            entry.free[name] = entry.free.get(name, 0) - sign * amount


def _queue(state: PoolRecord, event: e.AllocationQueued, at: int) -> None:
    of = event.holder.execution_id
    shape = shape_of(event.agent_type, event.amounts, event.affinity, event.terms, of)
    request = Request(
        event.holder,
        event.agent_type,
        event.amounts,
        event.rank,
        shape,
        event.affinity,
        event.estimate_ms,
        at,
        event.terms,
    )
    if event.terms.reservation:
        state.reserving[event.allocation_id] = request
        return
    _enter_queue(state, event.allocation_id, request)
    if event.terms.start_by:
        state.urgent[event.allocation_id] = preemption.threatened_at(event.terms)
    scaling.changed(state, at)


def _enter_queue(state: PoolRecord, allocation_id: str, request: Request) -> None:
    state.waiting[allocation_id] = request
    state.arrivals += 1
    queue = state.queues.setdefault(request.shape, [])
    place = (request.rank, state.arrivals, allocation_id)
    if queue and place < queue[-1]:
        insort(queue, place)
    else:
        queue.append(place)


def _of_deadline(state: PoolRecord, event: e.RequestPromoted | e.AllocationPreempted) -> None:
    if isinstance(event, e.RequestPromoted):
        _promote(state, event)
    else:
        preemption.preempted(state, event)


def _promote(state: PoolRecord, event: e.RequestPromoted) -> None:
    request = state.waiting[event.allocation_id]
    _leave_queue(state, event.allocation_id)
    _enter_queue(state, event.allocation_id, replace(request, rank=event.rank))
    state.promoted[event.allocation_id] = None


def _leave_queue(state: PoolRecord, allocation_id: str) -> None:
    request = state.waiting.pop(allocation_id, None)
    if request is None:
        state.reserving.pop(allocation_id, None)
        return
    state.urgent.pop(allocation_id, None)
    state.promoted.pop(allocation_id, None)
    queue = state.queues[request.shape]
    position = bisect_left(queue, (request.rank, 0, ""))
    while queue[position][2] != allocation_id:
        position += 1
    del queue[position]
    if not queue:
        del state.queues[request.shape]


def _worker(state: PoolRecord, event: e.WorkerJoined | e.WorkerDraining | e.WorkerLost) -> None:
    match event:
        case e.WorkerJoined():
            capacity = thousandths(event.capacity) | {SLOTS: event.slots * 1000}
            for agent_type, slots in event.slots_by_agent.items():
                capacity[slot_of(agent_type)] = slots * 1000
            state.workers[event.worker_id] = WorkerEntry(
                event.incarnation,
                event.agent_types,
                capacity,
                dict(capacity),
                labels=event.labels,
                is_elastic=event.is_elastic,
            )
            scaling.joined(state, state.workers[event.worker_id])
            state.lost.pop(event.worker_id, None)
            state.lost_since.pop(event.worker_id, None)
        case e.WorkerDraining():
            state.workers[event.worker_id].is_draining = True
        case e.WorkerLost():
            del state.workers[event.worker_id]
            state.lost[event.worker_id] = event.incarnation
            state.lost_since[event.worker_id] = state.version
            if len(state.lost) > LOST_KEPT:
                # Snapshots sort their keys, so the order of the dictionary itself says nothing.
                oldest = min(state.lost, key=lambda worker_id: state.lost_since.get(worker_id, 0))
                del state.lost[oldest]
                state.lost_since.pop(oldest, None)
