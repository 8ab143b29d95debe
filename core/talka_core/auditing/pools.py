"""What a pool's events do to the book, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from talka_core.auditing import accounts, bookings
from talka_core.auditing.amounts import Offer, Share, Thousandths, counted, counter_of, shared, whole
from talka_core.auditing.book import Allocation, Book, HeldBack, Pool, Reservation
from talka_core.auditing.patience import is_wanted, loosen, settle
from talka_core.auditing.violations import Finding, Kind, Where
from talka_protocols import events as e
from talka_protocols.events import PoolEvent


def take(book: Book, name: str, event: PoolEvent, where: Where) -> Iterator[Finding]:
    """Enter one event of a pool's log, and yield what is wrong with it."""
    pool = book.pools.setdefault(name, Pool())
    match event:
        case e.AllocationGranted():
            if book.concerns(event.allocation_id):
                yield from _granted(book, pool, name, event, where)
        case e.GangGranted():
            yield from _gang_granted(book, pool, name, event, where)
        case e.AllocationQueued():
            pool.waiting.add(event.allocation_id)
        case e.AllocationFreed():
            if book.concerns(event.allocation_id):
                yield from _freed(book, pool, event.allocation_id)
        case e.AllocationHolderChanged():
            if book.concerns(event.allocation_id):
                yield from _handed_on(book, event)
        case e.AllocationRevoked():
            if book.concerns(event.allocation_id):
                yield from _revoked(book, pool, name, event, where)
        case e.WorkerJoined() | e.WorkerLost():
            yield from _worker(book, pool, name, event, where)
        case e.PoolConfigured():
            pool.declared, pool.quotas = event.shared, event.quotas
        case e.AllocationRefused():
            pool.waiting.discard(event.allocation_id)
        case e.ReservationBooked() | e.ReservationMade() | e.ReservationEnded() | e.SharedReturned() if (
            book.only
        ):
            pass
        case e.ReservationBooked():
            yield from bookings.booked(pool, event)
        case e.ReservationMade() | e.ReservationEnded():
            yield from bookings.followed(pool, event)
            yield from _reservation(book, pool, event)
        case e.SharedReturned():
            yield from _returned(pool, event, where)
        case _:
            # Nothing else changes what anybody holds.
            pass


def _gang_granted(book: Book, pool: Pool, name: str, event: e.GangGranted, where: Where) -> Iterator[Finding]:
    for granted in event.grants:
        if book.concerns(granted.allocation_id):
            yield from _granted(book, pool, name, granted, where, is_together=True)
    members = {granted.terms.members for granted in event.grants}
    if members != {len(event.grants)}:
        yield (
            Kind.GANG_SPLIT,
            f"{len(event.grants)} members of the gang {event.gang} are granted, not {members}.",
        )


def _granted(
    book: Book, pool: Pool, name: str, event: e.AllocationGranted, where: Where, *, is_together: bool = False
) -> Iterator[Finding]:
    allocation_id, holder = event.allocation_id, event.holder
    book.counts["allocations"] += 1
    yield from bookings.used(book, pool, event)
    if event.terms.gang and not is_together:
        yield Kind.GANG_SPLIT, f"{allocation_id} is granted alone, and is of the gang {event.terms.gang}."
    pool.waiting.discard(allocation_id)
    if allocation_id in book.allocations:
        yield Kind.DOUBLE_GRANT, f"{allocation_id} is granted although it was granted before and never freed."
        _drop(book, pool, allocation_id)
    if event.fence <= pool.fence:
        yield (
            Kind.FENCE_REUSED,
            f"{allocation_id} is granted under fence {event.fence}, and those up to {pool.fence} are used.",
        )
    pool.fence = max(pool.fence, event.fence + event.hands)
    amounts = counted(event.amounts)
    share = shared(amounts, pool.declared)
    own = {key: amount for key, amount in amounts.items() if key not in share.amounts | share.rates}
    worker = (event.worker_id, event.incarnation)
    offer = pool.offers.get(worker)
    claim = offer.claim(event.agent_type, own) if offer else own
    allocation = book.allocations[allocation_id] = Allocation(
        name,
        holder.execution_id,
        holder.client_id,
        worker,
        claim,
        share,
        event.fence,
        event.fence + event.hands,
        event.hands_until,
        where.position,
    )
    if offer is None:
        # An export holds what its execution ran on, and a grant that was never used is no use of it.
        if not book.only:
            yield Kind.UNKNOWN_WORKER, f"{allocation_id} is granted on {_named(worker)}, which is not there."
    elif event.agent_type not in offer.agent_types:
        yield (
            Kind.UNKNOWN_WORKER,
            f"{allocation_id} is granted on {_named(worker)}, which runs no {event.agent_type}.",
        )
    yield from _take(book, pool, worker, claim, share, f"With {allocation_id}")
    yield from accounts.enter(pool, allocation, event, is_part=bool(book.only))
    for rate, amount in share.rates.items():
        period = int(rate.rpartition("/")[2])
        pool.held_back[event.fence, True] = HeldBack({rate: amount}, where.at, period)
    yield from _holder(book, allocation_id, allocation, event, where)


def _holder(
    book: Book, allocation_id: str, allocation: Allocation, event: e.AllocationGranted, where: Where
) -> Iterator[Finding]:
    holder = event.holder
    if holder.client_id:
        return
    if not holder.execution_id:
        yield Kind.NO_HOLDER, f"{allocation_id} is granted to neither an attempt nor a client."
        return
    execution = book.executions.get(holder.execution_id)
    is_known = execution is not None and execution.is_whole and execution.is_native
    if execution and is_known and holder.attempt > execution.attempts.get(holder.task_id, 0):
        attempt = f"attempt {holder.attempt} of {holder.task_id}"
        yield Kind.NO_HOLDER, f"{allocation_id} is granted to {attempt}, which never asked for it."
    if not is_wanted(book, allocation_id, allocation):
        sentence = f"{allocation_id} was granted to {holder.execution_id}, which did not want it any more"
        loosen(book, Kind.NOT_RETURNED, allocation_id, sentence, where)


def _freed(book: Book, pool: Pool, allocation_id: str) -> Iterator[Finding]:
    allocation = book.allocations.get(allocation_id)
    if allocation is None:
        if allocation_id not in pool.waiting and not book.only:
            yield Kind.FREED_TWICE, f"{allocation_id} is freed, and was neither granted nor asked for."
        pool.waiting.discard(allocation_id)
        return
    execution = book.executions.get(allocation.execution_id)
    held = execution.held.get(allocation_id) if execution else None
    if held is not None and (held.is_running or held.is_kept):
        use = f"attempt {held.attempt} of {held.task_id} runs on it" if held.is_running else "it is kept"
        yield Kind.FREED_IN_USE, f"{allocation_id} is freed while {use}."
    _drop(book, pool, allocation_id)


def _drop(book: Book, pool: Pool, allocation_id: str) -> None:
    allocation = book.allocations.pop(allocation_id)
    _give_back(pool, allocation.worker, allocation.claim)
    accounts.leave(pool, allocation)
    if not allocation.is_revoked:
        _return(pool, allocation.share.amounts)
    for kind in (Kind.NOT_RETURNED, Kind.STRANDED):
        settle(book, kind, allocation_id)


def _handed_on(book: Book, event: e.AllocationHolderChanged) -> Iterator[Finding]:
    allocation_id = event.allocation_id
    book.counts["hand_ons"] += 1
    allocation = book.allocations.get(allocation_id)
    if allocation is None:
        yield Kind.HAND_ON_BEYOND_GRANT, f"{allocation_id} is handed on, and was not granted."
        return
    if not allocation.fence < event.fence <= allocation.last:
        subject = f"{allocation_id}, at fence {allocation.fence} of at most {allocation.last},"
        yield Kind.HAND_ON_BEYOND_GRANT, f"{subject} is handed on under {event.fence}."
    allocation.fence = max(allocation.fence, event.fence)


def _revoked(
    book: Book, pool: Pool, name: str, event: e.AllocationRevoked, where: Where
) -> Iterator[Finding]:
    allocation_id = event.allocation_id
    allocation = book.allocations.get(allocation_id)
    if allocation is None or allocation.is_revoked:
        yield Kind.FREED_TWICE, f"{allocation_id} is revoked, and is not granted any more."
        return
    if allocation.worker in pool.offers and not allocation.client_id and not book.only:
        yield (
            Kind.REVOKED_IN_USE,
            f"{allocation_id} is revoked although {_named(allocation.worker)} is there.",
        )
    allocation.is_revoked = True
    accounts.leave(pool, allocation)
    if book.only:
        _return(pool, allocation.share.amounts)
    elif allocation.share.amounts:
        user = "" if allocation.client_id else allocation.worker[0]
        held = HeldBack(allocation.share.amounts, where.at, event.lease_ms, user)
        pool.held_back[allocation.fence, False] = held
    settle(book, Kind.STRANDED, allocation_id)
    sentence = f"{allocation_id} was revoked in pool {name}"
    loosen(book, Kind.NOT_RETURNED, allocation_id, sentence, where)


def _worker(
    book: Book, pool: Pool, name: str, event: e.WorkerJoined | e.WorkerLost, where: Where
) -> Iterator[Finding]:
    worker = (event.worker_id, event.incarnation)
    if isinstance(event, e.WorkerJoined):
        there = pool.incarnation(event.worker_id)
        if there and not book.only:
            yield Kind.UNKNOWN_WORKER, f"{_named(worker)} joins while its incarnation {there} is there."
            del pool.offers[event.worker_id, there]
        own = {f"slots:{agent}": 1000 * slots for agent, slots in event.slots_by_agent.items()}
        capacity = counted(event.capacity) | {"slots": 1000 * event.slots} | own
        pool.offers[worker] = Offer(capacity, event.agent_types)
        return
    if pool.offers.pop(worker, None) is None and not book.only:
        yield Kind.UNKNOWN_WORKER, f"{_named(worker)} is lost, and was not there."
    for allocation_id, allocation in book.allocations.items():
        if (allocation.pool, allocation.worker) == (name, worker) and not allocation.is_revoked:
            sentence = f"{allocation_id} stands on {_named(worker)}, which is lost"
            loosen(book, Kind.STRANDED, allocation_id, sentence, where, only_pool=True)
    for reservation_id, reservation in pool.reservations.items():
        if reservation.worker == worker:
            sentence = f"Reservation {reservation_id} stands on {_named(worker)}, which is lost"
            loosen(book, Kind.RESERVATION_OUTLIVED, reservation_id, sentence, where, only_pool=True)


def _reservation(book: Book, pool: Pool, event: e.ReservationMade | e.ReservationEnded) -> Iterator[Finding]:
    reservation_id = event.reservation_id
    if isinstance(event, e.ReservationEnded):
        ended = pool.reservations.pop(reservation_id, None)
        if ended is None and pool.ending == reservation_id:
            return
        if ended is None:
            yield (
                Kind.RESERVATION_REUSED,
                f"Reservation {reservation_id} ends ({event.reason}), and is not there.",
            )
            return
        _give_back(pool, ended.worker, ended.claim)
        _return(pool, ended.share.amounts)
        settle(book, Kind.RESERVATION_OUTLIVED, reservation_id)
        return
    book.counts["reservations"] += 1
    if reservation_id in pool.reservations:
        yield Kind.RESERVATION_REUSED, f"Reservation {reservation_id} is made twice."
        return
    amounts = counted(event.amounts)
    share = shared(amounts, pool.declared)
    claim = {key: amount for key, amount in amounts.items() if key not in share.amounts | share.rates}
    worker = (event.worker_id, pool.incarnation(event.worker_id))
    if worker not in pool.offers:
        yield Kind.UNKNOWN_WORKER, f"Reservation {reservation_id} is on {_named(worker)}, which is not there."
    share = Share(share.amounts | share.rates, {})
    pool.reservations[reservation_id] = Reservation(worker, claim, share, event.expires_at)
    yield from _take(book, pool, worker, claim, share, f"With reservation {reservation_id}")


def _returned(pool: Pool, event: e.SharedReturned, where: Where) -> Iterator[Finding]:
    held = pool.held_back.pop((event.fence, event.is_rate), None)
    if held is None:
        yield Kind.FREED_TWICE, f"What fence {event.fence} held back comes back, and was not held back."
        return
    passed = where.at - held.at
    if passed < held.after_ms and not (event.is_ended and held.worker):
        yield (
            Kind.RETURNED_EARLY,
            f"What fence {event.fence} held back comes back after {passed} ms, and {held.after_ms} are due.",
        )
    _return(pool, held.amounts)


def _take(
    book: Book, pool: Pool, worker: tuple[str, int], claim: Thousandths, share: Share, subject: str
) -> Iterator[Finding]:
    """Count something as taken, and yield of what there is too little."""
    offer = pool.offers.get(worker)
    if offer is not None:
        offer.taken.update(claim)
        for sentence in offer.excess(claim):
            yield Kind.OVER_CAPACITY, f"{subject}, {sentence} on {_named(worker)}."
    for key, amount in chain(share.amounts.items(), share.rates.items()):
        counter = counter_of(key)
        pool.shared[counter] += amount
        most, taken = whole(key, pool.declared), pool.shared[counter]
        if taken > most and not book.only:
            yield (
                Kind.OVER_CAPACITY,
                f"{subject}, {taken / 1000:g} of {most / 1000:g} {key} are taken in the whole pool.",
            )


def _give_back(pool: Pool, worker: tuple[str, int], claim: Thousandths) -> None:
    offer = pool.offers.get(worker)
    if offer is not None:
        offer.taken.subtract(claim)


def _return(pool: Pool, amounts: Thousandths) -> None:
    for key, amount in amounts.items():
        counter = counter_of(key)
        pool.shared[counter] -= amount
        if not pool.shared[counter]:
            del pool.shared[counter]


def _named(worker: tuple[str, int]) -> str:
    return f"incarnation {worker[1]} of worker {worker[0]}"
