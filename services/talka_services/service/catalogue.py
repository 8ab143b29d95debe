"""Which triggers there are and what they are on, as their logs have it now."""

from __future__ import annotations

from talka_core.trigger import TriggerRecord
from talka_core.trigger.expressions import matches
from talka_protocols.commit import decode_commit
from talka_protocols.errors import BrokenHistoryError
from talka_protocols.events import TriggerCreated, TriggerDeleted
from talka_protocols.subjects import TRIGGER, LogName
from talka_services.jetstream.api import last_message
from talka_services.jetstream.connection import Connection
from talka_services.jetstream.feed import Feed
from talka_services.runner.definitions import Definitions
from talka_services.runner.journal import newest
from talka_services.runner.ports import Ports
from talka_services.telemetry import get_logger

log = get_logger(__name__)


class Catalogue:
    """The triggers of a namespace by name; whether one is paused is for itself to say."""

    def __init__(self, ports: Ports, connection: Connection) -> None:
        self._ports = ports
        self._connection = connection
        self._stream = connection.names.stream("log")
        self._subject = connection.names.logs(TRIGGER)
        self._definitions = Definitions(ports.blobs)
        self._on: dict[str, str] = {}
        self._feed: Feed | None = None
        self._noted = 0

    async def catch_up(self) -> None:
        """Read on to what is the end now: a trigger that was recorded before this was called is known then.

        Raises:
            PlatformError: the server did not answer, or refused.
        """
        end = await self._end()
        if self._feed is None:
            await self._load(end)
            self._feed, self._noted = Feed(self._connection, self._stream, self._subject, end), end
        # What has arrived by itself meanwhile is yet to be noted, though the feed is behind it already.
        while self._noted < end:
            arrived = await self._feed.next()
            for position, message in arrived:
                names, vault = self._connection.names, self._connection.vault
                body = vault.read(names, message.subject, message.data)
                await self._note(names.log_name(message.subject), body)
                self._noted = position

    def names_for(self, kind: str) -> list[str]:
        """Return the names of the triggers that are on a type of event."""
        return [name for name, on in self._on.items() if matches(on, kind)]

    async def close(self) -> None:
        """Stop reading."""
        if self._feed is not None:
            await self._feed.close()

    async def _end(self) -> int:
        last = await last_message(self._connection, self._stream, self._subject)
        return last.seq if last is not None else 0

    async def _load(self, end: int) -> None:
        """Fold every trigger's log; what is recorded behind ``end`` meanwhile is read once more."""
        for name in await self._ports.log.names(TRIGGER):
            await self._fold(name, end)

    async def _fold(self, name: LogName, end: int) -> None:
        try:
            entry = await newest(name, self._ports.log, self._ports.snapshots, self._definitions)
        except BrokenHistoryError as error:
            log.warning("catalogue.broken", log=str(name), error=str(error), end=end)
            return
        state: TriggerRecord = entry.state
        if state.trigger is not None:
            self._on[name.key] = state.trigger.on

    async def _note(self, name: LogName, body: bytes) -> None:
        try:
            commit = decode_commit(name, body)
        except BrokenHistoryError as error:
            log.warning("catalogue.broken", log=str(name), error=str(error))
            return
        for _, _, event in commit.events():
            if isinstance(event, TriggerCreated):
                self._on[name.key] = event.trigger.on
            elif isinstance(event, TriggerDeleted):
                self._on.pop(name.key, None)
            elif name.key not in self._on:
                # That it was created may have been pruned while nothing was read.
                await self._fold(name, self._noted)
