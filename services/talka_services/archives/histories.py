"""Histories with those of archived executions: each is read in its file, as if it had never left."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from talka_core.scheduler import ExecutionRecord
from talka_protocols.commit import Commit
from talka_protocols.errors import RequestRefusedError, TalkaError
from talka_protocols.events import Event
from talka_protocols.ports import Blobs, Log, Snapshots
from talka_protocols.subjects import EXECUTION, PLAN, LogName
from talka_protocols.workflow import ClaimCheck
from talka_services.archives.kept import KeptArchives
from talka_services.client.histories import Histories
from talka_services.exports import Archive
from talka_services.runner.journal import newest


class WholeHistories(Histories):
    """The histories of one namespace, of which archived executions are read where they lie.

    Only what is asked for by one execution's id is looked for there; the rest of a
    namespace is read as `Histories` does it. Some files stay open until it is closed.
    """

    def __init__(self, log: Log, blobs: Blobs, shards: int, snapshots: Snapshots | None = None) -> None:
        super().__init__(log, blobs, shards, snapshots)
        self._blobs = blobs
        self._archives = KeptArchives()

    async def close(self) -> None:
        """Close the files that stayed open."""
        await self._archives.close()

    async def commits(self, name: LogName) -> list[tuple[int, Commit[Event]]]:
        """Return a log's commits with their positions, definitions in place.

        Raises:
            RequestRefusedError: they lie in an archive that cannot be read here.
        """
        if name.kind not in (EXECUTION, PLAN):
            return await super().commits(name)
        async with self._place_of(name.key) as archive:
            if archive is None:
                return await super().commits(name)
            there = archive.histories
            return await there.commits(LogName(name.kind, there.name(name.key).shard, name.key))

    async def execution(self, execution_id: str, at: int | None = None) -> ExecutionRecord:
        """Return an execution's state at an event, or at its last one.

        Raises:
            UnknownExecutionError: it has no log.
            RequestRefusedError: it lies in an archive that cannot be read here.
            BrokenHistoryError: its log cannot be folded.
        """
        async with self._place_of(execution_id) as archive:
            if archive is None:
                return await super().execution(execution_id, at)
            return await archive.histories.execution(execution_id, at)

    async def pool_events(self, execution_id: str, pool: str) -> list[tuple[int, Any]]:
        """Return the events of the pool that an execution ran in, with their instants.

        Raises:
            RequestRefusedError: they lie in an archive that cannot be read here.
        """
        async with self._place_of(execution_id) as archive:
            if archive is None:
                return await super().pool_events(execution_id, pool)
            return await archive.histories.pool_events(execution_id, pool)

    async def value(self, execution_id: str, claim: ClaimCheck) -> bytes:
        """Return a large result of an execution.

        Raises:
            BrokenHistoryError: it is gone, or was changed.
            RequestRefusedError: it lies in an archive that cannot be read here.
        """
        async with self._place_of(execution_id) as archive:
            return await (self._blobs if archive is None else archive.blobs).get(claim)

    @asynccontextmanager
    async def _place_of(self, execution_id: str) -> AsyncGenerator[Archive | None]:
        """Open the file in which an execution lies; None if it is here."""
        entry = await newest(self.name(execution_id), self._log, self._snapshots, self._definitions)
        state: ExecutionRecord = entry.state
        if state.archived is None:
            yield None
            return
        place = state.archived.place
        async with AsyncExitStack() as stack:
            try:
                archive = await stack.enter_async_context(self._archives.opened(place, state.archived.sha256))
            except TalkaError as error:
                raise _unreadable(execution_id, place, error) from error
            yield archive


def _unreadable(execution_id: str, place: str, error: TalkaError) -> RequestRefusedError:
    return RequestRefusedError(
        f"The execution {execution_id!r} is archived, and its archive cannot be read here: {error.message}",
        hint=f"Where {place} can be read, `talka replay FILE` shows it, "
        "and `talka import FILE` brings it back.",
        code="archived",
    )
