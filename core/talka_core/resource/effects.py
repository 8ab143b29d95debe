"""What new facts of a pool call for, what is owed, and what a repeated message is answered.

Grants and confirmations are notices: whoever waits for one asks again. A
revocation is owed until the holder has given the allocation back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from talka_core.behaviour import Alert, Effect, Send, SetTimer
from talka_core.resource import bookings, scaling, soundness
from talka_core.resource.bookings import BOOKING
from talka_core.resource.breaker import BREAKER, is_closed
from talka_core.resource.decide import RESERVATION, SHARED
from talka_core.resource.placement import shortage
from talka_core.resource.preemption import THREAT
from talka_core.resource.shared import rate_key
from talka_core.resource.state import Grant, PoolRecord
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.events import Holder, PoolEvent
from talka_protocols.messages import Recipient


def react(state: PoolRecord, event: PoolEvent) -> Iterator[Effect]:
    """Yield what one new fact calls for."""
    match event:
        case e.AllocationGranted():
            yield from _granted(state, event)
        case e.GangGranted():
            for granted in event.grants:
                yield from _granted(state, granted)
        case e.AllocationFreed():
            yield _confirm_release(event.allocation_id, event.holder)
        case e.AllocationQueued() | e.RequestPromoted() | e.AllocationPreempted():
            yield from _of_deadline(state, event)
        case e.AllocationRevoked():
            yield from _revoked(state, event.allocation_id, state.grants[event.allocation_id])
        case e.PoolOwnershipTaken():
            for fence in state.held_back:
                yield _return(state, fence)
            yield from _breakers(state)
            yield from scaling.timers(state)
        case e.ScalingDeferred():
            yield from scaling.timers(state)
        case e.BreakerOpened():
            yield _half_opening(state, event.agent_type)
            yield Alert("breaker.opened", shortage(state, event.agent_type, {}))
        case e.AllocationHolderChanged():
            yield _confirm_hand_on(event.allocation_id, event.holder, event.fence)
            if not is_closed(state, state.grants[event.allocation_id].agent_type):
                # It was handed on although nothing of its type may be: the notice got lost or is late.
                yield _withdraw_permit(state, event.allocation_id)
        case e.AllocationPermitWithdrawn():
            yield _withdraw_permit(state, event.allocation_id)
        case e.WorkerJoined():
            yield _admit(event.worker_id, event.incarnation, ())
        case e.WorkerDraining():
            yield _confirm_drain(event.worker_id, event.incarnation)
        case e.WorkerLost():
            message_to_worker = m.RejoinWorker(event.worker_id, event.incarnation)
            yield Send(Recipient.WORKER, message_to_worker, notice=True)
        case e.ReservationBooked() | e.ReservationMade():
            yield from _reservation(state, event)
        case e.AllocationRefused():
            yield _refuse(event)
        case _:
            pass


def _revoked(state: PoolRecord, allocation_id: str, grant: Grant) -> Iterator[Effect]:
    if grant.holder.execution_id:
        yield _revoke(allocation_id, grant)
    if str(grant.fence) in state.held_back:
        yield _return(state, str(grant.fence))


def _reservation(state: PoolRecord, event: e.ReservationBooked | e.ReservationMade) -> Iterator[Effect]:
    yield _reserved(event.reservation_id, event.client_id, event.expires_at)
    if isinstance(event, e.ReservationBooked):
        yield _beginning(state, event.reservation_id, event.starts_at)
    elif event.is_booked:
        return
    yield _expiry(state, event.reservation_id, event.expires_at)


def _granted(state: PoolRecord, event: e.AllocationGranted) -> Iterator[Effect]:
    yield _grant(state, event.allocation_id, state.grants[event.allocation_id])
    if (counted := rate_key(event.fence)) in state.held_back:
        yield _return(state, counted)


def resume(state: PoolRecord) -> Iterator[Effect]:
    """Yield everything still owed."""
    for allocation_id, grant in state.grants.items():
        if grant.is_revoked and grant.holder.execution_id:
            yield _revoke(allocation_id, grant)
        elif grant.preempted_by and not grant.is_revoked:
            yield _preempt(allocation_id, grant)
    for allocation_id in state.urgent:
        yield _threat(state, allocation_id)
    for reservation_id, reservation in state.reservations.items():
        yield _expiry(state, reservation_id, reservation.expires_at)
    for reservation_id, booking in state.bookings.items():
        yield _beginning(state, reservation_id, booking.starts_at)
        yield _expiry(state, reservation_id, booking.expires_at)
    for fence in state.held_back:
        yield _return(state, fence)
    yield from _breakers(state)
    yield from scaling.timers(state)


def answer(state: PoolRecord, message: m.ResourceMessage) -> Iterable[Effect]:
    """Answer a repeated or refused message from what is recorded."""
    if soundness.fault(message):
        yield from soundness.complaints(message)
        return
    match message:
        case m.RequestAllocation():
            grant = state.grants.get(message.allocation_id)
            if grant is not None and not grant.is_revoked:
                yield _grant(state, message.allocation_id, grant)
            elif message.allocation_id in state.promoted:
                yield _warn(state, message.allocation_id)
        case m.TimerFired() if message.name.startswith(THREAT):
            if (allocation_id := message.name.removeprefix(THREAT)) in state.urgent:
                yield _threat(state, allocation_id)
        case m.ReleaseAllocation():
            yield _confirm_release(message.allocation_id, message.holder)
        case m.RecordHandOn():
            yield _confirm_hand_on(message.allocation_id, message.holder, message.fence)
        case m.RegisterWorker():
            yield from _answer_worker(state, message)
        case m.DrainWorker():
            # An incarnation that is not known any more is granted nothing either.
            yield _confirm_drain(message.worker_id, message.incarnation)
        case m.ReserveResources():
            yield _answer_reservation(state, message)
        case m.TimerFired() if message.name == scaling.SCALING:
            yield from scaling.timers(state)
        case m.EndReservation() if message.client_id:
            yield _answer_end(state, message)
        case m.TimerFired() if message.name.startswith(SHARED):
            fence = message.name.removeprefix(SHARED)
            if fence in state.held_back:
                yield _return(state, fence)
        case m.TimerFired() if message.name.startswith(BREAKER):
            circuit = state.circuits.get(message.name.removeprefix(BREAKER))
            if circuit is not None and circuit.phase == "open":
                yield _half_opening(state, message.name.removeprefix(BREAKER))
        case m.Advance():
            yield from _remind(state)
        case _:
            pass


def _remind(state: PoolRecord) -> Iterator[Effect]:
    """Tell every execution what it holds, so that it gives back what it knows nothing of.

    A request that arrives again after its allocation was freed is granted once more; if the answer
    to that is lost, nobody else would ever ask.
    """
    for allocation_id, grant in state.grants.items():
        if grant.holder.execution_id and not grant.is_revoked:
            yield _grant(state, allocation_id, grant)


def is_over(state: PoolRecord) -> bool:
    """Tell that a pool never ends."""
    return state.version < 0


def _answer_worker(state: PoolRecord, message: m.RegisterWorker) -> Iterator[Effect]:
    entry = state.workers.get(message.worker_id)
    if entry is not None and entry.incarnation == message.incarnation:
        gone = tuple(a for a in message.running if not _is_on(state, a, message.worker_id))
        yield _admit(message.worker_id, message.incarnation, gone)
    else:
        # It names the incarnation that asked: a late message of an older one must not end the current one.
        rejoin = m.RejoinWorker(message.worker_id, message.incarnation)
        yield Send(Recipient.WORKER, rejoin, notice=True)


def _is_on(state: PoolRecord, allocation_id: str, worker_id: str) -> bool:
    grant = state.grants.get(allocation_id)
    return grant is not None and not grant.is_revoked and grant.worker_id == worker_id


def _answer_reservation(state: PoolRecord, message: m.ReserveResources) -> Effect:
    name = message.reservation_id
    known = state.reservations.get(name) or state.bookings.get(name)
    if known is not None and known.client_id == message.client_id:
        return _reserved(name, message.client_id, known.expires_at)
    if bookings.is_known(state, name):
        reason = f"There is, or was, a reservation {name!r}: an id names one only."
    elif message.starts_at:
        reason = bookings.refusal(state, message)
    else:
        reason = shortage(state, "", message.amounts)
    refused = m.ReservationAnswered(message.client_id, message.reservation_id, reason=reason)
    return Send(Recipient.CLIENT, refused, notice=True)


def _answer_end(state: PoolRecord, message: m.EndReservation) -> Effect:
    _, reason = state.ended.get(message.reservation_id, (0, "never made"))
    said = "" if reason == "cancelled" else reason
    ended = m.ReservationAnswered(message.client_id, message.reservation_id, reason=said)
    return Send(Recipient.CLIENT, ended, notice=True)


def _grant(state: PoolRecord, allocation_id: str, grant: Grant) -> Effect:
    holder = grant.holder
    if holder.client_id:
        answered = m.AllocationAnswered(
            holder.client_id, allocation_id, grant.worker_id, grant.fence, grant.amounts, grant.granted_at
        )
        return Send(Recipient.CLIENT, answered, notice=True)
    message = m.GrantAllocation(
        holder.execution_id,
        holder.task_id,
        holder.attempt,
        allocation_id,
        grant.worker_id,
        grant.fence,
        state.version,
        grant.hands,
        grant.hands_until,
        grant.incarnation,
        bool(grant.shared),
    )
    return Send(Recipient.SCHEDULER, message, notice=True)


def _revoke(allocation_id: str, grant: Grant) -> Effect:
    message = m.RevokeAllocation(grant.holder.execution_id, allocation_id, grant.revoked)
    return Send(Recipient.SCHEDULER, message)


def _of_deadline(
    state: PoolRecord, event: e.AllocationQueued | e.RequestPromoted | e.AllocationPreempted
) -> Iterator[Effect]:
    match event:
        case e.AllocationQueued():
            if event.allocation_id in state.urgent:
                yield _threat(state, event.allocation_id)
        case e.RequestPromoted():
            yield _warn(state, event.allocation_id)
        case e.AllocationPreempted():
            yield _preempt(event.allocation_id, state.grants[event.allocation_id])


def _preempt(allocation_id: str, grant: Grant) -> Effect:
    about = (grant.holder.execution_id, allocation_id, grant.preempted_by, grant.preempted)
    return Send(Recipient.SCHEDULER, m.PreemptAllocation(*about))


def _threat(state: PoolRecord, allocation_id: str) -> Effect:
    return SetTimer(state.pool, f"{THREAT}{allocation_id}", state.urgent[allocation_id])


def _warn(state: PoolRecord, allocation_id: str) -> Effect:
    request = state.waiting[allocation_id]
    holder = request.holder
    about = (holder.execution_id, holder.task_id, holder.attempt, request.terms.start_by)
    return Send(Recipient.SCHEDULER, m.WarnOfDeadline(*about), notice=True)


def _confirm_release(allocation_id: str, holder: Holder) -> Effect:
    """Tell the holder that its release is recorded, or was long ago."""
    if holder.client_id:
        answered = m.ReleaseAnswered(holder.client_id, allocation_id)
        return Send(Recipient.CLIENT, answered, notice=True)
    confirm = m.ConfirmRelease(holder.execution_id, allocation_id)
    return Send(Recipient.SCHEDULER, confirm, notice=True)


def _confirm_hand_on(allocation_id: str, holder: Holder, fence: int) -> Effect:
    message = m.ConfirmHandOn(holder.execution_id, allocation_id, fence)
    return Send(Recipient.SCHEDULER, message, notice=True)


def _admit(worker_id: str, incarnation: int, stop: tuple[str, ...]) -> Effect:
    return Send(Recipient.WORKER, m.AdmitWorker(worker_id, incarnation, stop), notice=True)


def _confirm_drain(worker_id: str, incarnation: int) -> Effect:
    return Send(Recipient.WORKER, m.ConfirmDrain(worker_id, incarnation), notice=True)


def _reserved(reservation_id: str, client_id: str, expires_at: int) -> Effect:
    message = m.ReservationAnswered(client_id, reservation_id, expires_at)
    return Send(Recipient.CLIENT, message, notice=True)


def _beginning(state: PoolRecord, reservation_id: str, starts_at: int) -> Effect:
    return SetTimer(state.pool, f"{BOOKING}{reservation_id}", starts_at)


def _refuse(event: e.AllocationRefused) -> Effect:
    holder = event.holder
    about = (holder.task_id, holder.attempt, event.allocation_id, event.code, event.reason)
    return Send(Recipient.SCHEDULER, m.RefuseAllocation(holder.execution_id, *about), notice=True)


def _expiry(state: PoolRecord, reservation_id: str, expires_at: int) -> Effect:
    return SetTimer(state.pool, f"{RESERVATION}{reservation_id}", expires_at)


def _withdraw_permit(state: PoolRecord, allocation_id: str) -> Effect:
    message = m.WithdrawPermit(state.grants[allocation_id].holder.execution_id, allocation_id)
    return Send(Recipient.SCHEDULER, message, notice=True)


def _breakers(state: PoolRecord) -> Iterator[Effect]:
    for agent_type, circuit in state.circuits.items():
        if circuit.phase == "open":
            yield _half_opening(state, agent_type)


def _half_opening(state: PoolRecord, agent_type: str) -> Effect:
    return SetTimer(state.pool, f"{BREAKER}{agent_type}", state.circuits[agent_type].due_at)


def _return(state: PoolRecord, fence: str) -> Effect:
    return SetTimer(state.pool, f"{SHARED}{fence}", state.held_back[fence].due_at)
