"""The `Log` port over an `eventsourcing` recorder: in memory, a SQLite file, or PostgreSQL.

A log is an originator (``kind.shard.key``), a commit one stored event whose
version is the position (1, 2, 3, ...) and whose topic names the commit's id.
Such logs are exports and archives: `follow` ends where the log ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from eventsourcing.persistence import ApplicationRecorder, IntegrityError, PersistenceError, StoredEvent
from eventsourcing.popo import POPOApplicationRecorder
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore

from talka_protocols.errors import CallerError, ConflictError, PlatformError
from talka_protocols.ports import Heap, StoredCommit
from talka_protocols.subjects import LogName
from talka_services.postgres import PostgresDatabase

TOPIC = "talka.commit:"
PAGE = 1000
EVENTS_TABLE = "talka_events"

T = TypeVar("T")


def _nothing() -> None:
    """Stand in where there is nothing to close."""


class RecorderLog:
    """Logs in a recorder of the library ``eventsourcing``, whose originator ids are text.

    ``in_threads`` keeps calls that wait for a disk or a network off the event loop.
    """

    def __init__(
        self, recorder: ApplicationRecorder, *, in_threads: bool = True, close: Callable[[], None] = _nothing
    ) -> None:
        self.recorder = recorder
        self._in_threads = in_threads
        self._close = close

    async def append(self, log: LogName, after: int, body: bytes, commit_id: str) -> int:
        """Append one commit behind position ``after`` and return its position.

        Raises:
            ConflictError: the log's last position is not ``after``.
            PlatformError: the database refused for another reason.
        """
        return await self._run(lambda: self._append(log, after, body, commit_id))

    async def read(self, log: LogName, after: int = 0) -> Sequence[StoredCommit]:
        """Return the commits behind position ``after``, oldest first."""
        events = await self._run(lambda: self.recorder.select_events(originator(log), gt=after))
        return [_commit(log, event) for event in events]

    async def names(self, kind: str, shard: str | None = None) -> Sequence[LogName]:
        """Return the names of the logs of one kind, sorted; reads through the whole recorder."""
        found = await self._run(self._originators)
        names = (LogName(*text.split(".", 2)) for text in sorted(found))
        return [name for name in names if name.kind == kind and shard in (None, name.shard)]

    async def follow(self, log: LogName, after: int = 0) -> AsyncGenerator[StoredCommit]:
        """Yield the commits behind ``after`` and end at the end of the log."""
        while True:
            page = partial(self.recorder.select_events, originator(log), gt=after, limit=PAGE)
            events = await self._run(page)
            for event in events:
                after = event.originator_version
                yield _commit(log, event)
            if len(events) < PAGE:
                return

    async def read_all(self, kinds: Collection[str]) -> AsyncGenerator[Heap]:
        """Yield the commits of all logs of these kinds by position, as exports keep it, in one heap."""
        names = [name for kind in kinds for name in await self.names(kind)]
        found = [commit for name in names for commit in await self.read(name)]
        yield Heap(tuple(sorted(found, key=lambda commit: commit.position)), 0)

    async def close(self) -> None:
        """Close the database."""
        await self._run(self._close)

    async def _run(self, call: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(call) if self._in_threads else call()
        except PersistenceError as error:
            raise PlatformError(
                f"The recorder {type(self.recorder).__name__} failed: {type(error).__name__} {error}.",
                hint="Check the file's or the database's state and space; trying again is safe.",
            ) from error

    def _append(self, log: LogName, after: int, body: bytes, commit_id: str) -> int:
        last = self._last(log)
        if (last.originator_version if last else 0) != after:
            return self._own_position(log, after, commit_id, last)
        event = StoredEvent(originator(log), after + 1, TOPIC + commit_id, body)
        try:
            self.recorder.insert_events([event])
        except IntegrityError:
            return self._own_position(log, after, commit_id, self._last(log))
        return after + 1

    def _last(self, log: LogName) -> StoredEvent | None:
        events = self.recorder.select_events(originator(log), desc=True, limit=1)
        return events[0] if events else None

    @staticmethod
    def _own_position(log: LogName, after: int, commit_id: str, last: StoredEvent | None) -> int:
        """Return the position of the log's last commit if it is this one, written before."""
        position = last.originator_version if last else 0
        if last is not None and position > after and last.topic == TOPIC + commit_id:
            return position
        raise ConflictError(
            f"Log {log} ends at {position}, not at {after}: another owner wrote to it.",
            hint="This owner steps down; nothing needs to be done.",
        )

    def _originators(self) -> set[str]:
        found: set[str] = set()
        start = 1
        while True:
            page = self.recorder.select_notifications(start, PAGE)
            found.update(str(event.originator_id) for event in page)
            if len(page) < PAGE:
                return found
            start = page[-1].id + 1


def originator(log: LogName) -> str:
    """Return the originator id under which a log's commits are recorded."""
    return f"{log.kind}.{log.shard}.{log.key}"


def popo_log() -> RecorderLog:
    """Return logs in plain Python objects, gone with the process."""
    return RecorderLog(POPOApplicationRecorder(), in_threads=False)


def sqlite_log(path: Path | str) -> RecorderLog:
    """Return the logs in a SQLite file, which is made if it does not exist.

    Raises:
        CallerError: the file cannot be opened or is no such database.
    """
    datastore = SQLiteDatastore(str(path), originator_id_type="text")
    recorder = SQLiteApplicationRecorder(datastore, events_table_name=EVENTS_TABLE)
    try:
        recorder.create_table()
    except PersistenceError as error:
        datastore.close()
        raise CallerError(
            f"{path} cannot be opened as an exported log: {error}.",
            hint="Name a file made by `talka export`.",
        ) from error
    return RecorderLog(recorder, close=datastore.close)


def postgres_log(dsn: str, table: str = EVENTS_TABLE) -> RecorderLog:
    """Return the logs in a PostgreSQL database, whose table is made if it does not exist.

    Args:
        dsn: a connection string, ``postgresql://user:password@host:port/database`` or ``key=value`` pairs.
        table: the table that holds the commits.

    Raises:
        CallerError: the extra ``postgres`` is not installed, or the database cannot be reached.
    """
    database = PostgresDatabase(dsn)
    from eventsourcing.postgres import PostgresApplicationRecorder  # noqa: PLC0415

    recorder = PostgresApplicationRecorder(database.datastore, events_table_name=table)
    database.create(recorder.create_table)
    return RecorderLog(recorder, close=database.datastore.close)


def _commit(log: LogName, event: StoredEvent) -> StoredCommit:
    return StoredCommit(log, event.originator_version, event.state, event.topic.removeprefix(TOPIC))
