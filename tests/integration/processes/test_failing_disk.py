"""A server whose disk fails has messages in memory that it will not have when it starts again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from talka_chaos.processes import NATS, Cluster
from talka_chaos.scenarios.disks import Disk
from talka_chaos.scenarios.scenario import Need, missing
from talka_protocols.subjects import EXECUTION, LogName
from talka_services.jetstream.connection import connect
from talka_services.jetstream.log import JetStreamLog
from talka_services.jetstream.topology import ensure_topology

NAME = LogName(EXECUTION, "0", "e")
BEFORE = 20
FAILED_S = 4.0

# The kernel itself may lie about the one write that is under way while it gives up on a file system.
pytestmark = [pytest.mark.nightly, pytest.mark.xdist_group("scenarios")]


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[Disk]:
    """A disk of the test's own."""
    if lacking := missing(frozenset({Need.LINUX, Need.ROOT})):
        pytest.skip(f"this machine lacks {'; '.join(lacking)}")
    disk = Disk(tmp_path)
    await disk.make()
    yield disk
    await disk.unmount()


async def test_what_was_not_stored_is_neither_acknowledged_nor_shown(tmp_path: Path, disk: Disk) -> None:
    """Each position that was given is there after the restart, and whatever was read is still read then."""
    cluster = Cluster(tmp_path, store=disk.store)
    await cluster.start(NATS)
    connection = await connect(cluster.url, "test")
    await ensure_topology(connection)
    log, given, shown, enough = JetStreamLog(connection), [0], [0], asyncio.Event()

    async def write() -> None:
        while True:
            given.append(await log.append(NAME, given[-1], b"x", f"commit-{len(given)}"))
            if len(given) > BEFORE:
                enough.set()

    async def read() -> None:
        while True:
            shown.extend(commit.position for commit in await log.read(NAME, shown[-1]))
            await asyncio.sleep(0.001)

    working = [asyncio.create_task(write()), asyncio.create_task(read())]
    try:
        await enough.wait()
        await disk.fail()
        await asyncio.sleep(FAILED_S)
        promised = {*given[1:], *shown[1:]}
    finally:
        for task in working:
            task.cancel()
        await asyncio.wait(working)
        await connection.close()
        cluster[NATS].kill()
    await disk.unmount()
    await disk.repair()
    await disk.mount()
    await cluster.start(NATS)
    again = await connect(cluster.url, "test")
    try:
        kept = {commit.position for commit in await JetStreamLog(again).read(NAME)}
    finally:
        await again.close()
        cluster.discard()
    assert len(promised) >= BEFORE
    assert promised <= kept
