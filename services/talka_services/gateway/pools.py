"""Pools and workers: what there is, and what is free."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import asdict

from talka_core.status import inventory_of
from talka_protocols.errors import RequestRefusedError
from talka_protocols.subjects import POOL, is_token
from talka_protocols.workflow import ResourceInventory, WorkerResources
from talka_services.gateway.calls import Call
from talka_services.gateway.operations import Operation


class PoolList(Struct, frozen=True):
    """All pools."""

    pools: list[ResourceInventory]


async def list_pools(call: Call) -> PoolList:
    """List the pools: their workers, what is free, and what waits."""
    names = await call.histories.names(POOL)
    return PoolList([inventory_of(await call.histories.pool(name)) for name in names])


async def get_pool(call: Call, pool: str) -> ResourceInventory:
    """Show what one pool offers now."""
    if not is_token(pool) or not (state := await call.histories.pool(pool)).version:
        raise RequestRefusedError(f"There is no pool {pool!r} here.", code="unknown_pool")
    return inventory_of(state)


class OfPool(Struct, frozen=True, forbid_unknown_fields=True):
    """Which pool."""

    pool: Annotated[str, Meta(description="Only this pool.")] = ""


class PoolWorker(WorkerResources, frozen=True, kw_only=True):
    """A worker, and its pool."""

    pool: str


class WorkerList(Struct, frozen=True):
    """All workers."""

    workers: list[PoolWorker]


async def list_workers(call: Call, query: OfPool) -> WorkerList:
    """List the workers that are there, and what is free on each."""
    names = [query.pool] if query.pool else await call.histories.names(POOL)
    inventories = [inventory_of(await call.histories.pool(name)) for name in names]
    return WorkerList(
        [
            PoolWorker(**asdict(worker), pool=inventory.pool)
            for inventory in inventories
            for worker in inventory.workers
        ]
    )


OPERATIONS = (
    Operation("GET", "/pools", list_pools, "pools"),
    Operation("GET", "/pools/{pool}", get_pool, "pools"),
    Operation("GET", "/workers", list_workers, "pools"),
)
