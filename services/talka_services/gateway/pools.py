"""Pools and workers: what there is, and what is free."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import asdict

from talka_core.resource import PoolRecord
from talka_core.resource.state import Grant
from talka_core.status import inventory_of
from talka_protocols.errors import RequestRefusedError
from talka_protocols.subjects import POOL, is_token
from talka_protocols.workflow import ResourceInventory, WorkerResources
from talka_services.gateway.calls import Call
from talka_services.gateway.operations import Operation
from talka_services.gateway.paging import Paging, paged


class PoolList(Struct, frozen=True):
    """Pools by name; ``next`` is the cursor of the next page, null at the end."""

    pools: list[ResourceInventory]
    next: str | None


async def list_pools(call: Call, query: Paging) -> PoolList:
    """List the pools: their workers, what is free, and what waits."""
    names, following = paged(await call.histories.names(POOL), str, query, str)
    return PoolList([inventory_of(await call.histories.pool(name)) for name in names], following)


async def get_pool(call: Call, pool: str) -> ResourceInventory:
    """Show what one pool offers now."""
    return inventory_of(await _known(call, pool))


class OfPool(Paging, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which pool."""

    pool: Annotated[str, Meta(description="Only this pool.")] = ""


class PoolWorker(WorkerResources, frozen=True, kw_only=True):
    """A worker, and its pool."""

    pool: str


class WorkerList(Struct, frozen=True):
    """Workers by pool and id; ``next`` is the cursor of the next page, null at the end."""

    workers: list[PoolWorker]
    next: str | None


async def list_workers(call: Call, query: OfPool) -> WorkerList:
    """List the workers that are there, and what is free on each."""
    names = [query.pool] if is_token(query.pool) else [] if query.pool else await call.histories.names(POOL)
    inventories = [inventory_of(await call.histories.pool(name)) for name in names]
    found = [
        PoolWorker(**asdict(worker), pool=inventory.pool)
        for inventory in inventories
        for worker in inventory.workers
    ]
    found.sort(key=_place)
    return WorkerList(*paged(found, _place, query, tuple[str, str]))


def _place(worker: PoolWorker) -> tuple[str, str]:
    return worker.pool, worker.worker_id


class PoolAllocation(Struct, frozen=True):
    """What one task holds of a pool, by resource; instants are Unix seconds, null where unknown.

    One that ``is_revoked`` waits only for its holder to let go.
    """

    allocation_id: str
    execution_id: str
    task_id: str
    attempt: int
    worker_id: str
    agent_type: str
    tenant: str
    amounts: dict[str, float]
    fence: int
    granted_at: float | None
    ends_at: float | None
    is_revoked: bool


class AllocationList(Struct, frozen=True):
    """Allocations by id; ``next`` is the cursor of the next page, null at the end."""

    allocations: list[PoolAllocation]
    next: str | None


async def list_allocations(call: Call, pool: str, query: Paging) -> AllocationList:
    """List who holds what of a pool now."""
    state = await _known(call, pool)
    chosen, following = paged(sorted(state.grants), str, query, str)
    return AllocationList([_allocation(name, state.grants[name]) for name in chosen], following)


def _allocation(allocation_id: str, grant: Grant) -> PoolAllocation:
    return PoolAllocation(
        allocation_id,
        grant.holder.execution_id,
        grant.holder.task_id,
        grant.holder.attempt,
        grant.worker_id,
        grant.agent_type,
        grant.terms.tenant,
        grant.amounts,
        grant.fence,
        grant.granted_at / 1000 or None,
        grant.ends_at / 1000 or None,
        grant.is_revoked,
    )


async def _known(call: Call, pool: str) -> PoolRecord:
    if not is_token(pool) or not (state := await call.histories.pool(pool)).version:
        raise RequestRefusedError(f"There is no pool {pool!r} here.", code="unknown_pool")
    return state


OPERATIONS = (
    Operation("GET", "/pools", list_pools, "pools"),
    Operation("GET", "/pools/{pool}", get_pool, "pools"),
    Operation("GET", "/pools/{pool}/allocations", list_allocations, "pools"),
    Operation("GET", "/workers", list_workers, "pools"),
)
