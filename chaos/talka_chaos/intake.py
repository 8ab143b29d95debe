"""The process of a world that takes outside events in: the real intake, over ports that fail."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from talka_chaos.events import Arrived
from talka_chaos.hosts import OwnerProcess
from talka_chaos.ports import SimLease, SimLeases, survive
from talka_chaos.world import World
from talka_core.trigger.expressions import matches
from talka_protocols.messages import Recipient
from talka_protocols.subjects import TRIGGER
from talka_services.service.intake import Intake


class IntakeProcess(OwnerProcess):
    """Competes for the stream of events, and takes them in while it holds the lease."""

    def __init__(self, name: str, world: World, leases: SimLeases, sizes: tuple[int, int]) -> None:
        super().__init__(Recipient.TRIGGER, "events", name, world, leases, sizes)

    async def _own(self, lease: SimLease) -> None:
        await Intake(self.ports(), SimStream(self.world, self), SimCatalogue(self.world, self), lease).run()
        lease.end(0.0)


class SimStream:
    """Events in order, and a memory of how far they were taken in, which a crash may keep unwritten."""

    def __init__(self, world: World, process: OwnerProcess) -> None:
        self._world = world
        self._process = process
        self._position = 0

    async def begin(self) -> None:
        """Read on behind what has been taken in."""
        await asyncio.sleep(self._world.delay_s())
        self._position = self._world.events.settled

    async def next(self) -> Sequence[tuple[int, Arrived]]:
        """Wait until something arrives."""
        stream = self._world.events
        while not (arrived := stream.behind(self._position)):
            stream.wake.clear()
            await stream.wake.wait()
        await survive(self._world, self._process)
        self._position = arrived[-1][0]
        return arrived

    async def settle(self, position: int) -> None:
        """Remember how far events have been taken in."""
        await asyncio.sleep(self._world.delay_s())
        await survive(self._world, self._process)
        self._world.note("taken in", position)
        self._world.events.settled = position
        self._world.events.taken_in = max(self._world.events.taken_in, position)
        self._world.events.settled_at_s = self._world.now_s()

    async def close(self) -> None:
        """Stop reading."""


class SimCatalogue:
    """The triggers as their logs have them when asked to catch up."""

    def __init__(self, world: World, process: OwnerProcess) -> None:
        self._world = world
        self._process = process
        self._on: dict[str, str] = {}

    async def catch_up(self) -> None:
        """Know every trigger that is recorded now."""
        states = self._world.book.of_kind(TRIGGER)
        self._on = {name: state.trigger.on for name, state in states.items() if state.trigger is not None}
        await asyncio.sleep(self._world.delay_s())
        await survive(self._world, self._process)

    def names_for(self, kind: str) -> Sequence[str]:
        """Return the names of the triggers that are on a type."""
        return [name for name, on in self._on.items() if matches(on, kind)]

    async def close(self) -> None:
        """Stop reading."""
