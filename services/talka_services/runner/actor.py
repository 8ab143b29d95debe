"""The runner of one address: an actor's shard, pool or worker.

The order of one batch is the correctness argument:
1. decide and evolve each message at once, provisionally;
2. append one commit per log; a refused log is dropped and folded again;
3. perform the effects, if the lease is still held;
4. acknowledge the deliveries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from talka_core.behaviour import Behaviour, Effect
from talka_protocols.messages import Advance, Letter, Message, Recipient, TimerFired, decode_envelope
from talka_protocols.messages.speakers import TRUSTED, is_service, may_say
from talka_protocols.ports import Delivery, Inbox, Lease
from talka_services.loop import keep_failure
from talka_services.runner.definitions import Definitions, stored_form
from talka_services.runner.journal import Entry, Journal
from talka_services.runner.mail import Reminder
from talka_services.runner.performer import Performer
from talka_services.runner.ports import Ports
from talka_services.runner.roster import Roster
from talka_services.runner.states import Cause, LeaseLostError, Outbox, States
from talka_services.telemetry import get_logger

log = get_logger(__name__)

TRIES = 5
DEAD_KEPT = 1_000
SENDERS_KEPT = 10_000
ADVANCE_S = 30.0
"""How often every state is asked to do what its record calls for, and a pool to say who holds what."""
LOOK_S = 0.2
"""How often ``on_look`` sees the states."""


class Address(Struct, frozen=True):
    """Where an actor receives: its kind, and its shard, pool or worker id."""

    kind: Recipient
    id: str

    def __str__(self) -> str:
        return f"{self.kind.value}.{self.id}"


class Actor:
    """Runs one behaviour at one address until it is stopped or loses its lease.

    ``perform`` carries out effects that are neither messages nor timers;
    ``roster`` is None where the address is its own only key; ``claim`` makes
    the event that records a takeover there; ``on_look`` sees the states
    now and then between batches, when nothing in them is provisional.
    """

    def __init__(
        self,
        behaviour: Behaviour[Any, Any, Any],
        address: Address,
        ports: Ports,
        journal: Journal,
        *,
        lease: Lease | None = None,
        roster: Roster | None = None,
        holder: str = "",
        perform: Callable[[Effect], None] | None = None,
        claim: Callable[[int, str], Any] | None = None,
        on_look: Callable[[dict[str, Entry]], None] | None = None,
    ) -> None:
        self.address = address
        self._ports = ports
        self._roster = roster
        self._holder = holder
        self._claim = claim
        self._on_look = on_look
        self._states = States(behaviour, journal, Definitions(ports.blobs), ports.clock, roster)
        self._performer = Performer(str(address), ports, lease, self._on_timer, perform, self._states.now)
        self._epochs: dict[str, int] = {}
        self._dead: dict[str, None] = {}
        self._unreadable: list[bytes] = []
        self._reminders: dict[str, Reminder] = {}
        self._local: list[Cause] = []
        self._wake = asyncio.Event()
        self._inbox: Inbox | None = None
        self._receiving: asyncio.Task[Sequence[Delivery]] | None = None
        self._is_stopping = False
        self._must_resume = False
        self._next_tick = 0.0
        self._next_look = 0.0
        self._next_advance = 0.0

    @property
    def epoch(self) -> int:
        """Return which incarnation of the address speaks."""
        return self._performer.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._performer.epoch = epoch

    def tell(self, message: Message, cause: str = "") -> None:
        """Deliver a message from within this process; it lasts as long as the process."""
        self._local.append(Cause(cause or f"{self.address}:{type(message).__name__}", message))
        self._wake.set()

    def stop(self) -> None:
        """End after the current batch; ``run`` returns then."""
        self._is_stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Take the address over and serve it.

        Raises:
            LeaseLostError: the address has a new owner.
        """
        self._inbox = await self._ports.open_inbox(self.address.kind.value, self.address.id, self._on_renewed)
        self._next_tick = self._now_s() + self._ports.resend_s
        self._next_advance = self._now_s() + ADVANCE_S
        tick = asyncio.create_task(self._wake_for_ticks(), name=f"tick {self.address}")
        try:
            await self._take_over()
            while not self._is_stopping:
                await self._serve_once(self._inbox)
            if self._roster is not None:
                await self._roster.flush()
        finally:
            tick.cancel()
            await self._close(self._inbox)

    # --- taking over ---------------------------------------------------------------------------

    async def _take_over(self) -> None:
        states = self._states
        keys = await self._roster.take_over(self._holder) if self._roster else [self.address.id]
        for key in keys:
            await states.load(key)
            if self._claim is not None and key in states.entries:
                await states.record(key, self._claim(self.epoch, self._holder), self.epoch)
        await self._settle([Cause("takeover", Advance(key)) for key in states.entries])
        await self._resume(list(states.entries))

    async def _resume(self, keys: Iterable[str]) -> None:
        """Perform everything that these states still owe."""
        owed = await self._states.owed(keys)
        for key in owed:
            self._reminders.pop(key, None)
        await self._performer.perform([item for outbox in owed.values() for item in outbox])

    # --- one batch -----------------------------------------------------------------------------

    async def _serve_once(self, inbox: Inbox) -> None:
        deliveries = await self._next(inbox)
        causes, self._local = self._local, []
        causes += self._open(deliveries)
        await self._keep_unreadable()
        is_performed = await self._settle(causes) if causes else True
        if self._must_resume:
            self._must_resume = False
            await self._resume(self._states.entries)
        if deliveries and is_performed:
            await inbox.acknowledge(deliveries)
        if self._on_look is not None and self._now_s() >= self._next_look:
            self._next_look = self._now_s() + LOOK_S
            self._on_look(self._states.entries)
        if self._now_s() >= self._next_tick:
            await self._tick()

    async def _next(self, inbox: Inbox) -> Sequence[Delivery]:
        """Wait for deliveries, local messages, a tick or the end."""
        while True:
            if self._receiving is None:
                self._receiving = asyncio.create_task(_receive(inbox), name=f"receive {self.address}")
                self._receiving.add_done_callback(self._on_received)
            if self._receiving.done():
                deliveries = self._receiving.result()
                self._receiving = None
                return deliveries
            if self._local or self._is_stopping or self._must_resume or self._is_due():
                return ()
            self._wake.clear()
            await self._wake.wait()

    def _on_received(self, receiving: asyncio.Task[Sequence[Delivery]]) -> None:
        keep_failure(receiving)
        self._wake.set()

    def _open(self, deliveries: Sequence[Delivery]) -> list[Cause]:
        """Return the messages in the deliveries, without those of senders that have been replaced."""
        causes: list[Cause] = []
        for delivery in deliveries:
            try:
                envelope = decode_envelope(delivery.body)
            except (ValueError, RecursionError) as error:
                log.error("envelope.unreadable", actor=str(self.address), error=repr(error))
                self._unreadable.append(delivery.body)
                continue
            for parcel in envelope.parcels:
                # What others call themselves must not silence a service of that name.
                named = is_service(delivery.speaker)
                sender = parcel.sender if named else f"{delivery.speaker} {parcel.sender}"
                if parcel.epoch >= self._epochs.get(sender, 0):
                    if parcel.epoch:
                        self._remember_epoch(sender, parcel.epoch)
                    causes += [
                        Cause(letter.id, letter.message, parcel.asked_by)
                        for letter in parcel.letters
                        if delivery.speaker == TRUSTED or self._is_believed(delivery.speaker, letter)
                    ]
        return causes

    def _is_believed(self, speaker: str, letter: Letter) -> bool:
        if may_say(speaker, letter.message):
            return True
        what = type(letter.message).__name__
        log.error(
            "letter.not_believed", actor=str(self.address), speaker=speaker, letter=letter.id, what=what
        )
        return False

    def _remember_epoch(self, sender: str, epoch: int) -> None:
        self._epochs.pop(sender, None)
        self._epochs[sender] = epoch
        if len(self._epochs) > SENDERS_KEPT:
            del self._epochs[next(iter(self._epochs))]

    async def _keep_unreadable(self) -> None:
        """Keep what a newer version may be able to read."""
        if self._unreadable:
            subject = self._ports.names.dead_letter(self.address.kind.value, self.address.id)
            await self._ports.post.send([(subject, body) for body in self._unreadable])
            self._unreadable = []

    async def _settle(self, causes: list[Cause]) -> bool:
        """Decide, append and perform; return whether everything was performed."""
        states = self._states
        for _ in range(TRIES):
            causes = await states.prepare(causes)
            await self._resume(states.take_adopted())
            try:
                touched = await states.decide(causes)
            except Exception as error:
                log.exception("batch.crashed", actor=str(self.address), messages=len(causes))
                return await self._recover(causes, error)
            refused = await states.append(touched, self.epoch)
            is_performed = await self._performer.perform(states.take_outbox(touched, refused))
            self._forget(states.retire([key for key in touched if key not in refused]))
            await self._set_aside()
            if not refused:
                return is_performed
            log.warning("log.refused", actor=str(self.address), keys=sorted(refused))
            await states.reload(refused)
            await self._resume(refused)
            # What is in the log now may be part of a commit that was cut short.
            causes = [cause for cause in causes if cause.message.key in refused]
            causes = [Cause("reload", Advance(key)) for key in sorted(refused)] + causes
        raise LeaseLostError(f"{self.address}: a log was refused {TRIES} times; another owner writes to it.")

    async def _recover(self, causes: list[Cause], error: Exception) -> bool:
        """After a crash, redo the batch one message at a time, and set aside what crashes alone."""
        keys = {cause.message.key for cause in causes}
        await self._states.reload(keys)
        is_performed = True
        if len(causes) > 1:
            for cause in causes:
                is_performed = await self._settle([cause]) and is_performed
        elif isinstance(causes[0].message, Advance):
            self._states.quarantine(causes[0].message.key, error)
        else:
            self._states.set_aside.append((causes[0], error))
            await self._set_aside()
        await self._resume(keys)
        return is_performed

    async def _set_aside(self) -> None:
        """Keep messages that nobody can take where people can look at them, each once."""
        taken, self._states.set_aside[:] = list(self._states.set_aside), []
        subject = self._ports.names.dead_letter(self.address.kind.value, self.address.id)
        for (cause, message, _asker), error in taken:
            if cause in self._dead:
                continue
            self._dead[cause] = None
            if len(self._dead) > DEAD_KEPT:
                del self._dead[next(iter(self._dead))]
            log.error("message.set_aside", actor=str(self.address), cause=cause, error=repr(error))
            body = msgspec.json.encode({"id": cause, "message": stored_form(message), "error": repr(error)})
            await self._ports.post.send([(subject, body)])

    def _forget(self, keys: list[str]) -> None:
        if keys:
            self._performer.forget(keys)
            for key in keys:
                self._reminders.pop(key, None)

    # --- time ----------------------------------------------------------------------------------

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()

    def _is_due(self) -> bool:
        now_s = self._now_s()
        return now_s >= self._next_tick or (self._on_look is not None and now_s >= self._next_look)

    def _on_timer(self, fired: TimerFired) -> None:
        if fired.key in self._states.entries:
            self.tell(fired, f"timer:{fired.name}")

    def _on_renewed(self) -> None:
        self._must_resume = True
        self._wake.set()

    async def _wake_for_ticks(self) -> None:
        while True:
            await asyncio.sleep(self._ports.resend_s if self._on_look is None else LOOK_S)
            self._wake.set()

    async def _tick(self) -> None:
        """Repeat what has been owed for too long, and record which logs have ended."""
        now_s = self._now_s()
        self._next_tick = now_s + self._ports.resend_s
        self._performer.check_lease()
        if now_s >= self._next_advance:
            self._next_advance = now_s + ADVANCE_S
            self._local += [Cause("round", Advance(key)) for key in self._states.entries]
        outbox: Outbox = []
        for key, owed in (await self._states.owed(self._states.entries)).items():
            reminder = self._reminders.get(key)
            if reminder is None:
                reminder = Reminder(self._ports.resend_s, self._ports.resend_max_s)
                self._reminders[key] = reminder
            outbox += reminder.overdue(owed, now_s)
        await self._performer.perform(outbox)
        if self._roster is not None:
            await self._roster.flush()

    async def _close(self, inbox: Inbox) -> None:
        self._performer.close()
        try:
            if self._receiving is not None:
                self._receiving.cancel()
                await asyncio.wait([self._receiving])
        finally:
            # Also when whoever waits for us has no more patience: an inbox left open goes on receiving.
            await inbox.close()


async def _receive(inbox: Inbox) -> Sequence[Delivery]:
    return await inbox.receive()
