"""Prunes the logs that outlive executions.

Pools' and rosters' lose what only archived executions needed; those of schedules, triggers, workers
and alerts are about themselves, so that a base says all that their beginning did.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing

from talka_core.archiving import Extent
from talka_core.history import FOLDS, advance, packed
from talka_protocols.ports import Snapshot
from talka_protocols.subjects import ALERT, POOL, SCHEDULE, SHARD, TRIGGER, WORKER, LogName
from talka_services.archives.departures import Departures
from talka_services.archives.endings import Endings
from talka_services.archives.pruned import Pruned
from talka_services.jetstream.api import last_message, message_counts
from talka_services.jetstream.connection import Connection
from talka_services.jetstream.purging import Purge
from talka_services.runner.bases import base_name, base_of
from talka_services.runner.definitions import Definitions
from talka_services.runner.journal import decoded
from talka_services.runner.ports import Ports

OF_EXECUTIONS = ("scheduler-", "planner-")
"""What the rosters are named after whose keys are executions."""
OWN = (SCHEDULE, TRIGGER, WORKER, ALERT)
"""The kinds of logs that no execution holds up."""
SMALL = 50
"""A log of its own with so few commits is left alone: its base would be as large."""
SETTLED_MS = 3_600_000
"""For so long whoever asked something of a schedule or a trigger may still look for the answer."""


class Pruner:
    """Prunes one namespace; several of them disturb nobody. ``on_step`` is told before each removal."""

    def __init__(
        self, connection: Connection, ports: Ports, on_step: Callable[[str], None] = lambda _step: None
    ) -> None:
        self._connection = connection
        self._ports = ports
        self._on_step = on_step
        self._purge = Purge(connection)
        self._definitions = Definitions(ports.blobs)

    async def run(self, is_archived: Callable[[str], bool], before: int) -> list[Pruned]:
        """Prune all logs of what was recorded before an instant (milliseconds).

        Raises:
            BrokenHistoryError: a log cannot be folded; it is left as it is.
            PlatformError: the server does not answer, or refuses.
        """
        found: list[Pruned] = []
        for kind in (POOL, SHARD):
            for name in await self._ports.log.names(kind):
                is_about = kind == POOL or name.key.startswith(OF_EXECUTIONS)
                found.append(await self._prune(name, is_archived if is_about else _nobody, before))
        settled = min(before, self._ports.clock.now_ms() - SETTLED_MS)
        endings = Endings(self._connection, self._ports, self._on_step)
        found += await endings.run(settled)
        for kind in OWN:
            found += [await self._prune(name, _nobody, settled) for name in await self._long(kind)]
        departures = Departures(self._connection, self._ports, self._on_step)
        return found + await departures.run(settled)

    async def _long(self, kind: str) -> list[LogName]:
        """Return the logs of a kind that it is worth to prune."""
        names = self._connection.names
        counts = await message_counts(self._connection, names.stream("log"), names.logs(kind))
        return [names.log_name(subject) for subject, count in counts.items() if count > SMALL]

    async def _prune(self, name: LogName, is_archived: Callable[[str], bool], before: int) -> Pruned:
        subject = self._connection.names.log(name)
        last = await last_message(self._connection, self._connection.names.stream("log"), subject)
        base = await base_of(name, self._ports.snapshots)
        fold, state, at = FOLDS[name.kind], base.state, base.at
        extent, events = Extent(is_archived, before), 0
        # The newest commit stays, so that the log still says where it ends.
        end = last.seq if last is not None else 0
        if base.position + 1 < end:
            async with aclosing(self._ports.log.follow(name, base.position)) as feed:
                async for stored in feed:
                    # A base holds the workflows themselves: nothing puts those in that are stored apart.
                    commit = await decoded(stored, self._definitions)
                    if stored.position >= end or not extent.takes(stored.position, commit):
                        break
                    for version, _cause, event in commit.events():
                        advance(fold, state, version, event, commit.at)
                        events += 1
                    at = commit.at
        if extent.position:
            snapshot = Snapshot(extent.position, state.version, packed(fold, state), at)
            self._on_step("save base")
            await self._ports.snapshots.save(base_name(name), snapshot)
        if extent.position or base.position:
            self._on_step("purge shared")
            await self._purge.log_before(name, max(extent.position, base.position) + 1)
        return Pruned(str(name), events, extent.held_by)


def _nobody(_key: str) -> bool:
    """Tell that nothing holds up the log of what no execution is."""
    return True
