"""A worker: one process's offer to a pool, and the attempts it runs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from uuid import uuid4

from msgspec import Struct, field

from talka_core.behaviour import Confirm, Effect, Enlist, Launch, Stop
from talka_core.limits import AMOUNT_MAX
from talka_core.worker import WORKER_BEHAVIOUR, WorkerRecord
from talka_protocols.errors import CallerError, ConflictError, PlatformError
from talka_protocols.messages import (
    ContactLost,
    ContactMade,
    Drain,
    Enlisted,
    Message,
    Recipient,
    RegisterWorker,
    WorkerLeft,
    sealed,
)
from talka_protocols.seals import place_of_subject
from talka_protocols.subjects import WORKER, is_token
from talka_services.executors.registry import Executors
from talka_services.jetstream.connection import Connection
from talka_services.machine import machine_capacity
from talka_services.runner.actor import Actor, Address
from talka_services.runner.journal import VolatileJournal
from talka_services.runner.ports import Ports
from talka_services.service.contact import Contact
from talka_services.service.incarnations import Incarnations
from talka_services.service.launcher import Launcher
from talka_services.service.liveness import HEARTBEAT_S, Heartbeat
from talka_services.service.logbooks import Logbooks
from talka_services.telemetry import get_logger
from talka_services.witness import Witness

SLOTS = 256
DRAIN_S = 10.0
DRAIN_KNOWN_S = 3.0
"""How long the pool gets to take note that we drain; a new owner of it has begun by then."""
HAND_BACK_S = 2.0
"""How long the scheduler gets to settle what was handed back."""
LEAVE_S = 2.0
"""How long the farewell may take; the pool notices the silence anyway."""
END_S = 2.0
BACKOFF_S = 0.5
BACKOFF_MAX_S = 10.0
STEADY_S = 60.0
"""A life of that length was no failed start: the next one begins without a longer pause."""
ENLIST_AGAIN_S = 1.0
POLL_S = 0.02

log = get_logger(__name__)


def default_worker_id() -> str:
    """Return a new worker id: the host's name and a few random digits."""
    host = "".join(c if c.isalnum() or c in "-_" else "-" for c in socket.gethostname())[:40]
    return f"{host or 'worker'}-{uuid4().hex[:8]}"


class WorkerOptions(Struct, frozen=True):
    """What a worker offers; ``drain_s`` is how long running attempts may take to end on a stop.

    One that ``is_elastic`` may be drained by its pool when fewer workers are wanted.
    One that ``is_witnessed`` has a process beside it that tells the pool when nothing of it is left.
    ``secrets_dir`` is where files with secrets are, ``TALKA_SECRETS_DIR`` if it is not said.
    """

    worker_id: str = field(default_factory=default_worker_id)
    pool: str = "default"
    slots: int = SLOTS
    capacity: dict[str, float] = field(default_factory=machine_capacity)
    slots_by_agent: dict[str, int] = field(default_factory=dict[str, int])
    drain_s: float = DRAIN_S
    labels: dict[str, str] = field(default_factory=dict[str, str])
    is_elastic: bool = False
    is_witnessed: bool = False
    secrets_dir: str | None = None


class WorkerService:
    """Runs one worker until it is stopped.

    Each life of it has an actor and a state of its own. When a life ends
    unexpectedly its heartbeats end with it, everything that it ran is stopped,
    and the next one begins as a new incarnation.
    """

    def __init__(
        self,
        options: WorkerOptions,
        executors: Executors,
        ports: Ports,
        connection: Connection,
        witness: Witness | None = None,
    ) -> None:
        if not is_token(options.worker_id):
            raise CallerError(
                f"The worker id {options.worker_id!r} cannot be used.",
                hint="Use letters, digits, '-' and '_', at most 128 of them.",
            )
        for name, amount in {"slots": options.slots, **options.slots_by_agent, **options.capacity}.items():
            if not 0 <= amount <= AMOUNT_MAX:
                raise CallerError(
                    f"The worker cannot offer {amount!r} of {name!r}.", hint="Give a number from 0."
                )
        self.options = options
        self._ports = ports
        self._connection = connection
        self._witness = witness
        self._incarnations = Incarnations(options.worker_id, options.pool, ports)
        self._offer = RegisterWorker(
            options.pool,
            options.worker_id,
            0,
            executors.agent_types,
            options.slots,
            options.capacity,
            options.slots_by_agent,
            labels=options.labels,
            is_elastic=options.is_elastic,
        )
        self._state, self._actor = self._born()
        self._logbooks = Logbooks(options.worker_id, ports.clock, self._publish_log)
        means = (executors, ports.blobs, ports.clock, self._tell, self._logbooks)
        self._launcher = Launcher(options.worker_id, *means, options.secrets_dir)
        subject = ports.names.heartbeat(options.pool, options.worker_id)
        self._contact = Contact(connection, subject, self._contact_changed)
        self._serving: asyncio.Task[None] | None = None
        self._enlisting: set[asyncio.Task[None]] = set()
        self._taken: ConflictError | None = None
        self._is_alive = self._is_stopping = False

    def _born(self) -> tuple[WorkerRecord, Actor]:
        """Return the state of a life that begins, and its actor."""
        state = WorkerRecord(self.options.worker_id, offer=self._offer)
        actor = Actor(
            WORKER_BEHAVIOUR,
            Address(Recipient.WORKER, self.options.worker_id),
            self._ports,
            VolatileJournal(WORKER, state),
            perform=self._perform,
        )
        return state, actor

    async def _publish_log(self, execution_id: str, body: bytes) -> None:
        subject = self._ports.names.tasklog(execution_id)
        place = place_of_subject(self._ports.names, subject)
        await self._connection.publish(subject, self._connection.vault.seal(place, body))

    def _tell(self, message: Message) -> None:
        self._actor.tell(message)

    async def start(self) -> None:
        """Record a new incarnation, register it, and begin to take attempts."""
        await self._enlist()
        self._serving = asyncio.create_task(self._serve(), name=f"worker {self.options.worker_id}")

    @property
    def is_admitted(self) -> bool:
        """Tell whether the pool has recorded the current incarnation."""
        return self._state.is_admitted

    async def failed(self) -> None:
        """Return when the worker was stopped.

        Raises:
            ConflictError: it has ended by itself, because another process has taken its id.
        """
        if self._serving is None:
            return
        # To await the task itself would cancel it with whoever stops waiting here.
        await asyncio.wait([self._serving])
        if not self._serving.cancelled():
            self._serving.result()

    # --- its lives -----------------------------------------------------------------------------

    async def _serve(self) -> None:
        """Live until stopped, again and again.

        Raises:
            ConflictError: another process has taken the worker's id.
        """
        clock = asyncio.get_running_loop().time
        backoff_s = BACKOFF_S
        while True:
            born_s = clock()
            try:
                await self._live()
            except Exception:
                log.exception("worker.crashed", worker=self.options.worker_id)
            if self._is_stopping:
                return
            await self._stop_everything()
            if self._taken is None:
                backoff_s = BACKOFF_S if clock() - born_s > STEADY_S else backoff_s
                await asyncio.sleep(backoff_s)
                backoff_s = min(BACKOFF_MAX_S, 2 * backoff_s)
                self._state, self._actor = self._born()
                await self._enlist_again()
            if self._taken is not None:
                raise self._taken
            log.warning(
                "worker.restarted",
                worker=self.options.worker_id,
                incarnation=self._incarnations.current,
            )

    async def _live(self) -> None:
        """Run the actor, and tell the pool that we live for just as long."""
        worker_id = self.options.worker_id
        parts = [
            asyncio.create_task(self._actor.run(), name=f"actor of {worker_id}"),
            asyncio.create_task(self._beat(), name=f"heartbeat of {worker_id}"),
            asyncio.create_task(self._contact.watch(), name=f"contact of {worker_id}"),
        ]
        self._is_alive = True
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._is_alive = False
            ended = [part for part in parts if part.done()]
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
        for part in ended:
            part.result()

    async def _stop_everything(self) -> None:
        """Stop what the last life ran and was about to do, and return when nothing of it is left."""
        for task in [*self._enlisting]:
            task.cancel()
        await asyncio.gather(*self._enlisting, return_exceptions=True)
        self._stop_attempts()
        while self._launcher.running:  # noqa: ASYNC110  (the launcher tells only the actor, which has ended)
            await asyncio.sleep(POLL_S)

    def _stop_attempts(self) -> None:
        for key, record in self._state.attempts.items():
            self._launcher.stop(*key, record.attempt)
        for key, attempt in self._state.replaced:
            self._launcher.stop(*key, attempt)

    # --- its end -------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Take nothing new, let what runs end, hand the rest back, and leave the pool.

        It ends within the drain time and some seconds, also while the server is away.
        A worker whose id another process has taken only stops what it runs.
        """
        self._is_stopping = True
        if self._is_alive:
            await self._drain()
        self._actor.stop()
        for task in [*self._enlisting]:
            task.cancel()
        if self._serving is not None:
            await self._end(self._serving)
        await self._launcher.close()
        await self._logbooks.close()

    async def _end(self, serving: asyncio.Task[None]) -> None:
        if not self._is_alive:
            serving.cancel()
        _, late = await asyncio.wait([serving], timeout=END_S)
        if late:
            serving.cancel()
            _, late = await asyncio.wait([serving], timeout=END_S)
        if late:
            log.warning("worker.not_ended", worker=self.options.worker_id)
        elif not serving.cancelled() and (error := serving.exception()) is not None:
            log.debug("worker.had_ended", worker=self.options.worker_id, error=str(error))

    async def _drain(self) -> None:
        worker_id, drain_s = self.options.worker_id, self.options.drain_s
        ends_s = asyncio.get_running_loop().time() + drain_s
        self._actor.tell(Drain(worker_id))
        # Until the pool knows it grants us more, and each of that would be an attempt that is lost with us.
        await _until(self._gets_nothing_more, min(drain_s, DRAIN_KNOWN_S))
        await _until(self._is_idle, ends_s - asyncio.get_running_loop().time())
        self._actor.tell(Drain(worker_id, hand_back=True))
        # The actor may be waiting for the server, so what runs is stopped without it as well.
        self._stop_attempts()
        await _until(lambda: not self._launcher.running, max(drain_s, HAND_BACK_S))
        await _until(self._is_idle, HAND_BACK_S)
        await self._leave()

    def _gets_nothing_more(self) -> bool:
        """Tell whether the pool knows that we drain, or has never known us."""
        return self._state.is_drain_recorded or not self._state.is_admitted

    def _is_idle(self) -> bool:
        """Tell whether nothing runs and every report is settled."""
        return self._state.is_draining and not self._launcher.running and not self._state.attempts

    async def _leave(self) -> None:
        pool, worker_id, incarnation = self.options.pool, self.options.worker_id, self._incarnations.current
        message = WorkerLeft(pool, worker_id, incarnation, "It was stopped.")
        letter_id = f"{self._incarnations.name}:left"
        envelope = sealed(str(self._actor.address), message, letter_id=letter_id, epoch=incarnation)
        subject = self._ports.names.inbox(Recipient.RESOURCE.value, pool)
        try:
            async with asyncio.timeout(LEAVE_S):
                await self._incarnations.end()
                await self._ports.post.send([(subject, envelope)])
        except (PlatformError, TimeoutError) as error:
            log.warning("worker.left_silently", worker=worker_id, error=repr(error))

    # --- what the actor asks for ---------------------------------------------------------------

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Launch():
                self._launcher.launch(effect.start)
            case Stop():
                key = (effect.execution_id, effect.task_id, effect.attempt)
                self._launcher.stop(*key, is_forced=effect.is_forced)
            case Confirm():
                self._launcher.confirm(effect.confirmation)
            case Enlist() if self._enlisting:
                log.debug("worker.enlisting_already", worker=self.options.worker_id)
            case Enlist():
                task = asyncio.create_task(self._enlist_again())
                self._enlisting.add(task)
                task.add_done_callback(self._enlisting.discard)
            case _:
                raise AssertionError(f"a worker performs no {type(effect).__name__}")

    async def _enlist(self) -> None:
        """Record the next incarnation, and let the actor register it.

        Raises:
            ConflictError: another process has taken the worker's id since our last incarnation.
        """
        incarnation = await self._incarnations.begin()
        if self._witness is not None:
            self._witness.expect(self.options.pool, self.options.worker_id, incarnation)
        self._actor.epoch = incarnation
        self._contact.begin(asyncio.get_running_loop().time())
        self._actor.tell(Enlisted(self.options.worker_id, incarnation))

    async def _enlist_again(self) -> None:
        """Enlist however long the server is away; end this life where the id is another process's now."""
        while True:
            try:
                await self._enlist()
            except ConflictError as error:
                log.error("worker.twice", worker=self.options.worker_id, error=str(error))
                self._taken = error
                self._actor.stop()
                return
            except PlatformError as error:
                log.warning("worker.not_enlisted", worker=self.options.worker_id, error=str(error))
            except Exception:
                log.exception("worker.enlisting_crashed", worker=self.options.worker_id)
            else:
                return
            await asyncio.sleep(ENLIST_AGAIN_S)

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


async def _until(is_so: Callable[[], bool], at_most_s: float) -> None:
    """Return when it is so, or when the time is over.

    What is asked about changes between the actor's batches, so it is looked at from outside.
    """
    try:
        async with asyncio.timeout(at_most_s):
            while not is_so():  # noqa: ASYNC110
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        return
