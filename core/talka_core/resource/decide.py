"""What a message makes happen to a pool.

Each decision is complete in itself: whatever frees something also grants what
now fits, in the order of ranks, so no message can be the last one and leave a
request waiting that could run. Messages that arrived together are decided
together; ``Advance`` completes what was stored of a decision only in part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from talka_core.resource import bookings, breaker, gangs, preemption, scaling, soundness
from talka_core.resource.accounts import has_room
from talka_core.resource.breaker import BREAKER
from talka_core.resource.granting import grant_best_first, granted, granted_reserved
from talka_core.resource.lines import Asked
from talka_core.resource.placement import fits, need_of, place
from talka_core.resource.preemption import THREAT
from talka_core.resource.scaling import SCALING
from talka_core.resource.shared import held_by
from talka_core.resource.state import (
    HELD_BACK_MS,
    Grant,
    PoolRecord,
    Request,
    declaration_of,
    shape_of,
)
from talka_protocols.events import (
    AllocationFreed,
    AllocationHolderChanged,
    AllocationPermitWithdrawn,
    AllocationRevoked,
    BreakerClosed,
    BreakerHalfOpened,
    Holder,
    PoolConfigured,
    PoolEvent,
    ReservationEnded,
    ReservationMade,
    ScalingConfigured,
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
    ScalePool,
    TimerFired,
    WorkerLeft,
)

RESERVATION = "reservation/"
SHARED = "shared/"
RATE = "rate-"
OPENINGS = (
    AllocationFreed,
    ReservationEnded,
    SharedReturned,
    WorkerJoined,
    PoolConfigured,
    BreakerHalfOpened,
    BreakerClosed,
)
"""Events after which something may fit that did not before."""


def decide(state: PoolRecord, message: ResourceMessage, now_ms: int) -> Iterator[PoolEvent]:
    """Yield what the message makes happen; see ``behaviour.step``."""
    for _, event in decide_batch(state, (message,), now_ms):
        yield event


def decide_batch(
    state: PoolRecord, messages: Sequence[ResourceMessage], now_ms: int
) -> Iterator[tuple[int, PoolEvent]]:
    """Yield what messages that arrived together make happen; see ``behaviour.step_batch``.

    Facts are taken as they come, and one round of granting follows them all.
    It comes earlier only where a message is about what was asked for before it.
    """
    asked: Asked = {}
    cause: int | None = None
    for position, message in enumerate(messages):
        if soundness.fault(message):
            continue
        if asked and _depends_on(message, asked):
            yield from grant_best_first(state, asked, cause, now_ms)
            asked, cause = {}, None
        if isinstance(message, RequestAllocation):
            request = _new(state, message)
            if request is None or message.allocation_id in asked:
                continue
            if message.reservation_id in state.reservations:
                for event in _use_reservation(state, message, request, now_ms):
                    yield position, event
                cause = position
                if message.allocation_id in state.grants:
                    continue
            if message.terms.reservation:
                for event in bookings.ask(message.allocation_id, request):
                    yield position, event
                continue
            asked[message.allocation_id] = position, request
            continue
        if isinstance(message, Advance):
            cause = position
        for event in _alone(state, message, now_ms):
            yield position, event
            if isinstance(event, OPENINGS):
                cause = position
    if state.bookings or state.reserving:
        # Whatever of these happens is due to the newest of what has come.
        last = max(len(messages) - 1, 0)
        for event in _reserved(state, now_ms):
            yield last, event
            if isinstance(event, OPENINGS):
                cause = last
    if asked or cause is not None:
        yield from grant_best_first(state, asked, cause, now_ms)
    yield from preemption.settle(state, len(messages) - 1, now_ms)
    if state.scaling is not None:
        for event in _scale(state, now_ms):
            yield len(messages) - 1, event


def _reserved(state: PoolRecord, now_ms: int) -> Iterator[PoolEvent]:
    """Let bookings begin that are due, and settle what waits for reservations."""
    yield from bookings.begin(state, now_ms)
    for found in bookings.settle(state):
        if isinstance(found, tuple):
            allocation_id, request, worker_id = found
            yield granted_reserved(state, allocation_id, request, worker_id)
        else:
            yield found


def _depends_on(message: ResourceMessage, asked: Asked) -> bool:
    """Tell whether the message must find the requests before it decided."""
    match message:
        case RequestAllocation():
            return bool(message.reservation_id)
        case ReleaseAllocation():
            return message.allocation_id in asked
        case ClientLeft() | ReserveResources():
            return True
        case _:
            return False


def _alone(state: PoolRecord, message: ResourceMessage, now_ms: int) -> Iterator[PoolEvent]:
    """Yield what the message makes happen apart from grants."""
    match message:
        case ReleaseAllocation():
            if _may_release(state, message):
                yield from _free(state, message.allocation_id, message)
                yield from breaker.settle(state)
        case RecordHandOn():
            yield from _hand_on(state, message)
        case RegisterWorker():
            yield from _register(state, message)
        case DrainWorker():
            entry = state.workers.get(message.worker_id)
            if entry and entry.incarnation == message.incarnation and not entry.is_draining:
                yield WorkerDraining(message.worker_id, message.incarnation)
                yield from _withdraw_permits_on(state, message.worker_id)
        case WorkerLeft():
            yield from _lose(state, message.worker_id, message.incarnation, message.reason)
            if message.is_ended:
                for fence in held_by(state, message.worker_id, message.incarnation):
                    yield SharedReturned(fence, is_ended=True)
        case ClientLeft():
            yield from _client_left(state, message.client_id)
        case ScalePool():
            if message.policy != (state.scaling.policy if state.scaling else None):
                yield ScalingConfigured(message.policy)
        case ReserveResources():
            yield from _reserve(state, message, now_ms)
        case EndReservation():
            yield from _end_reservation(state, message.reservation_id, "cancelled")
        case ConfigurePool():
            yield from _configure(state, message)
        case TimerFired():
            yield from _timer(state, message.name, now_ms)
        case Advance():
            yield from _revoke_strays(state)
            yield from gangs.forget_parts(state)
            yield from breaker.settle(state)
        case _:
            raise AssertionError(f"{type(message).__name__} is decided with its batch")


def _configure(state: PoolRecord, message: ConfigurePool) -> Iterator[PoolEvent]:
    """Declare the pool anew; what its tenants may have is settled by the pool from now on, not by permits."""
    sharing = (message.quotas, message.weights)
    declared = (message.shared, message.ceiling, message.agent_types, message.breakers)
    about = (*declared, *sharing, message.strategy)
    known = declaration_of(state)
    if about == known:
        return
    is_other_sharing = sharing != (state.quotas, state.weights)
    yield PoolConfigured(*about)
    yield from breaker.settle(state)
    if is_other_sharing:
        for allocation_id in [one for permits in state.permits.values() for one in permits]:
            yield AllocationPermitWithdrawn(allocation_id)


def _new(state: PoolRecord, message: RequestAllocation) -> Request | None:
    allocation_id = message.allocation_id
    if any(allocation_id in known for known in (state.grants, state.waiting, state.reserving)):
        return None
    affinity = message.affinity
    of = message.holder.execution_id
    shape = shape_of(message.agent_type, message.amounts, affinity, message.terms, of)
    return Request(
        message.holder,
        message.agent_type,
        message.amounts,
        message.rank,
        shape,
        affinity,
        message.estimate_ms,
        terms=message.terms,
    )


def _use_reservation(
    state: PoolRecord, message: RequestAllocation, request: Request, now_ms: int
) -> Iterator[PoolEvent]:
    """End the client's reservation, and grant what was kept by it if that is enough."""
    reservation = state.reservations[message.reservation_id]
    if reservation.client_id != message.holder.client_id:
        return
    yield ReservationEnded(message.reservation_id, "used")
    need = need_of(state, message.agent_type, message.amounts)
    if has_room(state, request) and fits(state, reservation.worker_id, need, message.affinity):
        yield granted(state, message.allocation_id, request, reservation.worker_id, Counter(), now_ms)


def _hand_on(state: PoolRecord, message: RecordHandOn) -> Iterator[PoolEvent]:
    grant = state.grants.get(message.allocation_id)
    if grant is not None and grant.fence < message.fence:
        failed = breaker.news(state, grant, message.failed)
        yield AllocationHolderChanged(message.allocation_id, message.holder, message.fence, failed)
        yield from breaker.settle(state)


def _withdraw_permits_on(state: PoolRecord, worker_id: str) -> Iterator[PoolEvent]:
    """Call back what may be handed on at a worker that is about to leave."""
    permitted = [allocation_id for permits in state.permits.values() for allocation_id in permits]
    for allocation_id in permitted:
        if state.grants[allocation_id].worker_id == worker_id:
            yield AllocationPermitWithdrawn(allocation_id)


def _scale(state: PoolRecord, now_ms: int) -> Iterator[PoolEvent]:
    """Decide how many workers there shall be, when everything else is decided."""
    for event in scaling.settle(state, now_ms):
        yield event
        if isinstance(event, WorkerDraining):
            yield from _withdraw_permits_on(state, event.worker_id)


def _may_release(state: PoolRecord, message: ReleaseAllocation) -> bool:
    if message.allocation_id in state.waiting or message.allocation_id in state.reserving:
        return True
    grant = state.grants.get(message.allocation_id)
    if grant is None:
        return False
    is_of_client = bool(grant.holder.client_id)
    return not is_of_client or message.fence in (0, grant.fence)


def _free(
    state: PoolRecord, allocation_id: str, said: ReleaseAllocation | None = None
) -> Iterator[PoolEvent]:
    """End an allocation or a request; one whose worker is gone is revoked first, as it was to be."""
    grant = state.grants.get(allocation_id)
    if grant is not None and not grant.is_revoked and not _is_live(state, grant):
        yield _revoked(allocation_id, grant, f"Worker {grant.worker_id}: The worker is gone.")
    yield breaker.freed(state, allocation_id, said)


def _revoked(allocation_id: str, grant: Grant, reason: str) -> AllocationRevoked:
    return AllocationRevoked(allocation_id, reason, HELD_BACK_MS if grant.shared else 0)


def _timer(state: PoolRecord, name: str, now_ms: int) -> Iterator[PoolEvent]:
    if name == SCALING or name.startswith((bookings.BOOKING, THREAT)):
        return
    if name.startswith(BREAKER):
        yield from breaker.due(state, name.removeprefix(BREAKER), now_ms)
        return
    if not name.startswith(SHARED):
        yield from _end_reservation(state, name.removeprefix(RESERVATION), "expired")
        return
    fence = name.removeprefix(SHARED)
    held = state.held_back.get(fence)
    # It may have been set before the lease was counted anew, or the clock may have gone back.
    if held is not None and now_ms >= held.due_at:
        yield SharedReturned(int(fence.removeprefix(RATE)), fence.startswith(RATE))


def _register(state: PoolRecord, message: RegisterWorker) -> Iterator[PoolEvent]:
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
        message.labels,
        message.is_elastic,
    )
    if message.is_draining:
        yield WorkerDraining(message.worker_id, message.incarnation)


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


def _client_left(state: PoolRecord, client_id: str) -> Iterator[PoolEvent]:
    held = [a for a, grant in state.grants.items() if grant.holder.client_id == client_id]
    held += [a for a, request in state.waiting.items() if request.holder.client_id == client_id]
    for allocation_id in held:
        grant = state.grants.get(allocation_id)
        if grant is not None and grant.shared and not grant.is_revoked:
            yield _revoked(allocation_id, grant, f"Client {client_id} is gone.")
        yield from _free(state, allocation_id)


def _reserve(state: PoolRecord, message: ReserveResources, now_ms: int) -> Iterator[PoolEvent]:
    if message.starts_at:
        yield from bookings.book(state, message)
        return
    if bookings.is_known(state, message.reservation_id):
        return
    need = need_of(state, "", message.amounts)
    request = Request(Holder(), "", message.amounts, (), "", estimate_ms=message.ttl_ms)
    worker_id = place(state, need, avoided=bookings.avoided(state, request, need, now_ms))
    if worker_id is not None:
        yield ReservationMade(
            message.reservation_id,
            message.client_id,
            worker_id,
            message.amounts,
            now_ms + message.ttl_ms,
        )


def _end_reservation(state: PoolRecord, reservation_id: str, reason: str) -> Iterator[PoolEvent]:
    if reservation_id in state.reservations or reservation_id in state.bookings:
        yield ReservationEnded(reservation_id, reason)
