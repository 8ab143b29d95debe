"""Reads what is archived, or is going to be: where an execution lies, the file there, and its log."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from talka_protocols.commit import decode_commit
from talka_protocols.events import ExecutionArchived
from talka_protocols.ports import Log, StoredCommit
from talka_protocols.subjects import LogName
from talka_services.archives.depots import Depot, DepotError, Directory, depot_of, digest_of
from talka_services.exports import Archive
from talka_services.jetstream.api import last_message
from talka_services.jetstream.connection import Connection
from talka_services.runner.journal import archived_in
from talka_services.sealing.ports import SealedLog
from talka_services.sealing.vault import Vault


class ReadOnce(SealedLog):
    """The ``Log`` port around another one, to look at logs that are over: each is read once.

    Whoever archives what was read here has the scheduler refuse it if the log has grown since.
    """

    def __init__(self, log: Log) -> None:
        sealing = log if isinstance(log, SealedLog) else SealedLog(log, Vault(), "")
        super().__init__(sealing.inner, sealing.vault, sealing.namespace)
        self._whole: dict[LogName, Sequence[StoredCommit]] = {}

    async def read(self, log: LogName, after: int = 0) -> Sequence[StoredCommit]:
        """Return the commits behind a position, as they were when the log was first read."""
        whole = self._whole.get(log)
        if whole is None:
            whole = self._whole[log] = await super().read(log)
        return [commit for commit in whole if commit.position > after]


async def newest_commit(connection: Connection, name: LogName) -> StoredCommit | None:
    """Return the last commit of a log, opened; None if it has none.

    Raises:
        UnknownKeyError: it is sealed with a key that is not here.
        PlatformError: the server does not answer, or refuses.
    """
    names, subject = connection.names, connection.names.log(name)
    last = await last_message(connection, names.stream("log"), subject)
    if last is None:
        return None
    return StoredCommit(name, last.seq, connection.vault.read(names, subject, last.data), "")


async def place_of(log: Log, name: LogName) -> ExecutionArchived | None:
    """Return where an execution lies, if its log says so and nothing has come back since."""
    for commit in reversed(await log.read(name)):
        if (found := archived_in(commit)) is not None:
            return found
        if decode_commit(name, commit.body).version == 1:
            return None
    return None


async def mark_of(place: str) -> str:
    """Return what is another whenever somebody has written to the file at a URL.

    Raises:
        DepotError: it is not there, or nobody can tell.
    """
    above, _, name = place.rpartition("/")
    return await depot_of(above).mark(name)


@asynccontextmanager
async def fetched(depot: Depot, name: str) -> AsyncGenerator[Path]:
    """Bring a depot's file to where it can be read, for as long as the context lasts.

    Raises:
        DepotError: it is not there, or cannot be read.
    """
    if isinstance(depot, Directory):
        yield await depot.get(name, depot.path)
        return
    with TemporaryDirectory(prefix="talka-archive-") as directory:
        yield await depot.get(name, Path(directory))


@asynccontextmanager
async def opened(place: str, sha256: str) -> AsyncGenerator[Archive]:
    """Open the file at a URL, once its bytes are known to be those that were archived.

    Raises:
        DepotError: it is not there, cannot be read, or is another file.
        ArchiveError: it is no exported execution.
    """
    above, _, name = place.rpartition("/")
    async with fetched(depot_of(above), name) as file:
        if digest_of(file) != sha256:
            raise DepotError(
                f"{place} is not the file that was archived: its digest differs.",
                hint="Put back the file that was there, from a copy of it.",
            )
        with Archive(file) as archive:
            yield archive
