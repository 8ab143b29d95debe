"""The `Leases` port in memory: a lease is held until it is released or revoked."""

from __future__ import annotations

import asyncio
from collections import deque


class MemoryLease:
    """Sole ownership of a name."""

    def __init__(self, leases: MemoryLeases, name: str, holder: str, epoch: int) -> None:
        self.name = name
        self.holder = holder
        self._leases = leases
        self._epoch = epoch
        self._lost = asyncio.Event()

    @property
    def epoch(self) -> int:
        """Return a number that is larger for every later owner."""
        return self._epoch

    def is_held(self) -> bool:
        """Tell whether we still own the name."""
        return not self._lost.is_set()

    async def lost(self) -> None:
        """Return when the lease is lost for good."""
        await self._lost.wait()

    async def release(self) -> None:
        """Give the name up at once."""
        self.end()

    def end(self) -> None:
        """Lose the lease; the next in line gets it."""
        if not self._lost.is_set():
            self._lost.set()
            self._leases.hand_on(self)


class MemoryLeases:
    """Hands out leases, first come first served."""

    def __init__(self) -> None:
        self._held: dict[str, MemoryLease] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._epoch = 0

    async def acquire(self, name: str, holder: str) -> MemoryLease:
        """Wait until the name is free and take it."""
        while name in self._held:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(name, deque()).append(turn)
            await turn
        self._epoch += 1
        lease = MemoryLease(self, name, holder, self._epoch)
        self._held[name] = lease
        return lease

    def revoke(self, name: str) -> None:
        """Take a name from its holder, as if it had not been renewed in time."""
        if name in self._held:
            self._held[name].end()

    def hand_on(self, lease: MemoryLease) -> None:
        """Free the name of an ended lease and wake whoever waits for it."""
        if self._held.get(lease.name) is lease:
            del self._held[lease.name]
            for turn in self._waiting.pop(lease.name, ()):
                if not turn.done():
                    turn.set_result(None)
