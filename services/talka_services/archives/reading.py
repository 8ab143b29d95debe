"""Reads what is archived: where an execution lies, and the file there."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from talka_protocols.commit import decode_commit
from talka_protocols.events import ExecutionArchived
from talka_protocols.ports import Log
from talka_protocols.subjects import LogName
from talka_services.archives.depots import DepotError, depot_of, digest_of
from talka_services.exports import Archive
from talka_services.runner.journal import archived_in


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
async def opened(place: str, sha256: str) -> AsyncGenerator[Archive]:
    """Open the file at a URL, once its bytes are known to be those that were archived.

    Raises:
        DepotError: it is not there, cannot be read, or is another file.
        ArchiveError: it is no exported execution.
    """
    above, _, name = place.rpartition("/")
    with TemporaryDirectory(prefix="talka-archive-") as directory:
        file = await depot_of(above).get(name, Path(directory))
        if digest_of(file) != sha256:
            raise DepotError(
                f"{place} is not the file that was archived: its digest differs.",
                hint="Put back the file that was there, from a copy of it.",
            )
        with Archive(file) as archive:
            yield archive
