"""What a pool has now, as a simulation needs it."""

from __future__ import annotations

from talka_core.simulation import Offer, Staff
from talka_core.status import inventory_of
from talka_protocols.errors import CallerError
from talka_protocols.workflow import ResourceInventory
from talka_services.client.histories import Histories


async def staff_of(histories: Histories, pool: str) -> Staff:
    """Return the workers of a pool, what it has as a whole, its quotas, and its strategy.

    Raises:
        CallerError: nobody is there whom anything could run on.
    """
    inventory = inventory_of(await histories.pool(pool))
    if not (offers := offers_of(inventory)):
        raise CallerError(
            f"The pool {pool!r} has no worker to simulate with.",
            hint="Start one, or say what workers would offer; `talka pools` shows the pools.",
        )
    shared = {name: whole.capacity for name, whole in inventory.shared.items()}
    quotas = {tenant: share.quota for tenant, share in inventory.tenants.items()}
    return Staff(offers, shared, quotas, inventory.strategy)


def offers_of(inventory: ResourceInventory) -> tuple[Offer, ...]:
    """Return the workers of a pool that take tasks."""
    staying = (worker for worker in inventory.workers if not worker.is_draining)
    return tuple(Offer(worker.capacity, worker.slots, labels=worker.labels) for worker in staying)
