"""An export takes from a pool's log what concerns its executions, and reads that log once."""

from __future__ import annotations

from collections.abc import Sequence

from talka_protocols.commit import Commit, Decision, commit_id, encode_commit
from talka_protocols.events import (
    AllocationFreed,
    AllocationGranted,
    Event,
    GangGranted,
    Holder,
    PoolConfigured,
    WorkerJoined,
    WorkerLost,
)
from talka_protocols.ports import StoredCommit
from talka_protocols.subjects import POOL, LogName
from talka_services.exports.pools import PoolCommits
from talka_services.memory import MemoryLog

NAME = LogName(POOL, "-", "default")


class CountedLog(MemoryLog):
    """Counts how often it is read."""

    reads = 0

    async def read(self, log: LogName, after: int = 0) -> Sequence[StoredCommit]:
        """Return the commits behind a position."""
        self.reads += 1
        return await super().read(log, after)


def granted(execution_id: str, worker_id: str) -> AllocationGranted:
    """Return a grant of a task's resources."""
    holder = Holder(execution_id, "t", 1)
    return AllocationGranted(f"{execution_id}/t/1", holder, "python", worker_id, 1, 1)


async def recorded(*commits: Sequence[Event]) -> tuple[CountedLog, list[int]]:
    """Return a pool's log of these commits, and their positions."""
    log, position, version = CountedLog(), 0, 1
    positions: list[int] = []
    for events in commits:
        body = encode_commit(Commit(version, 1_000, 1, (Decision("cause", tuple(events)),)))
        position = await log.append(NAME, position, body, commit_id(NAME, version, 1, body))
        positions.append(position)
        version += len(events)
    return log, positions


async def test_what_others_got_of_a_worker_is_left_out() -> None:
    """What workers there are and what the pool has is taken, and what it did for others is not."""
    log, positions = await recorded(
        [PoolConfigured()],
        [WorkerJoined("w1", 1, ("python",), 4, {})],
        [WorkerJoined("w2", 1, ("python",), 4, {})],
        [granted("mine", "w1"), granted("other", "w1")],
        [granted("other", "w1")],
        [GangGranted("gang", (granted("other", "w2"), granted("mine", "w2")))],
        [AllocationFreed("other/t/1", Holder("other", "t", 1))],
        [AllocationFreed("mine/t/1", Holder("mine", "t", 1))],
        [WorkerLost("w1", 1)],
    )
    pools = PoolCommits(log)
    found = [commit.position for commit in await pools.about("default", ["mine"])]
    assert found == [positions[place] for place in (0, 1, 2, 3, 5, 7, 8)]


async def test_each_log_is_read_once() -> None:
    """However many executions are exported, the pool's log is read and decoded once."""
    log, positions = await recorded([granted("a", "w1")], [granted("b", "w1")])
    pools = PoolCommits(log)
    for place, name in enumerate(("a", "b")):
        assert [each.position for each in await pools.about("default", [name])] == [positions[place]]
    assert await pools.about("default", ["unknown"]) == []
    assert log.reads == 1
