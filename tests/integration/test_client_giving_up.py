"""Callers that give up, or release at once from two places, on the embedded platform."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from talka import ResourceRequirements, Task, local
from talka_protocols.events import AllocationFreed
from talka_protocols.subjects import POOL, LogName

LICENCE = ResourceRequirements(custom_resources={"licence": 1.0})


async def test_who_gives_up_waiting_leaves_no_request_behind(tmp_path: Path) -> None:
    """The caller's own time-out withdraws the request, while the client goes on holding something else."""
    async with local(data_dir=tmp_path, durability="process", capacity={"licence": 1.0}) as talka:
        held = await talka.resources.allocate_resources(Task("held", "sleep", resources=LICENCE))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await talka.resources.allocate_resources(Task("late", "sleep", resources=LICENCE))
        assert talka.resources.held == {held.allocation_id}
        async with (
            asyncio.timeout(20),
            aclosing(talka.histories.follow_commits(LogName(POOL, "-", "default"))) as commits,
        ):
            async for _position, commit in commits:
                freed = [event for _, _, event in commit.events() if isinstance(event, AllocationFreed)]
                if any("/late/" in event.allocation_id for event in freed):
                    break
        assert (await talka.resources.get_available_resources()).waiting == 0


async def test_two_releases_at_once_both_return(tmp_path: Path) -> None:
    """Releasing from two places at once frees once, and neither caller is left without an answer."""
    async with local(data_dir=tmp_path, durability="process", capacity={"licence": 1.0}) as talka:
        held = await talka.resources.allocate_resources(Task("held", "sleep", resources=LICENCE))
        async with asyncio.timeout(8):
            await asyncio.gather(*(talka.resources.release_resources(held) for _ in range(3)))
        inventory = await talka.resources.get_available_resources()
        assert all(worker.free == worker.capacity for worker in inventory.workers)
        events = [
            event
            for _, commit in await talka.histories.commits(LogName(POOL, "-", "default"))
            for _, _, event in commit.events()
        ]
        assert len([event for event in events if isinstance(event, AllocationFreed)]) == 1
