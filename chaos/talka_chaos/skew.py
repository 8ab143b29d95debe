"""Wall clocks of hosts that differ, and jump: what no process of a world may rely on.

They have a stream of chance of their own, so that worlds without them stay what they were.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

from talka_chaos.hosts import Process
from talka_chaos.world import World

SHARE = 0.2
MOST_MS = (500, 5_000, 60_000)
"""How far a clock is ahead or behind at most; worlds differ in that."""
JUMP_EVERY_S = (3.0, 10.0, 1e9)


class Skew:
    """The clocks of one world: those of a host are wrong by the same, and stay so when the storm is over."""

    def __init__(self, seed: int, world: World) -> None:
        self._random = Random(f"skew {seed}")  # noqa: S311  (the same for the same seed is the point)
        self._world = world
        self.is_drawn = self._random.random() < SHARE
        self._most_ms = self._random.choice(MOST_MS)
        self._jump_every_s = self._random.choice(JUMP_EVERY_S)

    def begin(self, processes: Sequence[Process]) -> list[asyncio.Task[None]]:
        """Set the clocks of all hosts, and return the task that lets them jump; none in most worlds."""
        if not self.is_drawn:
            return []
        self._world.skew_ms = 2 * self._most_ms
        hosts: dict[str, list[Process]] = {}
        for process in processes:
            hosts.setdefault(_host_of(process), []).append(process)
        for name, members in hosts.items():
            self._set(name, members, "clock_skew")
        return [asyncio.create_task(self._jump(hosts))]

    async def _jump(self, hosts: dict[str, list[Process]]) -> None:
        while True:
            await asyncio.sleep(self._random.expovariate(1.0 / self._jump_every_s))
            if self._world.is_stormy:
                name = self._random.choice(list(hosts))
                self._set(name, hosts[name], "clock_jump")

    def _set(self, name: str, members: Sequence[Process], kind: str) -> None:
        ahead_ms = self._random.randint(-self._most_ms, self._most_ms)
        if self._world.allows(kind):
            self._world.injected[kind] += 1
            self._world.note(kind, name, ahead_ms)
            for process in members:
                process.clock.ahead_ms = ahead_ms


def _host_of(process: Process) -> str:
    """Return the machine that a process is on: each kind of owner has its copies on the same two."""
    copy = process.name.rpartition("-")[2]
    return copy if copy in ("a", "b") else process.name
