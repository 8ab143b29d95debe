"""What every `Leases` promises, run over every implementation."""

from __future__ import annotations

import asyncio

import pytest

from talka_protocols.ports import Leases
from talka_services.jetstream.connection import Connection
from talka_services.jetstream.leases import JetStreamLeases
from talka_services.memory import MemoryLeases


@pytest.fixture(params=["memory", "jetstream"])
def leases(request: pytest.FixtureRequest, connection: Connection) -> Leases:
    """Each implementation in turn."""
    if request.param == "memory":
        return MemoryLeases()
    return JetStreamLeases(connection, ttl_s=1)


async def test_lease_is_held_until_released(leases: Leases) -> None:
    """A lease is held from the start, and lost once it was released."""
    lease = await leases.acquire("shard.1", "me")
    assert lease.is_held()
    await lease.release()
    assert not lease.is_held()
    await asyncio.wait_for(lease.lost(), 5)


async def test_lease_has_one_owner_at_a_time(leases: Leases) -> None:
    """A second taker waits for as long as the first renews, then gets the name with a larger epoch."""
    first = await leases.acquire("shard.1", "me")
    second = asyncio.create_task(leases.acquire("shard.1", "you"))
    await asyncio.wait([second], timeout=1.5)
    assert not second.done()
    assert first.is_held()
    await first.release()
    lease = await asyncio.wait_for(second, 10)
    assert lease.is_held()
    assert lease.epoch > first.epoch
    await lease.release()


async def test_leases_of_different_names_are_independent(leases: Leases) -> None:
    """Holding one name does not keep anybody from another."""
    first, second = await leases.acquire("shard.1", "me"), await leases.acquire("shard.2", "you")
    assert first.is_held()
    assert second.is_held()
    await first.release()
    await second.release()
