"""Following a log goes on through outages, and knows what will never begin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from talka_protocols.commit import Commit, Decision, encode_commit
from talka_protocols.errors import BrokenHistoryError, ServerUnavailableError, UnknownExecutionError
from talka_protocols.events import Event, TaskReady
from talka_protocols.ports import StoredCommit
from talka_protocols.subjects import PLAN, LogName
from talka_services.client import histories as module
from talka_services.client.histories import Histories
from talka_services.memory import MemoryBlobs, MemoryLog


class BrittleLog(MemoryLog):
    """A log whose server goes away behind every commit that it yields, and a few times more."""

    outages = 0
    last_after = -1

    async def follow(self, log: LogName, after: int = 0) -> AsyncGenerator[StoredCommit]:
        """Yield one commit and fail."""
        self.outages += 1
        self.last_after = after
        if self.outages % 2:
            raise ServerUnavailableError("away")
        async for stored in super().follow(log, after):
            yield stored
            raise ServerUnavailableError("away again")

    async def read(self, log: LogName, after: int = 0) -> Sequence[StoredCommit]:
        """Fail now and then as well."""
        self.outages += 1
        if self.outages % 3 == 0:
            raise ServerUnavailableError("away")
        return await super().read(log, after)


@pytest.fixture(autouse=True)
def _in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_S", 0.001)


async def append(log: MemoryLog, name: LogName, count: int) -> None:
    """Append commits of one event each to an empty log."""
    position = 0
    for version in range(1, count + 1):
        commit: Commit[Event] = Commit(version, 0, 1, (Decision("test", (TaskReady("t"),)),))
        position = await log.append(name, position, encode_commit(commit), f"{name}-{version}")


async def test_following_goes_on_behind_the_last_commit_after_every_outage() -> None:
    """No commit is missed and none comes twice, however often the server goes away."""
    log = BrittleLog()
    histories = Histories(log, MemoryBlobs(), 1)
    name = histories.name("e")
    await append(log, name, 3)
    seen: list[int] = []
    async with asyncio.timeout(10):
        async for position, _commit in histories.follow_commits(name):
            seen.append(position)
            if len(seen) == 3:
                break
    assert seen == [1, 2, 3]
    assert log.last_after == 2


async def test_a_broken_commit_is_no_outage() -> None:
    """What cannot be read today cannot be read tomorrow, so following ends."""
    log = MemoryLog()
    histories = Histories(log, MemoryBlobs(), 1)
    name = histories.name("e")
    await log.append(name, 0, b"no commit", "c")
    with pytest.raises(BrokenHistoryError):
        await anext(histories.follow_commits(name))


async def test_an_id_that_nobody_knows_is_an_error_in_time() -> None:
    """Without a plan's or an execution's log there is nothing to wait for."""
    histories = Histories(MemoryLog(), MemoryBlobs(), 1)
    with pytest.raises(UnknownExecutionError):
        await asyncio.wait_for(histories.until_begun("nobody", 0.05), 10)


async def test_a_planned_execution_is_waited_for() -> None:
    """A plan's log promises that the execution's log will begin, however late."""
    log = MemoryLog()
    histories = Histories(log, MemoryBlobs(), 1)
    name = histories.name("e")
    await append(log, LogName(PLAN, name.shard, "e"), 1)
    waiting = asyncio.create_task(histories.until_begun("e", 0.01))
    await asyncio.wait([waiting], timeout=0.1)
    assert not waiting.done()
    await append(log, name, 1)
    await asyncio.wait_for(waiting, 10)


async def test_an_outage_does_not_make_an_execution_unknown() -> None:
    """Only a server that answers can say that there is no such execution."""
    log = BrittleLog()
    log.outages = 1
    histories = Histories(log, MemoryBlobs(), 1)
    await append(log, histories.name("e"), 1)
    await asyncio.wait_for(histories.until_begun("e", 0.0), 10)
    with pytest.raises(UnknownExecutionError):
        await asyncio.wait_for(histories.until_begun("nobody", 0.01), 10)
