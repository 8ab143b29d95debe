"""The states of one address: loading, deciding, appending, and forgetting what is over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any, NamedTuple

from talka_core.behaviour import Behaviour, Effect, step_batch, stepping
from talka_protocols.commit import Decision
from talka_protocols.errors import (
    BrokenHistoryError,
    ConflictError,
    PlatformError,
    UnknownKeyError,
    WildcardError,
)
from talka_protocols.messages import Advance, Message
from talka_services.loop import TimeSlice
from talka_services.runner.definitions import WITH_DEFINITION, Definitions
from talka_services.runner.journal import Entry, Journal
from talka_services.runner.ports import Clock
from talka_services.runner.roster import Roster
from talka_services.telemetry import get_logger

log = get_logger(__name__)

Outbox = list[tuple[str, Effect]]
"""Effects under their letter ids, in order."""


class Cause(NamedTuple):
    """A message under the id that events name as their cause, and who asked for it, if somebody did."""

    id: str
    message: Message
    asked_by: str = ""


class LeaseLostError(PlatformError):
    """The address has, or may have, a new owner; this one steps down."""

    code = "lease_lost"


class States:
    """Entries by key, and the journal that makes what is decided on them lasting.

    ``set_aside`` collects messages that cannot be taken, for the dead-letter
    stream.
    """

    def __init__(
        self,
        behaviour: Behaviour[Any, Any, Any],
        journal: Journal,
        definitions: Definitions,
        clock: Clock,
        roster: Roster | None,
    ) -> None:
        self.entries: dict[str, Entry] = {}
        self.broken: dict[str, str] = {}
        self.set_aside: list[tuple[Cause, Exception]] = []
        self._adopted: list[str] = []
        self._behaviour = behaviour
        self._journal = journal
        self._definitions = definitions
        self._clock = clock
        self._roster = roster

    async def load(self, key: str) -> None:
        """Fold a log; one that cannot be folded is set aside alone."""
        try:
            self.entries[key] = await self._journal.load(key)
        except (BrokenHistoryError, UnknownKeyError, WildcardError) as error:
            self.quarantine(key, error)

    def quarantine(self, key: str, error: Exception) -> None:
        """Set one log aside; its shard goes on, and a restart of the service tries it again."""
        self.entries.pop(key, None)
        self.broken[key] = str(error)
        log.error("log.broken", key=key, error=repr(error))

    async def reload(self, keys: Iterable[str]) -> None:
        """Throw provisional states away and fold their logs again."""
        for key in keys:
            self.entries.pop(key, None)
            await self.load(key)

    async def prepare(self, causes: list[Cause]) -> list[Cause]:
        """Load what the messages need; leave out those for broken logs, unless one says to try again."""
        prepared: list[Cause] = []
        for cause in causes:
            message = cause.message
            key = message.key
            if isinstance(message, Advance):
                self.broken.pop(key, None)
            if key not in self.entries and key not in self.broken:
                await self.load(key)
                if await self._adopt(key):
                    prepared.append(Cause("adopted", Advance(key)))
            if key in self.entries:
                if type(message) not in WITH_DEFINITION:
                    prepared.append(cause)
                    continue
                try:
                    prepared.append(cause._replace(message=await self._definitions.complete(message)))
                except (BrokenHistoryError, ValueError) as error:
                    self.set_aside.append((cause, error))
        return prepared

    async def _adopt(self, key: str) -> bool:
        """Keep a live log that the roster does not know, and tell whether it was one.

        An owner that died between the first commit of a log and that of the
        roster left it behind; only a message that comes again tells of it.
        """
        entry = self.entries.get(key)
        if self._roster is None or entry is None or entry.is_new or self._behaviour.is_over(entry.state):
            return False
        await self._roster.adopt(key)
        self._adopted.append(key)
        return True

    def take_adopted(self) -> list[str]:
        """Return the keys of logs found by a message, whose states owe everything; and forget them."""
        adopted, self._adopted = self._adopted, []
        return adopted

    async def decide(self, causes: list[Cause]) -> list[str]:
        """Step every state, provisionally; return the keys that were touched, in order.

        Others have their turns meanwhile, and see nothing of it.

        Raises:
            Exception: a message crashed its actor; the states are to be loaded again.
        """
        if self._behaviour.decide_batch is not None:
            return await self._decide_together(causes)
        now_ms, slice_ = self._clock.now_ms(), TimeSlice()
        touched: dict[str, None] = {}
        for cause in causes:
            message = cause.message
            key = message.key
            entry = self.entries[key]
            touched[key] = None
            first = entry.state.version + 1
            events: list[Any] = []
            effects: list[tuple[int, Effect]] = []
            at = entry.begin(now_ms)
            try:
                for _ in stepping(self._behaviour, entry.state, message, at, events, effects):
                    if slice_.is_over:
                        await slice_.yield_turn()
            except Exception as error:
                if not self._journal.is_volatile:
                    raise
                # There is no log to fold again: what the other messages led to stays.
                self.set_aside.append((cause, error))
                continue
            if events:
                entry.decisions.append(Decision(cause.id, tuple(events), cause.asked_by))
            for place, (index, effect) in enumerate(effects):
                entry.effects.append((f"{entry.label}:{first + index}:{place}", effect))
            if slice_.is_over:
                await slice_.yield_turn()
        return list(touched)

    async def _decide_together(self, causes: list[Cause]) -> list[str]:
        now_ms, slice_ = self._clock.now_ms(), TimeSlice()
        batches: dict[str, list[Cause]] = {}
        for cause in causes:
            batches.setdefault(cause.message.key, []).append(cause)
        for key, batch in batches.items():
            entry = self.entries[key]
            messages = [cause.message for cause in batch]
            steps = step_batch(self._behaviour, entry.state, messages, entry.begin(now_ms))
            for number, (place, events, effects) in enumerate(steps):
                first = entry.state.version - len(events) + 1
                if events:
                    entry.decisions.append(Decision(batch[place].id, tuple(events), batch[place].asked_by))
                for position, (index, effect) in enumerate(effects):
                    # Answers to several messages stand at the same version.
                    at = f"{first + index}" if events else f"{first - 1}:{number}"
                    entry.effects.append((f"{entry.label}:{at}:{position}", effect))
                if slice_.is_over:
                    await slice_.yield_turn()
        return list(batches)

    async def append(self, touched: list[str], epoch: int) -> set[str]:
        """Commit every log that changed; return the keys of those that were refused.

        Raises:
            LeaseLostError: the shard's own log was refused.
        """
        changed = [key for key in touched if self.entries[key].decisions]
        opened = [key for key in changed if self.entries[key].is_new] if self._roster else []
        await self._open_again(changed)
        if len(changed) == 1 and not opened:
            # The common case is spared the cost of gathering.
            try:
                await self._journal.commit(self.entries[changed[0]], epoch)
            except ConflictError:
                return {changed[0]}
            return set()
        appends: list[Awaitable[None]] = [self._journal.commit(self.entries[key], epoch) for key in changed]
        if opened and self._roster:
            appends.append(self._roster.open(opened))
        outcomes = await asyncio.gather(*appends, return_exceptions=True)
        refused: set[str] = set()
        for place, outcome in enumerate(outcomes):
            if isinstance(outcome, ConflictError):
                if place >= len(changed):
                    raise LeaseLostError("The shard's log was refused: it has a new owner.") from outcome
                refused.add(changed[place])
            elif outcome is not None:
                raise outcome
        return refused

    async def _open_again(self, changed: list[str]) -> None:
        """Let the roster know the logs that had ended and go on, before they do.

        Then a takeover folds them whatever moment we die at. A new log needs no
        such care: whoever began it asks again, and it is adopted.
        """
        if self._roster is None:
            return
        again = [
            key
            for key in changed
            if not self.entries[key].is_new
            and not self._roster.holds(key)
            and not self._behaviour.is_over(self.entries[key].state)
        ]
        if again:
            try:
                await self._roster.open(again)
            except ConflictError as error:
                raise LeaseLostError("The shard's log was refused: it has a new owner.") from error

    async def record(self, key: str, event: Any, epoch: int) -> None:
        """Commit one event that no message led to: that a new owner took over.

        Raises:
            LeaseLostError: an owner after us has taken over already.
            ConflictError: another owner is doing the same at this moment.
        """
        entry = self.entries[key]
        if entry.state.epoch > epoch:
            raise LeaseLostError(
                f"{entry.name} was taken over in epoch {entry.state.epoch}, after ours of {epoch}."
            )
        self._behaviour.evolve(entry.state, event, entry.begin(self._clock.now_ms()))
        entry.decisions = [Decision("takeover", (event,))]
        await self._journal.commit(entry, epoch)

    def take_outbox(self, touched: Iterable[str], refused: set[str]) -> Outbox:
        """Return the effects of what was just committed; those of refused logs are thrown away."""
        outbox: Outbox = []
        for key in touched:
            effects = self.entries[key].take_effects()
            if key not in refused:
                outbox += effects
        return outbox

    async def owed(self, keys: Iterable[str]) -> dict[str, Outbox]:
        """Return everything that these states still owe, by key; one that cannot say is set aside."""
        owed: dict[str, Outbox] = {}
        slice_ = TimeSlice()
        for key in list(keys):
            entry = self.entries.get(key)
            if entry is None:
                continue
            effects: list[Effect] = []
            try:
                for effect in self._behaviour.resume(entry.state):
                    effects.append(effect)
                    if slice_.is_over:
                        await slice_.yield_turn()
            except Exception as error:  # noqa: BLE001  (whatever is wrong with one log must not stop the others)
                self.quarantine(key, error)
                continue
            prefix = f"{entry.label}:{entry.state.version}"
            owed[key] = [(f"{prefix}:r{i}", effect) for i, effect in enumerate(effects)]
        return owed

    def now(self, key: str) -> int:
        """Return the time of a log: never before its last commit."""
        entry = self.entries.get(key)
        return max(entry.last_at if entry else 0, self._clock.now_ms())

    def retire(self, touched: Iterable[str]) -> list[str]:
        """Forget states that are over or never began, and return their keys; only logs remain."""
        retired: list[str] = []
        if self._roster is None:
            return retired
        for key in touched:
            entry = self.entries.get(key)
            if entry is None:
                continue
            if entry.is_new or self._behaviour.is_over(entry.state):
                self._roster.close(key)
                del self.entries[key]
                retired.append(key)
        return retired
