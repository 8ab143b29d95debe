"""All that a namespace stores, stream by stream, with a manifest that is written last.

The order is what makes a backup of a running platform one that can be gone on
from. A request that is being recorded is then in it twice rather than not at
all, and is recognised by its id; a snapshot is never newer than the log; each
value that the log names is there. Where a log is pruned meanwhile, what it
begins with now may be missing, so both are saved once more. Leases, and the
streams between actors, are facts of the moment and are left out.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import msgspec
from msgspec import Struct

from talka_protocols.errors import CallerError, PlatformError
from talka_protocols.subjects import BASE
from talka_services.backups.streams import (
    WHOLE,
    BackupError,
    SavedStream,
    check_file,
    restore_stream,
    save_stream,
)
from talka_services.jetstream.api import NOT_FOUND, RefusedError, call, last_message, refused
from talka_services.jetstream.connection import Connection

FORMAT = 1
MANIFEST = "manifest.json"
BUCKETS = {"settings": "KV", "objects": "OBJ"}
ORDER = ("request", "snapshot", "settings", "log", "objects", "events", "dead", "tasklog")

Step = Callable[[str, SavedStream], None]
"""Is told of each stream that is done: what it holds, and how it was saved."""


class Backup(Struct, frozen=True):
    """What a backup holds; ``taken_at`` is in Unix seconds, ``streams`` are by what they hold."""

    namespace: str
    taken_at: float
    talka: str
    streams: dict[str, SavedStream]
    format: int = FORMAT

    @property
    def bytes(self) -> int:
        """Return how large the files are together."""
        return sum(saved.bytes for saved in self.streams.values())


async def back_up(connection: Connection, directory: Path, step: Step | None = None) -> Backup:
    """Write everything that a namespace stores to a directory; it may be in use meanwhile.

    A directory without a manifest holds no backup, so one that was interrupted is never taken for whole.

    Raises:
        CallerError: the directory is not empty or cannot be written, or the namespace does not exist.
        ServerUnavailableError: the server stopped answering.
    """
    try:
        await asyncio.to_thread(_prepare, directory)
        streams, base = dict[str, SavedStream](), 0

        async def save(what: str) -> None:
            streams[what] = await _save(connection, what, directory)
            if step is not None:
                step(what, streams[what])

        for what in ORDER:
            if what == "snapshot":
                base = await _newest_base(connection)
            await save(what)
            while what == "log" and (newest := await _newest_base(connection)) != base:
                base = newest
                await save("snapshot")
                await save("log")
        backup = Backup(connection.names.namespace, time.time(), version("talka"), streams)
        await asyncio.to_thread(_finish, directory, backup)
    except OSError as error:
        raise CallerError(
            f"{directory} cannot be written: {error.strerror}.", hint="Name another directory, or make room."
        ) from error
    return backup


def _prepare(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise CallerError(f"{directory} is not empty.", hint="Name a directory that is, or a new one.")


def _finish(directory: Path, backup: Backup) -> None:
    """Write the manifest, which makes the files a backup, once these are on the disk."""
    for path in directory.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    draft = directory / f".{MANIFEST}"
    with draft.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(backup), indent=2))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(directory / MANIFEST)


async def _newest_base(connection: Connection) -> int:
    """Return the sequence of what was stored last of all that pruned logs begin with, 0 if nothing was."""
    names = connection.names
    last = await last_message(connection, names.stream("snapshot"), names.snapshots(BASE))
    return last.seq if last is not None else 0


async def _save(connection: Connection, what: str, directory: Path) -> SavedStream:
    try:
        return await save_stream(connection, _stream(connection, what), file_of(directory, what))
    except PlatformError as error:
        cause = error.__cause__ or error
        if isinstance(cause, RefusedError) and cause.failure.code == NOT_FOUND:
            names = connection.names
            raise CallerError(
                f"There is no namespace {names.namespace!r} at {connection.address}.",
                hint="Name another with --namespace.",
            ) from error
        raise


def read_backup(directory: Path) -> Backup:
    """Read what a directory holds, and check that all of it is whole.

    Raises:
        BackupError: it holds no backup, one of a newer version, or one that was changed.
    """
    path = directory / MANIFEST
    try:
        backup = msgspec.json.decode(path.read_bytes(), type=Backup)
    except OSError as error:
        raise BackupError(
            f"{directory} holds no whole backup: {path.name} cannot be read ({error.strerror}).", hint=WHOLE
        ) from error
    except (ValueError, RecursionError) as error:
        raise BackupError(f"{path} is not the manifest of a backup: {error}.", hint=WHOLE) from error
    if backup.format > FORMAT:
        raise BackupError(
            f"{directory} has format {backup.format}; this Talka knows formats up to {FORMAT}.",
            hint="Upgrade Talka.",
        )
    for what in ORDER:
        if what not in backup.streams or not isinstance(backup.streams[what].config.get("name"), str):
            raise BackupError(f"{path} names no stream {what!r}.", hint=WHOLE)
        check_file(backup.streams[what], file_of(directory, what))
    return backup


async def restore(
    connection: Connection, directory: Path, *, replicas: int = 1, step: Step | None = None
) -> Backup:
    """Make a namespace anew from a backup; nothing is made unless all of it is.

    Raises:
        BackupError: there is no whole backup in the directory, or it is of another namespace.
        CallerError: the server has something of the namespace already.
        ServerUnavailableError: the server stopped answering.
    """
    backup = await asyncio.to_thread(read_backup, directory)
    namespace = connection.names.namespace
    if backup.namespace != namespace:
        raise BackupError(
            f"{directory} is a backup of the namespace {backup.namespace!r}, not of {namespace!r}.",
            hint=f"Restore it with --namespace {backup.namespace}; names are part of what is stored.",
        )
    for what in ORDER:
        named, own = backup.streams[what].config["name"], _stream(connection, what)
        if named != own:
            raise BackupError(f"{directory} calls the stream {own!r} {named!r}.", hint=WHOLE)
    await _refuse_existing(connection)
    made: list[str] = []
    try:
        for what in ORDER:
            saved = backup.streams[what]
            await restore_stream(connection, saved, file_of(directory, what), replicas)
            made.append(_stream(connection, what))
            if step is not None:
                step(what, saved)
    except BaseException:
        for stream in made:
            with suppress(RefusedError, PlatformError):
                await call(connection, f"STREAM.DELETE.{stream}", wait_s=3.0)
        raise
    return backup


async def _refuse_existing(connection: Connection) -> None:
    for stream in (_stream(connection, what) for what in ORDER):
        try:
            await call(connection, f"STREAM.INFO.{stream}")
        except RefusedError as error:
            if error.failure.code != NOT_FOUND:
                raise refused(f"looking for the stream {stream}", error) from error
        else:
            raise CallerError(
                f"There is a stream {stream} at {connection.address} already, and nothing is replaced.",
                hint="Restore to a server, or a data directory, that does not have this namespace.",
            )


def file_of(directory: Path, what: str) -> Path:
    """Return where in a backup a stream is: a tar archive, compressed as the server does it (S2)."""
    return directory / f"{what}.tar.s2"


def _stream(connection: Connection, what: str) -> str:
    names = connection.names
    kinds: Mapping[str, str] = BUCKETS
    return f"{kinds[what]}_{names.bucket(what)}" if what in kinds else names.stream(what)
