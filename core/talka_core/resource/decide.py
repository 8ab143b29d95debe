"""What a message makes happen to a pool.

Each decision is complete in itself: whatever frees something also grants what
now fits, in the order of ranks, so no message can be the last one and leave a
request waiting that could run.
"""

from __future__ import annotations

from collections.abc import Iterator

from talka_core.resource.placement import fits, place
from talka_core.resource.state import (
    HANDS,
    HANDS_MS,
    HELD_BACK_MS,
    Grant,
    PoolRecord,
    Request,
    shape_of,
)
from talka_protocols.events import (
    AllocationFreed,
    AllocationGranted,
    AllocationHolderChanged,
    AllocationPermitWithdrawn,
    AllocationQueued,
    AllocationRevoked,
    Holder,
    PoolConfigured,
    PoolEvent,
    ReservationEnded,
    ReservationMade,
    SharedReturned,
    WorkerDraining,
    WorkerJoined,
    WorkerLost,
)
from talka_protocols.messages import (
    Advance,
    ClientLeft,
    ConfigurePool,
    DrainWorker,
    EndReservation,
    RecordHandOn,
    RegisterWorker,
    ReleaseAllocation,
    RequestAllocation,
    ReserveResources,
    ResourceMessage,
    TimerFired,
    WorkerLeft,
)

RESERVATION = "reservation/"
SHARED = "shared/"
RATE = "rate-"


def decide(state: PoolRecord, message: ResourceMessage, now_ms: int) -> Iterator[PoolEvent]:
    """Yield what the message makes happen; see ``behaviour.step``."""
    match message:
        case RequestAllocation():
            yield from _request(state, message, now_ms)
        case ReleaseAllocation():
            if _may_release(state, message):
                yield from _free(state, message.allocation_id)
                yield from _grant_waiting(state, now_ms)
        case RecordHandOn():
            grant = state.grants.get(message.allocation_id)
            if grant is not None and grant.fence < message.fence:
                yield AllocationHolderChanged(message.allocation_id, message.holder, message.fence)
        case RegisterWorker():
            yield from _register(state, message, now_ms)
        case DrainWorker():
            entry = state.workers.get(message.worker_id)
            if entry and entry.incarnation == message.incarnation and not entry.is_draining:
                yield WorkerDraining(message.worker_id, message.incarnation)
                yield from _withdraw_permits_on(state, message.worker_id)
        case WorkerLeft():
            yield from _lose(state, message.worker_id, message.incarnation, message.reason)
        case ClientLeft():
            yield from _client_left(state, message.client_id, now_ms)
        case ReserveResources():
            yield from _reserve(state, message, now_ms)
        case EndReservation():
            yield from _end_reservation(state, message.reservation_id, "cancelled", now_ms)
        case ConfigurePool():
            configured = PoolConfigured(message.shared, message.ceiling, message.agent_types)
            if configured != PoolConfigured(state.shared, state.ceiling, state.agent_types):
                yield configured
                yield from _grant_waiting(state, now_ms)
        case TimerFired():
            yield from _timer(state, message.name, now_ms)
        case Advance():
            yield from _revoke_strays(state)
            yield from _grant_waiting(state, now_ms)


def _request(state: PoolRecord, message: RequestAllocation, now_ms: int) -> Iterator[PoolEvent]:
    allocation_id = message.allocation_id
    if allocation_id in state.grants or allocation_id in state.waiting:
        return
    shape = shape_of(message.agent_type, message.amounts)
    request = Request(message.holder, message.agent_type, message.amounts, message.rank, shape)
    worker_id = None
    reservation = state.reservations.get(message.reservation_id)
    if reservation is not None and reservation.client_id == message.holder.client_id:
        yield ReservationEnded(message.reservation_id, "used")
        if fits(state, reservation.worker_id, message.agent_type, message.amounts):
            worker_id = reservation.worker_id
    if worker_id is None and not state.queues.get(shape):
        worker_id = place(state, message.agent_type, message.amounts)
    if worker_id is not None:
        yield _granted(state, allocation_id, request, worker_id, now_ms)
    else:
        yield AllocationQueued(
            allocation_id, message.holder, message.agent_type, message.amounts, message.rank
        )
        yield from _withdraw_permits(state, message.holder.execution_id)
    if reservation is not None:
        yield from _grant_waiting(state, now_ms)


def _granted(
    state: PoolRecord, allocation_id: str, request: Request, worker_id: str, now_ms: int
) -> AllocationGranted:
    own = request.holder.execution_id
    is_alone = bool(own) and all(r.holder.execution_id == own for r in _heads(state))
    return AllocationGranted(
        allocation_id,
        request.holder,
        request.agent_type,
        worker_id,
        state.workers[worker_id].incarnation,
        state.next_fence,
        request.amounts,
        HANDS if is_alone else 0,
        now_ms + HANDS_MS if is_alone else 0,
    )


def _heads(state: PoolRecord) -> Iterator[Request]:
    return (state.waiting[queue[0][2]] for queue in state.queues.values() if queue)


def _grant_waiting(state: PoolRecord, now_ms: int) -> Iterator[PoolEvent]:
    blocked: set[str] = set()
    while True:
        heads = [(q[0], shape) for shape, q in state.queues.items() if q and shape not in blocked]
        if not heads:
            return
        (_, _, allocation_id), shape = min(heads)
        request = state.waiting[allocation_id]
        worker_id = place(state, request.agent_type, request.amounts)
        if worker_id is None:
            blocked.add(shape)
        else:
            yield _granted(state, allocation_id, request, worker_id, now_ms)


def _withdraw_permits(state: PoolRecord, execution_id: str) -> Iterator[PoolEvent]:
    """Call back what other executions may hand on among themselves while this one waits."""
    others = [permits for owner, permits in state.permits.items() if owner != execution_id]
    for allocation_id in [allocation_id for permits in others for allocation_id in permits]:
        yield AllocationPermitWithdrawn(allocation_id)


def _withdraw_permits_on(state: PoolRecord, worker_id: str) -> Iterator[PoolEvent]:
    """Call back what may be handed on at a worker that is about to leave."""
    permitted = [allocation_id for permits in state.permits.values() for allocation_id in permits]
    for allocation_id in permitted:
        if state.grants[allocation_id].worker_id == worker_id:
            yield AllocationPermitWithdrawn(allocation_id)


def _holder(state: PoolRecord, allocation_id: str) -> Holder:
    held = state.grants.get(allocation_id) or state.waiting[allocation_id]
    return held.holder


def _may_release(state: PoolRecord, message: ReleaseAllocation) -> bool:
    if message.allocation_id in state.waiting:
        return True
    grant = state.grants.get(message.allocation_id)
    if grant is None:
        return False
    is_of_client = bool(grant.holder.client_id)
    return not is_of_client or message.fence in (0, grant.fence)


def _free(state: PoolRecord, allocation_id: str) -> Iterator[PoolEvent]:
    """End an allocation or a request; one whose worker is gone is revoked first, as it was to be."""
    holder = _holder(state, allocation_id)
    grant = state.grants.get(allocation_id)
    if grant is not None and not grant.is_revoked and not _is_live(state, grant):
        yield _revoked(allocation_id, grant, f"Worker {grant.worker_id}: The worker is gone.")
    yield AllocationFreed(allocation_id, holder)


def _revoked(allocation_id: str, grant: Grant, reason: str) -> AllocationRevoked:
    return AllocationRevoked(allocation_id, reason, HELD_BACK_MS if grant.shared else 0)


def _timer(state: PoolRecord, name: str, now_ms: int) -> Iterator[PoolEvent]:
    if not name.startswith(SHARED):
        yield from _end_reservation(state, name.removeprefix(RESERVATION), "expired", now_ms)
        return
    fence = name.removeprefix(SHARED)
    held = state.held_back.get(fence)
    # It may have been set before the lease was counted anew, or the clock may have gone back.
    if held is not None and now_ms >= held.due_at:
        yield SharedReturned(int(fence.removeprefix(RATE)), fence.startswith(RATE))
        yield from _grant_waiting(state, now_ms)


def _register(state: PoolRecord, message: RegisterWorker, now_ms: int) -> Iterator[PoolEvent]:
    entry = state.workers.get(message.worker_id)
    known = entry.incarnation if entry else state.lost.get(message.worker_id, 0)
    if message.incarnation <= known:
        return
    if entry is not None:
        yield from _lose(state, message.worker_id, entry.incarnation, "A new incarnation registered.")
    yield WorkerJoined(
        message.worker_id,
        message.incarnation,
        message.agent_types,
        message.slots,
        message.capacity,
        message.slots_by_agent,
    )
    if message.is_draining:
        yield WorkerDraining(message.worker_id, message.incarnation)
    yield from _grant_waiting(state, now_ms)


def _lose(state: PoolRecord, worker_id: str, incarnation: int, reason: str) -> Iterator[PoolEvent]:
    entry = state.workers.get(worker_id)
    if entry is None or entry.incarnation != incarnation:
        return
    yield WorkerLost(worker_id, incarnation, reason)
    yield from _revoke_strays(state, reason)


def _revoke_strays(state: PoolRecord, reason: str = "") -> Iterator[PoolEvent]:
    """Revoke what stands on a worker that is gone; clients' allocations simply end with it."""
    for allocation_id, grant in list(state.grants.items()):
        if not grant.is_revoked and not _is_live(state, grant):
            said = reason or "The worker is gone."
            yield _revoked(allocation_id, grant, f"Worker {grant.worker_id}: {said}")
            if grant.holder.client_id:
                yield AllocationFreed(allocation_id, grant.holder)
    for reservation_id, reservation in list(state.reservations.items()):
        if reservation.worker_id not in state.workers:
            yield ReservationEnded(reservation_id, "worker lost")


def _is_live(state: PoolRecord, grant: Grant) -> bool:
    entry = state.workers.get(grant.worker_id)
    return entry is not None and entry.incarnation == grant.incarnation


def _client_left(state: PoolRecord, client_id: str, now_ms: int) -> Iterator[PoolEvent]:
    held = [a for a, grant in state.grants.items() if grant.holder.client_id == client_id]
    held += [a for a, request in state.waiting.items() if request.holder.client_id == client_id]
    for allocation_id in held:
        grant = state.grants.get(allocation_id)
        if grant is not None and grant.shared and not grant.is_revoked:
            yield _revoked(allocation_id, grant, f"Client {client_id} is gone.")
        yield from _free(state, allocation_id)
    if held:
        yield from _grant_waiting(state, now_ms)


def _reserve(state: PoolRecord, message: ReserveResources, now_ms: int) -> Iterator[PoolEvent]:
    if message.reservation_id in state.reservations:
        return
    worker_id = place(state, "", message.amounts)
    if worker_id is not None:
        yield ReservationMade(
            message.reservation_id,
            message.client_id,
            worker_id,
            message.amounts,
            now_ms + message.ttl_ms,
        )


def _end_reservation(state: PoolRecord, reservation_id: str, reason: str, now_ms: int) -> Iterator[PoolEvent]:
    if reservation_id in state.reservations:
        yield ReservationEnded(reservation_id, reason)
        yield from _grant_waiting(state, now_ms)
