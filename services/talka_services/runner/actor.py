"""The runner of one address: an actor's shard, pool or worker.

The order of one batch is the correctness argument:
1. decide and evolve each message at once, provisionally;
2. append one commit per log; a refused log is dropped and folded again;
3. perform the effects, if the lease is still held;
4. acknowledge the deliveries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import msgspec
import structlog
from msgspec import Struct

from talka_core.behaviour import Behaviour, Effect, Send, SetTimer, step
from talka_protocols.commit import Decision
from talka_protocols.errors import BrokenHistoryError, ConflictError, PlatformError
from talka_protocols.messages import Advance, Message, Recipient, TimerFired, decode_envelope
from talka_protocols.ports import Delivery, Inbox, Lease
from talka_services.runner.definitions import Definitions
from talka_services.runner.journal import Entry, Journal
from talka_services.runner.mail import Reminder, Sorter
from talka_services.runner.ports import Ports
from talka_services.runner.roster import Roster

log = structlog.get_logger(__name__)

Cause = tuple[str, Message]
TRIES = 5


class Address(Struct, frozen=True):
    """Where an actor receives: its kind, and its shard, pool or worker id."""

    kind: Recipient
    id: str

    def __str__(self) -> str:
        return f"{self.kind.value}.{self.id}"


class LeaseLostError(PlatformError):
    """The address has, or may have, a new owner; this one steps down."""

    code = "lease_lost"


class Actor:
    """Runs one behaviour at one address until it is stopped or loses its lease.

    ``epoch`` says which incarnation speaks; ``perform`` carries out effects
    that are neither messages nor timers; ``roster`` is None where the address
    is its own only key; ``claim`` makes the event that records a takeover
    there; ``on_tick`` sees the states between batches, when nothing in them is
    provisional.
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
        on_tick: Callable[[dict[str, Entry]], None] | None = None,
    ) -> None:
        self.address = address
        self.epoch = lease.epoch if lease else 0
        self.entries: dict[str, Entry] = {}
        self._behaviour = behaviour
        self._ports = ports
        self._journal = journal
        self._lease = lease
        self._roster = roster
        self._holder = holder
        self._perform_local = perform
        self._claim = claim
        self._on_tick = on_tick
        self._definitions = Definitions(ports.blobs)
        self._sorter = Sorter(ports.names, ports.shards, ports.max_bytes)
        self._epochs: dict[str, int] = {}
        self._broken: dict[str, str] = {}
        self._reminders: dict[str, Reminder] = {}
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self._local: list[Cause] = []
        self._wake = asyncio.Event()
        self._inbox: Inbox | None = None
        self._receiving: asyncio.Task[Sequence[Delivery]] | None = None
        self._is_stopping = False
        self._must_resume = False
        self._next_tick = 0.0

    def tell(self, message: Message, cause: str = "") -> None:
        """Deliver a message from within this process; it lasts as long as the process."""
        self._local.append((cause or f"{self.address}:{type(message).__name__}", message))
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
        tick = asyncio.create_task(self._tick_for_ever(), name=f"tick {self.address}")
        try:
            await self._take_over()
            while not self._is_stopping:
                await self._serve_once()
        finally:
            tick.cancel()
            await self._close()

    # --- taking over ---------------------------------------------------------------------------

    async def _take_over(self) -> None:
        keys = await self._roster.take_over(self._holder) if self._roster else [self.address.id]
        for key in keys:
            await self._load(key)
            if self._claim is not None and key in self.entries:
                await self._record_claim(self.entries[key], self._claim(self.epoch, self._holder))
        await self._settle([("takeover", Advance(key)) for key in self.entries])
        await self._resume(list(self.entries))

    async def _record_claim(self, entry: Entry, event: Any) -> None:
        self._behaviour.evolve(entry.state, event, entry.begin(self._ports.clock.now_ms()))
        entry.decisions = [Decision("takeover", (event,))]
        await self._journal.commit(entry, self.epoch)

    async def _load(self, key: str) -> None:
        try:
            entry = await self._journal.load(key)
        except BrokenHistoryError as error:
            self._broken[key] = str(error)
            log.error("log.broken", actor=str(self.address), key=key, error=str(error))
            return
        self.entries[key] = entry

    async def _resume(self, keys: Iterable[str]) -> None:
        """Perform everything that these states still owe."""
        outbox: list[tuple[str, Effect]] = []
        for key in keys:
            entry = self.entries.get(key)
            if entry is not None:
                owed = enumerate(self._behaviour.resume(entry.state))
                outbox += [(f"{entry.name}:{entry.state.version}:r{i}", effect) for i, effect in owed]
                self._reminders.pop(key, None)
        await self._perform(outbox)

    # --- one batch -----------------------------------------------------------------------------

    async def _serve_once(self) -> None:
        deliveries = await self._next()
        causes, self._local = self._local, []
        causes += self._open(deliveries)
        is_performed = await self._settle(causes) if causes else True
        if self._must_resume:
            self._must_resume = False
            await self._resume(list(self.entries))
        if deliveries and is_performed and self._inbox is not None:
            await self._inbox.acknowledge(deliveries)
        if self._now_s() >= self._next_tick:
            await self._tick()

    async def _next(self) -> Sequence[Delivery]:
        """Wait for deliveries, local messages, a tick or the end."""
        assert self._inbox is not None
        while True:
            if self._receiving is None:
                self._receiving = asyncio.create_task(self._receive(self._inbox))
                self._receiving.add_done_callback(lambda _task: self._wake.set())
            if self._receiving.done():
                deliveries = self._receiving.result()
                self._receiving = None
                return deliveries
            if self._local or self._is_stopping or self._must_resume or self._now_s() >= self._next_tick:
                return ()
            self._wake.clear()
            await self._wake.wait()

    @staticmethod
    async def _receive(inbox: Inbox) -> Sequence[Delivery]:
        return await inbox.receive()

    def _open(self, deliveries: Sequence[Delivery]) -> list[Cause]:
        """Return the messages in the deliveries, without those of senders that have been replaced."""
        causes: list[Cause] = []
        for delivery in deliveries:
            try:
                envelope = decode_envelope(delivery.body)
            except msgspec.DecodeError as error:
                log.error("envelope.unreadable", actor=str(self.address), error=str(error))
                continue
            for parcel in envelope.parcels:
                if parcel.epoch >= self._epochs.get(parcel.sender, 0):
                    self._epochs[parcel.sender] = parcel.epoch
                    causes += [(letter.id, letter.message) for letter in parcel.letters]
        return causes

    async def _settle(self, causes: list[Cause]) -> bool:
        """Decide, append and perform; return whether everything was performed."""
        for _ in range(TRIES):
            causes = await self._prepare(causes)
            try:
                touched = self._decide(causes)
            except Exception:
                log.exception("batch.crashed", actor=str(self.address), messages=len(causes))
                await self._reload({message.key for _, message in causes})
                return await self._settle_singly(causes)
            refused = await self._append(touched)
            outbox = [item for key in touched for item in self._take_outbox(key, refused)]
            is_performed = await self._perform(outbox)
            self._retire(touched)
            if not refused:
                return is_performed
            await self._reload(refused)
            await self._resume(refused)
            causes = [cause for cause in causes if cause[1].key in refused]
        raise LeaseLostError(f"{self.address}: a log was refused {TRIES} times; another owner writes to it.")

    async def _settle_singly(self, causes: list[Cause]) -> bool:
        """Redo a crashed batch one message at a time, and set aside the one that crashes again."""
        is_performed = True
        for cause in causes:
            prepared = await self._prepare([cause])
            try:
                touched = self._decide(prepared)
            except Exception as error:
                log.exception("message.set_aside", actor=str(self.address), cause=cause[0])
                await self._set_aside(cause, error)
                await self._reload({cause[1].key})
                continue
            if await self._append(touched):
                raise LeaseLostError(f"{self.address}: a log was refused while a crashed batch was redone.")
            outbox = [item for key in touched for item in self._take_outbox(key, set())]
            is_performed = await self._perform(outbox) and is_performed
        return is_performed

    async def _set_aside(self, cause: Cause, error: Exception) -> None:
        subject = self._ports.names.dead_letter(self.address.kind.value, self.address.id)
        body = msgspec.json.encode({"id": cause[0], "message": cause[1], "error": repr(error)})
        await self._ports.post.send([(subject, body)])

    async def _prepare(self, causes: list[Cause]) -> list[Cause]:
        """Load what the messages need; leave out those for broken logs."""
        prepared: list[Cause] = []
        for cause, message in causes:
            if message.key not in self.entries and message.key not in self._broken:
                await self._load(message.key)
            if message.key in self.entries:
                prepared.append((cause, await self._complete(message)))
        return prepared

    async def _complete(self, message: Message) -> Message:
        if getattr(message, "definition", None) is None:
            return message
        return await self._definitions.complete(message)

    def _decide(self, causes: list[Cause]) -> list[str]:
        """Step every state; return the keys that were touched, in order."""
        now_ms = self._ports.clock.now_ms()
        touched: dict[str, None] = {}
        for cause, message in causes:
            key = message.key
            entry = self.entries[key]
            touched[key] = None
            first = entry.state.version + 1
            events, effects = step(self._behaviour, entry.state, message, entry.begin(now_ms))
            if events:
                entry.decisions.append(Decision(cause, tuple(events)))
            name = entry.name
            entry.effects += [
                (f"{name}:{first + index}:{place}", effect) for place, (index, effect) in enumerate(effects)
            ]
        return list(touched)

    async def _append(self, touched: list[str]) -> set[str]:
        """Commit every log that changed; return the keys of those that were refused."""
        changed = [key for key in touched if self.entries[key].decisions]
        opened = [key for key in changed if self.entries[key].is_new] if self._roster else []
        appends: list[Awaitable[None]] = [
            self._journal.commit(self.entries[key], self.epoch) for key in changed
        ]
        if opened and self._roster:
            appends.append(self._roster.open(opened))
        if len(appends) == 1:
            outcomes: list[BaseException | None] = [await _outcome(appends[0])]
        else:
            outcomes = await asyncio.gather(*appends, return_exceptions=True)
        refused: set[str] = set()
        for place, outcome in enumerate(outcomes):
            if isinstance(outcome, ConflictError):
                if place >= len(changed):
                    raise LeaseLostError(f"{self.address}: the shard has a new owner.") from outcome
                log.warning("log.refused", actor=str(self.address), key=changed[place])
                refused.add(changed[place])
            elif outcome is not None:
                raise outcome
        return refused

    def _take_outbox(self, key: str, refused: set[str]) -> list[tuple[str, Effect]]:
        effects = self.entries[key].take_effects()
        return [] if key in refused else effects

    def _retire(self, touched: list[str]) -> None:
        """Forget states that are over; only their logs remain."""
        if self._roster is None:
            return
        for key in touched:
            entry = self.entries[key]
            if entry.is_new or self._behaviour.is_over(entry.state):
                self._roster.close(key)
                del self.entries[key]
                self._reminders.pop(key, None)

    async def _reload(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.entries.pop(key, None)
            await self._load(key)

    # --- performing ----------------------------------------------------------------------------

    async def _perform(self, outbox: list[tuple[str, Effect]]) -> bool:
        """Carry effects out; return False when the server did not take the messages."""
        if not outbox:
            return True
        self._check_lease()
        sends: list[tuple[str, Send]] = []
        for letter_id, effect in outbox:
            if isinstance(effect, Send):
                sends.append((letter_id, effect))
            elif isinstance(effect, SetTimer):
                self._set_timer(effect)
            elif self._perform_local is not None:
                self._perform_local(effect)
        envelopes = self._sorter.envelopes(str(self.address), self.epoch, sends)
        try:
            if envelopes:
                await self._ports.post.send(envelopes)
        except PlatformError as error:
            log.warning("post.not_sent", actor=str(self.address), error=str(error))
            return False
        return True

    def _check_lease(self) -> None:
        if self._lease is not None and not self._lease.is_held():
            raise LeaseLostError(f"{self.address}: the lease ran out.")

    def _set_timer(self, timer: SetTimer) -> None:
        """Fire on the loop's monotonic clock, so a jump of the wall clock expires nothing."""
        identity = (timer.key, timer.name)
        if (known := self._timers.pop(identity, None)) is not None:
            known.cancel()
        delay_s = max(0.0, (timer.due_at - self._ports.clock.now_ms()) / 1000)
        loop = asyncio.get_running_loop()
        self._timers[identity] = loop.call_later(delay_s, self._fire, identity)

    def _fire(self, identity: tuple[str, str]) -> None:
        self._timers.pop(identity, None)
        if identity[0] in self.entries:
            self.tell(TimerFired(*identity), f"timer:{identity[1]}")

    # --- time ----------------------------------------------------------------------------------

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()

    def _on_renewed(self) -> None:
        self._must_resume = True
        self._wake.set()

    async def _tick_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._ports.resend_s)
            self._wake.set()

    async def _tick(self) -> None:
        """Repeat what has been owed for too long, and record which logs have ended."""
        now_s = self._now_s()
        self._next_tick = now_s + self._ports.resend_s
        self._check_lease()
        outbox: list[tuple[str, Effect]] = []
        for key, entry in self.entries.items():
            reminder = self._reminders.get(key)
            if reminder is None:
                reminder = Reminder(self._ports.resend_s, self._ports.resend_max_s)
                self._reminders[key] = reminder
            overdue = reminder.overdue(self._behaviour.resume(entry.state), now_s)
            outbox += [(f"{entry.name}:{entry.state.version}:r{i}", e) for i, e in enumerate(overdue)]
        await self._perform(outbox)
        if self._roster is not None:
            await self._roster.flush()
        if self._on_tick is not None:
            self._on_tick(self.entries)

    async def _close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._receiving is not None:
            self._receiving.cancel()
            await asyncio.wait([self._receiving])
        if self._inbox is not None:
            await self._inbox.close()


async def _outcome(append: Awaitable[None]) -> BaseException | None:
    try:
        await append
    except ConflictError as error:
        return error
    return None
