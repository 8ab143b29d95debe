"""The processes of a world: each lives, dies and lives again, and runs the real actors.

They stand where ``services/service`` puts real processes: an owner competes for
an address and runs an actor there. Workers are in ``workers``.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Any, cast

from talka_chaos.ports import SimLease, SimLeases, SimLog, SimPost, inbox_opener
from talka_chaos.world import World
from talka_core.behaviour import Behaviour
from talka_core.planner import PLANNER
from talka_core.resource import RESOURCE
from talka_core.scheduler import SCHEDULER
from talka_core.starter import STARTER
from talka_core.trigger import TRIGGER_BEHAVIOUR
from talka_core.worker import WORKER_BEHAVIOUR
from talka_protocols.errors import PlatformError
from talka_protocols.events import PoolOwnershipTaken
from talka_protocols.messages import (
    Envelope,
    Letter,
    Message,
    Parcel,
    Recipient,
    RejoinWorker,
    encode_envelope,
)
from talka_services.runner.actor import Actor, Address
from talka_services.runner.definitions import Definitions
from talka_services.runner.journal import StoredJournal
from talka_services.runner.ports import OpenInbox, Ports
from talka_services.runner.roster import Roster
from talka_services.runner.states import LeaseLostError
from talka_services.service.liveness import Liveness

SHARDS = 2
POOL_ID = "default"

BEHAVIOURS: dict[Recipient, Behaviour[Any, Any, Any]] = {
    Recipient.PLANNER: PLANNER,
    Recipient.SCHEDULER: SCHEDULER,
    Recipient.STARTER: STARTER,
    Recipient.TRIGGER: TRIGGER_BEHAVIOUR,
    Recipient.RESOURCE: RESOURCE,
    Recipient.WORKER: WORKER_BEHAVIOUR,
}


class Clock:
    """The wall clock of one process, which may be wrong."""

    def __init__(self, world: World) -> None:
        self.ahead_ms = 0
        self._world = world

    def now_ms(self) -> int:
        """Return the milliseconds since the epoch, as this process believes."""
        return self._world.now_ms() + self.ahead_ms

    def correct(self) -> None:
        """Be right again."""
        self.ahead_ms = 0


class Process(ABC):
    """Something that lives until it crashes, and comes back."""

    def __init__(self, name: str, world: World, leases: SimLeases, sizes: tuple[int, int]) -> None:
        self.name = name
        self.world = world
        self.clock = Clock(world)
        self.leases = leases
        self.cut_until_s = 0.0
        self.rest_s = 0.0
        self._sizes = sizes
        self._life: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Live again and again."""
        while True:
            self._life = asyncio.create_task(self.live(), name=self.name)
            try:
                await asyncio.wait([self._life])
            finally:
                self._life.cancel()
            if not self._life.cancelled() and (error := self._life.exception()) is not None:
                if not isinstance(error, PlatformError):
                    self.world.surprises.append(f"{self.name}: {error!r}")
                self.world.note("stepped down", self.name, type(error).__name__)
            await asyncio.sleep(self.world.random.uniform(0.1, 2.0) + self.rest_s)
            self.rest_s = 0.0

    @abstractmethod
    async def live(self) -> None:
        """Do what this process is for."""

    def crash(self) -> None:
        """Die now; what was sent is on its way, and leases run out."""
        if self._life is not None and not self._life.done():
            self.world.note("crash", self.name)
            self.world.injected["crash"] += 1
            self._life.cancel()

    def ports(self) -> Ports:
        """Return the ports of a new life."""
        max_bytes, snapshot_every = self._sizes
        return Ports(
            log=SimLog(self.world, self),
            snapshots=self.world.snapshots,
            post=SimPost(self.world, self),
            blobs=self.world.blobs,
            leases=self.leases,
            open_inbox=cast("OpenInbox", inbox_opener(self.world, self)),
            names=self.world.names,
            shards=SHARDS,
            clock=self.clock,
            max_bytes=max_bytes,
            snapshot_every=snapshot_every,
        )


class OwnerProcess(Process):
    """Competes for one address and runs an actor there while it holds the lease."""

    def __init__(
        self, kind: Recipient, id_: str, name: str, world: World, leases: SimLeases, sizes: tuple[int, int]
    ) -> None:
        super().__init__(name, world, leases, sizes)
        self._address = Address(kind, id_)
        self._rejoins = 0

    async def live(self) -> None:
        """Hold the address once."""
        lease = await self.leases.acquire(str(self._address), self.name)
        try:
            await self._own(lease)
        except asyncio.CancelledError:
            loop = asyncio.get_running_loop()
            loop.call_later(self.world.random.uniform(0.5, 3.0), lease.end, 0.0)
            raise
        except BaseException:
            lease.end(0.0)
            raise

    async def _own(self, lease: SimLease) -> None:
        actor = self._build(lease)
        running = asyncio.create_task(actor.run(), name=f"run {self.name}")
        losing = asyncio.create_task(lease.lost(), name=f"lease {self.name}")
        try:
            await asyncio.wait((running, losing), return_when=asyncio.FIRST_COMPLETED)
            if losing.done() and not running.done():
                raise LeaseLostError(f"{self._address}: the lease is lost.")
            await running
        finally:
            for task in (running, losing):
                task.cancel()
            await asyncio.wait((running, losing))
            self.world.listeners.pop(self.name, None)

    def _build(self, lease: SimLease) -> Actor:
        kind, behaviour, ports = self._address.kind, BEHAVIOURS[self._address.kind], self.ports()
        is_pool = kind is Recipient.RESOURCE
        shard = "-" if is_pool else self._address.id

        def tell(message: Message) -> None:
            actor.tell(message)

        watch = Liveness(self._address.id, tell, self._rejoin)
        if is_pool:
            self.world.listeners[self.name] = watch.hear
        actor = Actor(
            behaviour,
            self._address,
            ports,
            StoredJournal(behaviour.log_kind, shard, ports, Definitions(ports.blobs)),
            lease=lease,
            roster=None if is_pool else Roster(kind.value, self._address.id, ports, lease.epoch),
            holder=self.name,
            claim=PoolOwnershipTaken if is_pool else None,
            on_look=(lambda entries: watch.check(entries[POOL_ID].state, is_connected=True))
            if is_pool
            else None,
        )
        return actor

    def _rejoin(self, worker_id: str, incarnation: int) -> None:
        self._rejoins += 1
        letter = Letter(f"liveness:{worker_id}:{self._rejoins}", RejoinWorker(worker_id, incarnation))
        envelope = Envelope((Parcel(f"liveness.{self.name}", 0, (letter,)),))
        subject = self.world.names.inbox(Recipient.WORKER.value, worker_id)
        self.world.dispatch(subject, encode_envelope(envelope))
