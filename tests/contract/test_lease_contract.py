"""What every `Leases` promises, run over every implementation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

import pytest
from msgspec import Struct
from tests.conftest import NatsServer
from tests.contract.simulated import calm_world

from talka_chaos.ports import SimLease, SimLeases
from talka_protocols.ports import Lease, Leases
from talka_protocols.subjects import Names
from talka_services.jetstream.connection import Connection, connect
from talka_services.jetstream.leases import JetStreamLeases
from talka_services.memory import MemoryLeases

KINDS = ("memory", "simulated", "jetstream")


class Owners(Struct):
    """One implementation as two processes see it, and how the first of them vanishes with its lease."""

    ours: Leases
    theirs: Leases
    vanish: Callable[[Lease], Awaitable[None]]


@pytest.fixture(params=KINDS)
async def owners(
    request: pytest.FixtureRequest, connection: Connection, nats_server: NatsServer, names: Names
) -> AsyncIterator[Owners]:
    """Each implementation in turn."""
    if request.param == "memory":
        memory = MemoryLeases()

        async def revoke(_lease: Lease) -> None:
            memory.revoke("shard.1")

        yield Owners(memory, memory, revoke)
    elif request.param == "simulated":
        simulated = SimLeases(calm_world(names))

        async def end(lease: Lease) -> None:
            cast("SimLease", lease).end(0.1)

        yield Owners(simulated, simulated, end)
    else:
        other = await connect(nats_server.url, "owner", names)

        async def leave(_lease: Lease) -> None:
            await other.close()

        yield Owners(JetStreamLeases(other, ttl_s=1), JetStreamLeases(connection, ttl_s=1), leave)
        await other.close()


@pytest.fixture
def leases(owners: Owners) -> Leases:
    """Each implementation as one process sees it."""
    return owners.theirs


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


async def test_one_of_many_takers_gets_a_free_name(leases: Leases) -> None:
    """However many ask at once, one has it, and each later one a larger epoch."""
    takers = [asyncio.create_task(leases.acquire("shard.1", f"taker {n}")) for n in range(4)]
    epochs: list[int] = []
    while takers:
        done, rest = await asyncio.wait(takers, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        assert len(done) == 1, "two own one name, or nobody owns it"
        lease = done.pop().result()
        assert lease.is_held()
        epochs.append(lease.epoch)
        takers = list(rest)
        await lease.release()
    assert epochs == sorted(set(epochs))


async def test_a_name_whose_owner_vanished_is_taken_over(owners: Owners) -> None:
    """Nothing was released: the lease runs out, whoever had it does not hold it when the next one does."""
    first = await owners.ours.acquire("shard.1", "gone")
    taking = asyncio.create_task(owners.theirs.acquire("shard.1", "me"))
    await owners.vanish(first)
    second = await asyncio.wait_for(taking, 20)
    assert (first.is_held(), second.is_held()) == (False, True)
    assert second.epoch > first.epoch
    await asyncio.wait_for(first.lost(), 20)
    await second.release()


async def test_leases_of_different_names_are_independent(leases: Leases) -> None:
    """Holding one name does not keep anybody from another."""
    first, second = await leases.acquire("shard.1", "me"), await leases.acquire("shard.2", "you")
    assert first.is_held()
    assert second.is_held()
    await first.release()
    await second.release()
