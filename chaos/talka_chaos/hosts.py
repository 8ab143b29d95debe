"""The processes of a world: each lives, dies and lives again, and runs the real actors.

They stand where ``services/service`` puts real processes: an owner competes for
an address and runs an actor there; a worker enlists, beats and runs attempts
through the real launcher with an executor that only lets time pass.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

import msgspec

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.ports import SimLease, SimLeases, SimLog, SimPost, inbox_opener
from talka_chaos.world import World
from talka_core.behaviour import Behaviour, Effect, Enlist, Launch, Stop
from talka_core.planner import PLANNER
from talka_core.resource import RESOURCE
from talka_core.resource.state import thousandths
from talka_core.scheduler import SCHEDULER
from talka_core.worker import WORKER_BEHAVIOUR, WorkerRecord
from talka_protocols.commit import Commit, Decision, commit_id, decode_commit, encode_commit
from talka_protocols.errors import PlatformError, TaskFailedError
from talka_protocols.events import PoolOwnershipTaken, WorkerRegistered
from talka_protocols.messages import (
    Enlisted,
    Envelope,
    Letter,
    Message,
    Parcel,
    Recipient,
    RegisterWorker,
    RejoinWorker,
    encode_envelope,
)
from talka_protocols.ports import Attempt
from talka_protocols.subjects import WORKER, LogName
from talka_services.executors.registry import Executors
from talka_services.runner.actor import Actor, Address
from talka_services.runner.definitions import Definitions
from talka_services.runner.journal import StoredJournal, VolatileJournal
from talka_services.runner.ports import OpenInbox, Ports
from talka_services.runner.roster import Roster
from talka_services.runner.states import LeaseLostError
from talka_services.service.launcher import Launcher
from talka_services.service.liveness import HEARTBEAT_S, Heartbeat, Liveness

SHARDS = 2
POOL_ID = "default"

BEHAVIOURS: dict[Recipient, Behaviour[Any, Any, Any]] = {
    Recipient.PLANNER: PLANNER,
    Recipient.SCHEDULER: SCHEDULER,
    Recipient.RESOURCE: RESOURCE,
    Recipient.WORKER: WORKER_BEHAVIOUR,
}


class Process:
    """Something that lives until it crashes, and comes back."""

    def __init__(self, name: str, world: World, leases: SimLeases, sizes: tuple[int, int]) -> None:
        self.name = name
        self.world = world
        self.leases = leases
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
            await asyncio.sleep(self.world.random.uniform(0.1, 2.0))

    async def live(self) -> None:
        """Do what this process is for."""
        raise NotImplementedError

    def crash(self) -> None:
        """Die now; what was sent is on its way, and leases run out."""
        if self._life is not None and not self._life.done():
            self.world.note("crash", self.name)
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
            clock=self.world,
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
            on_tick=(lambda entries: watch.check(entries[POOL_ID].state, is_connected=True))
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


class PassingTime:
    """An executor that sleeps as long as the task is estimated to take, and fails now and then."""

    def __init__(self, world: World, cores: float) -> None:
        self._world = world
        self._capacity = thousandths({"cpu_cores": cores})["cpu_cores"]
        self._used = 0

    async def execute(self, attempt: Attempt) -> int:
        """Let the time pass and return the attempt's number; stopping takes a while too."""
        used = thousandths(attempt.task.resources.amounts()).get("cpu_cores", 0)
        self._used += used
        self._world.overloads += self._used > self._capacity
        try:
            return await self._pass(attempt)
        finally:
            self._used -= used

    async def _pass(self, attempt: Attempt) -> int:
        try:
            await asyncio.sleep(attempt.task.estimated_seconds or 0.0)
        except asyncio.CancelledError:
            if self._world.strikes(0.5):
                await asyncio.sleep(self._world.random.uniform(0.0, 2.0))
            raise
        if self._world.strikes(self._world.faults.task_failure):
            raise TaskFailedError("The task failed, as drawn.")
        return attempt.attempt

    async def close(self) -> None:
        """Hold nothing."""


class WorkerProcess(Process):
    """One worker: enlists, beats, runs attempts, and forgets everything when it dies."""

    def __init__(
        self, worker_id: str, cores: float, world: World, leases: SimLeases, sizes: tuple[int, int]
    ) -> None:
        super().__init__(worker_id, world, leases, sizes)
        self._offer = RegisterWorker(POOL_ID, worker_id, 0, (AGENT_TYPE,), 8, {"cpu_cores": cores})

    async def live(self) -> None:
        """Live one process's life."""
        await _WorkerLife(self, self._offer).live()


class _WorkerLife:
    """What one process of a worker knows."""

    def __init__(self, process: WorkerProcess, offer: RegisterWorker) -> None:
        self.world = process.world
        self._ports = ports = process.ports()
        self._id = offer.worker_id
        self._name = LogName(WORKER, "-", self._id)
        self._state = WorkerRecord(self._id, offer=offer)
        self._actor = Actor(
            BEHAVIOURS[Recipient.WORKER],
            Address(Recipient.WORKER, self._id),
            ports,
            VolatileJournal(WORKER, self._state),
            perform=self._perform,
        )
        executors = Executors()
        executors.register(AGENT_TYPE, PassingTime(self.world, offer.capacity["cpu_cores"]))
        self._launcher = Launcher(self._id, executors, ports.blobs, ports.clock, self._actor.tell)
        self._enlisting: asyncio.Task[None] | None = None

    async def live(self) -> None:
        """Enlist, then serve until the end."""
        tasks: list[asyncio.Task[None]] = []
        try:
            await self._enlist()
            tasks = [asyncio.create_task(self._actor.run()), asyncio.create_task(self._beat())]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            await next(task for task in tasks if task.done())
        finally:
            ending = [*tasks, *([self._enlisting] if self._enlisting else [])]
            for task in ending:
                task.cancel()
            if ending:
                await asyncio.wait(ending)
            await self._launcher.close()

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Launch():
                self._launcher.launch(effect.start)
            case Stop():
                key = (effect.execution_id, effect.task_id, effect.attempt)
                self._launcher.stop(*key, is_forced=effect.is_forced)
            case Enlist():
                if self._enlisting is None or self._enlisting.done():
                    self._enlisting = asyncio.create_task(self._enlist())
            case _:
                raise AssertionError(f"a worker performs no {type(effect).__name__}")

    async def _enlist(self) -> None:
        stored = await self._ports.log.read(self._name)
        commits = [decode_commit(item.log, item.body) for item in stored]
        events = [event for commit in commits for _, _, event in commit.events()]
        last = max((e.incarnation for e in events if isinstance(e, WorkerRegistered)), default=0)
        incarnation = max(last, self._state.incarnation) + 1
        event = WorkerRegistered(incarnation, POOL_ID)
        commit: Commit[Any] = Commit(len(events) + 1, self.world.now_ms(), 0, (Decision("worker", (event,)),))
        body = encode_commit(commit)
        after = stored[-1].position if stored else 0
        await self._ports.log.append(self._name, after, body, commit_id(self._name, commit.version, 0, body))
        self._actor.epoch = incarnation
        self._actor.tell(Enlisted(self._id, incarnation))

    async def _beat(self) -> None:
        while True:
            if self._state.is_admitted and not self.world.strikes(self.world.faults.heartbeat_loss):
                body = msgspec.json.encode(Heartbeat(self._id, self._state.incarnation))
                for hear in list(self.world.listeners.values()):
                    asyncio.get_running_loop().call_later(self.world.delay_s(), hear, body)
            await asyncio.sleep(HEARTBEAT_S)
