"""The workers of a world: each enlists, beats, runs attempts by letting time pass, and dies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from msgspec import Struct
from msgspec.structs import replace

from talka_chaos.branches import added_by
from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.hosts import BEHAVIOURS, POOL_ID, Process
from talka_chaos.labelled import label_faults, offer_of
from talka_chaos.ports import SimLeases
from talka_chaos.runs import failure_of
from talka_chaos.trouble import give_trouble, pass_time, resist
from talka_chaos.witnesses import Witness
from talka_chaos.world import World
from talka_core.behaviour import Confirm, Effect, Enlist, Launch, Stop
from talka_core.resource.state import thousandths
from talka_core.worker import WorkerRecord
from talka_protocols.commit import Commit, Decision, commit_id, decode_commit, encode_commit
from talka_protocols.errors import TaskFailedError
from talka_protocols.events import WorkerRegistered
from talka_protocols.messages import ContactLost, ContactMade, Enlisted, Recipient, RegisterWorker
from talka_protocols.ports import Attempt
from talka_protocols.subjects import WORKER, LogName
from talka_services.executors.registry import Executors
from talka_services.executors.stopping import uninterrupted
from talka_services.jetstream.connection import Connection
from talka_services.jetstream.connection import Message as Wired
from talka_services.runner.actor import Actor, Address
from talka_services.runner.journal import VolatileJournal
from talka_services.service.contact import Contact
from talka_services.service.launcher import Launcher
from talka_services.service.liveness import HEARTBEAT_S, Heartbeat

SLOW_STOP = 0.5
SLOW_STOP_S = 2.8
"""How long an attempt may take to stop: less than the lease for which pool-wide amounts are held back."""


class PassingTime:
    """An executor that sleeps as long as the task is estimated to take, and fails now and then.

    In between it saves how far it is, as often as the payload says, and goes on from there.
    """

    def __init__(self, world: World, capacity: dict[str, float], kill: Callable[[], None]) -> None:
        self._world = world
        self._kill = kill
        self._capacity = thousandths(capacity)

    async def execute(self, attempt: Attempt) -> Any:
        """Let the time pass and return the attempt's number; stopping takes a while too."""
        use = self._world.runs.begin(attempt, self._capacity)
        self._world.runs.faults.extend(label_faults(attempt))
        try:
            return await self._pass(attempt)
        finally:
            self._world.runs.end(use)

    async def _pass(self, attempt: Attempt) -> Any:
        try:
            await self._work(attempt, attempt.task.payload.get("saves", 0))
        except asyncio.CancelledError:
            await resist(attempt)
            if self._world.is_stormy and self._world.random.random() < SLOW_STOP:
                await asyncio.sleep(self._world.random.uniform(0.0, SLOW_STOP_S))
            raise
        if attempt.meter is not None:
            attempt.meter.add_cpu(attempt.task.estimated_seconds or 0.0)
        if self._world.is_out() or self._world.strikes("task_failure"):
            raise TaskFailedError(failure_of(attempt.attempt))
        if attempt.progress is not None:
            await self._world.saves.touch(attempt)
        return added_by(attempt)

    async def _work(self, attempt: Attempt, saves: int) -> None:
        saved = self._world.saves
        await give_trouble(attempt, self._die, self._world.silent)
        for number in range(saved.begin(attempt), saves + 1):
            await pass_time(attempt, (attempt.task.estimated_seconds or 0.0) / (saves + 1))
            if number < saves:
                await saved.save(attempt, number + 1)

    def _die(self, attempt: Attempt) -> None:
        self._world.killed(attempt)
        self._kill()

    async def close(self) -> None:
        """Hold nothing."""


class Acknowledgement(Struct):
    """What the pool's owner answers to a heartbeat: nothing but that it was heard."""

    subject: str = ""
    reply: str = ""
    data: bytes = b""
    headers: dict[str, str] | None = None


class Line:
    """How heartbeats reach whoever owns the pool, and are acknowledged: both ways can fail."""

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process

    async def ask(
        self, _subject: str, body: bytes, arrival: Callable[[int, Wired | None], None], index: int = 0
    ) -> str:
        """Send a heartbeat; see ``Connection``."""
        world, loop = self._world, asyncio.get_running_loop()
        if self._is_lost():
            return ""

        def heard(hear: Callable[[bytes], object]) -> None:
            if hear(body) and not self._is_lost():
                loop.call_later(world.delay_s(), arrival, index, Acknowledgement())

        for hear in list(world.listeners.values()):
            loop.call_later(world.delay_s(), heard, hear)
        return ""

    def _is_lost(self) -> bool:
        is_away = self._process.cut_until_s > self._world.now_s()
        return self._world.strikes("heartbeat_loss") or is_away

    def forget(self, _token: str) -> None:
        """Take a late answer all the same."""


class WorkerProcess(Process):
    """One worker: enlists, beats, runs attempts, and forgets everything when it dies."""

    def __init__(
        self, worker_id: str, cores: float, world: World, leases: SimLeases, sizes: tuple[int, int]
    ) -> None:
        super().__init__(worker_id, world, leases, sizes)
        self._offer = offer_of(POOL_ID, worker_id, 8, cores)
        self.witness = Witness(worker_id, POOL_ID, world)

    def offer_elastically(self) -> None:
        """Offer what may be drained when fewer workers are wanted."""
        self._offer = replace(self._offer, is_elastic=True)

    async def live(self) -> None:
        """Live one process's life."""
        try:
            await WorkerLife(self, self._offer).live()
        finally:
            self.witness.see_the_end()


class WorkerLife:
    """What one process of a worker knows."""

    def __init__(self, process: WorkerProcess, offer: RegisterWorker) -> None:
        self.world = process.world
        self._witness = process.witness
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
        self._contact = Contact(cast("Connection", Line(self.world, process)), "", self._contact_changed)
        executors = Executors()
        executors.register(AGENT_TYPE, PassingTime(self.world, offer.capacity, process.crash))
        self._launcher = Launcher(self._id, executors, ports.blobs, ports.clock, self._actor.tell)
        self._enlisting: asyncio.Task[None] | None = None

    async def live(self) -> None:
        """Enlist, then serve until the end."""
        tasks: list[asyncio.Task[None]] = []
        try:
            await self._enlist()
            serving = (self._actor.run(), self._beat(), self._contact.watch())
            tasks = [asyncio.create_task(each) for each in serving]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            await next(task for task in tasks if task.done())
        finally:
            # Whoever dies cannot be killed once more in the middle of it, leaving attempts behind.
            await uninterrupted(self._end([*tasks, *([self._enlisting] if self._enlisting else [])]))

    async def _end(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._launcher.close()

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Launch():
                self._launcher.launch(effect.start)
            case Stop():
                key = (effect.execution_id, effect.task_id, effect.attempt)
                self._launcher.stop(*key, is_forced=effect.is_forced)
            case Confirm():
                self._launcher.confirm(effect.confirmation)
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
        self._witness.expect(incarnation)
        self._actor.epoch = incarnation
        self._contact.begin(self.world.now_s())
        self._actor.tell(Enlisted(self._id, incarnation))

    async def _beat(self) -> None:
        while True:
            if self._state.is_admitted:
                await self._contact.beat(Heartbeat(self._id, self._state.incarnation))
            await asyncio.sleep(HEARTBEAT_S)

    def _contact_changed(self, is_lost: bool) -> None:
        self._actor.tell(ContactLost(self._id) if is_lost else ContactMade(self._id))
        if is_lost:
            self._launcher.cut_off()
        else:
            self._launcher.reconnect()
