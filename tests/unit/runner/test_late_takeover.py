"""Goal: an owner that is slow to take over never writes behind the back of the one after it."""

from __future__ import annotations

from typing import Any

import pytest

from talka_core.resource import RESOURCE
from talka_protocols.errors import ConflictError
from talka_protocols.events import PoolOwnershipTaken
from talka_protocols.ports import Inbox
from talka_protocols.subjects import POOL, Names
from talka_services.memory import MemoryBlobs, MemoryLeases, MemoryLog, MemoryPost, MemorySnapshots
from talka_services.runner.definitions import Definitions
from talka_services.runner.journal import StoredJournal
from talka_services.runner.ports import Ports
from talka_services.runner.roster import Roster
from talka_services.runner.states import LeaseLostError, States


@pytest.fixture
def ports() -> Ports:
    """Ports in memory."""
    names = Names("test")
    post = MemoryPost(names)

    async def open_inbox(kind: str, address: str, on_renewed: Any) -> Inbox:
        return post.open_inbox(kind, address, on_renewed)

    return Ports(
        MemoryLog(), MemorySnapshots(), post, MemoryBlobs(), MemoryLeases(), open_inbox, names, shards=1
    )


async def test_shard_is_not_taken_over_in_an_older_epoch(ports: Ports) -> None:
    """An owner whose lease was lost before it read the shard's log leaves it to its successor."""
    await Roster("scheduler", "0", ports, epoch=6).take_over("new")
    with pytest.raises(ConflictError):
        await Roster("scheduler", "0", ports, epoch=5).take_over("old")


async def test_pool_is_not_taken_over_in_an_older_epoch(ports: Ports) -> None:
    """An owner whose lease was lost before it read the pool's log leaves it to its successor."""
    for epoch, is_late in ((6, False), (5, True)):
        definitions = Definitions(ports.blobs)
        states = States(
            RESOURCE, StoredJournal(POOL, "-", ports, definitions), definitions, ports.clock, None
        )
        await states.load("p")
        if is_late:
            with pytest.raises(LeaseLostError):
                await states.record("p", PoolOwnershipTaken(epoch), epoch)
        else:
            await states.record("p", PoolOwnershipTaken(epoch), epoch)
