"""Where histories are read from: a running platform, a data directory, or an exported file.

Wherever an execution id is asked for, ``FILE`` or ``FILE#ID`` names an export.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from talka_protocols.errors import TalkaError, UnknownExecutionError
from talka_services.cli.command import Target
from talka_services.cli.logs import configure_logs
from talka_services.cli.reach import reach_node
from talka_services.cli.screen import console, plain

if TYPE_CHECKING:
    from talka_protocols.ports import Blobs, Log, Snapshots
    from talka_services.client.histories import Histories
    from talka_services.exports import Archive


@dataclass(frozen=True)
class Records:
    """The ports that hold histories, and how many shards they were made with.

    ``pool`` is the one whose commits an export holds; what is not live cannot be followed.
    ``archived`` is the URL of the file, if they are those of an archived execution.
    """

    log: Log
    blobs: Blobs
    snapshots: Snapshots
    shards: int
    namespace: str
    pool: str = "default"
    is_live: bool = True
    archived: str = ""

    @property
    def histories(self) -> Histories:
        """Return the histories in them."""
        from talka_services.client.histories import Histories

        return Histories(self.log, self.blobs, self.shards, self.snapshots)


@asynccontextmanager
async def open_records(target: Target) -> AsyncGenerator[Records]:
    """Open the histories of a platform or a data directory.

    Raises:
        ServerUnavailableError: no server answers at the address.
        DataDirectoryError: there is no such directory, or it cannot be used.
    """
    async with reach_node(target) as node:
        ports = node.ports
        yield Records(ports.log, ports.blobs, ports.snapshots, ports.shards, target.namespace)


@asynccontextmanager
async def open_execution(target: Target, wanted: str) -> AsyncGenerator[tuple[Records, str]]:
    """Open where an execution is recorded, and return its id with it.

    Raises:
        UnknownExecutionError: the file holds another execution.
        ArchiveError: the file is no export.
    """
    archive = open_archive(wanted)
    if archive is None:
        async with open_records(target) as records, _where_it_lies(records, wanted) as found:
            yield found, wanted
        return
    configure_logs(is_verbose=target.is_verbose, form=target.log_format)
    with archive:
        yield _records_in(archive), named_in(archive, wanted)


def _records_in(archive: Archive, archived: str = "") -> Records:
    held = archive.manifest
    return Records(
        archive.log,
        archive.blobs,
        archive.snapshots,
        held.shards,
        held.namespace,
        held.pool,
        is_live=False,
        archived=archived,
    )


@asynccontextmanager
async def _where_it_lies(records: Records, execution_id: str) -> AsyncGenerator[Records]:
    """Open an execution's archive if it has one that can be read here, and else say why it cannot be."""
    from talka_services.archives import opened, place_of

    archived = await place_of(records.log, records.histories.name(execution_id))
    async with AsyncExitStack() as stack:
        if archived is not None:
            try:
                archive = await stack.enter_async_context(opened(archived.place, archived.sha256))
            except TalkaError as error:
                said = (
                    f"{plain(execution_id)} is archived, and its archive cannot be read here: {plain(error)}"
                )
                console(is_error=True).print(plain(said))
            else:
                records = _records_in(archive, archived.place)
        yield records


def named_in(archive: Archive, wanted: str) -> str:
    """Return the id that is meant: the one behind ``#``, or that of the execution that was exported."""
    return _exported(wanted)[1] or archive.manifest.execution_id


def open_archive(wanted: str) -> Archive | None:
    """Open the exported file that an id names; the caller closes it. None if it names no file.

    Raises:
        UnknownExecutionError: the file holds another execution.
        ArchiveError: the file is no export.
    """
    file, name = _exported(wanted)
    if file is None:
        return None
    from talka_services.exports import Archive

    archive = Archive(file)
    if name and not archive.holds(name):
        archive.close()
        raise UnknownExecutionError(name)
    return archive


def _exported(wanted: str) -> tuple[Path | None, str]:
    """Return the file and the id that ``FILE#ID`` names, or None if it names no file."""
    file, _, name = wanted.partition("#")
    return (Path(file), name) if Path(file).is_file() else (None, wanted)
