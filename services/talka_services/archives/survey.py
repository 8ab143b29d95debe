"""Finds out where the executions of a namespace stand, without folding those that cannot go anyway."""

from __future__ import annotations

import asyncio

from msgspec import Struct

from talka_core.archiving import Standing
from talka_core.scheduler.archiving import is_over
from talka_protocols.commit import decode_commit
from talka_protocols.errors import BrokenHistoryError
from talka_protocols.subjects import EXECUTION, PLAN, LogName
from talka_services.archives.reading import newest_commit
from talka_services.client.histories import Histories
from talka_services.jetstream.api import message_counts
from talka_services.jetstream.connection import Connection
from talka_services.jetstream.purging import Purge
from talka_services.runner.journal import archived_in
from talka_services.runner.ports import Ports
from talka_services.telemetry import get_logger

AT_ONCE = 32
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


class _Seen(Struct):
    """What the log of an execution said when it had so many commits; none is ever taken back or changed."""

    commits: int
    at: int
    standing: Standing | None = None


class Survey:
    """Looks at a namespace again and again, and only at logs that have changed since."""

    def __init__(self, connection: Connection, ports: Ports, histories: Histories) -> None:
        self._connection = connection
        self._ports = ports
        self._histories = histories
        self._seen: dict[str, _Seen] = {}

    async def look(self, ended_before: int) -> Found:
        """Return where all executions stand; what was written to after that instant counts as live.

        Raises:
            PlatformError: the server did not answer, or refused.
        """
        names = self._connection.names
        counts = await message_counts(self._connection, names.stream("log"), names.logs(EXECUTION))
        logs = {names.log_name(subject): count for subject, count in counts.items()}
        # What is no longer there is forgotten.
        self._seen = {name.key: self._seen[name.key] for name in logs if name.key in self._seen}
        some = asyncio.Semaphore(AT_ONCE)

        async def one(name: LogName) -> Standing:
            async with some:
                return await self._standing(name, logs[name], ended_before)

        found = await asyncio.gather(*map(one, logs))
        standings = {name.key: standing for name, standing in zip(logs, found, strict=True)}
        several = {name.key for name, count in logs.items() if count > 1}
        several |= {name.key for name in await self._ports.log.names(PLAN)}
        for kind in (EXECUTION, PLAN):
            several |= await Purge(self._connection).with_snapshots(kind)
        leftovers = sorted(key for key in several if standings.get(key, LIVE).is_archived)
        return Found(standings, tuple(leftovers))

    async def _standing(self, name: LogName, commits: int, ended_before: int) -> Standing:
        seen = self._seen.get(name.key)
        try:
            if seen is None or seen.commits != commits:
                seen = await self._newest(name, commits)
            if seen.standing is None and seen.at <= ended_before:
                seen.standing = await self._folded(name)
        except BrokenHistoryError as error:
            log.warning("archive.unreadable", execution=name.key, error=str(error))
            return LIVE
        return seen.standing or LIVE

    async def _newest(self, name: LogName, commits: int) -> _Seen:
        """Look at the newest commit of a log, which is all that is left of what is archived."""
        newest = await newest_commit(self._connection, name)
        if newest is None:
            return _Seen(0, 0, LIVE)
        if archived_in(newest) is not None:
            seen = _Seen(commits, 0, GONE)
        else:
            seen = _Seen(commits, decode_commit(name, newest.body).at)
        self._seen[name.key] = seen
        return seen

    async def _folded(self, name: LogName) -> Standing:
        state = await self._histories.execution(name.key)
        parent = state.parent.execution_id if state.parent is not None else ""
        return Standing(is_over(state), state.finished_at, parent, state.archived is not None)
