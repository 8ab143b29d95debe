"""What a pool's log can begin with once its beginning has been pruned: events that say what its state says.

They are for whoever looks back. The pool itself goes on from its state, which says more: who waited how
long, and where circuit breakers and the number of workers stood.
"""

from __future__ import annotations

from collections.abc import Iterator

from talka_core.resource.state import SLOTS, PoolRecord, WorkerEntry, declaration_of, plain, queued
from talka_protocols.events import (
    AllocationGranted,
    PoolConfigured,
    PoolEvent,
    ReservationBooked,
    ReservationMade,
    WorkerDraining,
    WorkerJoined,
)


def beginning(state: PoolRecord) -> Iterator[PoolEvent]:
    """Yield how it is declared, its workers, what is reserved, what waits, and what runs, oldest first."""
    yield PoolConfigured(*declaration_of(state))
    for worker_id, entry in sorted(state.workers.items()):
        yield _joined(worker_id, entry)
        if entry.is_draining:
            yield WorkerDraining(worker_id, entry.incarnation)
    for name, booking in state.bookings.items():
        about = (booking.amounts, booking.starts_at, booking.expires_at, booking.tenant)
        yield ReservationBooked(name, booking.client_id, booking.worker_id, *about)
    for name, kept in state.reservations.items():
        yield ReservationMade(
            name, kept.client_id, kept.worker_id, kept.amounts, kept.expires_at, kept.tenant
        )
    for allocation_id, request in sorted(state.waiting.items(), key=lambda item: item[1].queued_at):
        yield queued(allocation_id, request)
    for allocation_id, grant in sorted(state.grants.items(), key=lambda item: item[1].fence):
        if not grant.is_revoked:
            yield AllocationGranted(
                allocation_id,
                grant.holder,
                grant.agent_type,
                grant.worker_id,
                grant.incarnation,
                grant.fence,
                grant.amounts,
                grant.hands,
                grant.hands_until,
                terms=grant.terms,
                rank=grant.rank,
            )


def _joined(worker_id: str, entry: WorkerEntry) -> WorkerJoined:
    of_a_type = f"{SLOTS}:"
    slots_by_agent = {
        name.removeprefix(of_a_type): amount // 1000
        for name, amount in entry.capacity.items()
        if name.startswith(of_a_type)
    }
    capacity = {name: amount for name, amount in entry.capacity.items() if not name.startswith(SLOTS)}
    return WorkerJoined(
        worker_id,
        entry.incarnation,
        entry.agent_types,
        entry.capacity[SLOTS] // 1000,
        plain(capacity),
        slots_by_agent,
        entry.labels,
        entry.is_elastic,
    )
