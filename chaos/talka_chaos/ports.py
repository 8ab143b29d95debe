"""The ports as one process of a world sees them: slow, forgetful, and deadly now and then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from typing import Protocol

from talka_chaos.virtual_loop import at_once
from talka_chaos.world import World
from talka_protocols.errors import ServerUnavailableError, TalkaError
from talka_protocols.ports import Delivery, Heap, StoredCommit
from talka_protocols.subjects import LogName
from talka_services.memory import MemoryInbox

REDELIVERY_S = 3.0


class Mortal(Protocol):
    """A process that can die at any call it makes, and be cut off from everybody until some time."""

    cut_until_s: float

    def crash(self) -> None:
        """Die now."""
        ...


async def survive(world: World, process: Mortal) -> None:
    """Return when the process is in contact, or die here and never return."""
    if (away_s := process.cut_until_s - world.now_s()) > 0:
        await asyncio.sleep(away_s)
    if world.strikes("crash_at_call"):
        process.crash()
        await asyncio.Event().wait()


class SimLog:
    """Appends that take their time and land even when their sender is dead."""

    def __init__(self, world: World, process: Mortal) -> None:
        self._world = world
        self._process = process

    async def append(self, log: LogName, after: int, body: bytes, commit_id: str) -> int:
        """Append one commit; see the port."""
        world, loop = self._world, asyncio.get_running_loop()
        await survive(world, self._process)
        answer: asyncio.Future[int] = loop.create_future()
        slow_s = world.random.uniform(0.0, 5.0) if world.strikes("slow_append") else 0.0

        def land() -> None:
            try:
                position = world.store(log, after, body, commit_id)
            except TalkaError as error:
                if not answer.done():
                    answer.set_exception(error)
                return
            loop.call_later(world.delay_s() + slow_s, reply, position)

        def reply(position: int) -> None:
            if not answer.done():
                answer.set_result(position)

        loop.call_later(world.delay_s() + world.slow_disk_s, land)
        position = await answer
        world.acknowledged.append((log, position, commit_id))
        await survive(world, self._process)
        return position

    async def read(self, log: LogName, after: int = 0) -> Sequence[StoredCommit]:
        """Return the commits behind a position."""
        await asyncio.sleep(self._world.delay_s())
        await survive(self._world, self._process)
        return await self._world.log.read(log, after)

    async def names(self, kind: str, shard: str | None = None) -> Sequence[LogName]:
        """Return the names of the logs of one kind."""
        return await self._world.log.names(kind, shard)

    def read_all(self, kinds: Collection[str]) -> AsyncGenerator[Heap]:
        """Read everything at once; see the port."""
        return self._world.log.read_all(kinds)

    def follow(self, log: LogName, after: int = 0) -> AsyncGenerator[StoredCommit]:
        """Follow a log."""
        return self._world.log.follow(log, after)


class SimPost:
    """Sends that are delayed, doubled, reordered, or answered with an error half way."""

    def __init__(self, world: World, process: Mortal) -> None:
        self._world = world
        self._process = process

    async def send(self, envelopes: Sequence[tuple[str, bytes]]) -> None:
        """Send envelopes; see the port."""
        world = self._world
        fails_at = world.random.randrange(len(envelopes)) if world.strikes("post_error") else -1
        for place, (subject, body) in enumerate(envelopes):
            await survive(world, self._process)
            if place == fails_at:
                raise ServerUnavailableError("The server does not answer.")
            world.dispatch(subject, body)
        await asyncio.sleep(world.delay_s())


class SimInbox:
    """An inbox whose acknowledgements get lost, so that deliveries come again."""

    def __init__(self, world: World, process: Mortal, subjects: Sequence[str], inner: MemoryInbox) -> None:
        self._world = world
        self._process = process
        self._subjects = subjects
        self._inner = inner
        self._readers.append(inner)

    @property
    def _readers(self) -> list[MemoryInbox]:
        return self._world.readers.setdefault(self._subjects[0], [])

    async def receive(self) -> Sequence[Delivery]:
        """Wait for deliveries."""
        deliveries = await self._inner.receive()
        await survive(self._world, self._process)
        return deliveries

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Settle deliveries, or not."""
        await survive(self._world, self._process)
        if self._world.strikes("redeliver"):
            asyncio.get_running_loop().call_later(REDELIVERY_S, self._inner.redeliver)
            return
        await self._inner.acknowledge(deliveries)

    async def close(self) -> None:
        """Stop receiving; another owner that reads the same inbox goes on."""
        at_once(self._inner.close())
        self._readers.remove(self._inner)
        for subject in self._subjects if self._readers else ():
            mailbox = self._world.post.mailbox(subject)
            if mailbox.owner is None:
                mailbox.owner, mailbox.delivered = self._readers[-1], 0
                mailbox.owner.wake.set()


def inbox_opener(world: World, process: Mortal) -> Callable[[str, str, Callable[[], None]], object]:
    """Return how a process opens inboxes."""

    async def open_inbox(kind: str, address: str, on_renewed: Callable[[], None]) -> SimInbox:
        await asyncio.sleep(world.delay_s())
        subjects = (world.names.inbox(kind, address), world.names.requests(kind, address))
        return SimInbox(world, process, subjects, world.post.open_inbox(kind, address, on_renewed))

    return open_inbox


class SimLease:
    """Sole ownership whose end its owner learns late; by its own clock it knows in time."""

    def __init__(self, leases: SimLeases, name: str, holder: str, epoch: int) -> None:
        self.name = name
        self.holder = holder
        self._leases = leases
        self._epoch = epoch
        self._is_held = True
        self._lost = asyncio.Event()

    @property
    def epoch(self) -> int:
        """Return a number that grows with every owner."""
        return self._epoch

    def is_held(self) -> bool:
        """Tell whether the name is still ours."""
        return self._is_held

    async def lost(self) -> None:
        """Return when we have noticed that it is not."""
        await self._lost.wait()

    async def release(self) -> None:
        """Give the name up."""
        self.end(0.0)

    def end(self, notice_s: float) -> None:
        """End the lease; its owner is told ``notice_s`` later."""
        if self._is_held:
            self._is_held = False
            self._leases.free(self)
            asyncio.get_running_loop().call_later(notice_s, self._lost.set)


class SimLeases:
    """Hands out leases, first come first served; a dead holder's lease runs out."""

    def __init__(self, world: World) -> None:
        self.held: dict[str, SimLease] = {}
        self._world = world
        self._freed = asyncio.Event()
        self._epoch = 0

    async def acquire(self, name: str, holder: str) -> SimLease:
        """Wait until the name is free and take it."""
        await asyncio.sleep(self._world.delay_s())
        while name in self.held:
            await self._freed.wait()
        self._epoch += 1
        lease = self.held[name] = SimLease(self, name, holder, self._epoch)
        self._world.note("lease", name, holder, self._epoch)
        return lease

    def free(self, lease: SimLease) -> None:
        """Let the next in line have the name."""
        if self.held.get(lease.name) is lease:
            del self.held[lease.name]
        freed, self._freed = self._freed, asyncio.Event()
        freed.set()
