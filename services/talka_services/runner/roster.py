"""Keeps a shard's log of live executions, so that a takeover folds only those."""

from __future__ import annotations

from talka_core.roster import evolve_roster
from talka_protocols.commit import Decision
from talka_protocols.errors import ConflictError
from talka_protocols.events import LogsClosed, LogsOpened, OwnershipTaken, ShardEvent
from talka_protocols.subjects import SHARD
from talka_services.runner.definitions import Definitions
from talka_services.runner.journal import Entry, StoredJournal
from talka_services.runner.ports import Ports


class Roster:
    """The live logs of one shard of one kind of actor, owned by the actor that uses it."""

    def __init__(self, kind: str, shard: str, ports: Ports, epoch: int) -> None:
        self._key = f"{kind}-{shard}"
        self._journal = StoredJournal(SHARD, shard, ports, Definitions(ports.blobs))
        self._clock = ports.clock
        self._epoch = epoch
        self._entry: Entry | None = None
        self._closing: list[str] = []

    async def take_over(self, holder: str) -> list[str]:
        """Record the new owner and return the keys of the live logs.

        Raises:
            ConflictError: another owner is doing the same at this moment, or has done so after us.
        """
        self._entry = await self._journal.load(self._key)
        if self._entry.state.epoch > self._epoch:
            raise ConflictError(
                f"Shard {self._key} is in epoch {self._entry.state.epoch}, after ours of {self._epoch}.",
                hint="This owner was too slow and steps down; nothing needs to be done.",
            )
        await self._record(OwnershipTaken(self._epoch, holder))
        return list(self._entry.state.live)

    def holds(self, key: str) -> bool:
        """Tell whether a takeover would fold this log, also after what is noted to be recorded next."""
        return self._entry is not None and key in self._entry.state.live and key not in self._closing

    async def open(self, keys: list[str]) -> None:
        """Record that these logs are live, and in the same commit those that have ended.

        One that has ended and goes on before its end was recorded is simply not closed.

        Raises:
            ConflictError: the shard has a new owner.
        """
        assert self._entry is not None, "take over first"
        self._closing = [key for key in self._closing if key not in keys]
        unknown = [key for key in keys if key not in self._entry.state.live]
        events: list[ShardEvent] = [LogsOpened(tuple(unknown))] if unknown else []
        if self._closing:
            events.append(LogsClosed(tuple(self._closing)))
            self._closing = []
        if events:
            await self._record(*events)

    async def adopt(self, key: str) -> None:
        """Record a live log that was missed when it was opened, or that was closed too early.

        Raises:
            ConflictError: the shard has a new owner.
        """
        if not self.holds(key):
            await self.open([key])

    async def flush(self) -> None:
        """Record the logs that have ended."""
        await self.open([])

    def close(self, key: str) -> None:
        """Note that a log has ended; it is recorded with the next commit."""
        if self._entry is not None and key in self._entry.state.live and key not in self._closing:
            self._closing.append(key)

    async def _record(self, *events: ShardEvent) -> None:
        entry = self._entry
        assert entry is not None, "take over first"
        at = entry.begin(self._clock.now_ms())
        for event in events:
            evolve_roster(entry.state, event, at)
        entry.decisions = [Decision("roster", events)]
        await self._journal.commit(entry, self._epoch)
