"""Faults that come on top of those of every world: partitions of owners, slow disks, clocks that are wrong.

They have a stream of chance of their own, so that worlds without them stay what they were.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random

from talka_chaos.hosts import OwnerProcess, Process
from talka_chaos.ports import SimLeases
from talka_chaos.world import World

PARTITION_S = (1.0, 15.0)
LEASE_S = 2.0
"""A lease outlives its owner's last contact by this."""
SLOW_S = (1.0, 10.0)
SLOWEST_S = 3.0
WRONG_S = (1.0, 20.0)
SKEW_MS = 240_000
"""Whatever waits for the time of a log to go on waits no longer than worlds may take to come to rest."""
MEANS_S = (4.0, 12.0, 1e9)


class Harshness:
    """What else goes wrong in one world, while it is stormy."""

    def __init__(self, seed: int, world: World, leases: SimLeases) -> None:
        self._random = Random(f"harsh {seed}")  # noqa: S311  (the same for the same seed is the point)
        self._world = world
        self._leases = leases

    def begin(self, processes: Sequence[Process]) -> list[asyncio.Task[None]]:
        """Return the tasks that let things go wrong now and then."""
        owners = [process for process in processes if isinstance(process, OwnerProcess)]
        kinds: tuple[Callable[[], None], ...] = (
            lambda: self._part(self._random.choice(owners)),
            self._slow_down,
            lambda: self._skew(self._random.choice(processes)),
        )
        return [asyncio.create_task(self._now_and_then(self._random.choice(MEANS_S), each)) for each in kinds]

    async def _now_and_then(self, every_s: float, happen: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(self._random.expovariate(1.0 / every_s))
            if self._world.is_stormy:
                happen()

    def _part(self, owner: OwnerProcess) -> None:
        """Cut an owner off: it loses its lease, and learns of that when it is in contact again."""
        away_s = self._random.uniform(*PARTITION_S)
        if not self._happens("partition", owner.name):
            return
        owner.cut_until_s = self._world.now_s() + away_s
        for lease in [lease for lease in self._leases.held.values() if lease.holder == owner.name]:
            if away_s > LEASE_S:
                asyncio.get_running_loop().call_later(LEASE_S, lease.end, away_s - LEASE_S)

    def _slow_down(self) -> None:
        """Let everything that is stored take its time for a while."""
        for_s, by_s = self._random.uniform(*SLOW_S), self._random.uniform(0.1, SLOWEST_S)
        if self._happens("slow_disk"):
            self._world.slow_disk_s = by_s
            asyncio.get_running_loop().call_later(for_s, self._recover)

    def _recover(self) -> None:
        self._world.slow_disk_s = 0.0

    def _skew(self, process: Process) -> None:
        """Let the wall clock of one process be wrong for a while."""
        for_s, by_ms = self._random.uniform(*WRONG_S), self._random.randint(-SKEW_MS, SKEW_MS)
        if self._happens("clock_skew", process.name):
            process.clock.ahead_ms = by_ms
            asyncio.get_running_loop().call_later(for_s, process.clock.correct)

    def _happens(self, kind: str, *whom: str) -> bool:
        is_now = self._world.allows(kind)
        if is_now:
            self._world.injected[kind] += 1
            self._world.note(kind, *whom)
        return is_now
