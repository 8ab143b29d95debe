"""How an audit begins where a pool's log was pruned: with all that its state says is live."""

from __future__ import annotations

from talka_core.auditing import accounts
from talka_core.auditing.amounts import Offer, Share, Thousandths, counted, counter_of, limited
from talka_core.auditing.book import Allocation, Book, Booking, HeldBack, Pool, Reservation
from talka_core.resource import PoolRecord
from talka_core.resource.state import Grant
from talka_protocols.events import AllocationGranted

_RATE = "rate-"


def begin_pool(book: Book, state: PoolRecord) -> None:
    """Enter a pool as it stood where its log begins; what was wrong before that is not found any more."""
    pool = book.pools[state.pool] = Pool(
        version=state.version,
        declared=state.shared,
        quotas=state.quotas,
        fence=state.next_fence - 1,
        waiting={*state.waiting, *state.reserving},
    )
    for worker_id, entry in state.workers.items():
        pool.offers[worker_id, entry.incarnation] = Offer(dict(entry.capacity), entry.agent_types)
    for name, booking in state.bookings.items():
        amounts = counted(booking.amounts)
        pool.bookings[name] = Booking(booking.worker_id, amounts, booking.starts_at, booking.expires_at)
    for name, kept in state.reservations.items():
        worker = (kept.worker_id, pool.incarnation(kept.worker_id))
        claim = _own(counted(kept.amounts), kept.shared)
        pool.reservations[name] = Reservation(worker, claim, Share(kept.shared, {}), kept.expires_at)
        _take(pool, worker, claim, kept.shared)
    for key, held in state.held_back.items():
        fence, since = int(key.removeprefix(_RATE)), held.due_at - held.lease_ms
        back = HeldBack(held.amounts, since, held.lease_ms, held.worker_id)
        pool.held_back[fence, key.startswith(_RATE)] = back
        _share(pool, held.amounts)
    for allocation_id, grant in sorted(state.grants.items(), key=lambda item: item[1].fence):
        book.allocations[allocation_id] = _allocation(pool, state.pool, allocation_id, grant)


def _allocation(pool: Pool, name: str, allocation_id: str, grant: Grant) -> Allocation:
    worker = (grant.worker_id, grant.incarnation)
    offer, own = pool.offers.get(worker), _own(counted(grant.amounts), grant.shared)
    claim = offer.claim(grant.agent_type, own) if offer else own
    allocation = Allocation(
        name,
        grant.holder.execution_id,
        grant.holder.client_id,
        worker,
        claim,
        Share(grant.shared, {}),
        grant.fence,
        grant.fence + grant.hands,
        grant.hands_until,
        0,
        is_revoked=grant.is_revoked,
    )
    # What is pool-wide about a revoked one is among what is held back.
    _take(pool, worker, claim, {} if grant.is_revoked else grant.shared)
    if not grant.is_revoked:
        granted = AllocationGranted(
            allocation_id,
            grant.holder,
            grant.agent_type,
            *worker,
            grant.fence,
            grant.amounts,
            terms=grant.terms,
        )
        for _excess in accounts.enter(pool, allocation, granted, is_part=False):
            # A bound that was lowered since is exceeded by what was granted before.
            pass
    return allocation


def _own(amounts: Thousandths, shared: Thousandths) -> Thousandths:
    return {name: amount for name, amount in amounts.items() if name not in shared and limited(name) is None}


def _take(pool: Pool, worker: tuple[str, int], claim: Thousandths, shared: Thousandths) -> None:
    offer = pool.offers.get(worker)
    if offer is not None:
        offer.taken.update(claim)
    _share(pool, shared)


def _share(pool: Pool, amounts: Thousandths) -> None:
    for name, amount in amounts.items():
        pool.shared[counter_of(name)] += amount
