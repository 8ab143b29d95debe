"""Finds out where the executions of a namespace stand, without folding those that cannot go anyway."""

from __future__ import annotations

import asyncio

from msgspec import Struct

from talka_core.archiving import Standing
from talka_core.scheduler.archiving import is_over
from talka_protocols.commit import decode_commit
from talka_protocols.errors import BrokenHistoryError
from talka_protocols.ports import StoredCommit
from talka_protocols.subjects import EXECUTION, PLAN, LogName
from talka_services.client.histories import Histories
from talka_services.jetstream.api import last_message, message_counts
from talka_services.jetstream.connection import Connection
from talka_services.jetstream.purging import Purge
from talka_services.runner.journal import archived_in
from talka_services.runner.ports import Ports
from talka_services.telemetry import get_logger

AT_ONCE = 8
LIVE = Standing(is_over=False)
GONE = Standing(is_over=True, is_archived=True)

log = get_logger(__name__)


class Found(Struct, frozen=True):
    """Where executions stand; ``leftovers`` are archived, and something of them is still to be removed."""

    standings: dict[str, Standing]
    leftovers: tuple[str, ...]

    def is_archived(self, execution_id: str) -> bool:
        """Tell whether an execution is archived; one that is not here is not."""
        return self.standings.get(execution_id, LIVE).is_archived


class Survey:
    """Looks at a namespace again and again; it remembers what is archived, so as to look at it no more."""

    def __init__(self, connection: Connection, ports: Ports, histories: Histories) -> None:
        self._connection = connection
        self._ports = ports
        self._histories = histories
        self._archived: set[str] = set()

    async def look(self, ended_before: int) -> Found:
        """Return where all executions stand; what was written to after that instant counts as live.

        Raises:
            PlatformError: the server did not answer, or refused.
        """
        names = self._connection.names
        counts = await message_counts(self._connection, names.stream("log"), names.logs(EXECUTION))
        logs = {names.log_name(subject): count for subject, count in counts.items()}
        self._archived &= {name.key for name in logs}
        some = asyncio.Semaphore(AT_ONCE)

        async def one(name: LogName) -> Standing:
            async with some:
                # More than the one commit that is left may be what was brought back from the archive.
                if name.key in self._archived and logs[name] == 1:
                    return GONE
                return await self._standing(name, ended_before)

        found = await asyncio.gather(*map(one, logs))
        standings = {name.key: standing for name, standing in zip(logs, found, strict=True)}
        several = {name.key for name, count in logs.items() if count > 1}
        several |= {name.key for name in await self._ports.log.names(PLAN)}
        for kind in (EXECUTION, PLAN):
            several |= await Purge(self._connection).with_snapshots(kind)
        leftovers = sorted(key for key in several if standings.get(key, LIVE).is_archived)
        return Found(standings, tuple(leftovers))

    async def _standing(self, name: LogName, ended_before: int) -> Standing:
        names = self._connection.names
        subject = names.log(name)
        last = await last_message(self._connection, names.stream("log"), subject)
        if last is None:
            return LIVE
        try:
            body = self._connection.vault.read(names, subject, last.data)
            commit = StoredCommit(name, last.seq, body, "")
            if archived_in(commit) is not None:
                self._archived.add(name.key)
                return GONE
            if decode_commit(name, body).at > ended_before:
                return LIVE
            state = await self._histories.execution(name.key)
        except BrokenHistoryError as error:
            log.warning("archive.unreadable", execution=name.key, error=str(error))
            return LIVE
        parent = state.parent.execution_id if state.parent is not None else ""
        return Standing(is_over(state), state.finished_at, parent, state.archived is not None)
