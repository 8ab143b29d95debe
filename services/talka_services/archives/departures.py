"""Removes the logs of workers that are gone for good: that no pool knows any more.

Its number is all that such a log says. A pool that has forgotten a worker takes any number of it, so
that one which comes back all the same begins again at the first.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from talka_core.archiving import is_known
from talka_core.history import FOLDS, packed
from talka_core.resource import PoolRecord
from talka_protocols.commit import decode_commit
from talka_protocols.ports import Snapshot
from talka_protocols.subjects import BASE, POOL, WORKER, LogName
from talka_services.archives.pruned import Pruned
from talka_services.jetstream.connection import Connection
from talka_services.jetstream.purging import Purge
from talka_services.jetstream.topology import INBOX_AGE_S
from talka_services.runner.bases import base_name, base_of
from talka_services.runner.definitions import Definitions
from talka_services.runner.journal import newest
from talka_services.runner.ports import Ports

UNREAD_MS = 1000 * INBOX_AGE_S + 3_600_000
"""For so long a pool may have yet to read that a worker has begun: then letters have left its inbox."""
_OF_WORKERS = f"{WORKER}-"


class Departures:
    """Looks for such workers in one namespace; ``on_step`` is told before each removal."""

    def __init__(self, connection: Connection, ports: Ports, on_step: Callable[[str], None]) -> None:
        self._connection = connection
        self._ports = ports
        self._on_step = on_step
        self._purge = Purge(connection)
        self._definitions = Definitions(ports.blobs)

    async def run(self, before: int) -> list[Pruned]:
        """Remove the logs that end before an instant (milliseconds) and that nothing needs.

        Raises:
            BrokenHistoryError: the log of a pool or of a worker cannot be folded.
            PlatformError: the server does not answer, or refuses.
        """
        names = await self._ports.log.names(WORKER)
        before = min(before, self._ports.clock.now_ms() - UNREAD_MS)
        pools = [pool async for pool in self._pools()]
        found: list[Pruned] = []
        for name in names:
            if not any(is_known(pool, name.key) for pool in pools):
                found += await self._remove(name, before)
        await self._finish()
        return found

    async def _pools(self) -> AsyncIterator[PoolRecord]:
        for name in await self._ports.log.names(POOL):
            ports = self._ports
            yield (await newest(name, ports.log, ports.snapshots, self._definitions)).state

    async def _remove(self, name: LogName, before: int) -> list[Pruned]:
        ports = self._ports
        base = await base_of(name, ports.snapshots)
        entry = await newest(name, ports.log, ports.snapshots, self._definitions)
        if entry.last_at >= before or not entry.position:
            return []
        # A worker that comes back at this moment goes on behind what is removed: its log then has a base.
        body = packed(FOLDS[WORKER], entry.state)
        snapshot = Snapshot(entry.position, entry.state.version, body, entry.last_at)
        stored = await ports.log.read(name, base.position)
        events = sum(len(decode_commit(each.log, each.body)) for each in stored)
        self._on_step("save base")
        await ports.snapshots.save(base_name(name), snapshot)
        self._on_step("purge worker")
        await self._purge.log_before(name, entry.position + 1)
        return [Pruned(str(name), events)]

    async def _finish(self) -> None:
        """Remove the bases of logs that are no more, also of a run that died before it did so."""
        there = {name.key for name in await self._ports.log.names(WORKER)}
        for key in await self._purge.with_snapshots(BASE):
            worker_id = key.removeprefix(_OF_WORKERS)
            if key != worker_id and worker_id not in there:
                self._on_step("purge base of worker")
                await self._purge.snapshots(base_name(LogName(WORKER, "-", worker_id)))
