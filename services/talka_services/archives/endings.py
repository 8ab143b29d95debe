"""Removes the logs of schedules and triggers that are no more.

What they have started has a log of its own, and an id that is never used again. A repeat of what was
asked of them is answered from their logs, so these stay for as long as the retention says.
"""

from __future__ import annotations

from collections.abc import Callable

from talka_core.history import FOLDS
from talka_protocols.errors import BrokenHistoryError
from talka_protocols.subjects import SCHEDULE, TRIGGER, LogName, shard_of
from talka_services.archives.pruned import Pruned
from talka_services.archives.removal import Removal
from talka_services.jetstream.connection import Connection
from talka_services.runner.definitions import Definitions
from talka_services.runner.journal import newest
from talka_services.runner.ports import Ports
from talka_services.telemetry import get_logger

KINDS = (SCHEDULE, TRIGGER)

log = get_logger(__name__)


class Endings:
    """Looks for such logs in one namespace; ``on_step`` is told before each removal."""

    def __init__(self, connection: Connection, ports: Ports, on_step: Callable[[str], None]) -> None:
        self._ports = ports
        self._removal = Removal(connection, ports, on_step)
        self._definitions = Definitions(ports.blobs)

    async def run(self, before: int) -> list[Pruned]:
        """Remove the logs that end before an instant (milliseconds) and that nothing needs.

        One that cannot be folded stays.

        Raises:
            PlatformError: the server does not answer, or refuses.
        """
        before = self._removal.before(before)
        found: list[Pruned] = []
        for kind in KINDS:
            for name in await self._ports.log.names(kind):
                try:
                    found += await self._remove(name, before)
                except BrokenHistoryError as error:
                    log.warning("endings.unreadable", log=str(name), error=str(error))
            await self._removal.finish(kind, lambda key: shard_of(key, self._ports.shards))
        return found

    async def _remove(self, name: LogName, before: int) -> list[Pruned]:
        ports, is_spent = self._ports, FOLDS[name.kind].is_spent
        assert is_spent is not None, "its logs may go as a whole"
        entry = await newest(name, ports.log, ports.snapshots, self._definitions)
        if not entry.position or entry.last_at >= before or not is_spent(entry.state):
            return []
        return [await self._removal.remove(entry)]
