"""Goal: a worker that crashes is never taken for a live one, and stopping never waits for a server.

Method: workers over ports in memory, with one port that breaks or never answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from talka_protocols.errors import ConflictError
from talka_protocols.messages import AdmitWorker, ConfirmDrain, Recipient, RegisterWorker, StartTask
from talka_protocols.messages import decode_envelope as decode
from talka_protocols.ports import Attempt, Delivery, Inbox, Lease
from talka_protocols.subjects import LogName, Names
from talka_protocols.workflow import Task
from talka_services.executors.registry import Executors
from talka_services.memory import MemoryBlobs, MemoryLeases, MemoryLog, MemoryPost, MemorySnapshots
from talka_services.runner.ports import Ports
from talka_services.service import owner, worker
from talka_services.service.node import Node
from talka_services.service.owner import Owner
from talka_services.service.worker import WorkerOptions, WorkerService

PATIENCE_S = 20.0


class Silence:
    """A wire on which nobody else is."""

    is_closed = True

    async def subscribe(self, _subject: str, **_options: Any) -> None:
        """Hear nothing."""


class Line:
    """A connection on which heartbeats are heard by nobody but the test."""

    def __init__(self) -> None:
        self.names = Names()
        self.wire = Silence()
        self.is_up = asyncio.Event()
        self.is_up.set()
        self.beats: list[bytes] = []

    async def publish(self, _subject: str, _body: bytes) -> None:
        """Tell nobody."""

    async def ask(self, _subject: str, body: bytes, _arrival: Any) -> str:
        """Take a heartbeat."""
        self.beats.append(body)
        return ""

    def forget(self, _token: str) -> None:
        """Forget nothing."""

    async def close(self) -> None:
        """Stay."""


class FragileInbox:
    """An inbox that breaks when told to."""

    def __init__(self, inner: Inbox, breaking: asyncio.Event) -> None:
        self._inner = inner
        self._breaking = breaking

    async def receive(self) -> Sequence[Delivery]:
        """Receive, or break."""
        receiving = asyncio.ensure_future(self._inner.receive())
        breaking = asyncio.ensure_future(self._breaking.wait())
        try:
            await asyncio.wait((receiving, breaking), return_when=asyncio.FIRST_COMPLETED)
            if breaking.done():
                self._breaking.clear()
                raise RuntimeError("The test broke the inbox.")
            return receiving.result()
        finally:
            receiving.cancel()
            breaking.cancel()

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge."""
        await self._inner.acknowledge(deliveries)

    async def close(self) -> None:
        """Close."""
        await self._inner.close()


class Endless:
    """An executor whose attempts run until they are stopped."""

    def __init__(self) -> None:
        self.running = 0

    async def execute(self, attempt: Attempt) -> None:
        """Run for ever; stopping takes a moment."""
        assert attempt.task.agent_type == "work"
        self.running += 1
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            self.running -= 1

    async def close(self) -> None:
        """Hold nothing."""


class Silent(MemoryLog):
    """A log whose server goes away."""

    is_away = False

    async def append(self, log: LogName, after: int, body: bytes, commit_id: str) -> int:
        """Append, or never answer."""
        if self.is_away:
            await asyncio.Event().wait()
        return await super().append(log, after, body, commit_id)


class Stage:
    """The ports of one process, in memory."""

    def __init__(self) -> None:
        self.names = Names("test")
        self.log = Silent()
        self.post = MemoryPost(self.names)
        self.breaking = asyncio.Event()
        self.line = Line()
        self.executor = Endless()
        self.leases: Any = MemoryLeases()
        self._pool = self.post.open_inbox("resource", "default")

    @property
    def ports(self) -> Ports:
        """Return the ports."""

        async def open_inbox(kind: str, address: str, on_renewed: Any) -> Inbox:
            return FragileInbox(self.post.open_inbox(kind, address, on_renewed), self.breaking)

        return Ports(
            self.log,
            MemorySnapshots(),
            self.post,
            MemoryBlobs(),
            self.leases,
            open_inbox,
            self.names,
            shards=1,
            resend_s=0.05,
        )

    async def worker(self, drain_s: float = 0.0) -> WorkerService:
        """Start a worker."""
        executors = Executors()
        executors.register("work", self.executor)
        options = WorkerOptions(worker_id="w1", capacity={"cpu_cores": 1.0}, drain_s=drain_s)
        service = WorkerService(options, executors, self.ports, cast("Any", self.line))
        await service.start()
        return service

    async def admit(self, service: WorkerService, incarnation: int) -> None:
        """Wait until the worker has registered an incarnation, and admit it as its pool does."""
        async with asyncio.timeout(PATIENCE_S):
            while incarnation not in [offer.incarnation for offer in await self._offers()]:
                pass
        cast("Any", service)._actor.tell(AdmitWorker("w1", incarnation))

    async def _offers(self) -> list[RegisterWorker]:
        deliveries = await self._pool.receive()
        await self._pool.acknowledge(deliveries)
        letters = [x for d in deliveries for parcel in decode(d.body).parcels for x in parcel.letters]
        return [x.message for x in letters if isinstance(x.message, RegisterWorker)]


async def until(is_so: Any) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody pause for long."""
    for module, name in ((worker, "BACKOFF_S"), (worker, "HEARTBEAT_S"), (owner, "BACKOFF_S")):
        monkeypatch.setattr(module, name, 0.02)


async def test_crashed_worker_begins_anew() -> None:
    """A worker whose actor crashes beats no more, stops what it ran, and comes back as a new incarnation."""
    stage = Stage()
    service = await stage.worker()
    await stage.admit(service, 1)
    inside = cast("Any", service)
    inside._actor.tell(StartTask("w1", "e", 1, 1, "e/a/1", Task("a", "work")))
    await until(lambda: stage.executor.running and stage.line.beats)
    first = inside._actor
    stage.breaking.set()
    await until(lambda: inside._actor is not first)
    assert not stage.executor.running, "nothing of the old incarnation runs any more"
    beats = len(stage.line.beats)
    await stage.admit(service, 2)
    assert not [beat for beat in stage.line.beats[beats:] if b'"incarnation":1' in beat]
    await until(lambda: any(b'"incarnation":2' in beat for beat in stage.line.beats[beats:]))
    await service.stop()


async def test_worker_whose_id_was_taken_tells_its_node() -> None:
    """A worker that cannot enlist again, because its id is another process's now, ends with that reason."""
    stage = Stage()
    node = Node(cast("Any", stage.line), stage.ports)
    options = WorkerOptions(worker_id="w1", capacity={"cpu_cores": 1.0}, drain_s=0.0)
    service = await node.add_worker(options, Executors())
    await until(lambda: cast("Any", service)._actor._inbox is not None)
    breaking, stage.breaking = stage.breaking, asyncio.Event()
    twin = await stage.worker()
    breaking.set()
    await until(lambda: "w1" in node.lost)
    with pytest.raises(ConflictError, match="another process"):
        await asyncio.wait_for(service.failed(), PATIENCE_S)
    await node.close()
    await twin.stop()


async def test_stop_does_not_wait_for_a_server_that_is_away() -> None:
    """A worker stops within its drain time and some seconds although its farewell is never answered."""
    stage = Stage()
    service = await stage.worker(drain_s=0.1)
    await stage.admit(service, 1)
    cast("Any", service)._actor.tell(StartTask("w1", "e", 1, 1, "e/a/1", Task("a", "work")))
    await until(lambda: stage.executor.running)
    stage.log.is_away = True
    await asyncio.wait_for(service.stop(), PATIENCE_S)
    assert not stage.executor.running


async def test_worker_leaves_when_its_pool_knows_that_it_drains(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a busy pool granted until then was lost with the worker, and had to begin again elsewhere."""
    monkeypatch.setattr(worker, "DRAIN_KNOWN_S", PATIENCE_S)
    stage = Stage()
    service = await stage.worker(drain_s=PATIENCE_S)
    await stage.admit(service, 1)
    actor = cast("Any", service)._actor
    await until(lambda: service.is_admitted)
    stopping = asyncio.create_task(service.stop())
    left, _ = await asyncio.wait({stopping}, timeout=0.5)
    assert not left, "nothing runs, but the pool may be about to grant it something"
    actor.tell(ConfirmDrain("w1", 1))
    await asyncio.wait_for(stopping, PATIENCE_S)


class CrashingLeases:
    """Leases that crash at first."""

    def __init__(self) -> None:
        self.crashes = 2
        self._inner = MemoryLeases()

    async def acquire(self, name: str, holder: str) -> Lease:
        """Acquire, or crash."""
        if self.crashes:
            self.crashes -= 1
            raise ValueError("The test crashed the lease.")
        return await self._inner.acquire(name, holder)


async def test_owner_outlives_any_crash_of_its_leases() -> None:
    """A service goes on to compete for its addresses after an error that nobody foresaw."""
    stage = Stage()
    stage.leases = CrashingLeases()
    service = Owner(Recipient.PLANNER, ["0"], stage.ports, cast("Any", stage.line), "test")
    service.start()
    await until(lambda: cast("Any", service)._actors)
    await service.stop()
    assert stage.leases.crashes == 0
