"""Removes the logs of workers that are gone for good: that no pool knows any more.

Its number is all that such a log says. A pool that has forgotten a worker takes any number of it, so
that one which comes back all the same begins again at the first.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from talka_core.archiving import is_known
from talka_core.resource import PoolRecord
from talka_protocols.subjects import POOL, WORKER
from talka_services.archives.pruned import Pruned
from talka_services.archives.removal import Removal
from talka_services.jetstream.connection import Connection
from talka_services.runner.definitions import Definitions
from talka_services.runner.journal import newest
from talka_services.runner.ports import Ports


class Departures:
    """Looks for such workers in one namespace; ``on_step`` is told before each removal."""

    def __init__(self, connection: Connection, ports: Ports, on_step: Callable[[str], None]) -> None:
        self._ports = ports
        self._removal = Removal(connection, ports, on_step)
        self._definitions = Definitions(ports.blobs)

    async def run(self, before: int) -> list[Pruned]:
        """Remove the logs that end before an instant (milliseconds) and that nothing needs.

        Raises:
            BrokenHistoryError: the log of a pool or of a worker cannot be folded.
            PlatformError: the server does not answer, or refuses.
        """
        ports, before = self._ports, self._removal.before(before)
        names = await ports.log.names(WORKER)
        pools = [pool async for pool in self._pools()]
        found: list[Pruned] = []
        for name in names:
            if any(is_known(pool, name.key) for pool in pools):
                continue
            entry = await newest(name, ports.log, ports.snapshots, self._definitions)
            if entry.position and entry.last_at < before:
                found.append(await self._removal.remove(entry))
        await self._removal.finish(WORKER, lambda _key: "-")
        return found

    async def _pools(self) -> AsyncIterator[PoolRecord]:
        for name in await self._ports.log.names(POOL):
            ports = self._ports
            yield (await newest(name, ports.log, ports.snapshots, self._definitions)).state
