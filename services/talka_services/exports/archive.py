"""The file of an exported execution: one SQLite file of the library ``eventsourcing``.

Everything is a stored event of its recorder (table ``talka_events``, ids are
text), so that library, or anything that reads SQLite, opens it:

================================  ===================  ==============================  ====================
originator id                     originator version   topic                           state
================================  ===================  ==============================  ====================
``manifest.-.talka``              1                    ``talka.manifest:1``            `Manifest` as JSON
``execution.<shard>.<id>``        position in its log  ``talka.commit:<commit id>``    the commit's bytes
``plan.<shard>.<id>``             position in its log  ``talka.commit:<commit id>``    the commit's bytes
``pool.-.<pool>``                 position in its log  ``talka.commit:<commit id>``    the commit's bytes
``snapshot.<shard>.<id>``         position in its log  ``talka.snapshot:<version>``    the folded state
``object.-.<sha256>``             1                    ``talka.object``                the value's bytes
================================  ===================  ==============================  ====================

Its sub-workflows, and theirs, are in it in the same way. Commits keep their
bytes, ids and positions. The logs of executions and plans are complete; of a
pool's log only those commits are there that concern the executions, the
workers or the pool's amounts, whole, so its versions have gaps and it is shown,
not folded. What was sealed is sealed in the file too, and is read with the same
keys. A reader opens the file as immutable and writes nothing beside it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import msgspec
from eventsourcing.persistence import PersistenceError, StoredEvent
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore
from msgspec import Struct

from talka_core.auditing import Anchor
from talka_protocols.errors import BrokenHistoryError, CallerError
from talka_protocols.ports import Snapshot, StoredCommit
from talka_protocols.seals import Signature, find_signature
from talka_protocols.subjects import EXECUTION, PLAN, LogName
from talka_protocols.workflow import ClaimCheck
from talka_services.client.histories import Histories
from talka_services.recorder_log import EVENTS_TABLE, TOPIC, RecorderLog, originator
from talka_services.sealing.ports import SealedBlobs, SealedLog, SealedSnapshots
from talka_services.sealing.vault import Vault, vault_of_environment

FORMAT = 1
MAGIC = b"SQLite format 3\0"
MANIFEST = LogName("manifest", "-", "talka")
MANIFEST_TOPIC = "talka.manifest:1"
OBJECT = "object"
OBJECT_TOPIC = "talka.object"
SNAPSHOT = "snapshot"
SNAPSHOT_TOPIC = "talka.snapshot:"


class Manifest(Struct, frozen=True):
    """What a file holds: the execution, where it ran, and the format; times are Unix seconds.

    ``children`` are its sub-workflows and theirs, which older files do not hold.
    A signed manifest has ``anchors``, by log and position: the last commit of
    each whole log, and every one of a log that is there in parts.
    """

    execution_id: str
    namespace: str
    shards: int
    pool: str
    exported_at: float
    talka: str
    format: int = FORMAT
    children: tuple[str, ...] = ()
    anchors: dict[str, dict[int, Anchor]] = {}


class ArchiveError(CallerError):
    """The file is no exported execution, or a newer version wrote it."""

    code = "bad_archive"


class Archive:
    """A file opened for reading: the ports of the execution in it. Use it as a context manager."""

    def __init__(self, path: Path, vault: Vault | None = None) -> None:
        self.path = path
        self.vault = vault_of_environment() if vault is None else vault
        _check_kind(path)
        location = f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1"
        self._datastore = SQLiteDatastore(location, originator_id_type="text")
        self._recorder = SQLiteApplicationRecorder(self._datastore, events_table_name=EVENTS_TABLE)
        try:
            self.manifest, self.signature = self._read_manifest()
        except BaseException:
            self.close()
            raise
        namespace = self.manifest.namespace
        log = RecorderLog(self._recorder, close=self._datastore.close)
        self.log = SealedLog(log, self.vault, namespace)
        self.blobs = SealedBlobs(ArchivedBlobs(self._recorder), self.vault)
        self.snapshots = SealedSnapshots(ArchivedSnapshots(self._recorder), self.vault, namespace)

    def _read_manifest(self) -> tuple[Manifest, Signature | None]:
        try:
            events = self._recorder.select_events(originator(MANIFEST))
        except (PersistenceError, sqlite3.Error, ValueError, LookupError) as error:
            # The table may have other columns. The library's own message may hold what is in the file,
            # which need be no text.
            raise ArchiveError(
                f"{self.path} is not an exported execution: {error}.",
                hint="Name a file made by `talka export`.",
            ) from error
        try:
            body = memoryview(events[-1].state).tobytes()
            manifest = msgspec.json.decode(body, type=Manifest)
        except (IndexError, TypeError, ValueError) as error:
            raise ArchiveError(
                f"{self.path} holds no exported execution.", hint="Name a file made by `talka export`."
            ) from error
        if manifest.format > FORMAT:
            raise ArchiveError(
                f"{self.path} has format {manifest.format}; this Talka knows formats up to {FORMAT}.",
                hint="Upgrade Talka.",
            )
        return manifest, find_signature(body)

    def names(self) -> list[LogName]:
        """Return the logs that an import brings back: the executions' and their plans'."""
        found = self._datastore_originators((EXECUTION, PLAN))
        return sorted(found, key=str)

    def _datastore_originators(self, kinds: Sequence[str]) -> list[LogName]:
        # The recorder has no query for ids alone, and reading every object to learn its name would be slow.
        statement = f"SELECT DISTINCT originator_id FROM {EVENTS_TABLE}"  # noqa: S608  (a constant)
        with self._datastore.transaction(commit=False) as cursor:
            cursor.execute(statement, ())
            ids = [str(row["originator_id"]) for row in cursor.fetchall()]
        names = [LogName(*text.split(".", 2)) for text in ids]
        return [name for name in names if name.kind in kinds]

    def holds(self, execution_id: str) -> bool:
        """Tell whether the execution is the exported one, or one of its sub-workflows."""
        return execution_id in (self.manifest.execution_id, *self.manifest.children)

    @property
    def histories(self) -> Histories:
        """Return the histories in it."""
        return Histories(self.log, self.blobs, self.manifest.shards, self.snapshots)

    def close(self) -> None:
        """Close the file."""
        self._datastore.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class ArchivedBlobs:
    """The `Blobs` port over a file that is only read."""

    def __init__(self, recorder: SQLiteApplicationRecorder) -> None:
        self._recorder = recorder

    async def put(self, data: bytes) -> ClaimCheck:
        """Refuse: an export is complete.

        Raises:
            ArchiveError: always.
        """
        raise ArchiveError(f"An exported execution takes no new value of {len(data)} bytes.")

    async def get(self, claim: ClaimCheck) -> bytes:
        """Return the bytes, their digest verified.

        Raises:
            BrokenHistoryError: the file does not hold them, or holds others.
        """
        name = originator(LogName(OBJECT, "-", claim.sha256))
        events = await asyncio.to_thread(self._recorder.select_events, name)
        if not events or sha256(events[0].state).hexdigest() != claim.sha256:
            raise BrokenHistoryError(
                f"The exported file holds no intact value {claim.ref} ({claim.bytes} bytes).",
                hint="Export the execution again.",
            )
        return events[0].state


class ArchivedSnapshots:
    """The `Snapshots` port over a file that is only read."""

    def __init__(self, recorder: SQLiteApplicationRecorder) -> None:
        self._recorder = recorder

    async def save(self, log: LogName, snapshot: Snapshot) -> None:
        """Refuse: an export is complete.

        Raises:
            ArchiveError: always.
        """
        raise ArchiveError(f"An exported execution takes no snapshot of {log} at {snapshot.version}.")

    async def load(self, log: LogName) -> Snapshot | None:
        """Return the snapshot that was the newest at the export, or None."""
        name = originator(LogName(SNAPSHOT, log.shard, log.key))
        events = await asyncio.to_thread(self._recorder.select_events, name)
        if not events:
            return None
        newest = events[-1]
        version = int(newest.topic.removeprefix(SNAPSHOT_TOPIC))
        return Snapshot(newest.originator_version, version, newest.state)


def is_archive(path: Path) -> bool:
    """Tell whether a file that can be read looks like an exported execution and not like a workflow."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def _check_kind(path: Path) -> None:
    try:
        with path.open("rb") as file:
            head = file.read(len(MAGIC))
    except OSError as error:
        raise ArchiveError(
            f"{path} cannot be read: {error.strerror}.", hint="Check its name and permissions."
        ) from error
    if head != MAGIC:
        raise ArchiveError(
            f"{path} is not an exported execution.", hint="Name a file made by `talka export`."
        )


def write_archive(path: Path, events: Sequence[StoredEvent]) -> None:
    """Write a whole file at once; an existing one is replaced only when the new one is complete.

    Raises:
        CallerError: the file cannot be written.
    """
    draft = path.with_name(f".{path.name}.part")
    try:
        draft.unlink(missing_ok=True)
        datastore = SQLiteDatastore(str(draft), originator_id_type="text")
        try:
            recorder = SQLiteApplicationRecorder(datastore, events_table_name=EVENTS_TABLE)
            recorder.create_table()
            recorder.insert_events(events)
        finally:
            datastore.close()
        draft.replace(path)
    except (OSError, PersistenceError, sqlite3.Error) as error:
        raise CallerError(
            f"{path} cannot be written: {error}.", hint="Name another file with --output, or make room."
        ) from error
    finally:
        draft.unlink(missing_ok=True)


def commit_event(commit: StoredCommit) -> StoredEvent:
    """Return a commit as it is recorded: sealed, if it was."""
    body = commit.sealed or commit.body
    return StoredEvent(originator(commit.log), commit.position, TOPIC + commit.commit_id, body)


def snapshot_event(log: LogName, snapshot: Snapshot) -> StoredEvent:
    """Return a log's snapshot as it is recorded."""
    name = originator(LogName(SNAPSHOT, log.shard, log.key))
    return StoredEvent(name, snapshot.position, f"{SNAPSHOT_TOPIC}{snapshot.version}", snapshot.body)


def object_event(claim: ClaimCheck, data: bytes) -> StoredEvent:
    """Return a large value as it is recorded."""
    return StoredEvent(originator(LogName(OBJECT, "-", claim.sha256)), 1, OBJECT_TOPIC, data)


def manifest_event(manifest: Manifest, vault: Vault) -> StoredEvent:
    """Return the manifest as it is recorded, signed if there are keys for that."""
    body = vault.sign(manifest_place(manifest), msgspec.json.encode(manifest), "")
    return StoredEvent(originator(MANIFEST), 1, MANIFEST_TOPIC, body)


def manifest_place(manifest: Manifest) -> str:
    """Return what the signature of a manifest is bound to."""
    return f"manifest/{manifest.execution_id}"
