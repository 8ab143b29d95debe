"""Bookings: reservations made in advance, which begin at their time and are used by a task that names them.

A booking is for one worker. What would still run into it there, by its
estimate, is granted only as far as it leaves enough; what has no estimate is
taken to run for ``UNKNOWN_MS``. Nothing is stopped for a booking: it begins
late if what runs has not ended in time.
"""

from __future__ import annotations

from collections.abc import Iterator

from talka_core.resource import breaker, labels
from talka_core.resource.accounts import has_room
from talka_core.resource.placement import Need, claim_of, fits, need_of
from talka_core.resource.scaling import active
from talka_core.resource.shared import own_of, shared_of
from talka_core.resource.state import (
    SLOTS,
    Amounts,
    Booking,
    Grant,
    Hold,
    PoolRecord,
    Request,
    queued,
    slot_of,
    thousandths,
)
from talka_protocols.events import (
    AllocationRefused,
    PoolEvent,
    ReservationBooked,
    ReservationEnded,
    ReservationMade,
)
from talka_protocols.messages import ReserveResources

BOOKING = "booking/"
"""The timer at which a booking begins, with its id behind it."""
UNKNOWN_MS = 600_000
"""How long a task without an estimate is taken to run, where a booking is ahead."""


# --- making --------------------------------------------------------------------------------------


def book(state: PoolRecord, message: ReserveResources) -> Iterator[PoolEvent]:
    """Keep amounts on a worker for a time to come, if none of it is taken; ``refusal`` says why not."""
    if is_known(state, message.reservation_id) or refusal(state, message):
        return
    worker_id = _worker_for(state, message)
    yield ReservationBooked(
        message.reservation_id,
        message.client_id,
        worker_id,
        message.amounts,
        message.starts_at,
        message.starts_at + message.ttl_ms,
        message.tenant,
    )


def is_known(state: PoolRecord, reservation_id: str) -> bool:
    """Tell whether a reservation has this id, or had it: an id names one only."""
    known = (state.bookings, state.reservations, state.ended)
    return any(reservation_id in reservations for reservations in known)


def refusal(state: PoolRecord, message: ReserveResources) -> str:
    """Say why a booking cannot be made; nothing if it can."""
    if not any(message.amounts.values()):
        return "It asks for nothing."
    if shared := shared_of(state, message.amounts):
        return f"{next(iter(shared))} is the whole pool's; only what a worker has is kept in advance."
    if _worker_for(state, message):
        return ""
    wanted = thousandths(message.amounts)
    large = {
        worker_id
        for worker_id, entry in state.workers.items()
        if all(entry.capacity.get(name, 0) >= amount for name, amount in wanted.items())
    }
    if not large:
        return f"No worker of pool {state.pool!r} is large enough for it."
    ends_at = message.starts_at + message.ttl_ms
    others = [name for name, other in state.bookings.items() if _overlaps(other, message.starts_at, ends_at)]
    others += [name for name, other in state.reservations.items() if other.expires_at > message.starts_at]
    return f"It overlaps what is reserved already: {', '.join(sorted(others))}."


def _overlaps(booking: Booking, starts_at: int, ends_at: int) -> bool:
    return booking.starts_at < ends_at and starts_at < booking.expires_at


def _worker_for(state: PoolRecord, message: ReserveResources) -> str:
    """Return the worker with the most left of what is asked for in that time, or nothing."""
    wanted, ends_at = thousandths(message.amounts), message.starts_at + message.ttl_ms
    best: tuple[float, str] | None = None
    for worker_id, entry in state.workers.items():
        if entry.is_draining:
            continue
        left = _least_left(state, worker_id, message.starts_at, ends_at)
        if all(left.get(name, 0) >= amount for name, amount in wanted.items()):
            load = max(amount / left[name] for name, amount in wanted.items() if amount)
            best = min(best or (load, worker_id), (load, worker_id))
    return best[1] if best else ""


def _least_left(state: PoolRecord, worker_id: str, starts_at: int, ends_at: int) -> Amounts:
    """Return how much of a worker is reserved by nobody at the worst instant of a time, whatever runs."""
    booked = [other for other in state.bookings.values() if other.worker_id == worker_id]
    least = dict(state.workers[worker_id].capacity)
    # More is booked only where something begins.
    for instant in (starts_at, *(b.starts_at for b in booked if starts_at < b.starts_at < ends_at)):
        left = dict(state.workers[worker_id].capacity)
        for other in booked:
            if other.starts_at <= instant < other.expires_at:
                _subtract(left, thousandths(other.amounts))
        for reservation in state.reservations.values():
            if reservation.worker_id == worker_id and reservation.expires_at > instant:
                _subtract(left, thousandths(own_of(reservation.amounts, reservation.shared)))
        least = {name: min(amount, left[name]) for name, amount in least.items()}
    return least


def _subtract(left: Amounts, amounts: Amounts) -> None:
    for name, amount in amounts.items():
        left[name] = left.get(name, 0) - amount


# --- beginning and using -------------------------------------------------------------------------


def begin(state: PoolRecord, now_ms: int) -> Iterator[PoolEvent]:
    """Let what is due begin, on its worker or, if that goes, on another, as soon as it is free there."""
    for reservation_id, booking in list(state.bookings.items()):
        if now_ms < booking.starts_at:
            continue
        need = need_of(state, "", booking.amounts)
        there = active(state)
        places = [booking.worker_id] if booking.worker_id in there else sorted(there)
        for worker_id in [worker_id for worker_id in places if fits(state, worker_id, need)][:1]:
            yield ReservationMade(
                reservation_id,
                booking.client_id,
                worker_id,
                booking.amounts,
                booking.expires_at,
                booking.tenant,
                is_booked=True,
            )


def ask(allocation_id: str, request: Request) -> Iterator[PoolEvent]:
    """Let a request that names a reservation wait for it; ``settle`` decides what becomes of it."""
    yield queued(allocation_id, request, "reservation")


def settle(state: PoolRecord) -> Iterator[tuple[str, Request, str] | PoolEvent]:
    """Refuse what names a reservation that is not there, and use those that have begun.

    A grant is yielded as its allocation id, request and worker.
    """
    for allocation_id, request in sorted(state.reserving.items(), key=lambda item: (item[1].rank, item[0])):
        reservation_id = request.terms.reservation
        if reservation_id in state.bookings:
            tenant = state.bookings[reservation_id].tenant
        elif reservation_id in state.reservations:
            tenant = state.reservations[reservation_id].tenant
        else:
            _, reason = state.ended.get(reservation_id, (0, "never made"))
            yield _refused(allocation_id, request, f"{reservation_id!r} is not there: {reason}.")
            continue
        if tenant != request.terms.tenant:
            yield _refused(allocation_id, request, f"{reservation_id!r} belongs to tenant {tenant!r}.")
        elif reservation_id in state.reservations and has_room(state, request):
            yield from _use(state, allocation_id, request, reservation_id)


def _use(
    state: PoolRecord, allocation_id: str, request: Request, reservation_id: str
) -> Iterator[tuple[str, Request, str] | PoolEvent]:
    reservation = state.reservations[reservation_id]
    wanted, kept = thousandths(request.amounts), thousandths(reservation.amounts)
    if over := [name for name, amount in wanted.items() if amount > kept.get(name, 0)]:
        said = f"{reservation_id!r} keeps {kept.get(over[0], 0) / 1000:g} of {over[0]}"
        yield _refused(allocation_id, request, f"{said}, and {wanted[over[0]] / 1000:g} are asked for.")
        return
    entry = state.workers.get(reservation.worker_id)
    is_able = entry is not None and request.agent_type in entry.agent_types
    if entry is None or not is_able or not labels.admits(entry, request.affinity):
        said = f"{reservation_id!r} is on worker {reservation.worker_id}, which cannot run it."
        yield _refused(allocation_id, request, said)
        return
    # The reservation keeps no slot.
    own = slot_of(request.agent_type)
    has_slot = entry.free[SLOTS] >= 1000 and entry.free.get(own, 1000) >= 1000
    if has_slot and breaker.lets_start(state, request.agent_type):
        yield ReservationEnded(reservation_id, "used")
        yield allocation_id, request, reservation.worker_id


def _refused(allocation_id: str, request: Request, sentence: str) -> AllocationRefused:
    return AllocationRefused(allocation_id, request.holder, "bad_reservation", f"The reservation {sentence}")


# --- what it keeps away --------------------------------------------------------------------------


def holds(state: PoolRecord) -> list[Hold]:
    """Return what is kept on workers for bookings that have not begun, and what they leave."""
    return [
        _hold(state, booking) for booking in state.bookings.values() if booking.worker_id in state.workers
    ]


def avoided(state: PoolRecord, request: Request, need: Need, now_ms: int) -> list[str]:
    """Return the workers where the request would run into what is booked."""
    if not state.bookings:
        return []
    return [hold.worker_id for hold in holds(state) if runs_into(request, need, hold, now_ms)]


def runs_into(request: Request, need: Need, hold: Hold, now_ms: int) -> bool:
    """Tell whether a request would still run when a booking begins, and leave too little."""
    is_over = (request.estimate_ms or UNKNOWN_MS) <= hold.until - now_ms
    return not is_over and any(hold.spare[name] < amount for name, amount in need.own if name in hold.spare)


def _hold(state: PoolRecord, booking: Booking) -> Hold:
    entry = state.workers[booking.worker_id]
    left = dict(entry.capacity)
    for grant in state.grants.values():
        if grant.worker_id == booking.worker_id and _runs_at(grant, booking.starts_at):
            _subtract(left, claim_of(entry, grant.agent_type, own_of(grant.amounts, grant.shared)))
    for reservation in state.reservations.values():
        if reservation.worker_id == booking.worker_id and reservation.expires_at > booking.starts_at:
            _subtract(left, thousandths(own_of(reservation.amounts, reservation.shared)))
    for other in state.bookings.values():
        if other.worker_id == booking.worker_id and other.starts_at <= booking.starts_at < other.expires_at:
            _subtract(left, thousandths(other.amounts))
    spare = {name: max(0, left.get(name, 0)) for name in thousandths(booking.amounts)}
    return Hold(booking.worker_id, booking.starts_at, spare)


def _runs_at(grant: Grant, instant: int) -> bool:
    ends_at = grant.ends_at or grant.granted_at + UNKNOWN_MS
    return not grant.is_revoked and ends_at > instant
