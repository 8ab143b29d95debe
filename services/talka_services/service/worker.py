"""A worker: one process's offer to a pool, and the attempts it runs."""

from __future__ import annotations

import asyncio
import os
import socket
from uuid import uuid4

import psutil
from msgspec import Struct, field

from talka_core.behaviour import Effect, Enlist, Launch, Stop
from talka_core.worker import WORKER_BEHAVIOUR, WorkerRecord
from talka_protocols.commit import Commit, Decision, commit_id, decode_commit, encode_commit
from talka_protocols.errors import CallerError, ConflictError, PlatformError
from talka_protocols.events import WorkerEvent, WorkerRegistered, WorkerStopped
from talka_protocols.messages import (
    ContactLost,
    ContactMade,
    Drain,
    Enlisted,
    Envelope,
    Letter,
    Parcel,
    Recipient,
    RegisterWorker,
    WorkerLeft,
    encode_envelope,
)
from talka_protocols.subjects import WORKER, LogName, is_token
from talka_services.executors.registry import Executors
from talka_services.jetstream.connection import Connection
from talka_services.runner.actor import Actor, Address
from talka_services.runner.journal import VolatileJournal
from talka_services.runner.ports import Ports
from talka_services.service.contact import Contact
from talka_services.service.launcher import Launcher
from talka_services.service.liveness import HEARTBEAT, HEARTBEAT_S, Heartbeat
from talka_services.telemetry import get_logger

SLOTS = 256
DRAIN_S = 10.0
POLL_S = 0.02

log = get_logger(__name__)


def default_worker_id() -> str:
    """Return a new worker id: the host's name and a few random digits."""
    host = "".join(c if c.isalnum() or c in "-_" else "-" for c in socket.gethostname())[:40]
    return f"{host or 'worker'}-{uuid4().hex[:8]}"


def machine_capacity() -> dict[str, float]:
    """Return what this machine has: cores, MiB of memory, MiB of free disk."""
    return {
        "cpu_cores": float(os.cpu_count() or 1),
        "memory_mb": float(psutil.virtual_memory().total // 2**20),
        "disk_mb": float(psutil.disk_usage("/").free // 2**20),
    }


class WorkerOptions(Struct, frozen=True):
    """What a worker offers; ``drain_s`` is how long running attempts may take to end on a stop."""

    worker_id: str = field(default_factory=default_worker_id)
    pool: str = "default"
    slots: int = SLOTS
    capacity: dict[str, float] = field(default_factory=machine_capacity)
    slots_by_agent: dict[str, int] = field(default_factory=dict[str, int])
    drain_s: float = DRAIN_S


class WorkerService:
    """Runs one worker until it is stopped."""

    def __init__(
        self, options: WorkerOptions, executors: Executors, ports: Ports, connection: Connection
    ) -> None:
        if not is_token(options.worker_id):
            raise CallerError(
                f"The worker id {options.worker_id!r} cannot be used.",
                hint="Use letters, digits, '-' and '_', at most 128 of them.",
            )
        self.options = options
        self._ports = ports
        self._connection = connection
        self._name = LogName(WORKER, "-", options.worker_id)
        self._process = f"worker {socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self._position = 0
        self._version = 0
        offer = RegisterWorker(
            options.pool,
            options.worker_id,
            0,
            executors.agent_types,
            options.slots,
            options.capacity,
            options.slots_by_agent,
        )
        self._state = WorkerRecord(options.worker_id, offer=offer)
        self._actor = Actor(
            WORKER_BEHAVIOUR,
            Address(Recipient.WORKER, options.worker_id),
            ports,
            VolatileJournal(WORKER, self._state),
            perform=self._perform,
        )
        self._launcher = Launcher(options.worker_id, executors, ports.blobs, ports.clock, self._actor.tell)
        subject = ports.names.live(HEARTBEAT, options.pool)
        self._contact = Contact(connection, subject, self._contact_changed)
        self._tasks: list[asyncio.Task[None]] = []
        self._enlisting: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Record a new incarnation, register it, and begin to take attempts."""
        await self._enlist()
        self._tasks = [
            asyncio.create_task(self._actor.run(), name=f"worker {self.options.worker_id}"),
            asyncio.create_task(self._beat(), name=f"heartbeat {self.options.worker_id}"),
            asyncio.create_task(self._contact.watch(), name=f"contact {self.options.worker_id}"),
        ]

    async def stop(self) -> None:
        """Take nothing new, let what runs end, hand the rest back, and leave the pool.

        A worker whose id another process has taken only stops what it runs.
        """
        if not self._tasks[0].done():
            await self._drain()
        for task in self._tasks[1:]:
            task.cancel()
        await asyncio.wait(self._tasks)
        await self._launcher.close()

    async def _drain(self) -> None:
        self._actor.tell(Drain(self.options.worker_id))
        await self._wait_until_idle(self.options.drain_s)
        self._actor.tell(Drain(self.options.worker_id, hand_back=True))
        await self._wait_until_idle(self.options.drain_s)
        await self._leave()
        self._actor.stop()

    async def failed(self) -> None:
        """Return when the worker has ended by itself, which it never should.

        Raises:
            Exception: what ended it.
        """
        running = self._tasks[0]
        # To await the task itself would cancel it with whoever stops waiting here.
        await asyncio.wait([running])
        running.result()

    async def _wait_until_idle(self, at_most_s: float) -> None:
        """Wait until nothing runs and every report is settled."""
        try:
            async with asyncio.timeout(at_most_s):
                # The actor's state changes between its batches, so it is looked at from outside.
                while self._launcher.running or self._state.attempts or not self._state.is_draining:  # noqa: ASYNC110
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            return

    async def _leave(self) -> None:
        message = WorkerLeft(
            self.options.pool, self.options.worker_id, self._state.incarnation, "It was stopped."
        )
        letter = Letter(f"{self._name}:left", message)
        envelope = Envelope((Parcel(str(self._actor.address), self._state.incarnation, (letter,)),))
        subject = self._ports.names.inbox(Recipient.RESOURCE.value, self.options.pool)
        try:
            await self._record(WorkerStopped(self._state.incarnation))
            await self._ports.post.send([(subject, encode_envelope(envelope))])
        except PlatformError as error:
            log.warning("worker.left_silently", worker=self.options.worker_id, error=str(error))

    # --- what the actor asks for ---------------------------------------------------------------

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Launch():
                self._launcher.launch(effect.start)
            case Stop():
                self._launcher.stop(effect.execution_id, effect.task_id, effect.attempt)
            case Enlist() if self._enlisting:
                log.debug("worker.enlisting_already", worker=self.options.worker_id)
            case Enlist():
                task = asyncio.create_task(self._enlist_again())
                self._enlisting.add(task)
                task.add_done_callback(self._enlisting.discard)
            case _:
                raise AssertionError(f"a worker performs no {type(effect).__name__}")

    async def _enlist(self) -> None:
        """Record the next incarnation in the worker's log; two processes cannot both do so.

        Raises:
            ConflictError: another process has taken the worker's id since our last incarnation.
        """
        stored = await self._ports.log.read(self._name)
        last, holder = 0, ""
        for item in stored:
            commit = decode_commit(item.log, item.body)
            for version, cause, event in commit.events():
                self._version = version
                if isinstance(event, WorkerRegistered):
                    last, holder = event.incarnation, cause
        if self._state.incarnation and holder != self._process:
            raise ConflictError(
                f"Worker {self.options.worker_id!r} was started by another process: {holder}.",
                hint="Give each worker an id of its own.",
            )
        self._position = stored[-1].position if stored else 0
        incarnation = max(last, self._state.incarnation) + 1
        await self._record(WorkerRegistered(incarnation, self.options.pool))
        self._actor.epoch = incarnation
        self._contact.begin(asyncio.get_running_loop().time())
        self._actor.tell(Enlisted(self.options.worker_id, incarnation))

    async def _enlist_again(self) -> None:
        while True:
            try:
                await self._enlist()
            except ConflictError as error:
                log.error("worker.twice", worker=self.options.worker_id, error=str(error))
                self._actor.stop()
                return
            except PlatformError as error:
                log.warning("worker.not_enlisted", worker=self.options.worker_id, error=str(error))
                await asyncio.sleep(1.0)
            else:
                return

    async def _record(self, event: WorkerEvent) -> None:
        commit: Commit[WorkerEvent] = Commit(
            self._version + 1, self._ports.clock.now_ms(), 0, (Decision(self._process, (event,)),)
        )
        body = encode_commit(commit)
        identity = commit_id(self._name, commit.version, 0, body)
        self._position = await self._ports.log.append(self._name, self._position, body, identity)
        self._version += 1

    async def _beat(self) -> None:
        """Tell the pool that we live, as long as it knows this incarnation."""
        while True:
            if self._state.is_admitted and self._connection.is_up.is_set():
                await self._contact.beat(Heartbeat(self.options.worker_id, self._state.incarnation))
            await asyncio.sleep(HEARTBEAT_S)

    def _contact_changed(self, is_lost: bool) -> None:
        """Stop what holds pool-wide amounts at once; the actor may be waiting for the server."""
        worker_id = self.options.worker_id
        if is_lost:
            log.warning("worker.contact_lost", worker=worker_id)
            self._actor.tell(ContactLost(worker_id))
            self._launcher.cut_off()
        else:
            log.info("worker.contact_made", worker=worker_id)
            self._actor.tell(ContactMade(worker_id))
            self._launcher.reconnect()
