"""Which workers are gone for good, so that nothing needs their logs any more."""

from __future__ import annotations

from talka_core.resource import PoolRecord


def is_known(pool: PoolRecord, worker_id: str) -> bool:
    """Tell whether a pool knows a worker: as one that is there or was lost, or by what is held on it."""
    held = (pool.grants, pool.reservations, pool.bookings, pool.held_back)
    return (
        worker_id in pool.workers
        or worker_id in pool.lost
        or any(each.worker_id == worker_id for entries in held for each in entries.values())
    )
